"""Every error that cnn-bench raises on purpose.

CnnBenchError                    one line: the cause and the fix; the CLI prints it and exits 2
├── InvalidDataError             an image file or a column is not what it should be
├── InvalidModelError            a graph or an ONNX file is malformed
├── InvalidPlanError             a plan or an expression does not type-check
├── UnsupportedNetworkError      a backend cannot run a network as a whole
│   └── UnsupportedOperatorError a backend cannot run some nodes; all of them are listed
├── MissingPackageError          a backend's package is not installed
└── UsageError                   an option or an argument makes no sense
"""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """The text on one line, control characters escaped: a name may come from anyone's file."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class CnnBenchError(Exception):
    """Root of the tree: its message is one line that names the cause and the fix."""


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
    learns all of the gaps at once.
    """

    def __init__(self, backend: str, nodes: Sequence[tuple[str, str, str]]) -> None:
        self.backend = backend
        self.nodes = tuple(nodes)
        listed = "; ".join(f"{name} ({op_type}): {reason}" for name, op_type, reason in nodes)
        super().__init__(f"{backend} cannot run {len(nodes)} node(s): {listed}")


class MissingPackageError(CnnBenchError):
    """A backend's package is not installed; `install` is the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        self.install = f'pip install -c constraints.txt "cnn-bench[{extra}]"'
        super().__init__(f"{package} is not installed: {self.install}")


class UsageError(CnnBenchError):
    """An option or an argument is unknown, missing or out of range."""
