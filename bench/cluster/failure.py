"""What Spark says when it fails, in one line: it says it in hundreds."""

from __future__ import annotations

import re

from columnar_nn.errors import first_line

_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\s*\n)*(\S.*)")
_CONDITION = re.compile(r"\[(?!TASK_WRITE_FAILED)[A-Z][A-Z_0-9.]+\] .+")
_CAUSED_BY = re.compile(r"^\s*Caused by: (.+)$", re.MULTILINE)
_RAISED = re.compile(r"^: (.+)$", re.MULTILINE)
_CLASS = re.compile(r"^(?:\w+[.$])+(\w+): ")
_STATE = re.compile(r"\s*SQLSTATE: \w+.*")
_LIBRARIES = ("pyspark.", "py4j.", "grpc.")


def is_of_spark(error: Exception) -> bool:
    """Whether Spark, or what talks to it, has raised an error."""
    return any(kind.__module__.startswith(_LIBRARIES) for kind in type(error).__mro__)


def cause(error: Exception) -> str:
    """What was wrong in the first place: the end of the last traceback of a Python worker in it.

    Without one, the last of Spark's own conditions, such as [DIVIDE_BY_ZERO]; the last cause that
    the JVM tells; or its first line.
    """
    text = str(error).strip() or type(error).__name__
    for pattern in (_TRACEBACK, _CONDITION, _CAUSED_BY, _RAISED):
        if found := pattern.findall(text):
            break
    else:
        found = [first_line(error)]
    return _STATE.sub("", _CLASS.sub(r"\1: ", found[-1].strip()))
