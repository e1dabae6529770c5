"""What a process loads to run a network whose kernels are in the cache: modules, not seconds."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from exec.networks import images

from adapters.base import Settings, Stopwatch
from adapters.columnar_backend import ColumnarBackend
from columnar_nn.exec.operators.registry import MODULES
from columnar_nn.model import zoo

HEAVY = (
    *(
        "numba",
        "llvmlite.binding",
        "tempfile",
        "onnx",
        "google.protobuf",
        "pandas",
        "sqlglot",
        "PIL",
        "pyarrow.compute",
    ),
    *("pydoc", "importlib.metadata", "email", "columnar_nn.model.zoo"),
    *("hashlib", "hmac"),  # which load OpenSSL
)
"""Each takes longer to load than a small network takes to be built, or comes with one that does."""

OF_OTHER_PLANS = {
    *("columnar_nn.functions.scalar", "columnar_nn.functions.activations"),
    *("columnar_nn.kernels.bfloat16", "columnar_nn.kernels.pool", "columnar_nn.kernels.bottleneck"),
    *("columnar_nn.kernels.textbook", "columnar_nn.kernels.depthwise"),
    *("columnar_nn.kernels.softmax", "columnar_nn.kernels.resize", "columnar_nn.kernels.rearrange"),
    *("columnar_nn.kernels.normalization", "columnar_nn.kernels.bfloat16_reorder"),
    *("columnar_nn.lowering.along_axes", "columnar_nn.lowering.resize"),
    *("columnar_nn.plan.hash_join", "columnar_nn.plan.join", "columnar_nn.plan.aggregation"),
    *("columnar_nn.plan.order", "columnar_nn.plan.unnest"),
    *("columnar_nn.plan.rewrites.filter_early", "columnar_nn.plan.rewrites.prune_columns"),
    *("columnar_nn.plan.rewrites.fold_batch_norm", "columnar_nn.plan.rewrites.conditions"),
    *("columnar_nn.plan.rewrites.fuse_activations", "columnar_nn.plan.rewrites.patterns"),
    *("columnar_nn.plan.rewrites.fuse_normalizations", "columnar_nn.plan.expression_text"),
    *("columnar_nn.exec.task", "columnar_nn.exec.driver", "columnar_nn.exec.stats"),
    "columnar_nn.exec.step_stats",
    *(
        "columnar_nn.exec.step_stats",
        "columnar_nn.data.row_groups",
        "columnar_nn.data.named_arrays",
    ),
    *("columnar_nn.kernels.reorder", "columnar_nn.kernels.team", "columnar_nn.kernels.huge_pages"),
    *("columnar_nn.functions.batch_norm", "columnar_nn.functions.arithmetic"),
}
"""Of this project, what plain9 has no use for: these are 20% of such a start."""

PROGRAM = """
import pickle, sys
import numpy as np, pyarrow as pa
from adapters.base import Settings, Stopwatch
from adapters.{module} import {name} as Backend
from columnar_nn.data import tensor_column
Backend.import_framework()
engine = Backend(pickle.loads(sys.stdin.buffer.read()), Settings("{configuration}", 1, 1))
image = tensor_column.from_numpy(np.zeros((1, 3, 32, 32), np.uint8))
(output,) = engine.infer([pa.record_batch({{"image": image}})], Stopwatch())
assert output.num_rows == 1
print(*sys.modules)
"""


def loaded(module: str, name: str, configuration: str) -> set[str]:
    program = PROGRAM.format(module=module, name=name, configuration=configuration)
    graph = pickle.dumps(zoo.build("plain9"))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=graph, check=True, capture_output=True)
    return set(done.stdout.decode().split())


def test_a_start_loads_only_what_a_network_needs() -> None:
    engine = ColumnarBackend(zoo.build("plain9"), Settings("pipeline/auto", 1, 1))
    list(engine.infer([images(1, (3, 32, 32)).select(["image"])], Stopwatch()))  # compiles
    found = loaded("columnar_backend", "ColumnarBackend", "pipeline/auto")
    assert not found & {*HEAVY, *OF_OTHER_PLANS}
    operators = {f"columnar_nn.exec.operators.{module}" for module in MODULES.values()}
    needed = {f"columnar_nn.exec.operators.{module}" for module in ("table_scan", "filter_project")}
    assert found & operators == needed


def test_a_peer_is_not_made_to_load_what_it_does_not_need() -> None:
    pytest.importorskip("onnxruntime")
    found = loaded("onnxruntime_backend", "OnnxRuntimeBackend", "default")
    others = {"pandas", "onnx.reference", "columnar_nn.model.importer", "columnar_nn.kernels"}
    assert not found & others
