"""Every error that cnn-bench raises on purpose.

CnnBenchError                    one line: the cause and the fix; the CLI prints it and exits 2
├── InvalidDataError             an image file or a column is not what it should be
├── InvalidModelError            a graph or an ONNX file is malformed
├── InvalidPlanError             a plan or an expression does not type-check
├── UnsupportedNetworkError      a backend cannot run a network as a whole
│   └── UnsupportedOperatorError a backend cannot run some nodes; all of them are listed
├── MissingDeviceError           a configuration's device is not there
├── MissingPackageError          a backend's package is not installed
└── UsageError                   an option or an argument makes no sense
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LENGTH = 480
"""Characters of an error, in which names from anyone's file may be of any length."""


def printable(text: str) -> str:
    """The text on one line, control characters escaped: a name may come from anyone's file."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_line(error: Exception) -> str:
    """The first line of another library's error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _shortened(text: str) -> str:
    """The beginning and the end of a text that is longer than MAX_LENGTH."""
    text = printable(text)
    if len(text) <= MAX_LENGTH:
        return text
    end = MAX_LENGTH // 3
    return f"{text[: MAX_LENGTH - end - 5]} ... {text[-end:]}"


class CnnBenchError(Exception):
    """Root of the tree: its message is one line that names the cause and the fix.

    Control characters in it are escaped, and one that is longer than MAX_LENGTH is shortened.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_shortened(message))


class InvalidDataError(CnnBenchError):
    """An image file, an archive or a column has the wrong size, type or values."""


class InvalidModelError(CnnBenchError):
    """A graph breaks a rule of its format: a dangling tensor, a wrong shape, a cycle."""


class InvalidPlanError(CnnBenchError):
    """A plan node or an expression refers to an unknown field or has the wrong type."""


class UnsupportedNetworkError(CnnBenchError):
    """A backend, in the configuration asked for, cannot run a network, whatever its nodes are."""


class UnsupportedOperatorError(UnsupportedNetworkError):
    """A backend cannot run some nodes of a graph.

    `nodes` holds (node name, operator type, reason) of every one of them, so that a user
    learns all of the gaps at once. Where they are too many for a line, those of one operator
    are told by the first of them. `file` is the model's path, if it came from a file, and `fix`
    what helps where no reason says it.
    """

    def __init__(
        self,
        backend: str,
        nodes: Sequence[tuple[str, str, str]],
        file: str = "",
        fix: str = "",
    ) -> None:
        self.backend = backend
        self.nodes = tuple(nodes)
        heading = f"{file}{': ' if file else ''}{backend} cannot run {len(nodes)} node(s)"
        entries = [f"{name} ({op_type}): {reason}" for name, op_type, reason in nodes]
        message = f"{heading}: {'; '.join(entries)}"
        if len(message) > MAX_LENGTH:
            alike: dict[tuple[str, str], list[str]] = {}
            for name, op_type, reason in nodes:
                alike.setdefault((op_type, reason), []).append(name)
            entries = [
                f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''} ({kind}): {reason}"
                for (kind, reason), names in alike.items()
            ]
            message = f"{heading}: {'; '.join(entries)}"
        super().__init__(f"{message}; {fix}" if fix else message)


class MissingDeviceError(CnnBenchError):
    """A configuration runs on a device that is not there, or that its package cannot use."""


class MissingPackageError(CnnBenchError):
    """A backend's package is not installed; `install` is the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        self.install = f'pip install -c constraints.txt "cnn-bench[{extra}]"'
        super().__init__(f"{package} is not installed: {self.install}")


class UsageError(CnnBenchError):
    """An option or an argument is unknown, missing or out of range."""
