"""docs/library.md and docs/notebook.py: their Python runs, in order, and gives what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from documentation.code import ROOT, cells, run_cell, run_page
from exec import declared

import columnar_nn as cnn
from bench.data.dataset import open_dataset
from columnar_nn.data import tensor_column
from reference.evaluate import evaluate

PAGE = "docs/library.md"


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


def logits(pixels: np.ndarray) -> np.ndarray:
    """plain9's, in NumPy with float64 sums."""
    graph = cnn.load_network("plain9")
    image = pixels.astype(np.float32) / np.float32(255)
    return evaluate(graph.nodes, graph.weights, {"image": image}, ["logits"])["logits"]


def pairs_of(first: np.ndarray, second: np.ndarray) -> Counter[tuple[int, int]]:
    """How often each number is beside each other one."""
    return Counter(zip(first.tolist(), second.tolist(), strict=True))


def test_the_code_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page(PAGE)
    expected = names["logits"]
    assert expected.shape == (200, 10)
    some = logits(names["pixels"][:20])
    np.testing.assert_allclose(expected[:20], some, rtol=1e-4, atol=1e-3)
    best = expected.argmax(axis=1)
    assert names["classes"].to_pydict() == {"id": [*range(200)], "class": best.tolist()}
    assert names["totals"] == [best.sum()] * 4
    assert names["counts"] == sorted(Counter(best.tolist()).items())
    assert names["frame"]["class"].to_list() == best.tolist()
    assert names["schema"].names == ["label", "class"]
    pairs = pairs_of(np.arange(150) % 10, best[:150])
    rows = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:5]
    wanted = [(*pair, count) for pair, count in rows]
    for table in (names["table"], names["same"]):
        assert list(zip(*table.to_pydict().values(), strict=True)) == wanted
    assert names["mine"].to_pydict() == {"last": [199]}
    assert names["message"].startswith("no column lable: did you mean label?")
    assert "(line 1, column 8: " in names["message"]
    stats = names["stats"]
    assert stats.operators_table().num_rows == names["operators"].num_rows == len(stats.operators)
    assert names["slowest"].num_rows == 3
    assert names["softened"]["pair"].to_pylist() == [number // 2 for number in range(200)]
    shares = np.exp(expected / 4 - (expected / 4).max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cnn.to_numpy(names["softened"]["p"]), shares, atol=1e-3)
    assert names["found"]["predicted"].to_pylist() == best.tolist()
    printed = capsys.readouterr().out
    assert f"```\n{printed.splitlines()[0]}\n```" in (ROOT / PAGE).read_text(encoding="utf-8")
    assert "rewritten by " in printed
    assert "Wall time: " in printed


def test_the_notebook() -> None:
    """Cell by cell, as a script; what a cell shows is HTML."""
    names: dict[str, Any] = {}
    shown = [run_cell(code, names) for code in cells("docs/notebook.py")]
    kinds = [type(each).__name__ for each in shown if each is not None]
    assert kinds == [
        *("Dataset", "Graph", "DataFrame", "OrderByNode", "Executable", "Task", "DataFrame"),
        "DataFrame",
    ]
    assert all(each._repr_html_() for each in shown if hasattr(each, "_repr_html_"))
    (batch,) = open_dataset("photo10").batches(1000, 1000)
    label = np.array(batch.column("label"))
    found = cnn.to_numpy(cnn.sql("SELECT plain9(image) AS x FROM t", t=batch)["x"])
    pixels = tensor_column.to_numpy(batch.column("image"))[:20]
    np.testing.assert_allclose(found[:20], logits(pixels), rtol=1e-4, atol=1e-3)
    best = found.argmax(axis=1)
    assert names["confused"]["n"].sum() <= (best != label).sum()
    first = names["confused"].row(0)
    classes = open_dataset("photo10").classes
    pairs = pairs_of(label, best)
    assert first[2] == pairs[classes.index(first[0]), classes.index(first[1])]
    assert first[2] == max(n for (truth, taken), n in pairs.items() if truth != taken)
    half = [(*pair, n) for pair, n in pairs_of(label[:500], best[:500]).items()]
    assert sorted(zip(*names["counts"].to_pydict().values(), strict=True)) == sorted(half)
    two = np.sort(np.exp(found - found.max(axis=1, keepdims=True)), axis=1)[:, -2:]
    shares = two / np.exp(found - found.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(names["margins"], shares[:, 1] - shares[:, 0], atol=1e-5)
    assert isinstance(names["sure"], pa.Table)
