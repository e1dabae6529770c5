"""What is said of a command that goes on, where there is no terminal for a bar."""

from types import SimpleNamespace

import pytest

from bench.cli import terminal


def test_a_long_command_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now))
    with terminal.progress() as show:
        for done, now in enumerate((101.0, 109.9, 110.0, 119.9, 1225.0, 1234.9)):  # noqa: B007
            show(done, 6, f"timing {done}")
    assert capsys.readouterr() == (
        "",
        "cnn-bench: 10 s, 2 of 6: timing 2\ncnn-bench: 1125 s, 4 of 6: timing 4\n",
    )


@pytest.mark.parametrize(
    ("columns", "width"), [("80", 80), ("132", 132), ("", 100), ("x", 100), ("0", 100)]
)
def test_the_width_of_what_is_no_terminal(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal.output().width == width
