"""The plugin in a test session of its own, as another project would use it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden.small_network import RandomImages

from bench.golden.bundle import Bundle
from bench.pytest_plugin import assert_matches_golden
from columnar_nn.errors import UsageError

ROOT = Path(__file__).parents[2]


def tensors(bundle: Bundle, *names: str) -> dict[str, np.ndarray]:
    (expected,) = bundle.expected(names)
    return {name: array.copy() for name, array in expected.items()}


def test_equal_outputs_match(bundle: Bundle) -> None:
    assert_matches_golden(tensors(bundle, "logits"), bundle)
    assert_matches_golden(tensors(bundle, "conv1", "logits"), bundle.folder)


def test_wrong_inner_tensor_fails_with_the_operator(bundle: Bundle) -> None:
    outputs = tensors(bundle, "relu1", "logits")
    outputs["relu1"][2, 1, 0, 0] += 1
    said = r"First diverging tensor: relu1, .*\n.* made by relu1 \(Relu\)"
    with pytest.raises(pytest.fail.Exception, match=said):
        assert_matches_golden(outputs, bundle)
    assert_matches_golden(outputs, bundle, atol=["relu1:2"])
    assert_matches_golden(outputs, bundle, check="median")


def test_outputs_may_not_be_left_out(bundle: Bundle) -> None:
    with pytest.raises(pytest.fail.Exception, match="logits: the output is missing"):
        assert_matches_golden(tensors(bundle, "conv1"), bundle)


def test_unknown_tensor_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="conv9"):
        assert_matches_golden({"conv9": np.zeros(1)}, bundle)


def documented_example() -> tuple[str, str]:
    """The conftest.py and the test of the documentation's section on pytest."""
    text = (ROOT / "docs" / "golden.md").read_text(encoding="utf-8")
    section = text.split("## In another project's tests")[1]
    _, *blocks = section.split("```python\n")
    conftest, test = (block.split("```")[0] for block in blocks)
    return conftest, test


def run_pytest(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", *options, "-q", "."]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(bundle: Bundle, tmp_path: Path) -> Path:
    """Another project: the documented test, its backend, and its bundle."""
    shutil.copytree(bundle.folder, tmp_path / "golden" / "small")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "my_engine.py").write_text(
        "from golden.small_network import small_network\n"
        "from reference.evaluate import evaluate\n"
        "graph = small_network()\n"
        "def run(images):\n"
        "    return evaluate(graph.nodes, graph.weights, {'image': images}, ['logits'])['logits']\n"
    )
    conftest, example = documented_example()
    (tmp_path / "conftest.py").write_text(conftest)
    assert "golden/plain9-photo10" in example
    example = example.replace("golden/plain9-photo10", "golden/small")
    (tmp_path / "test_my_engine.py").write_text(example)
    return tmp_path


def test_documented_example_passes(project: Path) -> None:
    finished = run_pytest(project)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "1 passed" in finished.stdout


def test_the_plugin_is_there_where_it_is_asked_for(project: Path) -> None:
    (project / "conftest.py").unlink()
    finished = run_pytest(project)
    assert finished.returncode == 1
    assert "fixture 'golden_bundle' not found" in finished.stdout
    finished = run_pytest(project, "-p", "bench.pytest_plugin")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_documented_example_fails_for_a_wrong_engine(project: Path) -> None:
    engine = project / "my_engine.py"
    engine.write_text(engine.read_text() + "graph.weights['dense.bias'][0] += 1\n")
    finished = run_pytest(project)
    assert finished.returncode == 1
    assert "First diverging tensor: logits, within" in finished.stdout
    assert "It is made by dense (Gemm): that operator is wrong, or one before it" in finished.stdout


def test_images_are_the_bundles(bundle: Bundle) -> None:
    (batch,) = bundle.images()
    (source,) = RandomImages().batches(batch.num_rows, batch.num_rows)
    assert batch.equals(source)
