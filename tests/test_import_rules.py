"""Data flows one way: CLI -> bench -> adapters -> columnar_nn / reference."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"columnar_nn", "reference", "adapters", "bench"}
MAY_IMPORT = {
    "columnar_nn": set(),
    "reference": set(),
    "adapters": {"columnar_nn", "reference"},
    "bench": {"adapters", "columnar_nn", "reference"},
}
ROOMS = {
    "columnar_nn": (
        *("errors", "shown", "record", "settings", "data", "expressions", "kernels", "model"),
        *("functions", "lowering", "plan", "exec", "display", "queries", "integrations"),
    ),
    "bench": (
        *("files", "data", "verdict", "machine", "workers", "text", "results", "model"),
        *(
            "difference",
            "compare",
            "query_study",
            "study",
            "golden",
            "profile",
            "engine",
            "explain",
            "training",
        ),
        *("cluster", "ease", "doctor", "query", "report", "cli"),
    ),
}
"""The rooms of a package, lowest first: a module imports from its own room and from lower ones."""

LOOSE = {"columnar_nn": {"errors.py", "record.py", "shown.py"}, "bench": {"pytest_plugin.py"}}
"""Modules that stand beside the rooms."""

FRAMEWORKS = {"torch", "tensorflow", "keras", "onnxruntime", "openvino", "pyvelox"}
ENGINES = {"integrations": {"pyspark", "duckdb"}}
"""What a room may import besides, when it is used."""

# google is protobuf, which onnx brings.
CORE_THIRD_PARTY = {"numpy", "numba", "llvmlite", "pyarrow", "onnx", "google", "sqlglot", "PIL"}


def imports(path: Path) -> set[tuple[str, bool]]:
    """(top-level package, whether at module level) of every import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    top_level = set(map(id, tree.body))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        found |= {(name.partition(".")[0], id(node) in top_level) for name in names}
    return found


def module_imports(path: Path) -> set[str]:
    """Files, from the root, of our modules that a file imports; under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {file for alias in node.names if (file := _file(alias.name))}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # a module of a package, or a name of a module
                file = _file(f"{node.module}.{alias.name}") or _file(str(node.module))
                found |= {file} if file else set()
    return found


def _file(module: str) -> str | None:
    path = Path(*module.split("."))
    if path.parts[0] not in OURS:
        return None
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / file).is_file():
            return file.as_posix()
    return None


def modules() -> list[Path]:
    return sorted(p for package in OURS for p in (ROOT / package).rglob("*.py"))


def test_every_package_has_modules() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in modules()} == OURS


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_layers(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = imports(path)
    third_party = {name for name, _ in names} - OURS - set(sys.stdlib_module_names) - {""}
    ours = {name for name, _ in names} & OURS
    assert ours <= MAY_IMPORT[package] | {package}
    # A package below adapters belongs to one framework, and is itself imported when used.
    if path.parent.parent != ROOT / "adapters":
        assert not {name for name, top in names if top} & FRAMEWORKS, "import frameworks when used"
    if package == "reference":
        assert third_party <= {"numpy"}
    if package == "columnar_nn":
        assert third_party <= CORE_THIRD_PARTY | ENGINES.get(path.parent.name, set())
        assert not {name for name, top in names if top} & ENGINES["integrations"]
    if package == "bench":
        assert not third_party & (FRAMEWORKS - {"torch"}), "only adapters know the frameworks"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


@pytest.mark.parametrize(
    "path", sorted((ROOT / "adapters").glob("*_backend.py")), ids=lambda p: p.name
)
def test_a_backend_module_loads_without_its_framework(path: Path) -> None:
    program = (
        f"import sys; import adapters.{path.stem}; "
        f"sys.exit(', '.join({FRAMEWORKS!r}.intersection(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_are_stacked(package: str) -> None:
    found = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").is_file()}
    loose = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    assert loose == LOOSE[package]
    assert found <= set(ROOMS[package])
    order = {room: place for place, room in enumerate(ROOMS[package])}
    back = []
    for path in (ROOT / package).rglob("*.py"):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if room in ("__init__", "pytest_plugin"):  # the front page and the plugin use any room
            continue
        for name in module_imports(path):
            target, other, *_ = Path(name).with_suffix("").parts
            if target == package and order.get(other, -1) > order[room]:
                back.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not back


def test_no_module_imports_itself_through_others() -> None:
    arrows = {
        path.relative_to(ROOT).as_posix(): module_imports(path)
        for path in modules()
        if path.relative_to(ROOT).as_posix() != "columnar_nn/__init__.py"
    }
    list(graphlib.TopologicalSorter(arrows).static_order())


def test_every_package_says_what_is_inside() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if path.name == "__init__.py"
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
