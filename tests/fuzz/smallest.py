"""What shows that a network is wrong, kept: its file, its images, and its smallest part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from fuzz.random_network import Sample

from bench.model.reduce import MOST_CALLS, reduce


def keep_smallest(
    drawn: Sample,
    found: str,
    problem: Callable[[Sample], str],
    folder: Path,
    most_calls: int = MOST_CALLS,
) -> str:
    """Writes the sample, and the smallest part with a problem of its kind, into `folder`.

    `problem` says what is wrong with a sample, first its kind and then ": " and more; it is called
    `most_calls` times at most. Returns what was found, with the operators of that part.
    """
    kind = found.partition(":")[0]

    def fails(model: onnx.ModelProto) -> bool:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        shape = tuple(dim.dim_value or len(drawn.images) for dim in dims)
        images = drawn.images
        if shape != images.shape:
            images = np.random.default_rng(0).standard_normal(shape, np.float32)
        try:
            return problem(Sample(model, images, model)).partition(":")[0] == kind
        except Exception:  # ONNX Runtime refuses this part
            return False

    smallest = reduce(drawn.model, fails, most_calls)
    (folder / "network.onnx").write_bytes(drawn.model.SerializeToString())
    (folder / "smallest.onnx").write_bytes(smallest.SerializeToString())
    np.save(folder / "images.npy", drawn.images)
    operators = ", ".join(node.op_type for node in smallest.graph.node)
    return f"{found} (smallest part: {operators})"
