"""Backends as they are named: one, several, all; unknown ones, and what is said of them."""

from __future__ import annotations

import pytest

from bench.workers.selection import select, select_one
from columnar_nn.errors import UsageError


def labels(*names: str) -> list[str]:
    return [selection.label for selection in select(names)]


def test_a_name_alone_leaves_the_variants_out() -> None:
    assert labels("fake_backends.FakeBackend") == ["fake_backends.FakeBackend:fine"]


def test_a_configuration_is_taken_once_and_in_order() -> None:
    chosen = labels(
        "fake_backends.FakeBackend:slow",
        "fake_backends.FakeBackend",
        "fake_backends.FakeBackend:slow",
    )
    assert chosen == ["fake_backends.FakeBackend:slow", "fake_backends.FakeBackend:fine"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "choose from columnar, reference"),
        ("fake_backends.FakeBackend:nope", "choose from fine, wrong"),
        ("fake_backends.tiny_graph", "has no backend class tiny_graph"),
    ],
)
def test_unknown_names_list_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select([name])


def test_an_adapter_that_cannot_be_imported_is_left_for_its_worker_to_report() -> None:
    assert labels("no_such_module.Backend") == ["no_such_module.Backend:default"]


def test_of_one_backend_the_default_configuration_is_meant() -> None:
    assert select_one("golden.faulty_backends.Correct").configuration == "usual"
    assert select_one("onnxruntime").label == "onnxruntime:default"
    assert select_one("columnar:none/direct").label == "columnar:none/direct"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "unknown backend 'nothing': choose from columnar, reference"),
        (
            "golden.faulty_backends.Correct:other",
            "golden.faulty_backends.Correct has no configuration 'other': choose from usual",
        ),
        ("no.such.module.Backend", "cannot import backend 'no.such.module.Backend': No module"),
    ],
)
def test_one_backend_that_is_unknown(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select_one(name)
