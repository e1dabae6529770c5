"""What a session of a study does: its order, cells that fail, processes, memory, a replay."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from study.place import FINE, SLOW, Place, turns

from bench.compare.comparison import ROUNDS
from bench.machine import cpus
from bench.results.statistics import Estimate
from bench.study.findings import Figure, conclusions
from bench.study.pool import Pool

FAKE = "fake_backends.FakeBackend"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.made(tmp_path)


def test_every_round_has_all_cells_in_an_order_of_the_seed(place: Place) -> None:
    sweep = ("--backend", FINE, "--backend", SLOW, "--samples", "1,2,3")
    orders: list[list[str]] = []
    for number, seed in enumerate(("1", "1", "2")):
        out = f"out{number}"
        assert place.run(*sweep, "--seed", seed, "--out", out).returncode == 0
        taken = turns(place.results(out))
        assert [number for _, _, number in taken] == sorted(number for _, _, number in taken)
        rounds = [[c for _, c, r in taken if r == number] for number in range(ROUNDS)]
        assert {frozenset(one) for one in rounds} == {frozenset(rounds[0])}
        assert all(len(one) == 6 for one in rounds)
        assert len({tuple(one) for one in rounds}) > 1
        orders.append([cell for _, cell, _ in taken])
    assert orders[0] == orders[1] != orders[2]


def test_cells_that_fail_stay_as_rows_and_are_not_tried_again(place: Place) -> None:
    names = (FINE, f"{FAKE}:abort_on_many", f"{FAKE}:wrong", "fake_backends.MissingBackend")
    sweep = [part for name in names for part in ("--backend", name)]
    sweep += ["--samples", "1,4", "--batch-size", "2,4", "--out", "out"]
    first = place.run(*sweep)
    assert first.returncode == 1
    assert "about to abort" in first.stdout
    results = place.results()
    subjects = {row["subject"]: row["configuration"] for row in results["subject"]}
    images = {row["workload"]: row for row in results["workload"]}
    endings = {
        (subjects[c["subject"]], images[c["workload"]]["samples"]): c["status"]
        for c in results["cell"]
        if images[c["workload"]]["scenario"] == "offline"
        and images[c["workload"]]["batch_size"] != 2
    }
    assert endings == {
        ("fine", 1): "PASSED",
        ("fine", 4): "PASSED",
        ("abort_on_many", 1): "PASSED",
        ("abort_on_many", 4): "CRASHED",
        ("wrong", 1): "FAILED",
        ("wrong", 4): "FAILED",
        ("default", 1): "SKIPPED",
        ("default", 4): "SKIPPED",
    }
    assert all(c["reason"] for c in results["cell"] if c["status"] != "PASSED")
    starts = [c for c in results["cell"] if images[c["workload"]]["scenario"] == "start"]
    sizes = Counter((subjects[c["subject"]], images[c["workload"]]["batch_size"]) for c in starts)
    assert sizes == Counter({(name, size): 1 for name, _ in endings for size in (2, 4)})
    again = place.run(*sweep)
    assert again.returncode == 1
    assert "12 of 12 done" in again.stdout
    assert len(place.results()["session"]) == 1


@pytest.mark.slow
@pytest.mark.skipif(len(cpus.available()) < 2, reason="needs two CPUs")
def test_a_small_sweep_of_real_engines(place: Place) -> None:
    """Cores split in all ways, and a wider network: figures, a conclusion, a report of scaling."""
    assert place.call("study", "init", "made.toml").returncode == 0
    (place.folder / "made.toml").write_text(
        'min_time = 0.0\n[axes]\nmodel = ["plain9", "plain9@width=2"]\nbackend = "columnar"\n'
        'samples = "16"\ncores = 2\n'
    )
    shown = place.call("study", "plan", "made.toml")
    assert shown.returncode == 0, shown.stderr
    assert "4 cells, 1 session" in shown.stdout
    assert re.search(r"predicted: \d+ s with the reference outputs \(a guess", shown.stdout)
    assert not (place.folder / "made-results").exists()
    done = place.call("study", "run", "made.toml")
    assert done.returncode == 0, done.stderr
    for model in ("plain9", "plain9@width=2"):
        line = rf"columnar:pipeline/auto on {model}, 16 images, 2 cores as processes x threads: "
        line += r"(1x2|2x1) [\d,]+, (1x2|2x1) [\d,]+ images/s; (1x2|2x1) is "
        assert re.search(line, done.stdout)
    results = place.results("made-results")
    shares = [row for row in results["observation"] if row["metric"] == "share"]
    assert {tuple(row["part"]) for row in shares} == {("0",), ("1",)}
    assert Counter(row["processes"] for row in results["subject"]) == {1: 1, 2: 1}
    for command in (("check",), ("show",), ("report", "--format", "csv")):
        files = sorted(map(str, (place.folder / "made-results").glob("*.json")))
        told = place.call(*command, *files)
        assert told.returncode == 0, told.stderr
    status = place.call("study", "status", "made.toml")
    assert "4 of 4 done" in status.stdout
    assert "ended" in status.stdout
    replayed = place.call("study", "replay", "made-results")
    assert replayed.returncode == 0, replayed.stderr
    assert "fastest" in replayed.stdout
    assert len(place.results("made-results-replay")["session"]) == 1


class HeldContender:
    """What the pool asks of one."""

    def __init__(self, peak_rss_bytes: int) -> None:
        self.peak_rss_bytes = peak_rss_bytes
        self.running = True
        self.starts = 1

    def finish(self) -> None:
        self.running = False

    def wake(self) -> None:
        self.running = True
        self.starts += 1


def test_where_memory_is_short_who_waited_longest_ends() -> None:
    pool = Pool(100)
    held: list[Any] = [HeldContender(40) for _ in range(3)]
    for contender in held[:2]:
        pool.wake(contender)
    assert not pool.overflowed
    pool.wake(held[2])
    assert [contender.running for contender in held] == [False, True, True]
    assert pool.overflowed
    pool.wake(held[1])
    pool.wake(held[0])
    assert [contender.running for contender in held] == [True, True, False]
    assert [contender.starts for contender in held] == [2, 1, 1]
    alone: Any = HeldContender(1000)  # too large by itself: it runs all the same
    pool.wake(alone)
    assert alone.running
    assert not any(contender.running for contender in held)


def figure(processes: int, threads: int, low: float, high: float, **changes: Any) -> Figure:
    known: dict[str, Any] = {
        "model": "net",
        "engine": "one:default",
        "partitions": "",
        "batch_size": 32,
        "samples": 100,
        "rss_bytes": 100 << 20,
        "pss_bytes": None,
        "balance": None,
        "sessions": 1,
        "status": "PASSED",
        "reason": "",
        "disturbed": False,
    }
    time = Estimate((low + high) / 2, low, high, 0.95)
    return Figure(processes=processes, threads=threads, time=time, **{**known, **changes})


def test_a_line_says_which_split_of_the_cores_is_fastest() -> None:
    clear = [
        figure(1, 4, 1.9, 2.1),
        figure(2, 2, 0.9, 1.1, rss_bytes=200 << 20),
        figure(4, 1, 3.9, 4.1, rss_bytes=400 << 20),
        figure(1, 2, 0.1, 0.2),  # another budget, of which there is no other split
    ]
    assert list(conclusions(clear)) == [
        "one:default on net, 100 images, 4 cores as processes x threads: 2x2 100, 1x4 50, 4x1 25 "
        "images/s; 2x2 is 2.00 times as fast as the next, with 2.00 times the memory of 1x4"
    ]
    (line,) = conclusions([figure(1, 2, 0.9, 1.1), figure(2, 1, 1.0, 1.3)])
    assert "1x2 is not clearly faster than 2x1" in line


def test_a_line_says_what_skew_costs() -> None:
    cut = [
        figure(2, 1, 0.9, 1.1, partitions="4", balance=0.99),
        figure(2, 1, 1.4, 1.6, partitions="4:zipf", balance=0.7),
    ]
    assert list(conclusions(cut)) == [
        "one:default on net, 100 images, 2x1: partitions 4:zipf take 1.50 times as long as 4 equal "
        "ones; balance 70% against 99%"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--threads", "1,2"), "for several: cnn-bench sweep --threads 1,2"),
        (("--batch-size", "1-8*2"), "for several: cnn-bench sweep --batch-size 1-8*2"),
        (("--model", "plain9,resnet20"), "for several: cnn-bench sweep --model plain9,resnet20"),
        (("--samples", "1-10"), "cnn-bench sweep takes ranges"),
        (("--threads", "x"), "'x' is not a whole number"),
        (("--batch-size", "0"), "give at least 1"),
    ],
)
def test_compare_points_to_sweep_where_it_is_given_a_list(
    place: Place, options: tuple[str, ...], said: str
) -> None:
    done = place.call("compare", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
