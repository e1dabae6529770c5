"""Bundles of format version 1, which have no noise, are read and judged by their own rule."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden.conftest import faulty

from bench.golden import checks, report
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.diff import diff, open_side
from bench.golden.verify import Comparing, verify
from columnar_nn.errors import InvalidDataError

ELEMENTWISE = Comparing(checks.parse("elementwise"))
RULE = "|output - expected| <= atol + rtol * |expected|"


def as_version_1(folder: Path) -> dict[str, Any]:
    """Makes a bundle what the first format would have been, and gives its manifest."""
    path = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text())
    (folder / manifest["noise_file"]).unlink()
    del manifest["files"][manifest.pop("noise_file")]
    del manifest["creation"]["start"], manifest["creation"]["options"]
    (column,) = manifest["data"].pop("columns")
    manifest["data"] |= {"shape": column["shape"], "dtype": column["dtype"]}
    manifest |= {"format_version": 1, "rule": RULE}
    path.write_text(json.dumps(manifest))
    return manifest


@pytest.fixture
def old(damaged: Path) -> Path:
    as_version_1(damaged)
    return damaged


def test_it_is_read(old: Path, bundle: Bundle) -> None:
    read = open_bundle(old)
    assert read.manifest.creation == bundle.manifest.creation
    assert read.manifest.tensors == bundle.manifest.tensors
    assert read.noises() == {}


@pytest.mark.parametrize("backend", ["Correct", "OneUlpNoise"])
def test_right_engine_passes(old: Path, backend: str) -> None:
    verification = verify(open_bundle(old), *faulty(backend), ELEMENTWISE)
    assert [result.status for result in verification.results] == ["PASSED"] * 8
    assert verification.rule == RULE
    assert f"rule: {RULE}" in report.plain_text(verification)


@pytest.mark.parametrize(
    ("backend", "operator"), [("SwappedChannels", "conv2"), ("Float16", "conv2"), ("Dead", "pool")]
)
def test_wrong_engine_fails(old: Path, backend: str, operator: str) -> None:
    first = verify(open_bundle(old), *faulty(backend), ELEMENTWISE).first_diverging
    assert first is not None
    assert first.tensor.operator == operator


def test_it_is_judged_by_its_tolerance_alone(mixed: Bundle, tmp_path: Path) -> None:
    """A channel in float16 that is small beside the others is within it."""
    old = tmp_path / "old"
    old.mkdir()
    (old / "tensors").mkdir()
    for file in [*mixed.manifest.files, "manifest.json"]:
        (old / file).write_bytes((mixed.folder / file).read_bytes())
    as_version_1(old)
    options = faulty("Float16Channel", batch_size=1000)
    assert verify(open_bundle(old), *options, ELEMENTWISE).status == "PASSED"
    assert verify(mixed, *options, ELEMENTWISE).status == "FAILED"


def test_bisect_and_diff_read_it(old: Path, bundle: Bundle) -> None:
    culprits = bisect(open_bundle(old), *faulty("DroppedBias"), ELEMENTWISE).culprits
    assert [error.tensor.operator for error in culprits] == ["conv2"]
    for sides in ((old, bundle.folder), (bundle.folder, old)):
        left, right = map(open_side, sides)
        assert diff(left, right, ELEMENTWISE).exit_code() == 0


def test_fields_of_version_2_are_refused_in_it(damaged: Path) -> None:
    manifest = as_version_1(damaged)
    for wrong in (
        {"noise_file": "noise.arrows"},
        {"creation": {**manifest["creation"], "start": 0}},
        {"creation": {**manifest["creation"], "options": []}},
        {"creation": None},
        {"format_version": 2},
    ):
        (damaged / "manifest.json").write_text(json.dumps(manifest | wrong))
        with pytest.raises(InvalidDataError, match=r"manifest\.json"):
            open_bundle(damaged)
