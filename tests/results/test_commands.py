"""`cnn-bench merge`, `check` and `show`: what they print, write, and exit with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from results.examples import SETTINGS, results, rows

from bench.cli.app import main
from bench.results import document
from bench.results.results import Results
from bench.results.schema import CELL, SUBJECT

A, B = ("a" * 16, "b" * 16)
VERSION_1 = Path(__file__).parent / "version_1.json"
ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["cnn-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Results], None]:
    return lambda name, found: (tmp_path / name).write_bytes(document.to_json(found))  # type: ignore[return-value]


def disturbed(**changes: Any) -> Results:
    """Results of whose first cell others took half of the time."""
    found = list(rows(A, **changes))
    times = [row for name, row in found if name == "observation"]
    for row in times:
        if row["cell"] == times[0]["cell"]:
            row["disturbance"] = {**row["disturbance"], "others_s": 4.5, "run_queue_s": [4.5]}
    return Results.of(found)


def test_merge_writes_one_document(command: Command, write: Any, tmp_path: Path) -> None:
    write("a.json", results(A, kernel="1"))
    write("b.json", results(B, kernel="2"))
    arguments = ("merge", "a.json", "b.json", "-o", "c.json", "--label", "a.json=desk")
    status, output, errors = command(*arguments)
    assert (status, output) == (0, "")
    assert errors == "cnn-bench: warning: machine desk: kernel is 1 and 2\n"
    found = document.read(tmp_path / "c.json")
    assert {row["label"] for row in found["machine"]} == {"desk"}
    assert {row["session_id"] for row in found["session"]} == {A, B}


@pytest.mark.parametrize("folder", ["c.parquet", "c.arrow"])
def test_merge_writes_tables_and_reads_them(command: Command, tmp_path: Path, folder: str) -> None:
    assert command("merge", VERSION_1, "-o", folder)[0] == 0
    assert document.read(tmp_path / folder) == document.read(VERSION_1)
    status, _, errors = command("merge", VERSION_1, "-o", folder)
    assert (status, errors.count("exists already")) == (2, 1)
    status, output, _ = command("merge", folder, "-o", "-")
    assert status == 0
    assert document.loads(output.encode()) == document.read(VERSION_1)


def test_merge_of_machines_that_contradict_is_3(
    command: Command, write: Any, tmp_path: Path
) -> None:
    write("a.json", results(A))
    write("b.json", results(B, brand="Another CPU"))
    status, _, errors = command("merge", "a.json", "b.json", "-o", "c.json")
    assert status == 3
    assert "its brand is A CPU and Another CPU: they are of two" in errors
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.json", "-o", "c.json"], "absent.json: No such file or directory"),
        ([VERSION_1, "-o", "no/c.json"], "--output no/c.json: there is no folder"),
        ([VERSION_1, "-o", "c.json", "--label", "desk"], "expected FILE=NAME"),
        ([VERSION_1, "-o", "c.json", "--label", "x=desk"], "x is none of the files"),
    ],
)
def test_wrong_usage_of_merge(command: Command, arguments: list[Any], message: str) -> None:
    status, _, errors = command("merge", *arguments)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_check_of_what_is_fit(command: Command, write: Any) -> None:
    write("a.json", results(A))
    write("b.json", results(B))
    status, output, _ = command("check", "a.json", "b.json")
    assert (status, output.count("2 sessions: complete, comparable")) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"session": {"complete": False}}, "incomplete: it was interrupted, or killed"),
        ({"session": {"truth": {"failure": "CRASHED"}}}, "no reference outputs to compare with"),
        ({"turns": {"pytorch": [[1.0, 2.0]]}}, "pytorch:default on 8: too few: 2 runs, of 3 that"),
        ({"status": "FAILED"}, "pytorch:default on 8: FAILED"),
        ({"turns": {}}, "nothing was measured"),
    ],
)
def test_check_says_what_is_unfit(
    command: Command, write: Any, changes: dict[str, Any], message: str
) -> None:
    write("a.json", results(A, **changes))
    status, output, _ = command("check", "a.json")
    assert status == 1
    assert message in output
    assert all(line.startswith("a.json: ") for line in output.splitlines())


@pytest.mark.parametrize(
    ("times", "explained"),
    [
        ([0.75, 0.5, 0.75, 0.5], False),  # 2.5 s, and another run is within 3.5 s
        ([0.75, 1.0, 1.0], True),  # another run might end after 3.75 s
        ([2.0, 2.0], False),  # a budget never takes a cell's first three runs
    ],
)
def test_runs_that_the_budget_took_are_no_fault(
    command: Command, write: Any, times: list[float], explained: bool
) -> None:
    settings = {**SETTINGS, "runs": 5, "budget_s": 3.5}
    write("a.json", results(A, turns={"pytorch": [times]}, session={"settings": settings}))
    status, output, _ = command("check", "a.json")
    runs = f"{len(times)} runs, of 5 that were asked for"
    assert status == int(not explained)
    assert (f"pytorch:default on 8: {runs}, as far as --budget goes" in output) == explained
    assert (f"pytorch:default on 8: too few: {runs}" in output) == (not explained)


def test_the_published_study_passes_the_check(command: Command) -> None:
    status, output, _ = command("check", ROOT / "docs/study/results.parquet")
    assert status == 0, output


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
def test_check_counts_disturbed_cells(
    command: Command, write: Any, options: list[str], status: int
) -> None:
    write("a.json", disturbed())
    ended, output, _ = command("check", *options, "a.json")
    assert ended == status
    assert "others took over 10% of the time of 1 of 2 cells, whose medians are compared" in output
    assert ("--strict: other processes disturbed 1 of 2 cells" in output) == bool(options)


@pytest.mark.parametrize("kind", ["engine", "profile"])
def test_check_counts_disturbed_cells_of_every_kind(
    command: Command, kind: str, tmp_path: Path
) -> None:
    found: dict[str, Any] = json.loads((ROOT / f"tests/report/data/{kind}.json").read_text())
    timed = [row for row in found["observation"] if row["metric"] in ("time", "latency")]
    untouched, *others = dict.fromkeys(row["cell"] for row in timed)
    taken = {"wall_s": 9, "steal_s": 0, "run_queue_s": [4.5], "involuntary_switches": 1}
    for row in timed:
        row["disturbance"] = {**taken, "others_s": 0 if row["cell"] == untouched else 4.5}
    (tmp_path / "a.json").write_text(json.dumps(found))
    status, output, _ = command("check", "--strict", "a.json")
    assert status == 1
    assert f"the time of {len(others)} of {len(others) + 1} cells, whose medians" in output
    assert f"--strict: other processes disturbed {len(others)} of" in output


def test_check_of_a_strict_session_is_strict(command: Command, write: Any) -> None:
    write("a.json", disturbed(session={"settings": {**SETTINGS, "strict": True}}))
    assert command("check", "a.json")[0] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cores": 8}, "not comparable: measured on 2 machines"),
        ({"session": {"versions": {"numpy": "3"}}}, "not comparable: measured with numpy 2.0 and"),
        ({"brand": "Another"}, "not comparable: the sessions of machine"),
    ],
)
def test_check_of_what_cannot_be_compared_is_3(
    command: Command, write: Any, changes: dict[str, Any], message: str
) -> None:
    write("a.json", results(A))
    write("b.json", results(B, **changes))
    status, output, _ = command("check", "a.json", "b.json")
    assert (status, message in output) == (3, True)


def test_show_prints_a_comparisons_tables(command: Command, write: Any) -> None:
    status, output, _ = command("show", VERSION_1)
    assert status == 0
    for title in ("Time in ms", "Throughput", "Cold start in s", "Outputs against the reference"):
        assert title in output
    assert "fake_backends.MissingBackend:default" in output
    write("a.json", results(A))
    status, output, _ = command("show", "a.json", VERSION_1)
    assert status == 0
    assert output.count("Time in ms") == 2
    assert "columnar:default is 8.00 (8.00) times as fast as pytorch:default" in output


def test_show_of_a_folder_has_a_studys_sessions_in_one_table(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    for session_id in (A, B):
        found = results(session_id, session={"command": "sweep", "study": "c" * 16})
        (tmp_path / "out" / f"{session_id}.json").write_bytes(document.to_json(found))
    status, output, _ = command("show", "out")
    assert status == 0
    rows = [line.split() for line in output.splitlines() if ":default" in line]
    # Medians of 0.25, 0.5, 0.125 s and of 1, 2, 3 s, in milliseconds.
    assert [(row[0], row[3]) for row in rows] == [
        ("columnar:default", "250"),
        ("pytorch:default", "2,000"),
    ]


def test_show_of_another_commands_session_is_a_list(command: Command, write: Any) -> None:
    write("a.json", results(A, session={"command": "engine", "settings": {}}))
    status, output, _ = command("show", "a.json")
    assert status == 0
    (line,) = [line for line in output.splitlines() if line.startswith("pytorch:default")]
    assert line.split() == ["pytorch:default", "8", "time", "3", "2", "s", "PASSED"]


def test_a_list_tells_subjects_of_one_name_apart(command: Command, write: Any) -> None:
    """By options in which they differ, as cold starts with and without kernels in the cache do."""
    found: list[tuple[str, dict[str, Any]]] = list(
        rows(A, session={"command": "engine", "settings": {}}, status="NOT RUN")
    )
    changed: dict[str, str] = {}
    for name, row in found:
        if name == "subject":
            caches = {"columnar": "empty", "pytorch": "warm"}
            options = {"algorithm": "auto", "cache": caches[row["backend"]]}
            new = SUBJECT.row(**row | {"backend": "columnar", "options": options})
            changed[row["subject"]] = new["subject"]
            row.update(new)
        if name == "cell":
            reason = "one run takes 2 s" if row["status"] == "NOT RUN" else None
            new = CELL.row(**row | {"subject": changed[row["subject"]], "reason": reason})
            changed[row["cell"]] = new["cell"]
            row.update(new)
        if name == "observation":
            row["cell"] = changed[row["cell"]]
    write("a.json", Results.of(found))
    status, output, _ = command("show", "a.json")
    assert status == 0
    assert "columnar:default (cache empty)       8" in output
    assert "columnar:default (cache warm)        8" in output
    assert "columnar:default (cache warm) on 8: NOT RUN: one run takes 2 s" in output


def test_nothing_in_a_file_reaches_the_terminal_but_text(command: Command, write: Any) -> None:
    for name in ("compare", "engine"):
        session = {"command": name, "warnings": ["\x1b[2J"], "commit": "\x07"}
        write("a.json", results(A, session=session, brand="\x1b]0;x"))
        status, output, errors = command("show", "a.json")
        assert (status, errors) == (0, "")
        assert all(c.isprintable() or c == "\n" for c in output)


def test_a_comparison_without_its_settings_is_one_line(command: Command, write: Any) -> None:
    write("a.json", results(A, session={"settings": {}}))
    status, output, errors = command("show", "a.json")
    assert (status, output) == (2, "")
    assert "a.json: this session cannot be shown as a comparison: its settings" in errors
    assert errors.count("\n") == 1
