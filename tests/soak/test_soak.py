"""What goes wrong only in the long run: leaks, hangs, races, writes outside of rare shapes.

`make soak` is short, `make nightly` long (`--soak long`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sessions import read_back
from soak.soaking import ROOT, run_program

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

SIZES = {
    "short": {"runs": 2000, "tasks": 500, "shapes": 30},
    "long": {"runs": 10_000, "tasks": 2000, "shapes": 400},
}
LIMIT_S = {"short": 240, "long": 3000}
WARM = 5
"""Of about 20 measurements of memory, after which it must not grow."""


@pytest.fixture(scope="module")
def size(request: pytest.FixtureRequest) -> str:
    chosen: str = request.config.getoption("--soak")
    return chosen


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_stays_as_it_is_after_runs_of_changing_batch_sizes(size: str, threads: int) -> None:
    runs = SIZES[size]["runs"] // 2
    output = run_program("changing_batches", runs, threads, 7, timeout=LIMIT_S[size])
    memory = [float(line) for line in output.split()]
    assert len(memory) >= 20
    assert max(memory[WARM:]) < 1.05 * memory[WARM], memory


def test_random_tasks_on_many_threads_end_and_are_right(size: str) -> None:
    tasks = SIZES[size]["tasks"]
    output = run_program("random_tasks", tasks, 11, timeout=LIMIT_S[size])
    assert sum(int(line.split()[0]) for line in output.splitlines()) >= tasks


@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap and mprotect")
@pytest.mark.parametrize("edge", ["start", "end"])
def test_odd_shapes_touch_nothing_outside_their_arrays(size: str, edge: str) -> None:
    shapes = SIZES[size]["shapes"]
    output = run_program("odd_shapes", edge, 13, shapes, timeout=LIMIT_S[size])
    assert len(output.splitlines()) >= shapes


def compare(cache: Path, json_file: Path) -> subprocess.Popen[str]:
    command = ["compare", "--backend", "columnar", "--backend", "onnxruntime:default"]
    brief = ["--samples", "1,8", "--runs", "3", "--min-time", "0", "--budget", "60"]
    return subprocess.Popen(
        [sys.executable, "-m", "cnn_bench", *command, *brief, "--json", str(json_file)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CNN_BENCH_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each printed. Fails if one does, or hangs."""
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    return [output for output, _ in said]


def test_two_comparisons_at_once(tmp_path: Path) -> None:
    """Each measures all of its cells; that they disturb each other, it may say."""
    files = [tmp_path / f"{index}.json" for index in range(2)]
    for output in finish([compare(tmp_path / "cache", file) for file in files]):
        assert output.count("PASSED") == 2, output
    for file in files:
        cells = read_back(file).benchmarks
        assert len(cells) == 4
        assert all(cell.times for cell in cells)


FIRST_RUN = """
from closeness import assert_close
from exec.networks import column, expected, images, residual_network
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.exec.executable import prepare

graph, batch = residual_network(), images(20)
plan = PlanBuilder().values([batch]).project({"y": network(graph)}).plan()
with prepare(plan, 2) as executable:
    table = executable.run().to_table()
assert_close(column(table, "y"), expected(graph, batch, "logits")[0], rtol=1e-4, atol=1e-4)
"""


def test_ten_processes_start_at_once_with_an_empty_cache(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "CNN_BENCH_CACHE_DIR": str(tmp_path)}
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_RUN],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    finish(starting)
    assert list(tmp_path.rglob("*.kernel"))
    assert not list(tmp_path.rglob("*.part"))
