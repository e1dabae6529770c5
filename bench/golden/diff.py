"""Two bundles, or two files of saved tensors, compared with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.golden import tensor_stream
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.comparison import ComparedTensor, compare
from bench.golden.verify import Comparing, Verification, select
from bench.verdict import tolerance
from bench.verdict.parity import Tolerance
from bench.verdict.status import worst
from columnar_nn.errors import InvalidDataError, UsageError


@dataclass(frozen=True)
class Side:
    """One of both sides: a bundle, or a file of tensors if `bundle` is None."""

    path: Path
    bundle: Bundle | None

    def names(self) -> list[str]:
        """Names of its tensors, in order."""
        if self.bundle is not None:
            return [entry.name for entry in self.bundle.manifest.tensors]
        return list(self._first())

    def batches(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Batches of those of the tensors called `names` that it has."""
        if self.bundle is not None:
            known = set(self.names())
            return self.bundle.expected([name for name in names if name in known])
        return tensor_stream.read(self.path)

    def rows(self) -> int:
        """Number of images."""
        if self.bundle is not None:
            return self.bundle.manifest.rows
        return sum(len(next(iter(b.values()))) for b in tensor_stream.read(self.path))

    def tensors(self, comparing: Comparing) -> tuple[ComparedTensor, ...]:
        """What to compare the other side with, tolerances included.

        A file knows of no operators: its tensors count as one layer deep, and all as outputs.
        """
        if self.bundle is not None:
            return select(self.bundle, comparing)
        largest = dict.fromkeys(self.names(), 0.0)
        for batch in tensor_stream.read(self.path):
            for name, array in batch.items():
                finite = np.isfinite(array)
                size = float(np.abs(array).max(where=finite, initial=0.0))
                largest[name] = max(largest[name], size)
        rtol = tolerance.parse_overrides("--rtol", comparing.rtol, largest)
        atol = tolerance.parse_overrides("--atol", comparing.atol, largest)
        tensors = []
        for name, array in self._first().items():
            usual = tolerance.default(largest[name], depth=1)
            allowed = Tolerance(atol.get(name, usual.atol), rtol.get(name, usual.rtol))
            explicit = name in rtol or name in atol
            tensors.append(ComparedTensor(name, "", "", array.shape[1:], True, allowed, explicit))
        return tuple(tensors)

    def _first(self) -> dict[str, np.ndarray]:
        first = next(tensor_stream.read(self.path), None)
        if first is None:
            raise InvalidDataError(f"{self.path} holds no rows")
        return first


def open_side(path: Path) -> Side:
    """A bundle's folder or an Arrow IPC file; raises UsageError if there is neither."""
    if path.is_dir():
        return Side(path, open_bundle(path))
    if not path.is_file():
        raise UsageError(f"{path} does not exist: name a bundle or an Arrow file of tensors")
    return Side(path, None)


def diff(left: Side, right: Side, comparing: Comparing) -> Verification:
    """Compares the tensors of `right` with those of `left`, whose tolerances and noise count.

    A file on the left takes those of a bundle on the right; of two files tolerances alone are
    known. A tensor that one side lacks is FAILED.
    """
    known = right if left.bundle is None and right.bundle is not None else left
    tensors = {tensor.name: tensor for tensor in known.tensors(comparing)}
    others = [name for side in (left, right) for name in side.names() if name not in tensors]
    missing = [
        ComparedTensor(name, "", "", (), False, Tolerance(0, 0)) for name in dict.fromkeys(others)
    ]
    everything = (*tensors.values(), *missing)
    names = [tensor.name for tensor in everything]
    results = compare(
        everything,
        comparing.check,
        left.batches(names),
        right.batches(names),
        noises=known.bundle.noises() if known.bundle is not None else {},
        fail_fast=comparing.fail_fast,
    )
    return Verification(
        subject=str(right.path),
        expected=str(left.path),
        fingerprint=left.bundle.fingerprint if left.bundle is not None else "",
        status=worst(result.status for result in results),
        reason="; ".join(differences(left, right)),
        results=results,
        rows=left.rows(),
        rule=comparing.rule(known.bundle.manifest.format_version if known.bundle else 1),
    )


def differences(left: Side, right: Side) -> list[str]:
    """What two bundles were made of that differs: then so may their tensors, rightly."""
    if left.bundle is None or right.bundle is None:
        return []
    ours, theirs = left.bundle.manifest, right.bundle.manifest
    found = []
    if ours.files[ours.model_file] != theirs.files[theirs.model_file]:
        found.append("the models differ")
    if ours.files[ours.data.file] != theirs.files[theirs.data.file]:
        found.append("the images differ")
    found += [
        f"{package} {version} and {theirs.versions.get(package)}"
        for package, version in ours.versions.items()
        if theirs.versions.get(package) != version
    ]
    return found
