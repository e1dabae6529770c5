"""How the times of two backends compare, in words."""

from __future__ import annotations

from rich.markup import escape

from bench.results.result import Benchmark


def compared(ours: Benchmark, peer: Benchmark) -> str:
    """How two measured cells compare, a line with rich's markup.

    By their medians, if neither was disturbed, and in brackets by their fastest runs.
    """
    labels = escape(ours.label), escape(peer.label)
    taken = " and ".join(
        f"{cell.taken_share:.0%} of the time of {escape(cell.label)}"
        for cell in (ours, peer)
        if cell.disturbed
    )
    withheld = f"; [yellow]medians withheld: others took {taken}[/]" if taken else ""
    if ours.fastest_s is None or peer.fastest_s is None:
        return f"{labels[0]} and {labels[1]}{withheld}, and left no run undisturbed"
    fastest = peer.fastest_s / ours.fastest_s
    if withheld:
        return f"{labels[0]} is ({fastest:.2f}) times as fast as {labels[1]}{withheld}"
    assert ours.median_s is not None
    assert peer.median_s is not None
    return ratio_text(*labels, peer.median_s / ours.median_s, fastest)


def ratio_text(ours: str, peer: str, median: float, fastest: float) -> str:
    """The line of two backends by name, from `peer`'s time over that of `ours`.

    Where medians say faster and fastest runs slower, so does the line, and neither wins.
    """
    ratios = round(median, 2), round(fastest, 2)
    if min(ratios) >= 1:
        return f"{ours} is [green]{median:.2f} ({fastest:.2f}) times as fast as[/] {peer}"
    if max(ratios) <= 1:
        return f"{ours} takes [red]{1 / median:.2f} ({1 / fastest:.2f}) times as long as[/] {peer}"
    return (
        f"{ours} and {peer}: by medians it {_times(median)}, [yellow]but[/] by fastest runs it "
        f"{_times(fastest)}"
    )


def _times(ratio: float) -> str:
    return f"is {ratio:.2f} times as fast" if ratio > 1 else f"takes {1 / ratio:.2f} times as long"
