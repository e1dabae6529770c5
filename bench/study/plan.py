"""The plan of a study on this machine: which processes there are, and the cells of each."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from adapters import declared_functions
from bench.compare.evaluation import num_images
from bench.compare.experiment import Experiment
from bench.compare.truth import Overrides
from bench.data.dataset import Dataset, dataset_for, open_dataset
from bench.machine import cpus
from bench.model import fixed_batch
from bench.results.schema import CELL, OFFLINE, SUBJECT
from bench.results.session import Workloads
from bench.study.study import Point, Study
from bench.text.figures import counted
from bench.verdict import tolerance
from bench.workers.options import Options
from bench.workers.partitioning import Partitioning
from bench.workers.selection import Selection, select_one
from columnar_nn.errors import UsageError
from columnar_nn.model import input_shapes, zoo
from columnar_nn.model.graph import Graph

_SHARD = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Network:
    """A network of the study, the images that fit it, and the tolerances that its user gave."""

    model: str
    graph: Graph
    dataset: Dataset
    workloads: Workloads
    macs: int
    overrides: Overrides

    @property
    def is_file(self) -> bool:
        """Whether it was read from a user's file."""
        return zoo.is_file(self.model)


@dataclass(frozen=True, eq=False)
class Entrant:
    """One backend on one network in one process, or as a crew of them, with all of its cells.

    An entrant equals itself alone. `cells` are the numbers of images, each with the hash of its
    cell. `unfit` is why this machine cannot run it; empty if it can.
    """

    selection: Selection
    network: Network
    options: Options
    cells: Mapping[int, str]
    unfit: str = ""

    @property
    def name(self) -> str:
        """It in words: engine, network, and what else sets it apart."""
        cut = f" partitions {self.options.partitions}" if self.options.partitions else ""
        batch = f" batches of {self.options.batch_size}"
        network = self.network.graph.name
        return f"{self.selection.label} on {network}, {self.options.shape}{cut}{batch}"

    def experiment(self, study: Study) -> Experiment:
        """Its cells as a comparison of one."""
        samples = tuple(sorted(self.cells))
        return Experiment((self.selection,), samples, self.options, study.limits, study.order_seed)


@dataclass(frozen=True)
class Plan:
    """A study's entrants on this machine; `only` and `shard` are the texts that chose them."""

    study: Study
    entrants: tuple[Entrant, ...]
    only: tuple[str, ...] = ()
    shard: str = ""

    @property
    def cells(self) -> set[str]:
        """Hashes of all cells."""
        return {cell for entrant in self.entrants for cell in entrant.cells.values()}

    @property
    def cpus(self) -> tuple[int, ...]:
        """Every CPU that one of the entrants is pinned to."""
        return tuple(sorted({cpu for e in self.entrants if not e.unfit for cpu in e.options.cpus}))

    @property
    def networks(self) -> list[Network]:
        """Its networks, each once."""
        return list({entrant.network.model: entrant.network for entrant in self.entrants}.values())


def make(study: Study, only: Sequence[str] = (), shard: str = "") -> Plan:
    """Plans a study, or the part of it whose points fit `only` (KEY=GLOB) and that is in `shard`.

    Several globs of one key mean any of them. A shard (1/4) is every fourth entrant: those of all
    shards are the study's, each once. Runs the study's files of functions. Raises UsageError where
    nothing is left, and for models, data and files as zoo.resolve, open_dataset and
    declared_functions.load do.
    """
    declared_functions.load(study.functions)
    filters = _filters(only)
    points = [point for point in study.points() if _fits(point, filters)]
    if not points:
        raise UsageError(f"--only {' --only '.join(only)}: nothing of the study is left")
    networks = _networks(study, points)
    entrants = list(_entrants(study, points, networks))
    if shard:
        number, count = _parse_shard(shard)
        if count > len(entrants):
            raise UsageError(
                f"--shard {shard}: there are {len(entrants)} processes to be dealt out, so no more "
                "shards than that"
            )
        entrants = entrants[number - 1 :: count]
    return Plan(study, tuple(entrants), tuple(only), shard)


def _networks(study: Study, points: Sequence[Point]) -> dict[str, Network]:
    most: dict[str, int] = defaultdict(int)
    for point in points:
        most[point.model] = max(most[point.model], point.samples)
    images = max(most.values())
    limits, options = study.limits, Options(cpus.available(), study.timeout)
    count = num_images(Experiment((), (images,), options, limits, 0))
    asked = (study.data, count, study.split, study.preparation)
    opened = functools.cache(partial(open_dataset, *asked))
    sizes = input_shapes.parse(study.input_shape or ())
    found = {}
    for model in most:
        # built-in networks have their sizes; where there are none but them the option is refused
        given = sizes if zoo.is_file(model) or not any(map(zoo.is_file, most)) else {}
        graph = zoo.resolve(model, (), given)
        fitted = dataset_for(graph, *asked) if len(graph.inputs) > 1 else opened().fitted_to(graph)
        workloads = Workloads(graph, fitted)
        macs = workloads.row(OFFLINE, 1, 1)["macs"]
        outputs = [spec.name for spec in graph.outputs]
        overrides = Overrides(
            rtol=tolerance.parse_overrides("rtol", study.rtol, outputs),
            atol=tolerance.parse_overrides("atol", study.atol, outputs),
        )
        found[model] = Network(model, graph, fitted, workloads, macs, overrides)
    return found


def _entrants(
    study: Study, points: Sequence[Point], networks: Mapping[str, Network]
) -> Iterator[Entrant]:
    """What is pinned, started and fed alike is one; a cell is of the first that has it."""
    grouped: dict[Point, list[int]] = defaultdict(list)
    for point in points:
        grouped[point._replace(samples=0)].append(point.samples)
    taken: set[str] = set()
    for point, samples in grouped.items():
        network = networks[point.model]
        asked = min(point.batch_size, max(samples))
        size = fixed_batch.batch_size(network.graph, asked, samples, "samples")
        selection = select_one(point.backend)
        options, unfit = _options(study, point, size)
        entrant = Entrant(selection, network, options, {}, unfit)
        cells = {count: _cell(entrant, count) for count in sorted(samples)}
        new = {count: cell for count, cell in cells.items() if cell not in taken}
        taken.update(new.values())
        if new:
            yield replace(entrant, cells=new)


def _options(study: Study, point: Point, batch_size: int) -> tuple[Options, str]:
    """How a point is run, and why this machine cannot."""
    usable = len(cpus.available())
    threads = point.threads or max(1, len(cpus.choose(None)) // point.processes)
    needed, unfit = threads * point.processes, ""
    if needed > usable:
        unfit = (
            f"{counted(needed, 'thread')} are more than the {counted(usable, 'CPU')} that this "
            "process may use"
        )
    pinned = tuple(range(needed)) if unfit else cpus.choose(needed)
    cut = Partitioning.parse(point.partitions) if point.partitions else None
    if cut is not None and cut.count < point.processes:
        unfit = f"{counted(cut.count, 'partition')} are not enough for {point.processes} processes"
    options = Options(
        pinned, study.timeout, batch_size, study.algorithm, point.processes, partitions=cut
    )
    return options, unfit


def _cell(entrant: Entrant, samples: int) -> str:
    """The hash that the cell of so many images has in results."""
    selection, options = entrant.selection, entrant.options
    subject = SUBJECT.row(
        backend=selection.backend,
        configuration=selection.configuration,
        processes=options.processes,
        threads=options.threads,
        options=options.asked,
    )
    size = min(options.batch_size, samples)
    workload = entrant.network.workloads.row(OFFLINE, samples, size)
    return str(CELL.row(subject=subject["subject"], workload=workload["workload"])["cell"])


def _filters(only: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for text in only:
        key, equals, glob = text.partition("=")
        if key not in Point._fields or not equals or not glob:
            keys = ", ".join(Point._fields)
            raise UsageError(f"--only {text!r}: expected KEY=GLOB, where KEY is one of {keys}")
        found[key].append(glob)
    return found


def _fits(point: Point, filters: Mapping[str, Sequence[str]]) -> bool:
    def matches(key: str, globs: Sequence[str]) -> bool:
        value: Any = getattr(point, key)
        return any(fnmatchcase("" if value is None else str(value), glob) for glob in globs)

    return all(matches(key, globs) for key, globs in filters.items())


def _parse_shard(text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r}: expected one of several such as 1/4")
    return int(match[1]), int(match[2])
