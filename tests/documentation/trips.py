"""Prints each file of the project that plain9 enters, from its ONNX file to logits, in a worker."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from bench.data.dataset import open_dataset
from bench.workers import inputs
from bench.workers.session import Session
from columnar_nn.model import onnx_io

ROOT = Path(__file__).parents[2]
PLAIN9 = ROOT / "columnar_nn" / "model" / "weights" / "plain9.onnx"
THREADS, BATCH_SIZE = 2, 128
LONG, SHORT = 1024, 2
"""Images of a stream that several drivers share, and of one whose kernels threads share."""

entered: set[str] = set()


def note(frame: FrameType, event: str, _: object) -> None:
    """Keeps the file of a function that is called; to import a module is not enough."""
    if event == "call" and frame.f_code.co_name != "<module>":
        entered.add(frame.f_code.co_filename)


def travel(folder: Path) -> None:
    graph = onnx_io.load(PLAIN9)
    shared = inputs.prepare(folder, graph, open_dataset("synthetic", LONG), LONG, BATCH_SIZE)
    session = Session(time.monotonic())
    session.import_framework("columnar")
    session.build(str(shared.graph), "pipeline/auto", THREADS, BATCH_SIZE, "auto")
    for samples in (SHORT, LONG):
        session.run(str(shared.images), samples, BATCH_SIZE)
    session.close()


if __name__ == "__main__":
    threading.setprofile(note)
    sys.setprofile(note)
    with tempfile.TemporaryDirectory() as name:
        travel(Path(name))
    sys.setprofile(None)
    for file in sorted(entered):
        if Path(file).is_relative_to(ROOT):
            print(Path(file).relative_to(ROOT).as_posix())
