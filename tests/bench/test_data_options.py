"""The options of images and of free sizes are there wherever they make sense, and do the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from golden.small_network import small_network
from model.onnx_models import model, node, value

from bench.cli import commands
from bench.study.plan import make
from bench.study.study import Study
from columnar_nn.errors import UsageError
from columnar_nn.model import onnx_io

IMAGES = {"split", "labels", "resize", "mean", "std"}
ROWS = np.random.default_rng(2).integers(0, 256, (6, 3, 8, 8), np.uint8)


def options() -> dict[str, set[str]]:
    """Every command, and the names of its options and arguments."""
    found = {}
    for name, (target, _) in commands.COMMANDS.items():
        command: Any = typer.main.get_command(commands.load(target))
        for sub, one in getattr(command, "commands", {"": command}).items():
            found[f"{name} {sub}".strip()] = {str(parameter.name) for parameter in one.params}
    return found


def test_every_command_with_data_has_them() -> None:
    without = {"train": {"split"}}
    found = {name: has for name, has in options().items() if "data" in has}
    assert {"compare", "profile", "engine", "taps", "sweep", "golden create"} <= found.keys()
    for name, has in found.items():
        if name != "data info":  # which normalizes nothing
            assert IMAGES - has == without.get(name, set()), name


def test_every_command_with_a_network_takes_its_sizes() -> None:
    found = {name: has for name, has in options().items() if "model" in has}
    assert {"compare", "model show", "train", "cluster run", "cluster compare"} <= found.keys()
    assert [name for name, has in found.items() if "input_shape" not in has] == []


@pytest.fixture
def free(tmp_path: Path) -> str:
    """A network of images of any size."""
    weights = {"w": np.ones((4, 3, 3, 3), np.float32)}
    shape = ("batch", 3, "height", "width")
    made = model(
        [node("Conv", "x w", "y"), node("Flatten", "y", "z")],
        weights,
        outputs="z",
        inputs=[value("x", shape)],
    )
    onnx.save(made, tmp_path / "free.onnx")
    return str(tmp_path / "free.onnx")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """Images of two splits."""
    np.savez(tmp_path / "rows.npz", x_test=ROWS, x_train=ROWS[::-1])
    return str(tmp_path / "rows.npz")


def test_a_study_fixes_sizes_and_normalizes(free: str, rows: str) -> None:
    asked = {"axes": {"model": free, "backend": "reference", "samples": 1}, "data": rows}
    options = {"input_shape": "6x4", "mean": "0.5", "std": "0.25,0.5,0.25", "split": "train"}
    plan = make(Study.of({**asked, **options}))
    (network,) = plan.networks
    assert network.graph.inputs[0].shape == (None, 3, 6, 4)
    name = "rows.npz at 3x6x4 (mean 0.5, std 0.25 0.5 0.25)"
    assert (network.dataset.name, network.dataset.split) == (name, "train")
    assert Study.of(plan.study.document()) == plan.study
    others = [
        make(Study.of({**asked, **options, **other}))
        for other in ({"mean": "0.4"}, {"split": "test"}, {"input_shape": ["x:6x5"]})
    ]
    assert all(not plan.cells & other.cells for other in others)
    assert len({plan.study.hash, *(other.study.hash for other in others)}) == 4


def test_sizes_are_of_the_networks_in_files(free: str) -> None:
    axes = {"model": [free, "plain9"], "backend": "reference", "samples": 1}
    plan = make(Study.of({"axes": axes, "input_shape": "9x9"}))
    assert [n.graph.inputs[0].shape[2:] for n in plan.networks] == [(9, 9), (32, 32)]
    with pytest.raises(UsageError, match="plain9 has its sizes"):
        make(Study.of({"axes": {**axes, "model": "plain9"}, "input_shape": "9x9"}))


def test_a_study_without_them_is_the_study_that_it_was() -> None:
    """Or nothing that was measured before would count."""
    assert not {"labels", "resize", "mean", "std", "input_shape"} & Study.of({}).document().keys()


@pytest.mark.parametrize(
    ("key", "wrong", "why"),
    [
        ("resize", "256", "resize '256': expected a whole number from 1 on"),
        ("mean", "dark", "--mean 'dark': expected one number"),
        ("labels", "nowhere.csv", "--labels nowhere.csv: no such file"),
        ("input_shape", "big", "--input-shape 'big': write sizes such as 224x224"),
    ],
)
def test_what_a_study_cannot_have_is_refused(key: str, wrong: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make(Study.of({"axes": {"backend": "reference", "samples": 1}, key: wrong}))


def test_a_bundle_says_what_its_images_were_made_by(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx_io.save(small_network(), tmp_path / "small.onnx")
    given = ("--model", str(tmp_path / "small.onnx"), "--data", rows, "--count", "4")
    further = ("--split", "train", "--mean", "0.5", "--no-import-check")
    out = tmp_path / "out"
    assert commands.run(["golden", "create", str(out), *given, *further]) == 0
    assert "data: rows.npz (mean 0.5, std 1): NumPy's .npz; 6 images" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["creation"]["options"] == ["--split=train", "--mean=0.5"]
    assert [column["dtype"] for column in manifest["data"]["columns"]] == ["float32"]
