"""The commands of the project's pages, as they are printed there, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    path
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/*.md",
        "bench/**/README.md",
    )
    for path in sorted(ROOT.glob(pattern))
)
PROGRAMS = (
    "bash|cnn-bench|curl|docker|git|make|mypy|numactl|pip|pipx|pytest|python3?|rm|ruff|"
    "spark-submit|uv"
)
COMMAND = re.compile(rf"(?:\$ )?((?:[A-Z_]+=\S* )*(?:{PROGRAMS})[ ]\S.*)")


@dataclass(frozen=True)
class Command:
    """What stands on a page at a line: a command for the shell, or Python that exports a file."""

    page: str
    line: int
    text: str
    python: bool = False

    @property
    def name(self) -> str:
        """The command without a comment behind it and without spaces that align it."""
        if self.python:
            return f"Python that exports an ONNX file, {self.page}"
        return " ".join(re.sub(r"\s#.*", "", self.text).split())

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.name}"


def of_text(page: str, text: str) -> list[Command]:
    """Lines of fences without a language and of indented blocks, code within sentences, and
    Python that writes an ONNX file.

    What a program prints is told from commands by its first word; a comment behind a command is
    the shell's to ignore. A command that stands on several pages, or again, is one.
    """
    found = []
    blocks = r"^```(\w*)\n(.*?)^```$|((?:^ {4}\S[^\n]*\n)+)|(?<!`)`([^`]+)`(?!`)"
    for match in re.finditer(blocks, text, re.MULTILINE | re.DOTALL):
        language, fenced, indented, span = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if language == "python":
            if "torch.onnx.export" in fenced:
                found.append(Command(page, line, fenced, python=True))
            continue
        if span is not None:
            lines = [" ".join(span.split())]
        elif fenced is not None:
            lines, line = re.split(r"(?<!\\)\n", fenced), line + 1
        else:
            lines = [given.strip() for given in indented.splitlines()]
        for given in lines:
            command = COMMAND.fullmatch(given.replace("\\\n", " "))
            if command:
                found.append(Command(page, line, command[1]))
            line += 1 + given.count("\n")
    return found


def of_pages() -> list[Command]:
    """All of them, each where it stands first."""
    first: dict[str, Command] = {}
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        for command in of_text(page, path.read_text(encoding="utf-8")):
            first.setdefault(command.name, command)
    return list(first.values())
