"""Bytes changed as chance, a broken disk, or somebody hostile would."""

from __future__ import annotations

import random
import struct

SIZES = (0, 1, 2, 7, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62)
"""Numbers at the edges of what readers take, and those that ask for too much."""


def interesting(chance: random.Random) -> int:
    """A size at an edge, perhaps negative, perhaps one off."""
    return chance.choice((1, 1, -1)) * (chance.choice(SIZES) + chance.choice((0, 0, 1, -1)))


def varint(number: int) -> bytes:
    """A number as protobuf and Thrift write it; negative ones take ten bytes."""
    number &= 2**64 - 1
    content = bytearray()
    while number >= 0x80:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four changes."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = _changed(content, chance)
    return content


def _changed(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.choice((1, 1, 4, 8, 64, 1000)))
    before, part, after = content[:start], content[start:end], content[end:]
    match chance.randrange(9):
        case 0:
            flipped = bytes([part[0] ^ 1 << chance.randrange(8)]) if part else b""
            after = flipped + content[start + 1 :]
        case 1:
            after = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))]) + content[start + 1 :]
        case 2:
            after = b""
        case 3:
            pass
        case 4:
            after = chance.randbytes(len(part)) + after
        case 5:
            after = varint(interesting(chance)) + content[start:]
        case 6:
            number = struct.pack("<q", max(-(2**63), interesting(chance)))
            number = number[: chance.choice((4, 8))]
            after = number + content[start + len(number) :]
        case 7:
            after = part * chance.choice((2, 3, 50)) + after
        case _:
            other = chance.randrange(len(content) + 1)
            after = content[other : other + len(part)] + after
    return before + after
