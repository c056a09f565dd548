"""The public names are there, typed, and imported on first use only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fairlot


def test_every_public_name_is_what_its_home_says() -> None:
    for name in fairlot.__all__:
        assert getattr(fairlot, name).__name__ == name
    assert set(fairlot.__all__) <= set(dir(fairlot))


def test_types_and_names_agree() -> None:
    """What type checkers see is what is imported on first use."""
    tree = ast.parse(Path(fairlot.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == fairlot._HOME
    assert sorted(typed) == sorted(fairlot.__all__)


def test_unknown_names_are_told() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'solve'"):
        fairlot.solve  # noqa: B018


def test_importing_costs_nothing() -> None:
    code = "import sys, fairlot; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
