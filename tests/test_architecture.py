"""What the import contracts cannot say."""

import ast
import re
import sys
import tomllib
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


PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")


def rooms() -> set[str]:
    """Every package below ``fairlot``, as its path."""
    return {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}


def table(heading: str) -> list[tuple[str, str]]:
    """Rows of the table under a heading of the architecture page."""
    section = PAGE.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split(" | ", 1) for line in section.splitlines() if line.startswith("| `")]
    return [(left.strip(), right.strip(" |")) for left, right in rows]


def test_the_architecture_page_names_every_room_with_its_purpose() -> None:
    told = {left.strip("`"): right for left, right in table("Rooms")}
    assert set(told) == rooms(), "docs/architecture.md lists the rooms of src/fairlot, each with its purpose"
    assert all(told.values())


def test_every_room_opens_with_its_purpose() -> None:
    for room in rooms():
        text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), room


def test_the_architecture_page_has_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    of_contract = [set(re.findall(r"fairlot\.(\w+)", layer)) for layer in layers]
    assert [set(re.findall(r"`(\w+)`", left)) for left, _ in table("Layers, from the top")] == of_contract


def test_every_top_level_module_is_on_a_layer() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    modules |= {room for room in rooms() if "/" not in room}
    assert modules == {
        name for left, _ in table("Layers, from the top") for name in re.findall(r"`(\w+)`", left)
    }
