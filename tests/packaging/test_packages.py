"""The wheel and the source archive hold what they should, and the installed wheel works on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fairlot"
pytestmark = pytest.mark.slow


def data_files() -> set[str]:
    """List what is no Python in the package, as it stands in a wheel."""
    left_out = {".py", ".pyc", ".nbi", ".nbc", ".mo"}
    return {
        f"fairlot/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in left_out and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both archives."""
    pytest.importorskip("hatchling", reason="hatchling builds the archives: pip install hatchling")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment that sees the dependencies, and not the checkout."""
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (site,) = home.glob("lib/python*/site-packages")
    # A path in a .pth file is searched last, and the .pth files within it (the checkout's) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command away from the checkout, without the variables that would lead back to it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    words = list(map(str, command))
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_the_wheel_holds_templates_static_files_schemas_and_the_marker_of_types(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert data_files() <= names
    assert {"fairlot/py.typed", "fairlot/verify/static/draw.js", "fairlot/io/schemas/problem.json"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks")) or "__pycache__" in name]


def test_the_source_archive_holds_what_tests_and_documentation_need(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    wanted = ("pyproject.toml", "LICENSE", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "requirements.lock")
    assert {*wanted, "docs/index.md", "tests/test_architecture.py", "src/fairlot/py.typed"} <= names


def test_the_installed_wheel_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(tmp_path, installed / "python", "-c", "import fairlot; print(fairlot.__file__)")
    assert done.returncode == 0, done.stderr
    assert str(installed.parent) in done.stdout


def test_the_installed_command_and_module_answer(installed: Path, tmp_path: Path) -> None:
    by_name = run(tmp_path, installed / "fairlot", "--help")
    by_module = run(tmp_path, installed / "python", "-m", "fairlot", "--help")
    for done in (by_name, by_module):
        assert done.returncode == 0, done.stderr
        assert "solve" in done.stdout
    assert by_name.stdout.splitlines()[1:] == by_module.stdout.splitlines()[1:]


def test_the_installed_demo_report_and_standalone_check(installed: Path, tmp_path: Path) -> None:
    fairlot = installed / "fairlot"
    assert (done := run(tmp_path, fairlot, "demo", "--out", "result", "--quiet")).returncode == 0, done.stderr
    assert json.loads(run(tmp_path, fairlot, "verify", "result", "--json").stdout)["passed"]
    done = run(tmp_path, fairlot, "report", "result", "--out", "page.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert "fairlot-draw-v1" in page
    done = run(tmp_path, fairlot, "export", "result", "--format", "xlsx", "--out", "lists.xlsx")
    assert done.returncode == 0, done.stderr


def test_types_are_seen_by_users(installed: Path, tmp_path: Path) -> None:
    """A type checker takes fairlot's own annotations from the installed wheel."""
    (tmp_path / "mine.py").write_text(
        "import fairlot as fl\n\n"
        "def prices(folder: str) -> None:\n"
        "    problem = fl.read_problem(folder)\n"
        "    problem.no_such_attribute\n"
    )
    checker = [sys.executable, "-m", "mypy", "--python-executable", str(installed / "python")]
    done = run(tmp_path, *checker, "--follow-imports=silent", "--ignore-missing-imports", "mine.py")
    assert "no_such_attribute" in done.stdout, done.stdout + done.stderr
    assert "missing library stubs or py.typed" not in done.stdout
