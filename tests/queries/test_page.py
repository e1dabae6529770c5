"""docs/sql.md: its Python runs, in order, and gives what it says."""

from __future__ import annotations

import numpy as np
from documentation.code import run_page

import columnar_nn as cnn


def test_the_code_of_the_page() -> None:
    names = run_page("docs/sql.md")
    photos = names["photo10"]
    (batch,) = photos.batches(photos.num_rows, photos.num_rows)
    assert names["last"].to_pydict() == {"last": [photos.num_rows - 1]}
    labels = np.array(batch.column("label"))
    logits = cnn.to_numpy(cnn.sql("SELECT plain9(image) AS x FROM t", t=batch)["x"])
    predicted = np.argmax(logits, axis=1)
    wrong = labels[:500][predicted[:500] != labels[:500]]
    expected = {photos.classes[k]: int((wrong == k).sum()) for k in set(wrong.tolist())}
    assert dict(zip(*names["table"].to_pydict().values(), strict=True)) == expected
    pairs = list(zip(labels.tolist(), predicted.tolist(), strict=True))
    assert names["rows"] == [(*pair, pairs.count(pair)) for pair in sorted(set(pairs))]
