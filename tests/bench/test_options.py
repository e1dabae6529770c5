"""Options that are read the same by every command."""

from __future__ import annotations

import pytest

from bench.cli.app import main
from bench.cli.options import parse_samples, run_options
from bench.machine import cpus
from bench.workers.options import Options
from columnar_nn.errors import UsageError


@pytest.mark.parametrize(
    ("text", "counts"), [("1", (1,)), ("100,1,10,10", (1, 10, 100)), (" 2, 3", (2, 3))]
)
def test_samples(text: str, counts: tuple[int, ...]) -> None:
    assert parse_samples(text) == counts


@pytest.mark.parametrize("text", ["", "0", "-1,2", "1.5", "ten", "1;2"])
def test_bad_samples(text: str) -> None:
    with pytest.raises(UsageError, match="--samples"):
        parse_samples(text)


def test_a_thread_has_a_cpu() -> None:
    options = run_options(1, 2.5, 32, "direct")
    assert options == Options(cpus.choose(1), 2.5, 32, "direct")
    assert options.threads == len(options.cpus) == 1
    with pytest.raises(UsageError, match="--threads 0"):
        run_options(0, 2.5)


def test_fewer_threads_take_the_first_cpus() -> None:
    options = Options((4, 2, 7), 1.0, 8)
    assert options.on_threads(2) == Options((4, 2), 1.0, 8)
    assert options.on_threads(None) == options


@pytest.mark.parametrize(
    "command", ["compare", "golden verify", "profile", "taps", "explain", "engine"]
)
def test_help_names_whole_numbers_in_one_way(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cnn-bench", *command.split(), "--help"])
    with pytest.raises(SystemExit):
        main()
    words = capsys.readouterr().out
    assert "--threads <int range>" in " ".join(words.split())
    assert "INTEGER" not in words


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("compare", "--min-time"),
        ("compare", "--budget"),
        ("compare", "--timeout"),
        ("engine", "--budget"),
        ("profile", "--budget"),
        ("sweep --out x", "--min-time"),
        ("sweep --out x", "--budget"),
        ("train --out x.onnx", "--learning-rate"),
    ],
)
def test_no_number_is_infinite(
    command: str,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["cnn-bench", *command.split(), option, "inf"])
    monkeypatch.setattr("bench.cli.signals.install", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == f"cnn-bench: error: {option} inf: give a finite number\n"


def test_an_algorithm_says_nothing_of_bfloat16(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "explain plain9 --precision bfloat16 --algorithm winograd"
    monkeypatch.setattr("sys.argv", ["cnn-bench", *arguments.split()])
    monkeypatch.setattr("bench.cli.signals.install", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--algorithm winograd says nothing of --precision bfloat16" in capsys.readouterr().err
