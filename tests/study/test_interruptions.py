"""However a study is interrupted, the next run loses no turn and repeats none."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from fake_backends import GATE
from study.place import FINE, GATED, SLOW, Place, turns

from bench.compare.cell import ENDED_BEFORE
from bench.compare.comparison import ROUNDS
from bench.results import document
from bench.results.schema import FORMAT, FORMAT_VERSION

SWEEP = ("--backend", SLOW, "--backend", FINE, "--samples", "1,2,3", "--seed", "1")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.made(tmp_path)


def whole(place: Place, cells: int, sessions: int = 1) -> None:
    """Whether every cell of every session had all of its turns, each once, and came to its end."""
    results = place.results()
    assert all(row["complete"] for row in results["session"])
    assert len(results["session"]) == sessions
    counted = Counter(turns(results))
    assert set(counted.values()) == {1}
    assert len(counted) == sessions * cells * ROUNDS
    statuses = {row["status"] for row in results["cell"] if row["status"] != "NOT RUN"}
    assert statuses == {"PASSED"}
    assert list((place.folder / "out").glob("*.journal")) == []
    orders = [row["order"] for row in results["observation"] if row["metric"] == "time"]
    assert len(orders) == len(set(orders)) * sessions
    indices: dict[str, list[int]] = {}
    for row in results["observation"]:
        if row["metric"] == "time":
            own = indices.setdefault(f"{row['session_id']} {row['cell']}", [])
            own += range(row["index"], row["index"] + len(row["value"]))
    assert all(own == list(range(len(own))) for own in map(sorted, indices.values()))


@pytest.mark.slow
def test_killed_at_random_places_it_is_as_if_it_had_not_been(place: Place) -> None:
    places = random.Random(5)
    kept: set[tuple[str, str, int]] = set()
    for more in (0, places.randint(1, 8), places.randint(1, 8), places.randint(20, 28)):
        with place.running(*SWEEP, "--sessions", "2", "--out", "out") as process:
            while process.poll() is None and len(found(place)) < len(kept) + more:
                time.sleep(0.002)
            time.sleep(places.uniform(0, 0.05 if more else 3))
            assert process.poll() is None, process.stderr and process.stderr.read()
            workers = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGKILL)
            process.wait()
        psutil.wait_procs(workers, timeout=10)
        now = found(place)
        assert kept <= now, "a turn was lost"
        assert len(now) >= len(kept) + more
        kept = now
    done = place.run(*SWEEP, "--sessions", "2", "--out", "out")
    assert done.returncode == 0, done.stderr
    whole(place, cells=6, sessions=2)
    assert kept <= set(turns(place.results()))


def found(place: Place) -> set[tuple[str, str, int]]:
    """Turns that the folder holds by now, whole lines only."""
    kept = set()
    for file in (place.folder / "out").glob("*"):
        if file.suffix == ".json":
            kept |= set(turns(document.read(file)))
        elif file.suffix == ".journal":
            for line in file.read_bytes().split(b"\n")[:-1]:
                row = json.loads(line)
                if row.get("metric") == "time":
                    kept.add((row["session_id"], row["cell"], row["round"]))
    return kept


def test_every_beginning_of_a_journal_can_be_gone_on_with(place: Place) -> None:
    """Also one that is cut within a line, or between what belongs to one turn."""
    assert place.run(*SWEEP, "--out", "out").returncode == 0
    (file,) = (place.folder / "out").glob("*.json")
    (session,) = document.read(file)["session"]
    # The rows as the journal had them: those of a session, of its machine, of cells, of turns.
    results = document.read(file)
    opening = {"format": FORMAT, "format_version": FORMAT_VERSION}
    lines = [json.dumps({"table": "session", **opening, **session, "complete": False})]
    for table, row in results:
        if table != "session":
            waiting = {"status": "NOT RUN", "reason": ENDED_BEFORE} if table == "cell" else {}
            lines.append(json.dumps({"table": table, **row, **waiting}))
    content = ("\n".join(lines) + "\n").encode()
    cuts = random.Random(3).sample(range(len(lines[0]) + len(lines[1]) + 2, len(content)), 3)
    for cut in cuts:
        file.unlink(missing_ok=True)
        journal = file.with_suffix(".journal")
        journal.write_bytes(content[:cut])
        before = found(place)
        done = place.run(*SWEEP, "--out", "out")
        assert done.returncode == 0, done.stderr
        whole(place, cells=6)
        assert before <= set(turns(place.results()))
        (resumed,) = place.results()["session"]
        assert resumed["session_id"] == session["session_id"]
        assert any("gone on with" in warning for warning in resumed["warnings"])


def test_ctrl_c_says_what_is_done_and_the_same_command_goes_on(place: Place) -> None:
    with place.running(*SWEEP, "--out", "out") as process:
        while process.poll() is None and not found(place):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate()
    assert process.returncode == 130
    assert "of 6 cells are done, the same command goes on from there (out)" in errors
    assert "images/s" in shown
    assert place.run(*SWEEP, "--out", "out").returncode == 0
    whole(place, cells=6)


def test_what_is_done_is_not_repeated_but_by_rerun(place: Place) -> None:
    assert place.run(*SWEEP, "--out", "out").returncode == 0
    first = turns(place.results())
    again = place.run(*SWEEP, "--out", "out")
    assert again.returncode == 0
    assert "6 of 6 done" in again.stdout
    assert turns(place.results()) == first
    more = place.run(*SWEEP, "--sessions", "2", "--out", "out")
    assert more.returncode == 0
    whole(place, cells=6, sessions=2)
    assert place.run(*SWEEP, "--rerun", "--out", "out").returncode == 0
    whole(place, cells=6, sessions=3)


def test_shards_and_parts_add_up_to_the_study(place: Place) -> None:
    for number in (1, 2):
        done = place.run(*SWEEP, "--shard", f"{number}/2", "--out", "out")
        assert done.returncode == 0, done.stderr
    whole(place, cells=3, sessions=2)
    rest = place.run(*SWEEP, "--out", "out")
    assert "6 of 6 done" in rest.stdout
    wider = (*SWEEP[:4], "--samples", "1-4", *SWEEP[6:])
    part = place.run(*wider, "--only", "samples=4", "--out", "other")
    assert "2 cells" in part.stdout
    assert place.run(*wider, "--out", "other").returncode == 0
    assert len({cell for _, cell, _ in turns(place.results("other"))}) == 8


def test_two_processes_do_not_measure_one_session(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = place.folder / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv(GATE, str(gate))
    sweep = ("--backend", GATED, "--samples", "1", "--out", "out")
    with place.running(*sweep) as process:
        writer = opened(gate, process)  # from here on its worker waits for the end of the gate
        gate.unlink()
        other = place.run(*sweep)
        assert other.returncode == 2
        assert "another process is measuring this session" in other.stderr
        assert process.poll() is None
        os.close(writer)
        process.communicate()
    assert process.returncode == 0
    whole(place, cells=1)


def opened(gate: Path, process: subprocess.Popen[str]) -> int:
    """The gate's end for writing, once the process's worker has come to it."""
    while process.poll() is None:
        try:
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads it yet
                raise
            time.sleep(0.01)
    raise AssertionError(f"it ended before: {process.stderr and process.stderr.read()}")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_stops_it_in_one_line_and_more_room_lets_it_go_on(place: Place) -> None:
    out = place.folder / "out"
    out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(out)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this process may not mount")
    try:
        full = place.run(*SWEEP, "--out", "out")
        assert full.returncode == 2
        (line,) = [x for x in full.stderr.splitlines() if "No space left on device" in x]
        assert "of 6 cells are done, the same command goes on from there" in line
        assert "Traceback" not in full.stderr
        before = found(place)
        subprocess.run(["mount", "-o", "remount,size=4m", str(out)], check=True)
        assert place.run(*SWEEP, "--out", "out").returncode == 0
        whole(place, cells=6)
        assert before <= set(turns(place.results()))
    finally:
        subprocess.run(["umount", str(out)], check=True)
