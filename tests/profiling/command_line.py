"""The command line in a process of its own, and the options for a tiny model and ten images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fake_backends
import numpy as np

from columnar_nn.model import onnx_io

MAIN = [sys.executable, "-m", "cnn_bench"]


def cnn_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}
    return subprocess.run(
        [*MAIN, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def tiny_inputs(folder: Path) -> tuple[str, str]:
    """Paths of fake_backends.tiny_graph as ONNX, and of ten images in CIFAR-10's format."""
    onnx_io.save(fake_backends.tiny_graph(), folder / "tiny.onnx")
    records = np.random.default_rng(6).integers(0, 256, (10, 3073), np.uint8)
    records[:, 0] = np.arange(10)
    (folder / "images.bin").write_bytes(records.tobytes())
    return str(folder / "tiny.onnx"), str(folder / "images.bin")
