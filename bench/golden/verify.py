"""A backend run on a bundle's images and compared with the bundle's tensors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.files.temporary import temporary_folder
from bench.golden import manifest as manifests
from bench.golden import single_operator, tap_selection, tensor_stream
from bench.golden.bundle import Bundle
from bench.golden.checks import ELEMENTWISE, Check
from bench.golden.comparison import ComparedTensor, TensorResult, compare, first_diverging
from bench.golden.manifest import TensorEntry
from bench.golden.streamed_backend import StreamedBackend
from bench.text.progress import Progress, silent
from bench.verdict import tolerance
from bench.verdict.parity import Tolerance
from bench.verdict.status import MISTRUSTED, PASSED, SKIPPED, worst
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph


@dataclass(frozen=True)
class Comparing:
    """Which tensors are compared, how, and within what; overrides are "[name:]value"."""

    check: Check
    taps: Sequence[str] = (tap_selection.ALL,)
    rtol: Sequence[str] = ()
    atol: Sequence[str] = ()
    fail_fast: bool = False

    def rule(self, version: int) -> str:
        """The rule in one sentence, of tensors whose tolerances are those of a bundle."""
        if self.check.kind == ELEMENTWISE:
            return manifests.RULES[version]
        name = self.check.name
        return f"the {name} of |output - expected| <= atol + rtol * the {name} of |expected|"


@dataclass(frozen=True)
class Verification:
    """How a backend did on a bundle.

    `fingerprint` is the bundle's, empty without one. `status` is the worst of the tensors', or
    how the backend failed, with `reason`. `seconds` has what the backend's worker measured
    (start, import, build, run) and the whole (total), `description` what the backend says it ran.
    `rule` is the sentence by which tensors pass whose tolerance the user did not give.
    """

    subject: str
    expected: str
    fingerprint: str
    status: str
    reason: str
    results: tuple[TensorResult, ...]
    rows: int
    rule: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_diverging(self) -> TensorResult | None:
        """The first tensor, in graph order, that is wrong."""
        return first_diverging(self.results)

    @property
    def first_diverging_operator(self) -> str | None:
        """The first operator that is wrong, if what it reads was compared and is right.

        None if no tensor is wrong, or if an operator before the first wrong tensor's own may be.
        """
        first = self.first_diverging
        if first is None or first.tensor.reads is None:
            return None
        right = {result.tensor.name for result in self.results if not result.diverges}
        return first.tensor.operator if right.issuperset(first.tensor.reads) else None

    def exit_code(self) -> int:
        """0 if no tensor is wrong, 2 if the backend is not installed, else 1."""
        return {PASSED: 0, MISTRUSTED: 0, SKIPPED: 2}.get(self.status, 1)


def verify(
    bundle: Bundle,
    selection: Selection,
    options: Options,
    comparing: Comparing,
    save: Path | None = None,
    progress: Progress = silent,
) -> Verification:
    """Runs the backend with the bundle's tensors as its outputs and compares each of them.

    What the backend does wrong becomes the status; `save` names a file for its tensors, as
    an Arrow IPC stream.
    """
    start = time.monotonic()
    tensors = select(bundle, comparing)
    names = [tensor.name for tensor in tensors]
    noises = bundle.noises()
    graph = bundle.graph()
    tapped = graph.with_outputs(tap_selection.select(graph, names))
    results: tuple[TensorResult, ...] = ()
    status, reason = "", ""
    description: dict[str, Any] = {}
    with temporary_folder() as folder:
        backend = StreamedBackend(selection, options, folder)
        try:
            with closing(backend):
                backend.build(tapped)
                outputs = backend.infer(_counted(bundle, progress))
                if save is not None:
                    outputs = tensor_stream.save(save, outputs)
                with closing(outputs):
                    expected = bundle.expected(names)
                    results = compare(
                        tensors,
                        comparing.check,
                        expected,
                        outputs,
                        noises=noises,
                        fail_fast=comparing.fail_fast,
                    )
                description = backend.describe()
        except WorkerError as error:
            status, reason = error.status, error.reason
    return Verification(
        subject=selection.label,
        expected=str(bundle.folder),
        fingerprint=bundle.fingerprint,
        status=status or worst(result.status for result in results),
        reason=reason,
        results=results,
        rows=bundle.manifest.rows,
        rule=comparing.rule(bundle.manifest.format_version),
        seconds={**backend.seconds, "total": time.monotonic() - start},
        description=description,
    )


def _counted(bundle: Bundle, progress: Progress) -> Iterator[pa.RecordBatch]:
    """The bundle's images, `progress` being told of each batch."""
    done = 0
    for batch in bundle.images():
        progress(done, bundle.manifest.rows, "images through the engine")
        yield batch
        done += batch.num_rows


def select(bundle: Bundle, comparing: Comparing) -> tuple[ComparedTensor, ...]:
    """The bundle's tensors that are to be compared, with their tolerances, in graph order.

    Raises UsageError for a tensor that the bundle does not have.
    """
    entries = bundle.manifest.tensors
    chosen = [entry for entry in entries if _is_meant(entry, comparing.taps)]
    known = {entry.name for entry in entries}
    words = known | {tap_selection.ALL, tap_selection.OUTPUTS}
    unknown = [word for word in comparing.taps if word not in words]
    if unknown or not chosen:
        raise UsageError(
            f"{bundle.folder} has no expected tensor {', '.join(unknown) or 'that is an output'}: "
            f"it has {', '.join(sorted(known))}"
        )
    names = [entry.name for entry in entries]
    graph = bundle.graph()
    rtol = tolerance.parse_overrides("--rtol", comparing.rtol, names)
    atol = tolerance.parse_overrides("--atol", comparing.atol, names)
    return tuple(
        ComparedTensor(
            name=entry.name,
            operator=entry.operator,
            op_type=entry.op_type,
            shape=entry.shape,
            is_output=entry.is_output,
            tolerance=Tolerance(
                atol=atol.get(entry.name, entry.atol), rtol=rtol.get(entry.name, entry.rtol)
            ),
            explicit=entry.name in rtol or entry.name in atol,
            reads=_reads(graph, entry.name),
        )
        for entry in chosen
    )


def _reads(graph: Graph, tensor: str) -> tuple[str, ...] | None:
    node = graph.producer(tensor)
    if node is None:
        return None
    names = single_operator.activations(node, graph)
    return tuple(name for name in names if name not in graph.columns)


def _is_meant(entry: TensorEntry, words: Sequence[str]) -> bool:
    return (
        tap_selection.ALL in words
        or entry.name in words
        or (entry.is_output and tap_selection.OUTPUTS in words)
    )
