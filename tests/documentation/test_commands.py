"""Every command of the documentation does what the page says: it runs as printed there.

Each page has a folder of its own, in which its commands run in order, so that one finds what those
before it made. `make documented` runs those of up to 20 seconds, `make nightly` all.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documentation.categories import GIVEN, NIGHTLY, NOT_RUN
from documentation.commands import ROOT, Command, of_pages, of_text

COMMANDS = of_pages()
WRITES = ("--json", "--junit", "--out", "--trace", "-o")

PAGE = """
Run `cnn-bench a`, or `make
b  X=1`, not `cnn-bench` or `makes c`:

    $ cnn-bench c   # why

```
cnn-bench d \\
  --e
printed by cnn-bench d
$ PATH=x python -m f
```

```python
torch.onnx.export(network)
```
"""


def test_what_is_a_command() -> None:
    found = [(command.line, command.name) for command in of_text("page", PAGE)]
    exports = "Python that exports an ONNX file, page"
    assert found == [
        (2, "cnn-bench a"),
        (2, "make b X=1"),
        (5, "cnn-bench c"),
        (8, "cnn-bench d --e"),
        (11, "PATH=x python -m f"),
        (14, exports),
    ]


def test_the_lists_are_of_commands_that_are_there() -> None:
    names = {command.name for command in COMMANDS}
    assert not NIGHTLY - names
    assert not NOT_RUN.keys() - names
    assert not NIGHTLY & NOT_RUN.keys()
    assert set(GIVEN) <= {command.page for command in COMMANDS}


def test_what_is_no_command_of_ours_has_a_reason_why_it_does_not_run() -> None:
    """Other programs are installed or not, set up or not: nobody runs them without a thought."""
    for command in COMMANDS:
        if not command.python and "cnn-bench " not in command.name:
            assert command.name in NOT_RUN, f"{command}: say in NOT_RUN why it does not run"


def marked(command: Command) -> object:
    marks = [pytest.mark.documented]
    if command.name in NIGHTLY:
        marks += [pytest.mark.nightly, pytest.mark.timeout(7200)]
    return pytest.param(command, marks=marks, id=str(command))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each page, with the golden bundle of the project, and what the reader has."""
    made = {}
    for page in {command.page for command in COMMANDS}:
        made[page] = tmp_path_factory.mktemp("page")
        shutil.copytree(ROOT / "golden", made[page] / "golden")
        for name, source in GIVEN.get(page, {}).items():
            (made[page] / name).parent.mkdir(exist_ok=True)
            if callable(source):
                source(made[page] / name)
            elif isinstance(source, Path):
                shutil.copy(source, made[page] / name)
            else:
                (made[page] / name).write_text(source, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not the user's: one of the commands clears it."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("command", [marked(c) for c in COMMANDS if c.name not in NOT_RUN])
def test_a_command_runs_as_printed(command: Command, folders: dict[str, Path], cache: Path) -> None:
    folder = folders[command.page]
    start = [sys.executable, "-c"] if command.python else ["bash", "-c"]
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CNN_BENCH_CACHE_DIR": str(cache),
    }
    done = subprocess.run(
        [*start, command.text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said, said
    words = command.name.split()
    for option, value in itertools.pairwise(words):
        if option in WRITES:
            assert (folder / value).exists(), f"{value} was not written: {said}"
