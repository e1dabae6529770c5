"""`cnn-bench cluster run`: what is refused before Spark is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli import cluster, commands
from columnar_nn.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "^--images nowhere: there is no such file or folder$"),
        (["--images", ".", "--labels", "no.parquet"], "^--labels no.parquet: there is no such"),
    ],
)
def test_files_that_are_not_there_start_no_session(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def session(*_: Any) -> None:
        pytest.fail("a session was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "session", session)
    with pytest.raises(UsageError, match=message):
        commands.run(["cluster", "run", "--out", "out", *arguments])
    assert not (tmp_path / "out").exists()
