"""Ctrl-C, and what else asks a command to end: the first time in good order, then at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_SHOW_CURSOR = b"\x1b[?25h"

_TOGETHER_S = {signal.SIGINT: 0.2}
_MACHINE_S = 1.0
"""Seconds within which signals count as one: `timeout` sends two, a closed terminal as well."""

_last_words: list[Callable[[], str]] = []

_asked: set[int] = set()
"""Signals that have come so far."""


def install() -> None:
    """A killed command, or one whose terminal is closed, ends as an interrupted one does.

    What the command was told to ignore, as `nohup` does, stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def last_words(text: Callable[[], str]) -> Iterator[None]:
    """Within the block, what a command says that is ended at once."""
    _last_words.append(text)
    try:
        yield
    finally:
        _last_words.remove(text)


def came() -> bool:
    """Whether a signal has asked the command to end.

    What fails then fails of it: a module in C that is being imported makes another exception of a
    KeyboardInterrupt.
    """
    return bool(_asked)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, which ends the workers and keeps the results."""
    first = time.monotonic()
    _asked.add(number)

    def again(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - first > _TOGETHER_S.get(signal.Signals(number), _MACHINE_S):
            _end_at_once()

    for each in _SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, again)
    raise KeyboardInterrupt


def _end_at_once() -> None:
    """Leaves without another step: workers end with their parent, the next start tidies up."""
    try:
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
        for text in _last_words:
            if words := text():
                line = f"cnn-bench: ended at once; {words}\n"
                os.write(2, line.encode(sys.getfilesystemencoding(), "surrogateescape"))
    finally:
        os._exit(EXIT_INTERRUPTED)
