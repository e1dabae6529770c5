"""What the documented commands need, which are slow, and which cannot run in a test, and why."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from documentation.commands import ROOT
from PIL import Image

from bench.data.dataset import open_dataset
from columnar_nn.data import tensor_column

_RECORDED = ROOT / "tests" / "difference" / "recorded"
_SESSIONS = {
    "base.json": _RECORDED / "ten_quiet_base.json",
    "new.json": _RECORDED / "ten_quiet_new.json",
}
_COMPARE = ROOT / "tests" / "report" / "data" / "compare.json"
_WEIGHTS = ROOT / "columnar_nn" / "model" / "weights"
_PAGE = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
_FUNCTIONS = re.findall(r"^```python\n(.*?@columnar_nn\.\w+_function.*?)^```$", _PAGE, re.M | re.S)


def _photographs(folder: Path, labelled: bool = True) -> None:
    """Some of photo10 as PNG files, in a folder for each class or in one."""
    (batch,) = open_dataset("photo10").batches(20, 20)
    images = tensor_column.to_numpy(batch.column("image")).transpose(0, 2, 3, 1)
    for row, label in enumerate(batch.column("label").to_pylist()):
        at = folder / str(label) if labelled else folder
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[row]).save(at / f"{row}.png")


def _free_network(file: Path) -> None:
    """A convolution of images of any size."""
    nodes = [onnx.helper.make_node("Conv", ["x", "w"], ["y"])]
    free = onnx.helper.make_tensor_value_info("x", 1, ["batch", 3, "height", "width"])
    made = onnx.helper.make_tensor_value_info("y", 1, None)
    weights = [onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")]
    graph = onnx.helper.make_graph(nodes, "free", [free], [made], weights)
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), file)


def _pair_network(file: Path) -> None:
    """Five numbers beside a picture, each weighed by itself."""
    nodes = [
        onnx.helper.make_node("Flatten", ["picture"], ["pixels"]),
        onnx.helper.make_node("Concat", ["pixels", "numbers"], ["row"], axis=1),
        onnx.helper.make_node("Gemm", ["row", "w"], ["y"]),
    ]
    picture = onnx.helper.make_tensor_value_info("picture", 1, ["batch", 3, 8, 8])
    numbers = onnx.helper.make_tensor_value_info("numbers", 1, ["batch", 5])
    made = onnx.helper.make_tensor_value_info("y", 1, ["batch", 4])
    random = np.random.default_rng(0).standard_normal((197, 4), np.float32)
    weights = [onnx.numpy_helper.from_array(random, "w")]
    graph = onnx.helper.make_graph(nodes, "pair", [picture, numbers], [made], weights)
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), file)


def _pairs(file: Path) -> None:
    """Rows for it, with labels."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (20, 3, 8, 8), np.uint8)
    numbers = random.standard_normal((20, 5), np.float32)
    np.savez(file, picture=pictures, numbers=numbers, y=np.arange(20) % 4)


GIVEN = {
    "README.md": {
        "mine.onnx": _WEIGHTS / "plain9.onnx",
        "compare.json": _COMPARE,
        **_SESSIONS,
    },
    "docs/data.md": {
        "photos": _photographs,
        "free.onnx": _free_network,
        "pair.onnx": _pair_network,
        "pairs.npz": _pairs,
        "flat": partial(_photographs, labelled=False),
        "flat.csv": "".join(f"{row}.png,{row % 3}\n" for row in range(20)),
    },
    "docs/diff.md": _SESSIONS,
    "docs/functions.md": {
        "mine.onnx": _WEIGHTS / "plain9.onnx",
        "mine.py": "\n\n".join(_FUNCTIONS),
    },
    "docs/report.md": {"compare.json": _COMPARE},
    "docs/study.md": {"docs/study.toml": ROOT / "docs" / "study.toml"},
    "docs/sql.md": {
        "mine.onnx": _WEIGHTS / "plain9.onnx",
        "classes.csv": "label,name\n0,astronaut\n1,cat\n2,coffee\n3,galaxy\n",
        "query.sql": "SELECT name, label FROM classes WHERE label > 1\nORDER BY 1",
    },
}
"""What the reader has that a page speaks of and no command before makes: a file of the project,
its text, or what writes it."""

NIGHTLY = {
    "cnn-bench backends --measure --json ease.json",
    "cnn-bench report ease.json -o ease.html",
    "cnn-bench doctor",
    "cnn-bench compare",
    "cnn-bench engine",
    "cnn-bench engine --part peers",
    "cnn-bench engine --part peers,batches --budget 20 --json engine.json",
    "cnn-bench engine --part roofline,layers",
    "cnn-bench engine --part operators --json operators.json",
    "cnn-bench engine --part steps",
    "cnn-bench engine --part latency,networks,threads,coldstart",
    "cnn-bench compare --query sites",
    "cnn-bench compare --query sites --samples 500 --budget 20",
    "cnn-bench compare --query agreement --samples 1000,10000 --budget 60 --json agreement.json",
    "cnn-bench compare --model resnet18 --samples 1,8",
    "cnn-bench compare --model mine.onnx --data synthetic --samples 1,32",
    "cnn-bench compare --model resnet20 --samples 1,8,32 --threads 1",
    "cnn-bench compare --model resnet18 --data synthetic --samples 1,8,32",
    "cnn-bench compare --model resnet50 --data synthetic --samples 1,4",
    "cnn-bench compare --model mobilenet_v2 --data synthetic --samples 1,8",
    "cnn-bench compare --backend columnar --backend velox",
    "cnn-bench compare --backend velox:cross_join --samples 32 --budget 60",
    "cnn-bench profile",
    "cnn-bench data make photo10 --out DIR",
    "cnn-bench sweep --model plain9,plain9@width=2 --backend columnar --samples 100 --out width",
    "cnn-bench study run mine.toml --only samples=1 "
    "--only 'backend=columnar:*' --only model=plain9",
    "cnn-bench sweep --backend columnar --backend onnxruntime --samples 400 --cores 2 --out cores",
    "cnn-bench sweep --backend columnar --samples 400 --batch-size 32 --threads 2,1 "
    "--processes 1,2 --zip threads,processes --partitions 4,4:zipf --out skew",
    "cnn-bench compare --scenario server --rate auto --latency-limit 10ms --json knee.json",
    "cnn-bench compare --scenario server --rate auto --latency-limit 10ms",
    "cnn-bench compare --scenario multi-stream --samples 8,32 --backend columnar "
    "--backend onnxruntime",
    "cnn-bench train --out plain9.onnx",
    "cnn-bench train --model resnet20 --crops 96000 --images 48000 --out resnet20.onnx",
}
"""They take over 20 seconds on two cores."""

SETS_UP = "a target of make, which sets up an environment by downloads; "
FORM = "a form or a mention, with a placeholder or an argument left out"
SPARK = "needs Spark and Java; tests/cluster runs it"
NOT_RUN = {
    "make compare": SETS_UP + "its command is run",
    "make test": SETS_UP + "continuous integration runs it",
    "make quick": SETS_UP + "a part of make test",
    "make lint": SETS_UP + "continuous integration runs it",
    "make help": "lists the targets of make",
    "make fuzz TARGET=graphs SEED=1000 MINUTES=5": SETS_UP + "make nightly fuzzes",
    "make fuzz TARGET=onnx_files SEED=5000 MINUTES=10": SETS_UP + "make nightly fuzzes",
    "make fuzz TARGET=convolutions": SETS_UP + "make nightly fuzzes",
    "make fuzz TARGET=queries": SETS_UP + "make nightly fuzzes",
    "make fuzz TARGET=sql_texts SEED=1 MINUTES=5": SETS_UP + "make nightly fuzzes",
    "make fuzz TARGET=tiles": SETS_UP + "make nightly fuzzes",
    "make documented": SETS_UP + "this suite itself",
    "make soak": SETS_UP + "continuous integration runs it",
    "make study": SETS_UP + "make nightly runs it",
    "make notebook": SETS_UP + "the notebook runs as a script: test_library.py",
    "make pages": SETS_UP + "measures anew what pages show, and rewrites them",
    "make nightly": SETS_UP + "takes hours",
    "make differences": SETS_UP + "make nightly measures",
    "make networks": SETS_UP + "make nightly runs it",
    'pip install -c constraints.txt -e ".[all]"': "downloads the frameworks",
    'pip install -c constraints.txt -e ".[report]"': "downloads what draws charts",
    'pip install -c constraints.txt -e ".[cluster]"': "downloads Spark",
    "cnn-bench cluster run --images images --out predictions": SPARK,
    "cnn-bench cluster run --images images --labels labels.parquet --group-by predicted,label "
    "--out predictions": SPARK,
    "cnn-bench cluster run --on sail": FORM,
    "cnn-bench cluster compare": SPARK,
    "cnn-bench cluster simulate compare.json --executors 1-1000*10": "of a file that needs Spark",
    "make cluster-demo": SETS_UP + "takes minutes",
    "make cluster-test": SETS_UP + "continuous integration runs it",
    "make sail-test": SETS_UP + "make nightly runs it",
    "make spark35-test": SETS_UP + "make nightly runs it",
    "python -m venv velox": "downloads Spark with Velox",
    'pipx install ".[all]"': "downloads the frameworks",
    'uv tool install ".[all]"': "downloads the frameworks",
    "python -m cnn_bench": "a mention; tests/test_installation.py runs it, installed",
    "cnn-bench data fetch cifar10": "downloads CIFAR-10; a test fetches from a server of its own",
    "cnn-bench golden bundle": "a word of the manifest, no command",
    "cnn-bench data info": FORM,
    "cnn-bench model check FILE": FORM,
    "cnn-bench show FILE...": FORM,
    "cnn-bench check FILE...": FORM,
    "cnn-bench merge A B -o C": FORM,
    "cnn-bench merge": FORM,
    "cnn-bench report": FORM,
    "cnn-bench report FILE...": FORM,
    "cnn-bench sweep": FORM,
    "cnn-bench study": FORM,
    "cnn-bench study replay RESULTS": FORM,
    "make browser": SETS_UP + "continuous integration runs it",
    "cnn-bench explain --trace": FORM,
    "cnn-bench profile --rounds 7 --backend columnar:none/auto "
    "--backend columnar:layer/auto ...": FORM,
}
"""Each with its reason."""
