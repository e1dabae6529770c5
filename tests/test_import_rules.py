"""Data flows one way: CLI -> bench -> adapters -> columnar_nn / reference."""

import ast
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
FRAMEWORKS = {"torch", "tensorflow", "keras", "onnxruntime", "openvino", "pyvelox"}
# google is protobuf, which onnx brings.
CORE_THIRD_PARTY = {"numpy", "llvmlite", "pyarrow", "onnx", "google"}


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
        assert third_party <= CORE_THIRD_PARTY
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
