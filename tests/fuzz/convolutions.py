"""Random convolutional networks in every form of the columnar engine, against float64's.

What is allowed is what docs/verdict.md says. Forms are levels of fusion, algorithms, precisions,
threads, tasks and calls; caches so small that even these networks outgrow them, as large ones do
real caches: bands, groups of images, blocks of tiles and fused bottlenecks come of that; and memory
against pages that no one may touch. Each vector width has a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from fuzz import convolutional_network, random_network
from fuzz.file_truth import File
from fuzz.random_network import Sample
from fuzz.smallest import keep_smallest
from kernels.guarded_memory import everything_guarded, guarded_copy
from kernels.images import narrow

from bench.verdict.noise import DIMMED, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.precision import BFLOAT16, FLOAT32, PRECISIONS, Precision
from bench.verdict.rule import Judge
from bench.verdict.status import FAILED
from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.exec import kernel_program
from columnar_nn.exec.executable import prepare
from columnar_nn.kernels import (
    bfloat16_winograd,
    bottleneck,
    cost,
    direct,
    layout,
    regions,
    team,
    winograd,
)
from columnar_nn.kernels.conv2d import ALGORITHMS
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

WIDTHS = ({}, {"CNN_BENCH_VECTOR_WIDTH": "8"}, {"CNN_BENCH_PROCESSOR": "x86-64"})
"""Environments that give kernels of other vectors. They take turns: a seed is of one."""

FORMS_A_SEED = 4

MOST_TRIALS = 60
"""Of a smaller part, each of which may have to be compiled."""

WINOGRAD = 8.0
"""How many times less exact than "auto" what is Winograd's by name, or by _SMALL, may be."""

_SMALL = {
    (direct, "BAND_BYTES"): 2**12,
    (winograd, "TILES_BYTES"): 2**14,
    (bfloat16_winograd, "TILES_BYTES"): 2**14,
    (bfloat16_winograd, "INPUT_TRANSFORM"): 0,
    (bfloat16_winograd, "OUTPUT_TRANSFORM"): 0,
    (bottleneck, "CACHED_BYTES"): 0,
    (regions, "CACHE_BYTES"): 2**11,
    (cost, "CACHE_BYTES"): 2**11,
    (cost, "CACHED_WEIGHT_BYTES"): 2**10,
    (layout, "LARGE_BYTES"): 2**10,
    (team, "SHARE_MULTIPLY_ADDS"): 2**10,
    (team, "APART_BYTES"): 2**8,
    (kernel_program, "SCRATCH_BYTES"): 2**16,
}
"""What kernels and programs take for the sizes of caches, and for the price of what pays then."""


class Form(NamedTuple):
    """How a network is run."""

    fusion: str
    algorithm: str
    precision: str
    threads: int
    small_caches: bool
    batch: int
    calls: bool
    guard: str


def forms(seed: int) -> Iterator[Form]:
    """Those of a seed: the engine's own choice, and others."""
    chance = random.Random(seed)
    for number in range(FORMS_A_SEED):
        fusion = "pipeline" if number < 2 else chance.choice(("none", "layer", "pipeline"))
        yield Form(
            fusion,
            "auto" if number < 2 else chance.choice(ALGORITHMS),
            (BFLOAT16 if number == 1 else FLOAT32).name,
            chance.choice((1, 1, 2)),
            chance.random() < 0.5,
            chance.choice((1, 2, 3, 7, 8, 16, 33)),
            chance.random() < 0.5,
            chance.choice(("", "start", "end", "end")),
        )


def sample_of(seed: int) -> Sample:
    """The network and images of a seed; of each fourth, operators of all kinds."""
    if seed % 4 == 3:
        return random_network.sample(seed, convolutional_network.NUM_IMAGES[0])
    return convolutional_network.sample(seed)


def check(seed: int, folder: Path) -> str:
    """What is wrong with a network's outputs for a seed, or nothing."""
    return _in_its_width(seed, folder)


def check_here(seed: int, folder: Path) -> str:
    """As `check`, in this process and its vector width."""
    warnings.simplefilter("ignore", RuntimeWarning)
    drawn = sample_of(seed)
    for form in forms(seed):

        def wrong(part: Sample, form: Form = form) -> str:
            return problem(part, folder, form)

        if found := wrong(drawn):
            return keep_smallest(drawn, found, wrong, folder, MOST_TRIALS)
    return ""


def problem(drawn: Sample, folder: Path, form: Form) -> str:
    """What is wrong with a form's outputs, first its kind and then ": " and more; or nothing."""
    path = folder / "sample.onnx"
    path.write_bytes(drawn.model.SerializeToString())
    graph, pixels = zoo.resolve(str(path)), drawn.pixels()
    truth = _evaluated(graph, pixels)
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    for name, array in File(path, drawn.plain).run(pixels).items():
        exact = truth[name][finite]
        error = np.abs(exact - array[finite]).max(initial=0.0)
        if error > 1e-3 * np.abs(exact).max(initial=0.0) + 1e-6:
            return f"reference differs from the file: {name} by {error:.3g}"
    try:
        outputs = run(graph, drawn.images, form)
    except Exception as error:
        return f"{form} raises {type(error).__name__}: {error}"
    precision = PRECISIONS[form.precision]
    plain = _evaluated(graph, pixels, precision)
    dimmed = _evaluated(graph, pixels * np.float32(DIMMED), precision)
    allowed = precision
    if form.algorithm.startswith("winograd") or form.small_caches:
        allowed = replace(precision, times=WINOGRAD * precision.times)
    # In bfloat16 channels that share a panel of filters are spoiled together.
    rows = finite if precision is BFLOAT16 else np.ones_like(finite)
    for name in truth:
        output, expected = outputs[name][rows], truth[name][rows]
        noise = NoiseAccumulator(precision)
        noise.add(expected, plain[name][rows], dimmed[name][rows])
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        tolerance = Tolerance(precision.relative_atol * float(largest), precision.rtol)
        judge = Judge(tolerance, noise.result(), precision=allowed)
        judge.add(output, expected)
        verdict = judge.verdict()
        if verdict.status == FAILED:
            return f"{form} differs from the reference: {name} {verdict.reason}"
    return ""


def _evaluated(
    graph: Graph, pixels: np.ndarray, precision: Precision | None = None
) -> dict[str, np.ndarray]:
    """The outputs by the reference, or as a plain evaluation in a precision has them.

    In bfloat16 all that lies between two operators is rounded, as an engine may.
    """
    tensors = {graph.inputs[0].name: pixels}
    narrow_all = precision is BFLOAT16
    for node in graph.nodes:
        made = evaluate(
            [node],
            graph.weights,
            tensors,
            node.outputs[:1],
            calculation=np.float64 if precision is None else np.float32,
            bfloat16_factors=narrow_all,
        )
        tensors |= {name: narrow(array) if narrow_all else array for name, array in made.items()}
    return {spec.name: tensors[spec.name] for spec in graph.outputs}


def run(graph: Graph, images: np.ndarray, form: Form) -> Mapping[str, np.ndarray]:
    """The outputs of images, given in batches, which are slices of one."""
    with ExitStack() as stack:
        for (module, name), value in _SMALL.items() if form.small_caches else ():
            stack.enter_context(patch.object(module, name, value))
        if form.guard:
            stack.enter_context(everything_guarded(at_end=form.guard == "end"))
            images = guarded_copy(images, at_end=form.guard == "end")
        source = graph.inputs[0].name
        whole = pa.RecordBatch.from_arrays([tensor_column.from_numpy(images)], [source])
        starts = range(0, len(images), form.batch)
        batches = [whole.slice(start, form.batch) for start in starts]
        scan = PlanBuilder().table_scan(from_batches(whole.schema, batches))
        plan = scan.project(network_outputs(graph, {source: source})).plan()
        made = prepare(plan, form.threads, form.fusion, form.algorithm, precision=form.precision)
        stack.enter_context(made)
        results = [made.call(b) for b in batches] if form.calls else list(made.run())
        return {
            spec.name: np.concatenate(
                [tensor_column.to_numpy(b.column(spec.name)) for b in results]
            )
            for spec in graph.outputs
        }


_processes: dict[int, Connection] = {}
"""Ways to the processes of WIDTHS that were needed so far."""


def _in_its_width(seed: int, folder: Path) -> str:
    number = seed % len(WIDTHS)
    if number not in _processes:
        _processes[number] = _started(WIDTHS[number])
    process = _processes[number]
    try:
        process.send((seed, folder))
        found: str = process.recv()
    except (EOFError, ConnectionError):
        del _processes[number]
        return f"the process with {WIDTHS[number]} died"
    return found and f"with {WIDTHS[number]}: {found}"


def _started(environment: Mapping[str, str]) -> Connection:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with patch.dict(os.environ, environment):
        context.Process(target=_serve, args=(there,), daemon=True).start()
    there.close()
    return here


def _serve(asked: Connection) -> None:
    while True:
        try:
            seed, folder = asked.recv()
        except EOFError:
            return
        try:
            found = check_here(seed, folder)
        except Exception as error:
            found = f"the check itself raises {type(error).__name__}: {error}"
        asked.send(found)
