"""What the import contracts cannot say."""

import ast
import sys
from pathlib import Path

import fairlot

PACKAGE = Path(fairlot.__file__).parent


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_verify_uses_no_optimisation_library() -> None:
    for path in (PACKAGE / "verify").rglob("*.py"):
        used = {name for name in imported(path) if name.startswith(("scipy.optimize", "highspy", "cvxpy"))}
        assert not used, f"{path.name} imports {used}"


def test_the_draw_check_uses_the_standard_library_alone() -> None:
    outside = {
        name
        for name in imported(PACKAGE / "verify" / "draw.py")
        if name.split(".")[0] not in sys.stdlib_module_names
    }
    assert not outside
