"""The manifest is read strictly: versions, missing and wrong fields, and what to do."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bench.golden import manifest as manifests
from bench.golden.bundle import Bundle
from columnar_nn.errors import InvalidDataError


def document(bundle: Bundle) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(manifests.dumps(bundle.manifest))
    return parsed


def dumped(bundle: Bundle) -> str:
    return manifests.dumps(bundle.manifest)


def refusal(parsed: Any) -> str:
    with pytest.raises(InvalidDataError) as caught:
        manifests.loads(parsed if isinstance(parsed, str) else json.dumps(parsed))
    return str(caught.value)


def test_round_trip(bundle: Bundle) -> None:
    assert manifests.loads(manifests.dumps(bundle.manifest)) == bundle.manifest


def documented_fields() -> dict[str, str]:
    """The table of the manifest in the documentation: names of fields, and what is said of them."""
    text = (Path(__file__).parents[2] / "docs" / "golden.md").read_text(encoding="utf-8")
    table = text.split("manifest.json, format version ")[1].split("\n\n")[1]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {name: content for names, content in rows for name in names.split(", ")}


def test_every_field_is_documented(bundle: Bundle) -> None:
    documented = documented_fields()
    assert set(documented) == set(document(bundle))
    assert documented["format_version"].endswith(f", {manifests.FORMAT_VERSION}")
    for record, name in (
        (manifests.Creation, "creation"),
        (manifests.DataEntry, "data"),
        (manifests.ColumnEntry, "data"),
        (manifests.OperatorEntry, "operators"),
        (manifests.TensorEntry, "tensors"),
    ):
        for field in fields(record):
            assert field.name in documented[name], f"{name}: {field.name}"


def test_newer_version_asks_for_an_upgrade(bundle: Bundle) -> None:
    newer = document(bundle) | {"format_version": manifests.FORMAT_VERSION + 1, "a": "b"}
    assert "upgrade cnn-bench" in refusal(newer)


def test_version_2_has_one_column_and_no_further_options(bundle: Bundle) -> None:
    older = document(bundle) | {"format_version": 2}
    assert "create it again" in refusal(older)
    del older["creation"]["options"]
    assert "create it again" in refusal(older)
    (column,) = older["data"].pop("columns")
    assert column.pop("name") == "image"
    older["data"] |= column
    read = manifests.loads(json.dumps(older))
    assert read == replace(bundle.manifest, format_version=2)


def test_the_command_has_all_that_was_asked_for(bundle: Bundle) -> None:
    asked = document(bundle) | {"format_version": 0}
    asked["creation"]["options"] = ["--split=train", "--labels=my labels.csv"]
    assert "--taps all --split=train '--labels=my labels.csv' OUT/" in refusal(asked)


def test_older_version_says_how_to_create_it_again(bundle: Bundle) -> None:
    older = {
        "format": manifests.FORMAT,
        "format_version": 0,
        "creation": {"model": "my net.onnx", "data": "photo10", "count": 3, "taps": ["all"]},
    }
    command = "cnn-bench golden create --model 'my net.onnx' --data photo10 --start 0 --count 3"
    assert command in refusal(older)
    del older["creation"]
    assert "cnn-bench golden create --model MODEL" in refusal(older)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"format": "other"}', "[" * 100_000, "\x00", '{"format": NaN}'],
)
def test_other_documents_are_refused(text: str) -> None:
    assert "manifest.json" in refusal(text)


@pytest.mark.parametrize("version", ["1", 1.0, True, None])
def test_version_must_be_a_whole_number(bundle: Bundle, version: Any) -> None:
    assert "format_version" in refusal(document(bundle) | {"format_version": version})


def test_every_field_is_needed_and_no_other_is_known(bundle: Bundle) -> None:
    for name in document(bundle):
        parsed = document(bundle)
        del parsed[name]
        refusal(parsed)
    assert "unknown field(s) extra" in refusal(document(bundle) | {"extra": 1})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows",), 0),
        (("rows",), "6"),
        (("rows",), True),
        (("rule",), "anything goes"),
        (("tensors",), []),
        (("tensors", 0, "shape"), [8, 0, 8]),
        (("tensors", 0, "shape"), [8, -8, 8]),
        (("tensors", 0, "dtype"), "object"),
        (("tensors", 0, "rtol"), -1.0),
        (("tensors", 0, "atol"), None),
        (("tensors", 0, "operator"), "relu1"),
        (("tensors", 0, "name"), "relu1"),
        (("tensors", 0, "file"), "tensors/001-relu1.arrows"),
        (("noise_file",), ""),
        (("noise_file",), "inputs.arrows"),
        (("creation", "start"), -1),
        (("data", "columns"), []),
        (("data", "columns", 0, "dtype"), "object"),
        (("data", "columns", 0, "shape"), [3, 8, 0]),
        (("files", "model.onnx", "bytes"), -1),
        (("files", "model.onnx", "sha256"), "0"),
        (("files",), {}),
    ],
)
def test_field_that_cannot_be_is_refused(bundle: Bundle, path: tuple, value: Any) -> None:
    parsed = document(bundle)
    place: Any = parsed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert "manifest.json" in refusal(parsed)


@pytest.mark.parametrize("digits", [19, 400, 4001, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("field", ["format_version", "rows", "depth", "rtol", "bytes"])
def test_numbers_that_no_manifest_holds_are_refused(
    bundle: Bundle, field: str, sign: str, digits: int
) -> None:
    text = re.sub(rf'"{field}": [\d.e-]+', f'"{field}": {sign}{"9" * digits}', dumped(bundle))
    message = refusal(text)
    assert f"a number of {digits + len(sign)} digits" in message
    assert len(message) < 500


def test_a_field_that_is_there_twice_is_refused(bundle: Bundle) -> None:
    """The last would count, whatever the first says to who reads it."""
    text = dumped(bundle)
    assert "there twice" in refusal(text.replace('"rows":', '"rows": 1, "rows":', 1))
    assert "there twice" in refusal(text.replace('"sha256":', '"sha256": "", "sha256":', 1))


@pytest.mark.parametrize("depth", [50, 500, 5_000, 500_000])
def test_deep_nesting_is_refused(bundle: Bundle, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    message = refusal(re.sub('"rows": [0-9]+', f'"rows": {nested}', dumped(bundle)))
    assert len(message) < 500


def test_infinite_tolerance_is_refused(bundle: Bundle) -> None:
    text = manifests.dumps(bundle.manifest)
    atol = f'"atol": {bundle.manifest.tensors[0].atol}'
    assert atol in text
    assert "rtol, atol or largest" in refusal(text.replace(atol, '"atol": 1e999'))
