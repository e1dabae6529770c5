"""How the command ends: what it says, and its exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from bench.cli import app, commands, signals, streams
from columnar_nn.errors import UsageError


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals as they were before."""
    before = {number: signal.getsignal(number) for number in signals._SIGNALS}
    yield
    signals._asked.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def _interrupted() -> None:
    """Ctrl-C, which what runs just then catches."""
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ImportError("numpy.random failed: KeyboardInterrupt"), 130, "interrupted"),
        (SystemError("initialization raised"), 130, "interrupted"),
        (UsageError("the result is nowhere"), 2, "error: the result is nowhere"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
    ],
)
def test_what_an_interrupt_becomes_in_c_is_an_interrupt(
    error: Exception,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_: list[str]) -> int:
        _interrupted()
        raise error

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr("sys.argv", ["cnn-bench"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == f"cnn-bench: {line}\n"


def test_without_an_interrupt_it_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: list[str]) -> int:
        raise ImportError("no such thing")

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(signals, "install", lambda: None)
    monkeypatch.setattr("sys.argv", ["cnn-bench"])
    with pytest.raises(SystemExit):
        app.main()
    assert "ImportError: no such thing (this is a bug" in capsys.readouterr().err


def test_a_standard_input_that_was_closed_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `<&-` in a shell closes it: Python has None there."""
    saved = os.dup(0)
    os.close(0)
    monkeypatch.setattr(sys, "stdin", None)
    try:
        streams.install()
        assert sys.stdin.read() == ""
    finally:
        os.dup2(saved, 0)
        os.close(saved)
