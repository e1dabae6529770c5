"""What docs/networks.md says of the networks is so, and its own network goes the way it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.explain.columnar import executable_for
from columnar_nn.model import zoo
from columnar_nn.model.layer_table import layers

WASTED = {"vit_tiny": 1.003}
"""What the placement takes, at most, of what the neediest step needs."""

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", zoo.BUILDERS)
def test_the_table_of_networks(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    graph = zoo.build(name)
    (placement,) = executable_for(graph, "pipeline", "auto", 1, 1).placements
    assert placement.num_bytes <= WASTED.get(name, 1) * placement.least_bytes
    assert [cell.strip() for cell in row.strip("|").split("|")][2:] == [
        " x ".join(map(str, graph.inputs[0].shape[1:])),
        f"{graph.num_parameters():,}",
        f"{sum(layer.macs for layer in layers(graph)):,}",
        f"{placement.num_bytes / 1e3:,.1f} kB",
        f"{placement.unshared_bytes / 1e3:,.1f} kB",
    ]


@pytest.mark.filterwarnings("ignore")  # the exporter warns about itself
def test_a_network_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (command,) = re.findall(r"^cnn-bench (compare --model mine.onnx .*)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    engines = ["--backend", "columnar", "--backend", "reference"]
    brief = ["--runs", "1", "--min-time", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "cnn_bench", *command.split(), *engines, *brief],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mine (330 parameters) on synthetic at 1x28x28 (64 images)" in done.stdout
    assert done.stdout.count("PASSED") == len(engines) // 2
