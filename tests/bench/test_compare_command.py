"""The command line as a user has it: in a process of its own, with files on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_backends
import numpy as np
import psutil
import pytest
import typer
from progress_lines import without_progress
from sessions import read_back

from bench.cli import app, commands
from columnar_nn.model import onnx_io
from columnar_nn.model.networks.builder import NetworkBuilder

FAKE = "fake_backends.FakeBackend"
MAIN = [sys.executable, "-m", "cnn_bench"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
    "COLUMNS": "100",
}


def cnn_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for a tiny model and ten images in CIFAR-10's format."""
    folder = tmp_path_factory.mktemp("inputs")
    onnx_io.save(fake_backends.tiny_graph(), folder / "tiny.onnx")
    records = np.random.default_rng(6).integers(0, 256, (10, 3073), np.uint8)
    records[:, 0] = np.arange(10)
    (folder / "images.bin").write_bytes(records.tobytes())
    return ["--model", str(folder / "tiny.onnx"), "--data", str(folder / "images.bin")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "No such command 'nope'. (see cnn-bench --help)"),
        (["compare", "--nope"], "No such option: --nope"),
        (["compare", "--samples", "0"], "--samples '0': expected positive whole numbers"),
        (["compare", "--backend", "nope"], "unknown backend 'nope': choose from columnar"),
        (["compare", "--model", "nope"], "unknown model 'nope': choose from plain9"),
        (["compare", "--model", "nope.onnx"], "nope.onnx"),
        (["compare", "--data", "/no/such/place"], "/no/such/place"),
        (["compare", "--threads", "0"], "--threads 0"),
        (["compare", "--batch-size", "0"], "--batch-size"),
        (["compare", "--algorithm", "fft"], "choose from auto, direct, winograd"),
        (["compare", "--json", "/no/such/folder/x.json"], "there is no folder /no/such/folder"),
        (["compare", "--json", "/"], "--json /: this is a folder; name a file in it"),
        (["compare", "--backend", "columnar:nope"], "columnar has no configuration 'nope'"),
        (["compare", "--timeout", "nan"], "--timeout"),
        (["compare", "--rtol", "some"], "--rtol 'some': expected [name:]value such as 1e-4"),
        (["compare", "--atol", "nope:1"], "--atol 'nope:1': no tensor 'nope'; it has logits"),
        (["compare", "--quick", "--samples", "1"], "--quick chooses --samples itself"),
        (["compare", "--quick", "--min-time", "1"], "--quick chooses --min-time itself"),
        (["train", "--out", "/"], "--out /: this is a folder; name a file in it"),
        (["explain", "plain9", "--analyze", "--samples", "1" + 15 * "0"], "not enough memory"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(arguments: list[str], message: str) -> None:
    done = cnn_bench(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("cnn-bench: error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def single_options() -> list[tuple[str, str, bool]]:
    """Each command's words, each of its options that counts once, and whether it is a flag."""
    found = []
    for name, (target, _) in commands.COMMANDS.items():
        command: Any = typer.main.get_command(commands.load(target))
        group = getattr(command, "commands", None)
        leaves = {name: command} if group is None else {f"{name} {n}": c for n, c in group.items()}
        for words, one in leaves.items():
            for option in one.params:
                if option.param_type_name == "option" and not option.multiple:
                    found.append((words, option.opts[0], option.is_flag))
    return found


def test_every_option_is_found() -> None:
    found = set(single_options())
    assert {("compare", "--samples", False), ("golden verify", "--backend", False)} <= found
    assert {("model show", "--json", True), ("engine", "--model", False)} <= found
    assert {words.split()[0] for words, _, _ in found} == set(commands.COMMANDS) - {
        "cache",
        "completion",
        "show",
    }


@pytest.mark.parametrize(("words", "option", "flag"), single_options())
def test_an_option_that_counts_once_is_not_given_twice(
    words: str,
    option: str,
    flag: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [option] if flag else [option, "1"]
    monkeypatch.setattr(sys, "argv", ["cnn-bench", *words.split(), *given, *given])
    with pytest.raises(SystemExit) as ending:
        app.main()
    assert ending.value.code == 2
    assert capsys.readouterr().err == (
        f"cnn-bench: error: {option} is given 2 times: this command takes one\n"
    )


def test_debug_adds_the_traceback_wherever_it_stands() -> None:
    for arguments in (["--debug", "compare"], ["compare", "--debug"]):
        done = cnn_bench(*arguments, "--samples", "0")
        assert done.returncode == 2
        assert "Traceback" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes no files")
def test_a_file_that_cannot_be_written_is_no_bug() -> None:
    options = ["--analyze", "--samples", "1", "--trace", "/proc/trace.json"]
    done = cnn_bench("explain", "plain9", *options)
    assert done.returncode == 2
    assert done.stderr == "cnn-bench: error: --trace /proc/trace.json: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["compare"], ["cache"]])
def test_help(arguments: list[str]) -> None:
    done = cnn_bench(*arguments, "--help")
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert done.stdout.startswith("Usage: cnn-bench")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from cnn_bench import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'numpy', 'pyarrow', 'llvmlite'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert done.stdout.endswith("[]\n")


def test_version() -> None:
    assert cnn_bench("--version").stdout.startswith("cnn-bench ")


def test_compare_prints_tables_and_writes_json(inputs: list[str], tmp_path: Path) -> None:
    options = ["--samples", "1,10", "--batch-size", "4", "--runs", "2", "--min-time", "0"]
    backends = ["--backend", FAKE, "--backend", "fake_backends.MissingBackend"]
    done = cnn_bench(
        "compare", *inputs, *options, *backends, "--json", str(tmp_path / "result.json")
    )
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == "", "no progress bar without a terminal"
    assert "\x1b[" not in done.stdout
    assert "tiny (30,720 parameters)" in done.stdout
    result = read_back(tmp_path / "result.json")
    assert result.context["settings"]["batch_size"] == 4
    assert result.context["versions"]["numpy"] == np.__version__
    assert result.context["machine"]["memory_bytes"] == psutil.virtual_memory().total
    statuses = {(b.configuration, b.samples): b.status for b in result.benchmarks}
    assert statuses == {
        ("fine", 1): "PASSED",
        ("fine", 10): "PASSED",
        ("default", 1): "SKIPPED",
        ("default", 10): "SKIPPED",
    }
    assert [b.batch_size for b in result.benchmarks[:2]] == [1, 4]
    assert all(len(b.times) == 2 for b in result.benchmarks[:2])


def test_a_wrong_output_is_exit_status_1(inputs: list[str]) -> None:
    done = cnn_bench(
        "compare", *inputs, "--samples", "5", "--runs", "1", "--backend", f"{FAKE}:wrong"
    )
    assert done.returncode == 1
    assert f"{FAKE}:wrong: FAILED" in done.stdout


def test_a_tolerance_replaces_the_rule(inputs: list[str]) -> None:
    options = ["--samples", "1", "--runs", "1", "--min-time", "0", "--backend", f"{FAKE}:wrong"]
    done = cnn_bench("compare", *inputs, *options, "--atol", "logits:1e4", "--rtol", "0")
    assert done.returncode == 0
    assert "logits passes if everywhere |output - reference| <= 1e+04 + 0 |reference|." in (
        done.stdout
    )
    reason = "no output varies with the images by more than the given tolerance"
    assert f"{FAKE}:wrong: MISTRUSTED {reason}" in " ".join(done.stdout.split())


def test_a_network_gets_the_data_in_the_size_it_takes(inputs: list[str], tmp_path: Path) -> None:
    network = NetworkBuilder("grey", (1, 20, 24))
    pooled = network.global_average_pool("pool", network.conv("conv", "image", 8, 3, bias=True))
    logits = network.dense("dense", network.flatten("flatten", pooled), 10, output="logits")
    file = tmp_path / "grey.onnx"
    onnx_io.save(network.graph(logits), file)
    backends = ["--backend", "columnar", "--backend", "reference"]
    options = ["--samples", "3", "--runs", "1", "--min-time", "0", *backends]
    done = cnn_bench("compare", *inputs[2:], "--model", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "grey (170 parameters) on images.bin at 1x20x24 (10 images), in batches of up to 3" in (
        done.stdout
    )


@pytest.mark.parametrize("module", ["bench.cli.streams", "typer", "bench.cli.cache"])
def test_an_interrupt_is_one_line_however_early_it_comes(module: str) -> None:
    """As each of these is about to be used or imported: just after the start, and later."""
    program = (
        "import os, signal, sys\n"
        "from bench.cli import app, streams\n"
        "def interrupt(*_): os.kill(os.getpid(), signal.SIGINT)\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: interrupt()\n"
        f"if {module!r} == streams.__name__: streams.install = interrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['cache', 'info']\n"
        "app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "cnn-bench: interrupted\n"
