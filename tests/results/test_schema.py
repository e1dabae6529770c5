"""Keys of rows: what was asked makes them, what was found does not."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import fake_backends
import numpy as np
import onnx
import pytest
from random_images import RandomImages

from bench.results.schema import CELL, MACHINE, SUBJECT, TABLES, WORKLOAD, Role, Table
from bench.results.session import Workloads, model_sha256
from columnar_nn.model import onnx_io


@pytest.mark.parametrize("table", [MACHINE, SUBJECT, WORKLOAD, CELL], ids=lambda table: table.name)
def test_the_hash_is_of_the_hashed_fields_and_of_no_other(table: Table) -> None:
    plain = table.row()[table.hash_name]
    for field in table.fields:
        changed = table.row(**{field.name: {"a": 1} if field.name == "reasons" else 1})
        if field.name != table.hash_name:
            assert (changed[table.hash_name] != plain) == (field.role is Role.HASHED), field.name


def test_the_order_of_names_does_not_count() -> None:
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert SUBJECT.row(options=one)["subject"] == SUBJECT.row(options=other)["subject"]


def test_a_field_that_no_table_has_is_refused() -> None:
    with pytest.raises(TypeError, match="table cell has no medain"):
        CELL.row(medain=1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_null_with_a_reason(value: float) -> None:
    row = CELL.row(sqnr_db=value, tolerance={"logits": {"atol": value}})
    assert row["sqnr_db"] is None
    assert row["reasons"] == {"sqnr_db": f"it is {value}"}
    assert row["tolerance"] == {"logits": {"atol": None}}


def test_keys_come_first_and_names_are_used_once() -> None:
    for table in TABLES.values():
        names = [field.name for field in table.fields]
        assert len(set(names)) == len(names)
        assert tuple(names[: len(table.keys)]) == table.keys


def sha256_of(**changes: Any) -> str:
    return model_sha256(dataclasses.replace(fake_backends.tiny_graph(), **changes))


def test_other_weights_under_the_same_name_are_another_model() -> None:
    graph = fake_backends.tiny_graph()
    weight = graph.weights["weight"].copy()
    weight[3, 7] = np.nextafter(weight[3, 7], 1)
    assert sha256_of() == sha256_of()
    assert sha256_of(weights={"weight": weight}) != sha256_of()
    other = dataclasses.replace(graph.nodes[1], attributes={"transB": 1, "alpha": 2.0})
    assert sha256_of(nodes=(graph.nodes[0], other)) != sha256_of()
    transposed = {"weight": graph.weights["weight"].reshape(3072, 10)}
    assert sha256_of(weights=transposed) != sha256_of()


def test_the_same_network_in_other_bytes_is_the_same_model(tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    onnx_io.save(fake_backends.tiny_graph(), first)
    proto = onnx.load(first)
    proto.producer_name, proto.doc_string = "another tool", "said differently"
    onnx.save(proto, second)
    assert first.read_bytes() != second.read_bytes()
    assert model_sha256(onnx_io.load(first)) == model_sha256(onnx_io.load(second))


def test_a_workload_says_network_data_and_numbers() -> None:
    graph = fake_backends.tiny_graph()
    row = Workloads(graph, RandomImages()).row("offline", 8, 4)  # type: ignore[arg-type]
    assert (row["parameters"], row["macs"]) == (30720, 30720)
    assert row["model_sha256"] == model_sha256(graph)
    assert (row["data_fingerprint"], row["samples"], row["batch_size"]) == ("none", 8, 4)
    assert row["split"] == "test"
