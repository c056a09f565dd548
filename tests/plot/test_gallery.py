"""The gallery: an example for every picture, and each runs as it stands."""

from __future__ import annotations

import runpy
from pathlib import Path

import matplotlib as mpl
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt

from fairlot import plot

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_picture_has_an_example_of_its_name() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(plot.__all__)


@pytest.mark.slow  # the documentation runs them too
@pytest.mark.parametrize("name", plot.__all__)
def test_the_example_runs_and_draws(name: str) -> None:
    path = EXAMPLES / f"{name}.py"
    assert f"plot.{name}(" in path.read_text(encoding="utf-8")
    runpy.run_path(str(path))
    assert plt.get_fignums()
    for number in plt.get_fignums():
        plt.figure(number).draw_without_rendering()
    plt.close("all")


def test_one_example_runs_and_draws() -> None:
    test_the_example_runs_and_draws("plot_limit")
