"""The import is held against the file itself: what is misread is found, in every kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_files import node, write

from bench.model import check as import_check
from bench.model import check_key as import_check_key
from bench.model.check import EQUAL, MISREAD, NOT_DONE, ImportCheck
from bench.workers.options import Options
from columnar_nn.model import canonical, zoo
from columnar_nn.model.graph import Graph, Node
from columnar_nn.settings import cache_root

pytest.importorskip("onnxruntime")
TIMEOUT_S = 60.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(folder))
    return folder


def check(file: Path, graph: Graph | None = None, timeout: float = TIMEOUT_S) -> ImportCheck:
    graph = zoo.resolve(str(file)) if graph is None else graph
    return import_check.check(file, graph, Options((0,), timeout))


def with_node(graph: Graph, op_type: str, change: Callable[[Node], Node]) -> Graph:
    nodes = tuple(change(node) if node.op_type == op_type else node for node in graph.nodes)
    return replace(graph, nodes=nodes)


def with_attributes(graph: Graph, op_type: str, **attributes: object) -> Graph:
    return with_node(
        graph,
        op_type,
        lambda node: replace(node, attributes={**node.attributes, **attributes}),
    )


def with_weight(graph: Graph, op_type: str, place: int, factor: float) -> Graph:
    (name,) = {node.inputs[place] for node in graph.nodes if node.op_type == op_type}
    weights = dict(graph.weights)
    weights[name] = (weights[name] * factor).astype(np.float32)
    return replace(graph, weights=weights)


def swapped_inputs(graph: Graph) -> Graph:
    def swap(node: Node) -> Node:
        data, scale, shift, mean, variance = node.inputs
        return replace(node, inputs=(data, scale, mean, shift, variance))

    return with_node(graph, "BatchNormalization", swap)


def test_a_file_that_was_read_right(tmp_path: Path) -> None:
    found = check(write(tmp_path / "right.onnx"))
    assert (found.verdict, found.reason, found.runner) == (EQUAL, "", "ONNX Runtime")
    (output,) = found.outputs
    assert (output.name, output.shape, output.says_something) == ("y", (4, 4), True)
    assert found.images == 4
    assert found.line().startswith("import checked against ONNX Runtime ")
    assert " on the file itself: equal " in found.line()
    assert found.exit_code() == 0


MISREADINGS: dict[str, Callable[[Graph], Graph]] = {
    "attribute default": lambda g: with_attributes(g, "LeakyRelu", alpha=0.01),
    "epsilon": lambda g: with_attributes(g, "BatchNormalization", epsilon=1e-5),
    "an activation left out": lambda g: with_node(
        g, "LeakyRelu", lambda n: replace(n, op_type="Identity", attributes={})
    ),
    "inputs swapped": swapped_inputs,
    "weights 3% off": lambda g: with_weight(g, "Conv", 1, 1.03),
    "weights 0.01% off": lambda g: with_weight(g, "Gemm", 1, 1.0001),
}


@pytest.mark.parametrize("misreading", MISREADINGS)
def test_a_misreading_is_found(misreading: str, tmp_path: Path) -> None:
    file = write(tmp_path / "file.onnx")
    found = check(file, MISREADINGS[misreading](zoo.resolve(str(file))))
    assert found.verdict == MISREAD
    assert found.reason.startswith("output y: it differs by")
    assert found.exit_code() == 1
    assert found.line().startswith("MISREAD: the import differs from the file in ONNX Runtime ")


def test_rounding_is_no_misreading(tmp_path: Path) -> None:
    """Batch normalisation folded into the weights is the same network, rounded otherwise."""
    file = write(tmp_path / "file.onnx")
    graph = zoo.resolve(str(file))
    (conv, norm, *rest) = graph.nodes
    scale, shift, mean, variance = (graph.weights[name] for name in norm.inputs[1:])
    factor = scale / np.sqrt(variance + np.float32(norm.attributes["epsilon"]))
    weights = {
        **graph.weights,
        "w": graph.weights["w"] * factor[:, None, None, None],
        "b": (graph.weights["b"] - mean) * factor + shift,
    }
    folded = replace(graph, nodes=(replace(conv, outputs=norm.outputs), *rest), weights=weights)
    found = check(file, folded)
    assert (found.verdict, found.reason) == (EQUAL, "")
    assert 0 < found.difference < 1e-5


def test_a_rule_of_the_importer_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "file.onnx", [node("Flatten", "x", "f"), node("Sum", "f f f", "y")])
    right = canonical.CANONICAL_FORMS["Sum"]

    def wrong(total: Node, rewriting: canonical.Rewriting) -> list[Node]:
        return right(replace(total, inputs=total.inputs[:-1]), rewriting)

    assert check(file).verdict == EQUAL
    cache_root.clear()
    monkeypatch.setitem(canonical.CANONICAL_FORMS, "Sum", wrong)
    assert check(file).verdict == MISREAD


KINDS: dict[str, dict[str, object]] = {
    "one image": {"batch": 1},
    "three images": {"batch": 3},
    "five images": {"batch": 5},
    "external data": {"external": True},
    "two outputs": {"outputs": ("y", "a")},
    "outputs in another order": {"outputs": ("a", "y")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_files(kind: str, tmp_path: Path) -> None:
    found = check(write(tmp_path / "file.onnx", **KINDS[kind]))  # type: ignore[arg-type]
    assert (found.verdict, found.reason) == (EQUAL, "")
    assert [output.name for output in found.outputs] == [*KINDS[kind].get("outputs", ("y",))]
    assert all(output.shape[0] == found.images for output in found.outputs)


def test_an_output_that_the_import_lacks(tmp_path: Path) -> None:
    file = write(tmp_path / "file.onnx", outputs=("y", "a"))
    graph = zoo.resolve(str(file))
    found = check(file, graph.with_outputs(graph.outputs[:1]))
    assert (found.verdict, found.reason) == (MISREAD, "its outputs are y, the file's y, a")


def test_outputs_that_do_not_depend_on_the_images_say_little(tmp_path: Path) -> None:
    nodes = [node("Flatten", "x", "f"), node("Sub", "f f", "y")]
    found = check(write(tmp_path / "file.onnx", nodes))
    assert found.verdict == EQUAL
    assert "no output depends on the images, so that this says little" in found.line()


def test_a_network_that_mixes_the_images_of_a_batch(tmp_path: Path) -> None:
    nodes = [node("Softmax", "x", "y", axis=0)]
    file = write(tmp_path / "tied.onnx", nodes, batch=3)
    found = check(file)
    assert (found.verdict, found.images) == (EQUAL, 6)
    free = write(tmp_path / "free.onnx", nodes)
    graph = replace(zoo.resolve(str(file)), file=str(free))
    inputs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in graph.inputs)
    outputs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in graph.outputs)
    found = check(free, replace(graph, inputs=inputs, outputs=outputs))
    assert found.verdict == MISREAD
    assert "it mixes the images of a batch: output 'y' of image" in found.reason


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Puts a module of this content in the place of ONNX Runtime, for workers."""
    folder = folder / "stand_in"
    folder.mkdir()
    (folder / "onnxruntime.py").write_text(program)
    monkeypatch.syspath_prepend(folder)


ABORTS = "import os; print('a last word', flush=True); os.abort()"
HANGS = "import time; time.sleep(3600)"
REFUSES = """
def InferenceSession(*arguments, **options): raise RuntimeError("no such operator\\nat length")
class SessionOptions: pass
class GraphOptimizationLevel: ORT_ENABLE_ALL, ORT_DISABLE_ALL = 1, 0
"""
MISSING = "raise ImportError"
AUTO_PAD = [node("MaxPool", "x", "p", kernel_shape=[3, 3], auto_pad="SAME_UPPER")]
AUTO_PAD.append(node("Flatten", "p", "y"))


@pytest.mark.parametrize(
    ("program", "reason", "is_remembered"),
    [
        (ABORTS, "ONNX Runtime cannot be loaded: killed by SIGABRT: a last word", False),
        (HANGS, "ONNX Runtime cannot be loaded: no answer to load_runner within 2 s", False),
        (REFUSES, "ONNX Runtime cannot run the file: RuntimeError: no such operator", True),
        (MISSING, "onnxruntime is not installed: pip install", True),
    ],
    ids=["aborts", "hangs", "refuses", "missing"],
)
def test_without_onnx_runtime(
    program: str,
    reason: str,
    is_remembered: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """onnx.reference takes its place; what that gets wrong is not checked, and the reason said."""
    stand_in(tmp_path, monkeypatch, program)
    found = check(write(tmp_path / "file.onnx"), timeout=2 if program == HANGS else TIMEOUT_S)
    assert (found.verdict, found.runner) == (EQUAL, "onnx.reference"), found
    file = write(tmp_path / "padded.onnx", AUTO_PAD)
    found = check(file, timeout=2 if program == HANGS else TIMEOUT_S)
    assert found.verdict == NOT_DONE
    assert found.reason.startswith(reason)
    assert found.reason.endswith("; onnx.reference gets auto_pad wrong")
    assert found.line() == f"import not checked: {found.reason}"
    assert found.exit_code() == 0
    assert check(file, timeout=2 if program == HANGS else TIMEOUT_S).remembered == is_remembered


def test_onnx_reference_finds_a_misreading_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, MISSING)
    file = write(tmp_path / "file.onnx")
    graph = MISREADINGS["weights 0.01% off"](zoo.resolve(str(file)))
    assert check(file, graph).verdict == MISREAD


def test_networks_too_large_for_onnx_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, MISSING)
    monkeypatch.setattr(import_check, "REFERENCE_MACS", 1000)
    found = check(write(tmp_path / "file.onnx"))
    assert found.verdict == NOT_DONE
    assert "onnx.reference would take too long: 0 million multiply-accumulates" in found.reason


def test_operators_that_nothing_runs(tmp_path: Path) -> None:
    graph = zoo.resolve(str(write(tmp_path / "known.onnx")))
    custom = helper.make_node("Secret", ["x"], ["y"], domain="our.own")
    model = helper.make_model(
        helper.make_graph(
            [custom],
            "custom",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("our.own", 1)],
    )
    file = tmp_path / "custom.onnx"
    file.write_bytes(model.SerializeToString())
    found = check(file, graph)
    assert found.verdict == NOT_DONE
    assert "ONNX Runtime cannot run the file: " in found.reason
    assert "; onnx.reference cannot run the file: " in found.reason


def test_an_import_that_does_not_run_is_said(tmp_path: Path) -> None:
    """No runner takes an LRN of even size."""
    nodes = [node("LRN", "x", "l", size=3, alpha=1.0), node("Flatten", "l", "y")]
    file = write(tmp_path / "file.onnx", nodes)
    found = check(file, with_attributes(zoo.resolve(str(file)), "LRN", size=2))
    assert found.verdict == NOT_DONE
    assert found.reason.startswith("ONNX Runtime runs the file but not its import: ")


def test_results_are_remembered_until_a_byte_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "file.onnx", external=True)
    first = check(file)
    assert not first.remembered
    assert check(file) == replace(first, remembered=True)
    assert check(file).line().endswith("(remembered)")
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("file.onnx", "weights.bin"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    assert check(other / "file.onnx").remembered, "where a file lies says nothing"
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[3] ^= 0x80  # the sign of the first weight
    (tmp_path / "weights.bin").write_bytes(data)
    assert not check(file).remembered
    right = zoo.resolve(str(file))
    data[3] ^= 0x80
    (tmp_path / "weights.bin").write_bytes(data)
    assert check(file).remembered
    file.write_bytes(file.read_bytes().replace(b"c_node", b"d_node"))
    found = check(file, right)
    assert (found.verdict, found.remembered) == (MISREAD, False)


def test_external_data_is_read_once_however_many_weights_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "file.onnx", external=True)
    read: list[Path] = []
    blocks = import_check_key._blocks
    monkeypatch.setattr(import_check_key, "_blocks", lambda path: read.append(path) or blocks(path))
    import_check_key.key(file, [])
    assert read == [tmp_path / "weights.bin"]


@pytest.mark.parametrize("location", ["../outside.bin", "/dev/zero", "/proc/kcore", "x" * 5000])
def test_external_data_is_read_only_where_the_import_may(location: str, tmp_path: Path) -> None:
    """A weight that no output needs may be said to lie anywhere."""
    (tmp_path / "outside.bin").write_bytes(b"secret")
    folder = tmp_path / "model"
    folder.mkdir()
    file = write(folder / "file.onnx")
    model = onnx.load(file)
    unread = model.graph.initializer.add(name="unread", data_type=TensorProto.FLOAT, dims=[1])
    unread.data_location = TensorProto.EXTERNAL
    unread.external_data.add(key="location", value=location)
    file.write_bytes(model.SerializeToString())
    key = import_check_key.key(file, [])
    (tmp_path / "outside.bin").write_bytes(b"other")
    assert import_check_key.key(file, []) == key


@pytest.mark.parametrize("change", ["importer", "runtime"])
def test_another_importer_or_runtime_checks_again(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "file.onnx")
    key = import_check_key.key(file, [])
    import_check_key._versions.cache_clear()
    assert import_check_key.key(file, []) == key
    import_check_key._versions.cache_clear()
    if change == "importer":
        sources = import_check_key.SOURCES
        assert any(list(import_check_key.ROOT.glob(pattern)) for pattern in sources)
        monkeypatch.setattr(import_check_key, "SOURCES", sources[1:])
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda name: "another")
    try:
        assert import_check_key.key(file, []) != key
    finally:
        import_check_key._versions.cache_clear()


def test_a_damaged_result_is_made_again(tmp_path: Path, cache: Path) -> None:
    file = write(tmp_path / "file.onnx")
    check(file)
    (stored,) = cache.rglob("*.import-check")
    for content in ("{", json.dumps({"verdict": EQUAL})):
        stored.write_text(content)
        assert not check(file).remembered


def relu(file: Path, name: str, batch: int | str) -> Path:
    """A file of one Relu, its input called `name`."""
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, (batch, 3, 8, 8))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node("Relu", name, "y")], "made", [value], [output])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    return file


@pytest.mark.parametrize("name", ["file", "allow_pickle", "arr_0", "../x", "x.npy"])
def test_an_input_may_have_any_name(name: str, tmp_path: Path) -> None:
    found = check(relu(tmp_path / "m.onnx", name, "N"))
    assert (found.verdict, found.reason, found.images) == (EQUAL, "", import_check.IMAGES)


def test_a_batch_too_large_to_fill_up_is_not_tried(tmp_path: Path) -> None:
    found = check(relu(tmp_path / "m.onnx", "x", 10**6))
    assert found.verdict == NOT_DONE
    assert "a batch of 1,000,000 images is 192,000,000 pixels" in found.reason
