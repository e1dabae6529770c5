"""A folder in which studies of fake backends are run as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fake_backends
import numpy as np

from bench.results import document, merging
from bench.results.results import Results
from columnar_nn.model import onnx_io

FINE = "fake_backends.FakeBackend:fine"
SLOW = "fake_backends.FakeBackend:slow"
GATED = "fake_backends.FakeBackend:gated"
MAIN = (sys.executable, "-m", "cnn_bench")
QUICK = ("--runs", "5", "--min-time", "0", "--no-import-check")


@dataclass
class Place:
    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Place:
        onnx_io.save(fake_backends.tiny_graph(), folder / "tiny.onnx")
        records = np.random.default_rng(6).integers(0, 256, (10, 3073), np.uint8)
        records[:, 0] = np.arange(10)
        (folder / "images.bin").write_bytes(records.tobytes())
        (folder / "tmp").mkdir()
        return cls(folder)

    def sweep(self, *options: str) -> list[str]:
        inputs = ("--model", "tiny.onnx", "--data", "images.bin", "--threads", "1")
        return ["sweep", *inputs, *QUICK, *options]

    def environment(self) -> dict[str, str]:
        path = [os.path.abspath(entry) for entry in sys.path]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*path, str(self.folder)]),
            "TMPDIR": str(self.folder / "tmp"),
            "COLUMNS": "200",
        }

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """A sweep of the tiny network."""
        return self.call(*self.sweep(*options))

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MAIN, *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [*MAIN, *self.sweep(*options)],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def results(self, folder: str = "out") -> Results:
        files = sorted((self.folder / folder).glob("*.json"))
        return merging.merged([document.read(file) for file in files])


def turns(results: Results) -> list[tuple[str, str, int]]:
    """(session, cell, round) of every turn, in the order in which they were taken."""
    blocks = [row for row in results["observation"] if row["metric"] == "time"]
    blocks.sort(key=lambda row: (row["session_id"], row["order"]))
    return [(row["session_id"], row["cell"], row["round"]) for row in blocks]
