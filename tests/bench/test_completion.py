"""Shells complete every command and every option: asked in the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.cli import commands
from bench.cli.completion import SCRIPTS

Ask = Callable[[list[list[str]]], list[set[str]]]


def _help(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert commands.run([*command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Mapping[tuple[str, ...], set[str]]:
    """What the help of every command names: its sub-commands, and its options."""
    found = {}
    pending: list[tuple[str, ...]] = [()]
    while pending:
        command = pending.pop()
        text = _help(capsys, *command)
        _, _, listed = text.partition("\nCommands:\n")
        inner = set(re.findall(r"^  (\w+)", listed, re.M))
        options = text.partition("\nOptions:\n")[2].partition("\nCommands:\n")[0]
        names = re.findall(r"^  (?:(-\w), )?(--[\w-]+)(?: / (--[\w-]+))?", options, re.M)
        found[command] = inner | {name for group in names for name in group if name}
        pending += [(*command, name) for name in inner]
    return found


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert commands.run(["completion", shell]) == 0
    file = folder / f"cnn-bench.{shell}"
    file.write_text(capsys.readouterr().out)
    return file


def _in_bash(file: Path, lines: list[list[str]]) -> str:
    asked = "\n".join(
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; "
        '_cnn_bench; printf "%s\\n" "${COMPREPLY[@]}" ---'
        for words in lines
    )
    return f"set -u; source {file}\n{asked}"


def _in_zsh(file: Path, lines: list[list[str]]) -> str:
    """Without the line editor: compadd, the only way to give it words, prints them."""
    asked = "\n".join(
        f"words=({' '.join(repr(word) for word in words)}); CURRENT={len(words)}; "
        "_cnn_bench; print -- ---"
        for words in lines
    )
    stubs = "compdef() { }\n_files() { }\ncompadd() { shift; print -l -- $@ }\n"
    return f"{stubs}source {file}\n{asked}"


def _in_fish(file: Path, lines: list[list[str]]) -> str:
    asked = "\n".join(f"complete -C '{' '.join(words)}'; echo ---" for words in lines)
    return f"source {file}\n{asked}"


PROGRAMS = {"bash": _in_bash, "zsh": _in_zsh, "fish": _in_fish}


def ask(shell: str, file: Path, lines: list[list[str]]) -> list[set[str]]:
    """What the shell offers for the last word of each line."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *options, "-c", PROGRAMS[shell](file, lines)],
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.split("---\n")[:-1]
    return [{line.partition("\t")[0] for line in answer.splitlines()} - {""} for answer in answers]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_command_and_option_is_offered(
    shell: str,
    told: Mapping[tuple[str, ...], set[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ("golden", "verify") in told
    assert {"--model", "--samples", "--import-check", "--no-import-check"} <= told["compare",]
    file = script(shell, tmp_path, capsys)
    for prefix in ("-", ""):
        lines = [["cnn-bench", *command, prefix] for command in told]
        for command, offered in zip(told, ask(shell, file, lines), strict=True):
            wanted = {name for name in told[command] if name.startswith("-") == bool(prefix)}
            if wanted:
                assert offered == wanted, f"cnn-bench {' '.join(command)} {prefix}"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_values_of_options_are_no_commands(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a word where a command may stand leads to its options."""
    file = script(shell, tmp_path, capsys)
    lines = [
        ["cnn-bench", "compare", "--data", "model", "--sam"],
        ["cnn-bench", "--debug", "golden", "ver"],
        ["cnn-bench", "golden", "--help", "create", "--cou"],
    ]
    offered = ask(shell, file, lines)
    beginnings = [line[-1] for line in lines]
    found = [
        {word for word in words if word.startswith(start)}
        for words, start in zip(offered, beginnings, strict=True)
    ]
    assert found == [{"--samples"}, {"verify"}, {"--count"}]


def test_bash_completes_a_line_that_is_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the key, through readline, of which the tests above do without."""
    file = script("bash", tmp_path, capsys)
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "INPUTRC": os.devnull},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.write(ours, f"source {file}; cnn-bench() {{ echo got: $*; }}\n".encode())
        os.write(ours, b"cnn-bench gol\tver\t--bac\t\n")
        said = b""
        while b"got: golden" not in said and select.select([ours], [], [], 30)[0]:
            said += os.read(ours, 4096)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
    assert b"got: golden verify --backend" in said
