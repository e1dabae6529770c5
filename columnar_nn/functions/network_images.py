"""What a network reads its images from: a column of tensors, or one that is made tensors."""

from __future__ import annotations

import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.expressions.expression import Call, Expression
from columnar_nn.expressions.types import RowShape


def as_tensors(network: str, given: Expression, shape: RowShape) -> Expression:
    """What a network reads images of `shape` from: `given`, or a call of to_tensor, without a type.

    `given` has its type. Raises InvalidPlanError, which names the network, if that holds no such
    images.
    """
    held, text = given.type, "x".join(map(str, shape))
    is_tensor = isinstance(held, pa.FixedShapeTensorType)
    if is_tensor:
        tensor_column.refuse_other_orders(held, getattr(given, "name", "the image"))
    if is_tensor and tuple(held.shape) != shape:
        message = f"{network} takes images of {text}, not of {'x'.join(map(str, held.shape))}"
        if len(shape) == 3 and tuple(held.shape) == (*shape[1:], shape[0]):
            message += ": put the channels first, with images.transpose(0, 3, 1, 2)"
        if tuple(held.shape) == shape[1:]:
            message += ": the first axis has the rows, so that one image is images[None]"
        raise InvalidPlanError(message)
    if is_tensor and held.value_type in (pa.uint8(), pa.float32()):
        return given
    from columnar_nn.data import image_column  # which tensors do not need

    try:
        image_column.pixel_dtype(held, "given", "uint8", shape)
    except InvalidDataError:
        if is_tensor:
            raise InvalidPlanError(
                f"{network} takes images of uint8 or float32, not {held.value_type}: convert them, "
                "with images.astype(numpy.float32)"
            ) from None
        raise InvalidPlanError(
            f"{network} takes images of {text}, not {held}: tensors, lists or bytes of uint8 or "
            "float32, or decode_image(...) of PNG and JPEG files"
        ) from None
    return Call("to_tensor", (given,), {"shape": shape})
