"""Changes of layout, and concatenation of channels."""

from columnar_nn.kernels.compiled.simd import clear_bytes, copy_bytes, load_float, store_float, word


def to_blocks():
    """planar to nchw16c. Parameters: channels, pixels. Parts share the blocks."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        channels = word(parameters, 0)
        pixels = word(parameters, 1)
        blocks = (channels + 15) // 16
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            start = target + block * pixels * 64
            lanes = min(16, channels - 16 * block)
            if lanes < 16:
                clear_bytes(start, pixels * 64)
            for lane in range(lanes):
                plane = source + (16 * block + lane) * pixels * 4
                for pixel in range(pixels):
                    value = load_float(plane + 4 * pixel)
                    store_float(start + pixel * 64 + lane * 4, value)

    return kernel


def to_planes():
    """nchw16c to planar. Parameters: channels, pixels. Parts share the channels."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        channels = word(parameters, 0)
        pixels = word(parameters, 1)
        for channel in range(channels * part // parts, channels * (part + 1) // parts):
            start = source + (channel // 16) * pixels * 64 + (channel % 16) * 4
            plane = target + channel * pixels * 4
            for pixel in range(pixels):
                store_float(plane + 4 * pixel, load_float(start + pixel * 64))

    return kernel


def place_channels():
    """Copies an nchw16c input to the output's channels from `first` on.

    Parameters: channels, pixels, first, whether to clear the lanes past the last channel.
    Parts share nothing where lanes move: part 0 does it all then.
    """

    def kernel(parameters, source, second, target, scratch, part, parts):
        channels = word(parameters, 0)
        pixels = word(parameters, 1)
        first = word(parameters, 2)
        clear = word(parameters, 3)
        if first % 16 == 0 and (channels % 16 == 0 or clear):
            num_bytes = (channels + 15) // 16 * pixels * 64
            if part == 0:
                copy_bytes(target + first // 16 * pixels * 64, source, num_bytes)
        elif part == 0:
            for channel in range(channels):
                origin = source + (channel // 16) * pixels * 64 + (channel % 16) * 4
                place = first + channel
                goal = target + (place // 16) * pixels * 64 + (place % 16) * 4
                for pixel in range(pixels):
                    store_float(goal + pixel * 64, load_float(origin + pixel * 64))
            end = first + channels
            if clear and end % 16:
                last = target + (end // 16) * pixels * 64 + (end % 16) * 4
                for pixel in range(pixels):
                    clear_bytes(last + pixel * 64, (16 - end % 16) * 4)

    return kernel


def place_floats():
    """Copies a planar input to the output from byte `offset` on. Parameters: bytes, offset."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        if part == 0:
            copy_bytes(target + word(parameters, 1), source, word(parameters, 0))

    return kernel
