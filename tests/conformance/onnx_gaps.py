"""Which of ONNX's backend cases are not run, and why; a gap that closed fails its test.

`IMPORT` holds what no engine sees because the importer refuses it, `ENGINES` what single
engines refuse. Patterns are those of fnmatch, on the name of the case.
"""

from __future__ import annotations

from conformance.onnx_gaps_columnar import COLUMNAR

OTHER_TYPES = "never: networks here are float32"
TRAINING = "never: inference only"
SECOND_OUTPUT = "never: masks and indices are made for training"
ANOTHER_OPERATOR = "never: an operator outside the project's list"
STRINGS_AND_SEQUENCES = "never: not a tensor of numbers"

CLASSES_AS_DATA = "never: places that are given with the images, not constants"

IMPORT: dict[str, str] = {
    "test_scatternd*": "never: it writes into some rows of a batch, or adds there",
    "test_nllloss_NC_expanded": CLASSES_AS_DATA,
    "test_nllloss_NCd1_expanded": CLASSES_AS_DATA,
    "test_nllloss_NCd1d2_expanded": CLASSES_AS_DATA,
    "test_nllloss_NCd1d2_reduction_*_expanded": CLASSES_AS_DATA,
    "test_nllloss_NCd1d2d3d4d5_none_no_weight_expanded": CLASSES_AS_DATA,
    "test_*_int8": OTHER_TYPES,
    "test_*_int16": OTHER_TYPES,
    "test_*_uint8": OTHER_TYPES,
    "test_*_uint16": OTHER_TYPES,
    "test_[!p]*_uint32": OTHER_TYPES,
    "test_[!p]*_uint64": OTHER_TYPES,
    "test_pow_types_int*": OTHER_TYPES,
    "test_*_equal_*int*_expanded": OTHER_TYPES,
    "test_m??_int32": OTHER_TYPES,
    "test_m??_int64": OTHER_TYPES,
    "test_and*": OTHER_TYPES,
    "test_or[234_]*": OTHER_TYPES,
    "test_not_*": OTHER_TYPES,
    "test_equal*": OTHER_TYPES,
    "test_where_long_example": OTHER_TYPES,
    "test_div_int32_trunc": OTHER_TYPES,
    "test_reduce_m??_bool_inputs": OTHER_TYPES,
    "test_reduce_max_empty_set_bool": OTHER_TYPES,
    "test_clip_default_int8_*": OTHER_TYPES,
    "test_edge_pad": OTHER_TYPES,
    "test_reflect_pad": OTHER_TYPES,
    "test_wrap_pad": OTHER_TYPES,
    "test_operator_non_float_params": OTHER_TYPES,
    "test_batchnorm_*_training_mode": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout": TRAINING,
    "test_training_dropout_zero_ratio": TRAINING,
    "test_training_dropout_*mask": SECOND_OUTPUT,
    "test_dropout_default_mask*": SECOND_OUTPUT,
    "test_maxpool_with_argmax_*": SECOND_OUTPUT,
    "test_identity_sequence": STRINGS_AND_SEQUENCES,
    "test_identity_opt": STRINGS_AND_SEQUENCES,
    "test_strnorm_model_*": STRINGS_AND_SEQUENCES,
    "test_sequence_model*": STRINGS_AND_SEQUENCES,
    "test_gradient_of_add*": TRAINING,
    "test_*quantizelinear_blocked*": "notimpl: blocks of what is computed",
    "test_shrink": ANOTHER_OPERATOR + " (Shrink)",
}

ENGINES: dict[str, dict[str, str]] = {
    "reference": {},
    "columnar": COLUMNAR,
    "textbook": COLUMNAR,
}
