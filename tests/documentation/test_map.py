"""The map is true: what pages, docstrings and comments name by its path or its module is there."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("adapters", "bench", "columnar_nn", "reference")
FOLDERS = (*OURS, "docs", "golden", "tests", ".ci")
FILES = {
    path.relative_to(ROOT)
    for folder in (*FOLDERS, "")
    for path in (ROOT / folder).glob("**/*" if folder else "*")
    if path.is_file() and "__pycache__" not in path.parts
}
PLACES = {"/".join(path.parts[:end]) for path in FILES for end in range(1, len(path.parts) + 1)}
"""Every file and every folder."""

ENDS = {"/".join(place.split("/")[i:]) for place in PLACES for i in range(place.count("/") + 1)}
"""The same, as they are called from the folders above them too."""

NOT_OURS = {
    "mine.py": "a file of the reader's functions",
    "OUT/": "a folder of the reader's choice",
    "fuzz-findings/": "made where something is found",
    "package.module.ClassName": "a form",
    "data.size": "words of OpenVINO",
    "mine.toml": "a study of the reader's",
    "functions.py": "what a reader declares",
}
"""Each with what it is instead."""

PATH = re.compile(r"[\w.<>*-]*(?:/[\w.<>*-]+)*/?")
NAMES_A_FILE = re.compile(r"\.(?:py|md|toml)$")
DOTTED = re.compile(r"(?<![\w./-])[a-z_]\w*(?:\.\w+)+")
OF_A_USER = re.compile(r"\.(?:arrows?|json|onnx|parquet|txt)$")
OF_SPARK = re.compile(r"spark(?:\.[a-z]\w*)+$")
"""Names of Spark's settings, which begin like a module of ours."""


class Text(NamedTuple):
    """A passage that people read: its file, its first line, and what are variables in it."""

    file: Path
    line: int
    words: str
    variables: frozenset[str]


class Module:
    """What is looked at in a Python file: what people read, what it defines, binds and imports."""

    def __init__(self, file: Path) -> None:
        self.source = (ROOT / file).read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        self.strings: list[ast.Constant] = []
        self.bound: set[str] = set()
        self.of_ours: set[str] = set()
        self.of_others: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                self.strings.append(node.value)  # docstrings, of variables too
            elif isinstance(node, ast.Name):
                self.bound.add(node.id)
            elif isinstance(node, ast.arg):
                self.bound.add(node.arg)
            elif isinstance(node, ast.Import):
                self.of_others |= {alias.asname or _head(alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {alias.asname or alias.name for alias in node.names}
                package = _head(str(node.module))
                (self.of_ours if package in OURS else self.bound).update(names)
                self.of_others.add(package)


def _head(name: str) -> str:
    return name.partition(".")[0]


@cache
def python_files() -> dict[Path, Module]:
    return {file: Module(file) for file in sorted(FILES) if file.suffix == ".py"}


def of_page(file: Path) -> Iterator[Text]:
    """A Markdown page; code in it that tests run is left out."""
    page = (ROOT / file).read_text(encoding="utf-8")
    page = re.sub(r"```python\n.*?```", lambda m: "\n" * m[0].count("\n"), page, flags=re.DOTALL)
    yield Text(file, 1, page, frozenset())


def of_module(file: Path, module: Module) -> Iterator[Text]:
    """Docstrings and comments."""
    variables = frozenset(module.bound - module.of_ours)
    for string in module.strings:
        words = str(string.value)
        made = re.findall(r"^ *(?:>>> )?(\w+) = | as (\w+)$", words, re.MULTILINE)
        yield Text(file, string.lineno, words, variables.union(*made))
    for token in tokenize.generate_tokens(io.StringIO(module.source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(file, token.start[0], token.string, variables)


@cache
def texts() -> list[Text]:
    """Of the whole project."""
    pages = [text for file in sorted(FILES) if file.suffix == ".md" for text in of_page(file)]
    return pages + [text for item in python_files().items() for text in of_module(*item)]


def is_there(path: str) -> bool:
    """Whether a path, from the root or from a folder below it, is one; <name> stands for any."""
    path = path.rstrip("/")
    places = PLACES if path.split("/")[0] in FOLDERS else ENDS
    if "<" in path or "*" in path:
        pattern = re.sub(r"<\w+>", "*", path)
        return any(fnmatchcase(place, pattern) for place in places)
    return path in places


def wrong_paths(text: Text) -> Iterator[str]:
    """Paths in a text that lead nowhere."""
    words = re.sub(r"\w+://\S+|\]\([^)]*\)", "", text.words)
    for match in PATH.finditer(words):
        path = match[0] if match[0].endswith("/") else match[0].rstrip(".")
        first, slash, _ = path.partition("/")
        names_one = NAMES_A_FILE.search(path) or path.endswith("/") or (slash and first in FOLDERS)
        if first and names_one and path not in NOT_OURS and not is_there(path):
            yield f"{text.file}:{text.line + words.count(chr(10), 0, match.start())}: {path}"


@cache
def modules() -> dict[str, list[ast.Module]]:
    """Modules and packages by dotted name, from the root and from the folders below it."""
    found: dict[str, list[ast.Module]] = {}
    for file, module in python_files().items():
        parts = file.parent.parts if file.stem == "__init__" else file.with_suffix("").parts
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), []).append(module.tree)
    return found


def _defined(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """What a module or class defines or imports, each with what it defines itself."""
    names: dict[str, list[ast.stmt]] = {}
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names[node.name] = node.body
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name: [] for alias in node.names}
        elif isinstance(node, ast.If):
            names |= _defined(node.body)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id: [] for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return names


def _has(body: list[ast.stmt], attributes: list[str]) -> bool:
    if not attributes:
        return True
    first, *others = attributes
    defined = _defined(body)
    return first in defined and _has(defined[first], others)


def is_named(name: str) -> bool:
    """Whether a dotted name is of a module of ours or of what is defined in one."""
    parts = name.split(".")
    return any(
        _has(tree.body, parts[count:])
        for count in range(1, len(parts) + 1)
        for tree in modules().get(".".join(parts[:count]), ())
    )


@cache
def imported() -> set[str]:
    """The packages of others that ours import, and the short names that they are given."""
    found = {name for module in python_files().values() for name in module.of_others}
    return found.union(sys.stdlib_module_names) - set(modules())


def wrong_names(text: Text) -> Iterator[str]:
    """Dotted names in a text that look like a module's and are of none.

    Those are of which the first part is called like a module of ours, and is no variable there;
    or the last like a class or a constant, the first like nothing that is imported. On a page only
    what stands in code within a sentence is looked at.
    """
    words = text.words
    is_page = text.file.suffix == ".md"
    for span in re.finditer(r"(?<!`)`([^`\n ]+)`(?!`)" if is_page else r"(?s)(.+)", words):
        for match in DOTTED.finditer(span[1]):
            name = match[0]
            first, *_, last = name.split(".")
            ours = first in modules()
            looks = ours or (first not in imported() and re.match(r"[A-Z]\w\w", last))
            skipped = NAMES_A_FILE.search(name) or OF_A_USER.search(name) or name in NOT_OURS
            skipped = skipped or OF_SPARK.match(name)
            if looks and not skipped and first not in text.variables and not is_named(name):
                line = text.line + words.count("\n", 0, span.start() + match.start())
                yield f"{text.file}:{line}: {name}"


def test_every_path_leads_somewhere() -> None:
    assert not [wrong for text in texts() for wrong in wrong_paths(text)]


def test_every_module_is_there() -> None:
    assert not [wrong for text in texts() for wrong in wrong_names(text)]


def test_what_is_not_there_is_not_there() -> None:
    assert not [path for path in NOT_OURS if is_there(path)]


HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def test_every_link_between_pages_leads_somewhere() -> None:
    wrong = []
    for file in sorted(FILES):
        if file.suffix == ".md":
            page = (ROOT / file).read_text(encoding="utf-8")
            for target in re.findall(r"\]\((?!\w+:)([^)]*)\)", page):
                path, _, anchor = target.partition("#")
                place = ROOT / file.parent / path if path else ROOT / file
                if not place.exists():
                    wrong.append(f"{file}: {target}")
                elif anchor:
                    titles = HEADING.findall(place.read_text(encoding="utf-8"))
                    anchors = [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles]
                    if anchor not in anchors:
                        wrong.append(f"{file}: {target}")
    assert not wrong


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("`columnar_nn/kernels/` and `kernels/jitted/`, docs/golden.md.", []),
        ("`columnar_nn/functions/no_such.py`", ["columnar_nn/functions/no_such.py"]),
        ("test_map.py, and/or no_such.py.", ["no_such.py"]),
        ("no_such/ is a folder, 1 / 2 and https://a.b/no/such.py none", ["no_such/"]),
        ("adapters/<name>_backend.py, adapters/<name>_nothing.py", ["adapters/<name>_nothing.py"]),
        ("bench/cli and bench/command", ["bench/command"]),
        ("cli/bench, model.onnx, pipeline/auto", []),
    ],
)
def test_what_is_a_path(words: str, wrong: list[str]) -> None:
    text = Text(Path("page.md"), 1, words, frozenset())
    assert list(wrong_paths(text)) == [f"page.md:1: {path}" for path in wrong]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("`columnar_nn.errors`, `errors.UsageError`, `columnar_nn.model.zoo.build`", []),
        ("`columnar_nn.model.nothing`", ["columnar_nn.model.nothing"]),
        ("`adapters.base.Backend.infer`, `adapters.base.Backend.no`", ["adapters.base.Backend.no"]),
        (
            "`columnar_nn.errors.NoError` and `no_such.Class`",
            ["columnar_nn.errors.NoError", "no_such.Class"],
        ),
        ("`zoo.no_such` and `np.ndarray`, `tarfile.TarError`, `x.size`", ["zoo.no_such"]),
    ],
)
def test_what_is_a_module(words: str, wrong: list[str]) -> None:
    text = Text(Path("page.md"), 1, words, frozenset())
    assert list(wrong_names(text)) == [f"page.md:1: {name}" for name in wrong]
