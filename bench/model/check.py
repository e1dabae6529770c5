"""Whether a user's ONNX file was read right: the file itself against the imported network.

Every backend runs the importer's reading of a file, so that what the importer
misreads looks right in all of them. Here the untouched file and the import are both run by ONNX
Runtime, in a worker, on the same images. Where ONNX Runtime is not installed, or cannot run the
file, onnx.reference takes its place, if the network has at most REFERENCE_MACS and no auto_pad,
which onnx.reference gets wrong. The result is remembered in the cache.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bench.data.dataset import open_dataset
from bench.data.resize import resize
from bench.files.temporary import temporary_folder
from bench.model import check_key as import_check_key
from bench.model.check_session import ONNX_RUNTIME, REFERENCE
from bench.model.output_difference import OutputDifference
from bench.verdict import status
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.process import WorkerError
from columnar_nn.data import tensor_column
from columnar_nn.errors import printable
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import layers
from columnar_nn.settings import cache_root

IMAGES = 4
"""Photographs and noise, in turn; a network tied to a batch size gets the next multiple of it."""

REFERENCE_MACS = 500_000_000
"""Multiply-accumulates an image up to which onnx.reference takes seconds: 4 ns each."""

TIMEOUT_S = 180.0
"""Of each run, where a command has no timeout of its own."""

EQUAL, MISREAD, NOT_DONE = "equal", status.MISREAD, "not done"

_SESSION = "bench.model.check_session:ImportCheckSession"
_FAILURES = {
    "load_runner": "cannot be loaded",
    "run_file": "cannot run the file",
    "run_import": "runs the file but not its import",
}
"""What is said of a runner whose worker fails at a command."""

_KIND, _SUFFIX = "import-checks", ".import-check"


@dataclass(frozen=True)
class ImportCheck:
    """How a check ended: `verdict` is EQUAL, MISREAD or NOT_DONE, the last two with a `reason`.

    `runner` and `version` are what ran file and import on `images` images. `remembered`: the
    figures are of an earlier check of the same file by the same importer.
    """

    verdict: str
    reason: str = ""
    runner: str = ""
    version: str = ""
    images: int = 0
    outputs: tuple[OutputDifference, ...] = ()
    remembered: bool = False

    @property
    def difference(self) -> float:
        """Largest difference of all outputs, as a share of the output's largest value."""
        return max((output.difference for output in self.outputs), default=0.0)

    def exit_code(self) -> int:
        return int(self.verdict == MISREAD)

    def line(self) -> str:
        """All of it in one line, control characters escaped."""
        return printable(self._line())

    def _line(self) -> str:
        remembered = " (remembered)" if self.remembered else ""
        if self.verdict == NOT_DONE:
            return f"import not checked{remembered}: {self.reason}"
        by = f"{self.runner} {'.'.join(self.version.split('.')[:2])}"
        if self.verdict == MISREAD:
            return f"MISREAD{remembered}: the import differs from the file in {by}: {self.reason}"
        figure = f"to {self.difference:.0e}" if self.difference else "exactly"
        line = f"import checked against {by} on the file itself: equal {figure}{remembered}"
        if not any(output.says_something for output in self.outputs):
            line += "; no output depends on the images, so that this says little"
        return line

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def check(file: Path, graph: Graph, options: Options) -> ImportCheck:
    """Compares the ONNX `file` with `graph`, its import, or remembers that.

    The timeout is of each of the few runs. What goes wrong in the worker is a reason, no
    exception. A crash or a timeout is not remembered: the next one may have more memory or time.
    """
    name = import_check_key.key(file, [spec.shape for spec in graph.inputs]) + _SUFFIX
    stored = cache_root.read(_KIND, name)
    if stored is not None and (remembered := _loaded(stored)) is not None:
        return replace(remembered, remembered=True)
    with temporary_folder() as folder:
        worker = _Checking(file, graph, options, folder)
        found = worker.by(ONNX_RUNTIME)
        if found.verdict == NOT_DONE and (obstacle := _reference_obstacle(file, graph)):
            found = replace(found, reason=f"{found.reason}; {obstacle}")
        elif found.verdict == NOT_DONE:
            second = worker.by(REFERENCE)
            reasons = f"{found.reason}; {second.reason}"
            found = replace(second, reason=reasons) if second.verdict == NOT_DONE else second
    if not worker.was_lost:
        cache_root.write(_KIND, name, json.dumps(found.document()).encode())
    return found


class _Checking:
    """The check of one file by one runner after the other, each in a worker of its own."""

    def __init__(self, file: Path, graph: Graph, options: Options, folder: Path) -> None:
        self._file = file
        self._options = options
        self._folder = folder
        self._precision = graph.precision
        self._images = images_for(graph)
        self.was_lost = False
        """Whether a worker crashed or did not answer."""
        (folder / "images.pickle").write_bytes(pickle.dumps(self._images))
        (folder / "graph.pickle").write_bytes(pickle.dumps(graph))

    def by(self, runner: str) -> ImportCheck:
        """File and import in one runner."""
        title = {ONNX_RUNTIME: "ONNX Runtime", REFERENCE: "onnx.reference"}[runner]
        steps: dict[str, dict[str, Any]] = {
            "load_runner": {"runner": runner},
            "run_file": {
                "runner": runner,
                "file": str(self._file.absolute()),
                "images": str(self._folder / "images.pickle"),
                "threads": self._options.threads,
                "precision": self._precision,
            },
            "run_import": {"graph": str(self._folder / "graph.pickle")},
        }
        replies: dict[str, Any] = {}
        step = ""
        try:
            with HeldWorker(self._options, self._folder, _SESSION) as worker:
                for step, arguments in steps.items():
                    replies |= worker.ask(step, **arguments)
        except WorkerError as error:
            self.was_lost |= error.fatal
            missing = error.status == status.SKIPPED
            reason = error.reason if missing else f"{title} {_FAILURES[step]}: {error.reason}"
            return ImportCheck(NOT_DONE, reason)
        outputs = tuple(_output(fields) for fields in replies["outputs"])
        reasons = [f"output {output.name}: {output.reason}" for output in outputs if output.reason]
        reason = replies["reason"] or "; ".join(reasons)
        return ImportCheck(
            MISREAD if reason else EQUAL,
            reason,
            replies["title"],
            replies["version"],
            len(next(iter(self._images.values()))),
            outputs,
        )


def images_for(graph: Graph) -> dict[str, np.ndarray]:
    """Images by input name, float32 in [0, 1]: of even rows photographs, of odd ones noise.

    An input that is no image has noise only.
    """
    batch = graph.batch or 1
    rows = -(-IMAGES // batch) * batch
    random = np.random.default_rng(0)
    images = {}
    for spec in graph.inputs:
        shape = tuple(size or 1 for size in spec.shape[1:])
        pixels = random.integers(0, 256, (rows, *shape), np.uint8)
        if len(shape) == 3:
            pixels[::2] = resize(_photographs(len(pixels[::2])), (shape[0], shape[1], shape[2]))
        images[spec.name] = pixels.astype(np.float32) / np.float32(255)
    return images


def _photographs(rows: int) -> np.ndarray:
    """uint8 [rows, 3, 32, 32] of photo10, far apart so that they are of different photographs."""
    dataset = open_dataset("photo10")
    (batch,) = dataset.batches(dataset.num_rows, dataset.num_rows)
    chosen = (np.arange(rows) * 137 + 100) % dataset.num_rows
    return tensor_column.to_numpy(batch.column("image"))[chosen]


def _reference_obstacle(file: Path, graph: Graph) -> str:
    """Why onnx.reference is not asked; empty if it can be."""
    macs = sum(layer.macs for layer in layers(graph))
    if macs > REFERENCE_MACS:
        return (
            f"onnx.reference would take too long: {macs / 1e6:,.0f} million multiply-accumulates "
            f"an image, of {REFERENCE_MACS / 1e6:,.0f}"
        )
    model = onnx.load(file, load_external_data=False)
    nodes = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    if any(map(_pads_by_itself, nodes)):
        return "onnx.reference gets auto_pad wrong"
    return ""


def _pads_by_itself(node: onnx.NodeProto) -> bool:
    """Whether a node, or one of its subgraphs', has an auto_pad that is not its default."""
    return any(
        (attribute.name == "auto_pad" and attribute.s not in (b"", b"NOTSET"))
        or any(map(_pads_by_itself, attribute.g.node))
        for attribute in node.attribute
    )


def _loaded(stored: bytes) -> ImportCheck | None:
    """A remembered check; None for one that cannot be read."""
    try:
        fields = json.loads(stored)
        return ImportCheck(**fields | {"outputs": tuple(map(_output, fields["outputs"]))})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _output(fields: dict[str, Any]) -> OutputDifference:
    return OutputDifference(**{**fields, "shape": tuple(fields["shape"])})
