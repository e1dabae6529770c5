"""The tables of large and mobile networks: times, and how they compare."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from bench.engine.cell_text import fastest, median, per_image, ratio, show_reasons
from bench.engine.networks import OURS, PEERS, SAMPLES, Networks
from bench.results.result import Benchmark
from bench.text.table_style import print_table, show_note, show_title, table


def show_networks(part: Networks, console: Console) -> None:
    """Rows for each network and number of images: ms an image, then the peers' over ours."""
    peers = PEERS.values()
    show_title(console, "Networks in float32, ms an image, Arrow in to Arrow out")
    made = table("network", "images", "columnar", *peers)
    for ours, others in _rows(part):
        made.add_row(ours.model, str(ours.samples), *map(per_image, (ours, *others)))
    print_table(console, made, names=2)
    show_title(console, "How many times as long as columnar they take")
    made = table("network", "images", *(text for peer in peers for text in (peer, "fastest")))
    for ours, others in _rows(part):
        ratios = (ratio(other, ours, kind) for other in others for kind in (median, fastest))
        made.add_row(ours.model, str(ours.samples), *ratios)
    print_table(console, made, names=2)
    show_note(console, "By medians, and by fastest runs, which other work disturbs least.")
    show_reasons(console, *part.comparisons)


def _rows(part: Networks) -> Iterator[tuple[Benchmark, list[Benchmark]]]:
    """Our cell of each network and number of images, and the peers'."""
    for comparison in part.comparisons:
        for samples in SAMPLES:
            cells = {cell.label: cell for cell in comparison.benchmarks if cell.samples == samples}
            yield cells[OURS], [cells[label] for label in PEERS]
