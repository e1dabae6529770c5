"""Sheets of pictures and pictures in a terminal, taken apart again."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.cli import commands
from bench.data import contact_sheet
from bench.data.dataset import open_dataset
from bench.text.half_blocks import half_blocks
from columnar_nn.data import tensor_column


def test_the_first_pictures_of_every_class() -> None:
    dataset = open_dataset("photo10")
    (batch,) = dataset.batches(1000, 1000)
    images = tensor_column.to_numpy(batch.column("image"))
    labels = batch.column("label").to_numpy()
    rows = contact_sheet.rows(dataset, side=32, columns=4)
    assert [row.name for row in rows] == list(dataset.classes)
    for label, row in enumerate(rows):
        expected = images[labels == label][:4].transpose(0, 2, 3, 1)
        assert np.array_equal(row.pictures, expected)


def test_a_sheet_has_them_where_they_belong() -> None:
    rows = contact_sheet.rows(open_dataset("photo10"), columns=3, classes=5)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet.png(rows))))
    step = contact_sheet.SIDE + 4
    assert sheet.shape[0] == 5 * step + 4
    for line, row in enumerate(rows):
        for column, picture in enumerate(row.pictures):
            top, left = 4 + step * line, 120 + step * column
            found = sheet[top : top + contact_sheet.SIDE, left : left + contact_sheet.SIDE]
            assert np.array_equal(found, picture)


def test_half_blocks_show_two_pixels_a_character() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 3), dtype=np.uint8)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=80)
    console.print(half_blocks(list(pictures)), end="")
    lines = stream.getvalue().rstrip("\n").split("\n")
    cell = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀")
    found = [[tuple(map(int, numbers)) for numbers in cell.findall(line)] for line in lines]
    for line, cells in enumerate(found[:2]):
        beside = np.concatenate(list(pictures), axis=1)
        expected = np.concatenate([beside[2 * line], beside[2 * line + 1]], axis=1)
        assert cells == [tuple(pixel) for pixel in expected.tolist()]


@pytest.mark.parametrize(("width", "no_color"), [(80, False), (15, False), (80, True)])
def test_pictures_have_their_names_and_fit_the_terminal(
    width: int, no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, color_system="truecolor", width=width, no_color=no_color
    )
    monkeypatch.setattr("bench.cli.terminal.output", lambda _: console)
    assert commands.run(["data", "info", "photo10"]) == 0
    lines = re.sub(r"\x1b\[[^m]*m", "", stream.getvalue()).split("\n")
    pictures = [place for place, line in enumerate(lines) if "▀" in line]
    if no_color:
        assert not pictures
        return
    shown = max(1, width // 21)
    side = min(20, width - 1) // 2 * 2
    assert [lines[place].count("▀") for place in pictures] == [side * shown] * (side // 2)
    assert pictures[-1] - pictures[0] == len(pictures) - 1
    assert lines[pictures[-1] + 1].split() == ["astronaut", "chelsea", "coffee"][:shown]
