"""tests/fuzz/__main__.py: what is wrong with an input is found, however it shows."""

from __future__ import annotations

import mmap
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fuzz import __main__ as driver


def check(seed: int, folder: Path) -> str:
    """Wrong in another way at seeds 3, 5, 6 and 7."""
    if seed == 3:
        (folder / "input").write_text("three")
        return "differs\nfrom the file"
    if seed == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 6:
        time.sleep(60)
    if seed == 7:
        raise KeyError("seven")
    return ""


def test_findings_crashes_hangs_and_errors_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(driver, "TIMEOUT_S", 1)
    found = [driver.fuzz(check, seed, 0.0, tmp_path) for seed in (2, 3, 5, 6, 7)]
    assert found == [
        [],
        [(3, "differs from the file")],
        [(5, "killed by SIGKILL")],
        [(6, "no end in 1 s")],
        [(7, "the check itself raises KeyError: 'seven'")],
    ]
    assert (tmp_path / "3" / "input").read_text() == "three"
    printed = capsys.readouterr().out
    assert f"seed 5: killed by SIGKILL; see {tmp_path / '5'}\n" in printed


def test_seeds_go_on_until_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a clock that goes on by one a seed, in the children too."""
    clock = mmap.mmap(-1, 1)
    monkeypatch.setattr(driver, "BATCH", 2)
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def wrong_at_44(seed: int, folder: Path) -> str:
        clock[0] += 1
        return "wrong" if seed == 44 else ""

    assert driver.fuzz(wrong_at_44, 40, 7.0, tmp_path) == [(44, "wrong")]
    assert capsys.readouterr().out.splitlines()[-1] == "7 seeds from 40 on: 1 wrong"


@pytest.mark.parametrize("arguments", [["all", "1", "2"], ["graphs", "x", "1"], ["graphs"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        driver.main(arguments)
    assert raised.value.code == 2
    assert "usage: fuzz" in capsys.readouterr().err
