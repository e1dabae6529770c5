"""columnar_nn/model/onnx_io.py: what is written, what is read back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.errors import (
    CnnBenchError,
    InvalidModelError,
    UnsupportedOperatorError,
    UsageError,
)
from columnar_nn.model import onnx_io, zoo


def value(
    name: str, *shape: int | str | None, dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def written(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray] | None = None,
    inputs: list[onnx.ValueInfoProto] | None = None,
    opset: int = 21,
) -> Path:
    """An ONNX file of `nodes` from "x" [batch, 3, 4, 4] to "y"."""
    graph = helper.make_graph(
        nodes,
        "made",
        inputs or [value("x", "batch", 3, 4, 4)],
        [value("y", "rows")],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return path


@pytest.mark.parametrize("name", ["plain9", "resnet20", "mobilenet_v2", "squeezenet"])
def test_a_network_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    graph = zoo.build(name)
    onnx_io.save(graph, tmp_path / "network.onnx")
    loaded = onnx_io.load(tmp_path / "network.onnx")
    assert (loaded.name, loaded.nodes) == (graph.name, graph.nodes)
    assert (loaded.inputs, loaded.outputs) == (graph.inputs, graph.outputs)
    assert list(loaded.weights) == list(graph.weights)
    for key, weight in graph.weights.items():
        assert_close(loaded.weights[key], weight, rtol=0, atol=0)


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{i}.onnx" for i in range(3))
    onnx_io.save(zoo.build("resnet20"), first)
    onnx_io.save(zoo.build("resnet20"), second)
    onnx_io.save(onnx_io.load(first), third)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_constants_become_weights_and_nodes_get_names(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0, 4.0])
    nodes = [
        constant,
        helper.make_node("Add", ["x", "c"], ["a"], name="same"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"], name="same"),
    ]
    graph = onnx_io.load(written(tmp_path / "m.onnx", nodes))
    assert [(n.name, n.op_type) for n in graph.nodes] == [
        ("same", "Add"), ("relu_2", "Relu"), ("same_3", "Relu")]  # fmt: skip
    assert_close(graph.weights["c"], np.array([1, 2, 3, 4], np.float32), rtol=0, atol=0)


def test_attributes_are_explicit(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Softmax", ["c"], ["y"]),
    ]
    graph = onnx_io.load(written(tmp_path / "m.onnx", nodes, {"w": normal(0, 5, 3, 3, 3)}))
    assert graph.nodes[0].attributes == {
        "dilations": [1, 1],
        "group": 1,
        "kernel_shape": [3, 3],
        "pads": [0, 0, 1, 1],
        "strides": [2, 2],
    }
    assert graph.nodes[1].attributes == {"axis": -1}
    assert graph.outputs[0].shape == (None, 5, 2, 2)


def test_split_and_sum_become_slices_and_adds(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, num_outputs=3, name="split"),
        helper.make_node("Sum", ["a", "b", "c"], ["y"], name="sum"),
    ]
    graph = onnx_io.load(written(tmp_path / "m.onnx", nodes))
    assert [n.op_type for n in graph.nodes] == ["Slice"] * 3 + ["Add"] * 2
    assert graph.outputs[0].shape == (None, 1, 4, 4)


def test_truth_values_become_numbers_by_a_choice(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["mask"]),
        helper.make_node("Cast", ["mask"], ["y"], to=TensorProto.FLOAT),
    ]
    weights = {"zero": np.array(0, np.float32)}
    graph = onnx_io.load(written(tmp_path / "m.onnx", nodes, weights))
    assert [n.op_type for n in graph.nodes] == ["Greater", "Where"]
    assert graph.outputs[0].dtype == "float32"


@pytest.mark.parametrize(
    ("node", "dtype"),
    [
        (helper.make_node("ArgMax", ["x"], ["made"], axis=1), "int64"),
        (helper.make_node("Equal", ["x", "x"], ["made"]), "bool"),
    ],
)
def test_what_is_no_float32_is_read_by_what_takes_it_alone(
    node: onnx.NodeProto, dtype: str, tmp_path: Path
) -> None:
    nodes = [node, helper.make_node("Relu", ["made"], ["y"])]
    with pytest.raises(InvalidModelError, match=f"input 'made' is {dtype}; here it may be float32"):
        onnx_io.load(written(tmp_path / "m.onnx", nodes))


def test_every_unsupported_node_is_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="fine"),
        helper.make_node("MaxPool", ["b"], ["c", "indices"], name="second", kernel_shape=[2, 2]),
        helper.make_node("Gelu", ["c", "indices"], ["y"], name="third", domain="com.microsoft"),
    ]
    with pytest.raises(UnsupportedOperatorError) as raised:
        onnx_io.load(written(tmp_path / "m.onnx", nodes))
    assert [node[:2] for node in raised.value.nodes] == [
        ("first", "Sin"), ("second", "MaxPool"), ("third", "Gelu")]  # fmt: skip
    assert "\n" not in str(raised.value)


def test_every_truncation_is_refused_in_one_line(tmp_path: Path) -> None:
    content = onnx_io.to_proto(zoo.build("plain9")).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in [*range(0, 200, 7), *range(200, len(content), len(content) // 40)]:
        path.write_bytes(content[:length])
        with pytest.raises(InvalidModelError, match=r"cut\.onnx: [^\n]*export it again$"):
            onnx_io.load(path)


@pytest.mark.parametrize("content", [b"not a network", b"\x00" * 100, b"PK\x03\x04" + b"z" * 50])
def test_garbage_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"bad\.onnx: [^\n]*$"):
        onnx_io.load(path)


@pytest.mark.parametrize("name", ["a node", "an edge", "a weight", "Relu", "an axis"])
def test_a_name_that_is_not_utf_8_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["an edge"], name="a node"),
        helper.make_node("Add", ["an edge", "a weight"], ["y"], **{"an axis": 1}),
    ]
    weight = numpy_helper.from_array(np.ones(1, np.float32), "a weight")
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 4, 4]) for n in "xy"]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], [weight])
    content = helper.make_model(graph).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(content.replace(name.encode(), b"\xff" * len(name)))
    with pytest.raises(InvalidModelError, match="not UTF-8"):
        onnx_io.load(path)


def test_a_damaged_byte_raises_nothing_but_our_errors(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], name="conv"),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    path = written(tmp_path / "m.onnx", nodes, {"w": normal(0, 2, 3, 3, 3)})
    content = bytearray(path.read_bytes())
    messages = []
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        path.write_bytes(damaged)
        try:
            onnx_io.load(path)
        except CnnBenchError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("missing", ["nowhere.onnx", "."])
def test_a_path_without_a_file_is_a_usage_error(missing: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read model"):
        onnx_io.load(tmp_path / missing)


def test_dangling_edges_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["nothing"], ["y"])]
    with pytest.raises(InvalidModelError, match=r"m\.onnx: .*nothing"):
        onnx_io.load(written(tmp_path / "m.onnx", nodes))


def test_operands_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="wide")]
    with pytest.raises(InvalidModelError, match=r"m\.onnx: node wide \(Conv\): 3 channels"):
        onnx_io.load(written(tmp_path / "m.onnx", nodes, {"w": normal(0, 2, 5, 3, 3)}))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (value("x", "batch", 3, "height", 4), "dimension 2 of input 'x' is symbolic"),
        (value("x", 1, 3, 4, 4, dtype=TensorProto.INT32), "of no floating-point type"),
        (value("x", 1, 3, 4, 4, dtype=TensorProto.UINT8), "is uint8, of no floating-point type"),
        (value("x", 1, 3, 4, 4, dtype=99), "is unknown, of no floating-point type"),
        (helper.make_tensor_value_info("x", TensorProto.FLOAT, None), "no name or no shape"),
    ],
)
def test_inputs_that_are_not_fixed_images_are_refused(
    made: onnx.ValueInfoProto, message: str, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    with pytest.raises(InvalidModelError, match=message):
        onnx_io.load(written(tmp_path / "m.onnx", nodes, inputs=[made]))


def test_a_batch_of_minus_one_is_free(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = written(tmp_path / "m.onnx", nodes, inputs=[value("x", -1, 3, 4, 4)])
    assert onnx_io.load(path).inputs[0].shape == (None, 3, 4, 4)


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    weights = {"w": normal(0, 4).astype(np.float16)}
    with pytest.raises(InvalidModelError, match=r"'w' is float16.*export in float32"):
        onnx_io.load(written(tmp_path / "m.onnx", nodes, weights))


def external(folder: Path, location: str) -> Path:
    """A model whose weight "w" is said to lie in the file `location`."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    path = written(folder / "m.onnx", nodes, {"w": np.zeros(4, np.float32)})
    model = onnx.load(path, load_external_data=False)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=text)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    weight = normal(3, 4)
    (tmp_path / "weights.bin").write_bytes(weight.tobytes())
    graph = onnx_io.load(external(tmp_path, "weights.bin"))
    assert_close(graph.weights["w"], weight, rtol=0, atol=0)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link.bin", ""])
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(InvalidModelError, match="outside the model's folder"):
        onnx_io.load(external(folder, location))


def test_missing_or_short_external_weights_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path, "weights.bin")
    with pytest.raises(InvalidModelError, match=r"weights\.bin, which is missing"):
        onnx_io.load(path)
    (tmp_path / "weights.bin").write_bytes(bytes(8))
    with pytest.raises(InvalidModelError, match="'w'"):
        onnx_io.load(path)
