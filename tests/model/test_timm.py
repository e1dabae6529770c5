"""Networks of timm, exported with few pixels, load and give what their files give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar

from columnar_nn.model import zoo

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns

QUICK = {
    "convnext_atto": 32,
    "edgenext_xx_small": 64,
    "levit_128s": 64,
    "mobilenetv3_small_100": 64,
    "mobilevit_xxs": 64,
    "nf_resnet26": 32,
    "resnet10t": 32,
    "swin_tiny_patch4_window7_224": 64,
    "tinynet_e": 64,
    "vit_tiny_patch16_224": 32,
}
"""Networks of every kind, and pixels a side."""

NIGHTLY = {
    **dict.fromkeys(
        (
            "resnet18",
            "resnet26t",
            "resnet34d",
            "resnext26ts",
            "seresnext26t_32x4d",
            "ecaresnet26t",
            "resnetaa34d",
            "resnetblur18",
            "res2net50_26w_4s",
            "skresnet18",
            "densenet121",
            "ese_vovnet19b_dw",
            "vovnet39a",
            "dla46_c",
            "hrnet_w18_small",
            "xception41",
            "efficientnet_b0",
            "efficientnet_lite0",
            "tf_efficientnet_b0",
            "tf_efficientnetv2_b0",
            "mnasnet_100",
            "mobilenetv2_100",
            "mobilenetv3_large_100",
            "mobilenetv4_conv_small",
            "fbnetc_100",
            "fbnetv3_b",
            "spnasnet_100",
            "ghostnet_100",
            "ghostnetv2_100",
            "hardcorenas_a",
            "mixnet_s",
            "regnetx_002",
            "regnety_002",
            "regnetz_b16",
            "mobileone_s0",
            "rexnet_100",
            "semnasnet_075",
            "gernet_s",
            "cs3darknet_s",
            "darknet53",
            "selecsls42b",
            "convnextv2_atto",
            "poolformer_s12",
            "pvt_v2_b0",
            "mobilevitv2_050",
            "repvit_m0_9",
            "fastvit_t8",
            "resnet14t",
            "mobilenetv1_100",
            "regnetx_004",
            "resnet26",
            "nfnet_l0",
            "dm_nfnet_f0",
            "nf_regnet_b0",
        ),
        64,
    ),
    **dict.fromkeys(
        ("inception_v3",),
        96,
    ),
    **dict.fromkeys(
        (
            "vit_relpos_small_patch16_224",
            "deit_tiny_patch16_224",
            "efficientformer_l1",
            "visformer_tiny",
            "coat_tiny",
            "mvitv2_tiny",
        ),
        224,
    ),
    "crossvit_9_240": 240,
}
"""Likewise."""

NETWORKS = QUICK | NIGHTLY

OPTIONS: dict[str, dict[str, Any]] = {
    "levit_128s": {"img_size": 64},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "window_size": 4},
    "vit_tiny_patch16_224": {"img_size": 32},
}
"""What those with positions must be told of fewer pixels."""

OF_ONE_IMAGE = frozenset(
    (
        "coat_tiny",
        "deit_tiny_patch16_224",
        "efficientformer_l1",
        "fastvit_t8",
        "levit_128s",
        "mobilenetv1_100",
        "mobilevit_xxs",
        "mobilevitv2_050",
        "nf_resnet26",
        "poolformer_s12",
        "pvt_v2_b0",
        "regnetx_004",
        "repvit_m0_9",
        "resnet10t",
        "resnet14t",
        "resnet26",
        "swin_tiny_patch4_window7_224",
        "visformer_tiny",
        "vit_relpos_small_patch16_224",
        "vit_tiny_patch16_224",
    )
)
"""Those that are exported for one image; some of them calculate with the size of the batch."""


@pytest.fixture(scope="module")
def timm() -> Any:
    torch = pytest.importorskip("torch")
    try:
        import torchvision  # noqa: F401 - for what it raises
    except ImportError:
        pass
    except RuntimeError:  # of a build for CUDA beside a torch for CPUs: its operators are not there
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )
    return pytest.importorskip("timm", reason='not installed: pip install "cnn-bench[timm]"')


def export(timm: Any, name: str, path: Path) -> None:
    """The network with batch norms that have seen some images."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    options = OPTIONS.get(name, {})
    module = timm.create_model(name, pretrained=False, exportable=True, **options)
    images = torch.rand(4, 3, NETWORKS[name], NETWORKS[name])
    with torch.no_grad():
        for _ in range(3):
            module.train()(images)
    torch.onnx.export(
        module.eval(),
        (images[:1],),
        path,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={} if name in OF_ONE_IMAGE else {"x": {0: "n"}},
    )


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.nightly) for name in NIGHTLY)]
)
def test_a_network_of_timm(name: str, timm: Any, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    export(timm, name, path)
    graph = zoo.resolve(str(path))
    assert graph.batch is None
    images = np.random.default_rng(1).random((2, 3, NETWORKS[name], NETWORKS[name]), np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    truth = np.concatenate([session.run(None, {"x": image[np.newaxis]})[0] for image in images])
    (output,) = run_columnar(graph, {graph.inputs[0].name: images}, algorithm="auto")
    assert_close(output, truth, rtol=0, atol=3e-5 * float(np.abs(truth).max()))
    assert np.abs(truth[0] - truth[1]).max() > 1e-4 * np.abs(truth).max()
