"""What a command that measures says first of a user's ONNX file: whether it was read right."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from bench.model.check import MISREAD, NOT_DONE, ImportCheck, check
from bench.workers.options import Options
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph

NOT_WANTED = ImportCheck(NOT_DONE, "--no-import-check")


def show_import(
    model: str, graph: Graph, wanted: bool, options: Options, shown: TextIO
) -> ImportCheck | None:
    """Checks `graph` against the file `model`, if it is one; prints into `shown` how that ended.

    None for a network of this project's own. The caller measures nothing if it was misread.
    """
    if not zoo.is_file(model):
        return None
    found = check(Path(model), graph, options) if wanted else NOT_WANTED
    line = found.line()
    if found.verdict == MISREAD:
        line += (
            "; nothing is measured, as it would be another network (--no-import-check does so "
            "all the same)"
        )
    print(line, file=shown, flush=True)
    return found
