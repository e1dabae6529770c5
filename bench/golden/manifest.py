"""manifest.json of a golden bundle as immutable records, read strictly.

Format history:
1  model.onnx, inputs.arrows and one Arrow IPC stream for each expected tensor, every file with
   its size and SHA-256.
2  the noise of each tensor in noise.arrows, by which it is judged; the first image's number.
3  the further options of `golden create` that were given; a column for each input of the network.
   docs/golden.md describes each field.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from bench.verdict import rule as verdict
from columnar_nn.errors import InvalidDataError

FORMAT = "cnn-bench golden bundle"
FORMAT_VERSION = 3
OLDEST_READABLE_VERSION = 1
ELEMENTWISE_RULE = "|output - expected| <= atol + rtol * |expected|"
_RULE = f"{verdict.RULE}, everywhere {ELEMENTWISE_RULE}, and top-1 is as expected but for near-ties"
RULES = {
    1: ELEMENTWISE_RULE,
    2: _RULE,
    3: _RULE,
}
"""By which rule the tensors of each format version are judged."""

IMAGE = "image"
"""The column of a network's one input."""

MAX_BYTES = 16 << 20
"""A larger manifest is no manifest."""

MAX_DIGITS = 18
"""Of a whole number, which then fits into 64 bits and a float."""


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 (hexadecimal) of a file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Creation:
    """What `golden create` was asked for: enough to create the bundle again.

    `start` is the number of the first image in the data, 0 in version 1; `options` are others that
    were given, such as --split=train, none before version 3.
    """

    model: str
    data: str
    count: int
    taps: tuple[str, ...]
    start: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnEntry:
    """What an input of the network reads: a column, its shape without rows, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class DataEntry:
    """The images: their source and its fingerprint, their file and its columns, in the order of the
    network's inputs."""

    source: str
    fingerprint: str
    file: str
    columns: tuple[ColumnEntry, ...]


@dataclass(frozen=True)
class OperatorEntry:
    """One operator of the network, in graph order."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class TensorEntry:
    """One expected tensor; `shape` is that of one image's, `operator` the one that makes it.

    `largest` is the largest finite magnitude in it, `non_finite` how many elements are NaN or
    infinite, `depth` how many operators that add up products lie on the longest path to it.
    """

    name: str
    operator: str
    op_type: str
    shape: tuple[int, ...]
    dtype: str
    is_output: bool
    file: str
    rtol: float
    atol: float
    largest: float
    non_finite: int
    depth: int


@dataclass(frozen=True)
class Manifest:
    """Everything about a bundle but the numbers; tensors and operators in graph order.

    `noise_file` is empty in version 1.
    """

    format: str
    format_version: int
    model_name: str
    model_file: str
    creation: Creation
    rule: str
    rows: int
    rows_per_batch: int
    data: DataEntry
    noise_file: str
    tensors: tuple[TensorEntry, ...]
    operators: tuple[OperatorEntry, ...]
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]

    def tensor(self, name: str) -> TensorEntry:
        """The expected tensor called `name`; raises KeyError if the bundle has none."""
        for entry in self.tensors:
            if entry.name == name:
                return entry
        raise KeyError(name)


def dumps(manifest: Manifest) -> str:
    """The manifest as readable JSON; equal manifests give equal text."""
    return json.dumps(asdict(manifest), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str) -> Manifest:
    """The manifest in `text`.

    Raises InvalidDataError, saying what to do, for another document, for a version that this
    reader does not know, and for any field that is missing, unknown or not as it must be.
    """
    try:
        document = json.loads(
            text,
            parse_int=_whole_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repeats,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"manifest.json is not JSON ({error}): create it again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidDataError(f'manifest.json does not say "format": "{FORMAT}"')
    version = document.get("format_version")
    if type(version) is not int:
        raise InvalidDataError("manifest.json has no whole number as format_version")
    if version > FORMAT_VERSION:
        raise InvalidDataError(
            f"made in format version {version}, this cnn-bench reads up to {FORMAT_VERSION}: "
            "upgrade cnn-bench"
        )
    if version < OLDEST_READABLE_VERSION:
        raise InvalidDataError(
            f"made in format version {version}, this cnn-bench reads {OLDEST_READABLE_VERSION} "
            f"and later: create it again with {recreate_command(document.get('creation'))}"
        )
    if version == 1:
        document = _from_version_1(document)
    if version < 3:
        document = _from_version_2(document)
    manifest: Manifest = _parse(Manifest, document, "manifest.json")
    _check(manifest)
    return manifest


def recreate_command(creation: Any) -> str:
    """The command that made a bundle, as far as its manifest's `creation` can be read."""
    known = creation if isinstance(creation, dict) else {}
    taps = known.get("taps", ["all"])
    options = {
        "model": known.get("model", "MODEL"),
        "data": known.get("data", "DATA"),
        "start": known.get("start", 0),
        "count": known.get("count", "COUNT"),
        "taps": ",".join(map(str, taps)) if isinstance(taps, list) else "all",
    }
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items()]
    further = known.get("options")
    if isinstance(further, list | tuple):
        words += [shlex.quote(str(option)) for option in further]
    return f"cnn-bench golden create {' '.join(words)} OUT/"


def _from_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the fields that version 2 brought, which may not be there before."""
    creation = document.get("creation")
    if not isinstance(creation, dict) or "start" in creation or "noise_file" in document:
        raise InvalidDataError("manifest.json: not the fields of version 1; create it again")
    return {**document, "noise_file": "", "creation": {**creation, "start": 0}}


def _from_version_2(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the fields that version 3 brought, which may not be there before."""
    creation, data = document.get("creation"), document.get("data")
    if not isinstance(creation, dict) or not isinstance(data, dict):
        raise InvalidDataError("manifest.json: no creation or no data; create it again")
    if "options" in creation or "columns" in data:
        raise InvalidDataError("manifest.json: not the fields of its version; create it again")
    column = {"name": IMAGE, **{name: data[name] for name in ("shape", "dtype") if name in data}}
    rest = {name: value for name, value in data.items() if name not in column}
    return {
        **document,
        "creation": {**creation, "options": []},
        "data": {**rest, "columns": [column]},
    }


def _parse(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `kind`: records, tuples, mappings, scalars, all exact."""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        names = {f.name for f in fields(kind)}
        if not isinstance(value, dict) or set(value) != names:
            found = set(value) if isinstance(value, dict) else set()
            wrong = ", ".join(sorted(names ^ found))
            raise InvalidDataError(f"{where}: missing or unknown field(s) {wrong}")
        parsed = {n: _parse(hints[n], value[n], f"{where}: {n}") for n in names}
        return kind(**parsed)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(_parse(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {k: _parse(arguments[1], v, f"{where}[{k!r}]") for k, v in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if origin is None and type(value) is kind:
        return value
    raise InvalidDataError(f"{where}: {value!r:.40} is not what a manifest has there")


def _check(manifest: Manifest) -> None:
    """Refuses a manifest whose fields contradict each other or point outside the bundle."""
    rule = RULES[manifest.format_version]
    _require(manifest.rule == rule, f"rule is not {rule!r}")
    _require(manifest.rows > 0 and manifest.rows_per_batch > 0, "rows must be positive")
    _require(bool(manifest.tensors), "no expected tensors")
    names = [tensor.name for tensor in manifest.tensors]
    _require(len(set(names)) == len(names), "an expected tensor is listed twice")
    _require(manifest.creation.start >= 0, "start must not be negative")
    used = [manifest.model_file, manifest.data.file, *(t.file for t in manifest.tensors)]
    if manifest.format_version > 1:
        used.append(manifest.noise_file)
    _require(len(set(used)) == len(used), "a file is used twice")
    _require(set(used) == set(manifest.files), "files and their uses do not agree")
    for path, entry in manifest.files.items():
        _require(_is_inside(path), f"file {path!r} is not a plain path inside the bundle")
        _require(entry.bytes >= 0, f"file {path!r} has a negative size")
        _require(bool(re.fullmatch("[0-9a-f]{64}", entry.sha256)), f"SHA-256 of {path!r}")
    made = {output: op for op in manifest.operators for output in op.outputs}
    for tensor in manifest.tensors:
        where = f"tensor {tensor.name!r}"
        operator = made.get(tensor.name)
        _require(operator is not None and operator.name == tensor.operator, f"{where}: operator")
        _require(tensor.dtype == "float32", f"{where} is not float32")
        _require(all(size > 0 for size in tensor.shape), f"{where}: shape must be positive")
        for figure in (tensor.rtol, tensor.atol, tensor.largest):
            _require(figure >= 0 and math.isfinite(figure), f"{where}: rtol, atol or largest")
    columns = manifest.data.columns
    _require(bool(columns), "no column of images")
    _require(len({column.name for column in columns}) == len(columns), "a column is listed twice")
    for column in columns:
        _require(column.dtype in ("uint8", "float32"), "images are neither uint8 nor float32")
        _require(all(size > 0 for size in column.shape), "image shape must be positive")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidDataError(f"manifest.json: {problem}; create the bundle again")


def _is_inside(path: str) -> bool:
    """Whether a relative path stays in its folder on every operating system."""
    return all(
        re.fullmatch(r"[\w.-]+", part, re.ASCII) and part.strip(".") for part in path.split("/")
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a field is there twice")
    return document
