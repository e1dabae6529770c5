"""Dense layer: 16 outputs at a time, inputs broadcast one by one."""

from columnar_nn.kernels.compiled.simd import copy_bytes, load_float, word
from columnar_nn.kernels.compiled.tile import convolve_tile


def dense(inner: int):
    """The function whose inputs come in runs of `inner` consecutive floats.

    Parameters: outputs, planes, bytes from plane to plane, runs in a plane, bytes from run to
    run, addresses of the weights, the bias and the bounds. Parts share the 16-output blocks.
    """
    tile = convolve_tile("channels", 64, inner)

    def kernel(parameters, source, second, target, scratch, part, parts):
        outputs = word(parameters, 0)
        planes = word(parameters, 1)
        plane_bytes = word(parameters, 2)
        runs = word(parameters, 3)
        run_bytes = word(parameters, 4)
        weights = word(parameters, 5)
        bias = word(parameters, 6)
        low = load_float(word(parameters, 7))
        high = load_float(word(parameters, 7) + 4)
        block_bytes = planes * runs * inner * 64
        blocks = (outputs + 15) // 16
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            whole = 16 * (block + 1) <= outputs
            place = target + 64 * block
            tile(
                1,
                source,
                weights + block * block_bytes,
                planes,
                plane_bytes,
                runs,
                run_bytes,
                1,
                0,
                bias + 64 * block,
                0,
                place if whole else scratch,
                low,
                high,
            )
            if not whole:
                copy_bytes(place, scratch, 4 * (outputs - 16 * block))

    return kernel
