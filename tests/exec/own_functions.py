"""What a user gives to --functions."""

from exec import declared

import columnar_nn

columnar_nn.vector_function("hard_shrink", onnx="my.ops::HardShrink", lambd=0.5)(
    declared.hard_shrink
)
columnar_nn.vector_function(
    "sums", onnx="my.ops::Sums", shape=lambda shape: shape[:1], power=2, factor=0.5
)(declared.channel_sums)


@columnar_nn.scalar_function("next_class")
def next_class(n: int) -> int:
    """Of ten."""
    return (n + 1) % 10
