"""What a verification found, as rows of results."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from bench.compare.cell import figures
from bench.golden.bundle import Bundle
from bench.golden.comparison import TensorResult
from bench.golden.verify import Verification
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.schema import GOLDEN, PARITY
from bench.results.session import Session, Workloads
from bench.workers.options import Options
from bench.workers.selection import Selection

_FOUND = ("precision", "layout", "algorithm", "denormals", "versions", "notes")


class _Images(NamedTuple):
    """The bundle's images as a workload has them."""

    name: str
    num_rows: int
    fingerprint: str
    split: None = None


def results(
    session: Session, bundle: Bundle, selection: Selection, options: Options, found: Verification
) -> Results:
    """The session of a verification, with the figures of every tensor."""
    manifest = bundle.manifest
    sha256 = manifest.files[manifest.data.file].sha256
    images = _Images(manifest.data.source, manifest.rows, sha256)
    recorder = Recorder(session, Workloads(bundle.graph(), images))
    facts = {name: found.description.get(name) for name in _FOUND}
    cell = recorder.cell(
        *(recorder.subject(selection, options, **facts), GOLDEN, found.rows, options.batch_size),
        status=found.status,
        reason=found.reason,
        tolerance={r.tensor.name: _tolerance(r) for r in found.results},
        detail={
            "fingerprint": found.fingerprint,
            "rule": found.rule,
            "first_diverging": found.first_diverging_operator,
            "first_diverging_tensor": found.first_diverging and found.first_diverging.tensor.name,
            "tensors": {result.tensor.name: _tensor(result) for result in found.results},
        },
    )
    for result in found.results:
        if result.verdict is not None:
            known = figures(result.verdict)
            for field in PARITY:
                part = [result.tensor.name, field.name]
                recorder.observe(cell, "parity", [known[field.name]], part, unit=field.unit)
    for stage, seconds in found.seconds.items():
        recorder.observe(cell, "stage", [seconds], [stage])
    return recorder.results(complete=True)


def _tolerance(result: TensorResult) -> dict[str, Any]:
    tensor = result.tensor
    return {**asdict(tensor.tolerance), "explicit": tensor.explicit}


def _tensor(result: TensorResult) -> dict[str, Any]:
    """What is not a figure."""
    return {
        "operator": result.tensor.operator,
        "op_type": result.tensor.op_type,
        "shape": result.tensor.shape,
        "status": result.status,
        "reason": result.reason,
        "worst": [asdict(element) for element in result.worst],
    }
