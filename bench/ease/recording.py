"""Ease of use as rows of results."""

from __future__ import annotations

from collections.abc import Iterable

from bench.ease.ease import Ease
from bench.results.recording import Recorder
from bench.results.schema import EASE
from bench.results.summary import COLD_START
from bench.verdict.status import PASSED
from bench.workers.options import Options

_SECONDS = {f"{name}_s": name for name in COLD_START} | {"cold_start_s": "total"}


def record(found: Iterable[Ease], recorder: Recorder, options: Options) -> None:
    """Of each backend a cell of its starts, and one of what does not depend on a network."""
    for ease in found:
        subject = recorder.subject(ease.selection, options)
        start = recorder.start(subject, options.batch_size, status=ease.status, reason=ease.reason)
        for field, part in _SECONDS.items() if ease.starts else ():
            recorder.observe(start, "cold_start", [s[field] for s in ease.starts], [part])
        cell = recorder.cell(
            *(subject, EASE, None, None),
            status=ease.status,
            reason=ease.reason,
            detail={
                "settings": ease.settings,
                **(
                    {"unimplemented": ease.unimplemented, "on_wrong_network": ease.on_wrong_network}
                    if ease.status == PASSED
                    else {}
                ),
            },
        )
        recorder.observe(cell, "adapter_lines", [ease.adapter_lines])
        for package, size in (ease.packages or {}).items():
            recorder.observe(cell, "installed", [size], [package])
