"""Which cases of op_cases.py a backend does not run, and why; a gap that closed fails its test.

A reason starts with "notimpl" (this project could), "notyet" (the engine cannot so far) or
"never". Patterns are those of fnmatch, on the case's name or, for a gap of one configuration,
on configuration:name; each must match a case.
"""

from __future__ import annotations

NO_OPERATOR = "notimpl: not among the operators said in Velox's expressions so far"
RANK = "notimpl: only images and feature vectors"
CONSTANT_WEIGHTS = "notimpl: products with constants only"
ONE_PLAN = "notimpl: said in one plan, convolutions have stride 1 and no padding"

VELOX = {
    **dict.fromkeys(("*_1d", "conv_1d_groups", "*_3d", "batch_normalization_epsilon"), RANK),
    **dict.fromkeys(("mat_mul_stacked", "mat_mul_add_channels"), RANK),
    **dict.fromkeys(("mat_mul_of_two", "gemm_computed_addend"), CONSTANT_WEIGHTS),
    **dict.fromkeys(("conv_groups", "conv_depthwise*"), "notimpl: groups of channels"),
    **dict.fromkeys(
        (
            "conv_unequal_strides",
            "conv_one_channel*",
            "max_pool_asymmetric_pads",
            "max_pool_dilation_stride",
        ),
        "notimpl: different strides down and across",
    ),
    "max_pool_ceil_mode*": "notimpl: ceil_mode",
    "add_channels": "notimpl: an addend that is constant",
    **dict.fromkeys(
        ("average_pool_*", "leaky_relu", "elu", "selu*", "prelu_*", "clip*", "sigmoid"), NO_OPERATOR
    ),
    **dict.fromkeys(("normalizations", "moved_by_constants", "rows_of_one_number"), NO_OPERATOR),
    **dict.fromkeys(("network_attention", "resized*", "transposed_convolution*"), NO_OPERATOR),
    **dict.fromkeys(("reductions_*", "place*_of_*", "lp_normalization_*"), NO_OPERATOR),
    **dict.fromkeys(("choices_*", "powers", "quantized"), NO_OPERATOR),
    **dict.fromkeys(
        ("functions_*", "hard_*", "tanh", "softmax_channels", "log_softmax_*"), NO_OPERATOR
    ),
    **dict.fromkeys(("lrn*", "*_last_axis", "sub_*", "mul_*", "div_*"), NO_OPERATOR),
    **dict.fromkeys(("reshape", "*squeeze", "transpose*", "pad_*", "slice_*"), NO_OPERATOR),
    **dict.fromkeys(
        ("reduce_mean_*", "network_branches", "network_mobile", "network_joined"), NO_OPERATOR
    ),
    **dict.fromkeys(("cross_join:network_residual", "nested_lambda:network_residual"), ONE_PLAN),
}

GAPS: dict[str, dict[str, str]] = {
    "tensorflow": {
        "conv_unequal_dilations_3d": "notyet: it takes one dilation for another",
    },
    "onnxruntime": {
        "lrn_even": "notyet: its LRN takes windows of odd size only",
        "resized_channels": "notyet: its Resize interpolates images only",
    },
    "openvino": {
        "lrn_even": "notyet: its LRN takes windows of odd size only",
        "pad_wrap": "notyet: its Pad knows no wrap mode",
        "resized_crop": "notyet: its Resize knows no regions",
        "resized_symmetric": "notyet: its Resize knows no such coordinates",
        "resized_antialias": "notyet: it reads ONNX's Resize without antialias",
        "resized_inside": "notyet: it reads ONNX's Resize without exclude_outside",
        "resized_within": "notyet: it reads ONNX's Resize without keep_aspect_ratio_policy",
        "mat_mul_add_channels": "notyet: it does not compile",
    },
    "velox": VELOX,
}
"""By backend; one without an entry runs every case."""
