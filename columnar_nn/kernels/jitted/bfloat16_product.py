"""What products in bfloat16 have in common: lines copied, the panels' steps, results rounded."""

from __future__ import annotations

from llvmlite import ir

from columnar_nn.kernels.bfloat16_product import CopiedLines, TilePanel
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_lanes import filled, half_lanes, narrowed, widened
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.emitter import INT32, Emitter, Value
from columnar_nn.kernels.jitted.memory import clear, copy
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.parameters import Bytes

PANEL_WORDS = len(TilePanel._fields)

panel_at = record_at(TilePanel)


@inlined
def copy_lines(p: CopiedLines, source: Bytes, target: Bytes) -> None:
    """Copies the lines of every phase, with zeros around the image."""
    left = min(p.left_bytes, p.line_bytes)
    inside = min(p.image_line_bytes, p.line_bytes - left)
    for phase in range(p.phases):
        y = p.tops[phase]
        for _ in range(p.phase_lines):
            if 0 <= y < p.height:
                clear(target, left)
                copy(target + left, source + y * p.image_line_bytes, inside)
                clear(target + (left + inside), p.line_bytes - left - inside)
            else:
                clear(target, p.line_bytes)
            target = target + p.line_bytes
            y += p.stride_y


def load_widened(e: Emitter, place: Value, count: int) -> Value:
    """A block of bfloat16, of which `count` are there."""
    return filled(e, widened(e, e.load(place, half_lanes(count), 2)))


def store_narrowed(
    e: Emitter, goal: Value, values: list[Value], width: int, by_instruction: bool
) -> None:
    """Stores `width` lanes of one block or two, rounded."""
    both = values[0]
    if width != LANES:
        lanes = ir.Constant(ir.VectorType(INT32, width), list(range(width)))
        both = e.of(e.builder.shuffle_vector(values[0].ir, values[-1].ir, lanes))
    e.store(goal, narrowed(e, both, by_instruction), 2)
