"""The study that results were measured for, as the results themselves tell it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.results import document, merging
from bench.results.results import Results
from bench.study.study import Study
from columnar_nn.errors import InvalidDataError, UsageError


class Recorded(NamedTuple):
    """A study, the part of it that was asked for, and what was measured of it."""

    study: Study
    only: tuple[str, ...]
    shard: str
    results: Results


def recorded(path: Path) -> Recorded:
    """From a file of results or a folder of such; raises UsageError unless all are of one study."""
    results = merging.merged([document.read(path)])
    if len({row["study"] for row in results["session"]}) != 1:
        raise UsageError(f"{path} is of several studies: name the files of one")
    settings = results["session"][-1]["settings"]
    try:
        study = Study.of(settings["study"])
        only, shard = tuple(settings["only"]), settings["shard"]
    except (KeyError, TypeError, AttributeError):
        raise InvalidDataError(f"{path} is not of a study: sweep and study measure one") from None
    return Recorded(study, only, shard, results)
