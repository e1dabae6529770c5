"""The reference's outputs for a network: the truth in float64, and what float32 does there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.compare import truth as truths
from bench.compare.contender import Contender
from bench.compare.experiment import Experiment
from bench.compare.truth import Overrides, Truth
from bench.workers.inputs import Inputs
from bench.workers.selection import Selection, select

REFERENCE_BUDGET_S = 5.0
"""Seconds that computing the reference outputs may take; with more images, some are chosen."""

CHECKED_IMAGES = 32
"""Every configuration runs so many images for a check, whatever its numbers of samples."""

MIN_CHECKED_IMAGES = 4
"""... and of a large network as many as the budget allows, but at least these."""

_PREPARED_IMAGES = 2 * CHECKED_IMAGES
"""A check in whole batches may take nearly twice its images."""


def num_images(experiment: Experiment) -> int:
    """How many images a comparison prepares: those of its largest cell, and of the checks."""
    return max(*experiment.samples, _PREPARED_IMAGES)


def evaluations(selections: Iterable[Selection]) -> dict[str, Selection]:
    """The backends that say what is right: "float64", the truth, and "float32", its noise.

    And plain evaluations in other precisions that some of `selections` may compute in.
    """
    others = {selection.precision for selection in selections} - {"float32"}
    names = ("float64", "float32", *sorted(others))
    return {name: select([f"reference:{name}"])[0] for name in names}


def known_outputs(
    folder: Path,
    data: Inputs,
    experiment: Experiment,
    started: Mapping[str, Contender],
    overrides: Overrides,
) -> Truth:
    """Runs the evaluations, which have been started, on rows of every cell of an experiment.

    Raises WorkerError if one of them fails.
    """
    batch_size = experiment.options.batch_size
    images = folder / "compared.arrow"
    outputs = {name: folder / f"{name}.arrow" for name in started}
    first = data.first_batch
    seconds = started["float64"].outputs_for(data.images, first, first, outputs["float64"])
    limit = max(MIN_CHECKED_IMAGES, int(REFERENCE_BUDGET_S * first / seconds))
    checked = -(-min(CHECKED_IMAGES, limit) // first) * first
    rows = truths.rows_to_compare(experiment.samples, checked, limit, first)
    truths.write_compared(data.images, rows, images, batch_size)
    for name, evaluation in started.items():
        count = len(rows) if name == "float64" else 2 * len(rows)
        evaluation.outputs_for(images, count, batch_size, outputs[name])
    plain = {name: path for name, path in outputs.items() if name != "float64"}
    return Truth.load(rows, checked, outputs["float64"], plain, overrides)
