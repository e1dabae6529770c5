"""ONNX's backend cases that the columnar engine refuses, and why (see onnx_gaps.py)."""

from __future__ import annotations

MIXES_ROWS = "never: it would mix the rows of a batch"
UNEQUAL_COLUMNS = "never: the columns of a batch are of one length"
EMPTY = "never: Arrow's tensors have an element at least"
NO_ROWS = "never: a constant, or a scalar, has no rows"

COLUMNAR: dict[str, str] = {
    **dict.fromkeys(("test_flatten_axis[023]", "test_flatten_negative_axis[124]"), MIXES_ROWS),
    **dict.fromkeys(("test_gemm_transposeA", "test_gemm_all_attributes"), MIXES_ROWS),
    "test_gemm_default_matrix_bias": MIXES_ROWS,
    **dict.fromkeys(("test_einsum_transpose*", "test_einsum_batch_matmul*"), MIXES_ROWS),
    "test_einsum_scalar": NO_ROWS,
    "test_einsum_inner_prod": MIXES_ROWS,
    "test_nllloss_*weight*_expanded": UNEQUAL_COLUMNS,
    **dict.fromkeys(("test_reshape_reordered_all_dims", "test_reshape_one_dim"), MIXES_ROWS),
    **dict.fromkeys(("test_reshape_negative_extended_dims", "test_squeeze"), MIXES_ROWS),
    **dict.fromkeys(("test_reshape_allowzero_reordered", "test_unsqueeze_axis_0"), MIXES_ROWS),
    **dict.fromkeys(("test_logsoftmax_axis_0*", "test_softmax_axis_0*"), MIXES_ROWS),
    **dict.fromkeys(("test_arg*_default_axis_*", "test_hardmax_axis_0"), MIXES_ROWS),
    **dict.fromkeys(("test_l2normalization_axis_0", "test_reduce_*_default_axes_*"), MIXES_ROWS),
    **dict.fromkeys(("test_reduce_log_sum_asc_*", "test_reduce_log_sum_default*"), MIXES_ROWS),
    "test_l1normalization_axis_0": MIXES_ROWS,
    "test_matmul_1d_[13]d": MIXES_ROWS,
    **dict.fromkeys(("test_add_bcast", "test_sub_bcast", "test_mul_bcast"), UNEQUAL_COLUMNS),
    **dict.fromkeys(("test_operator_add_broadcast",), UNEQUAL_COLUMNS),
    **dict.fromkeys(("test_operator_add_size1_*_broadcast",), UNEQUAL_COLUMNS),
    **dict.fromkeys(
        ("test_div_bcast", "test_greater*_bcast*", "test_less*_bcast*"), UNEQUAL_COLUMNS
    ),
    "test_pow_[et]*": MIXES_ROWS,
    **dict.fromkeys(("test_pow", "test_where_example", "test_mvn_expanded*"), MIXES_ROWS),
    **dict.fromkeys(("test_operator_params", "test_PoissonNLLLLoss_no_reduce"), MIXES_ROWS),
    "test_prelu_example": "never: a slope that differs from row to row",
    **dict.fromkeys(("test_operator_chunk", "test_split_*1d*"), MIXES_ROWS),
    **dict.fromkeys(("test_split_*default_axis*", "test_split_zero_size_*"), MIXES_ROWS),
    **dict.fromkeys(("test_slice", "test_slice_neg_steps"), MIXES_ROWS),
    **dict.fromkeys(("test_transpose_default", "test_transpose_*_[2345]"), MIXES_ROWS),
    **dict.fromkeys(("test_gather_0", "test_gather_elements_*", "test_tile*"), MIXES_ROWS),
    **dict.fromkeys(("test_expand_dim_changed", "test_expand_shape_model[34]"), MIXES_ROWS),
    "test_gather_negative_indices": MIXES_ROWS,
    **dict.fromkeys(("test_layer_normalization_?d_axis0*", "test_mvn"), MIXES_ROWS),
    **dict.fromkeys((f"test_layer_normalization_{n}d_*_{n}*" for n in (2, 3, 4)), MIXES_ROWS),
    "test_slice_start_out_of_bounds": EMPTY,
    **dict.fromkeys(("test_concat_?d_axis_0", "test_concat_1d_axis_negative_1"), MIXES_ROWS),
    **dict.fromkeys(("test_concat_2d_axis_negative_2", "test_concat_3d_*_3"), MIXES_ROWS),
    **dict.fromkeys(("test_constant", "test_constantofshape_*", "test_Embedding*"), NO_ROWS),
}
