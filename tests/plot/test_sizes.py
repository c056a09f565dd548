"""Every picture at three agents and at three thousand, as wide as a phone and as a screen, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import fairlot as fl
from fairlot import plot
from fairlot.baselines.comparison import Comparison, Row
from fairlot.baselines.measures import measure
from fairlot.baselines.mechanisms import BASELINES
from fairlot.baselines.running import Job, work
from fairlot.plot.style import shortened
from fairlot.pseudomarket.trace import Leg
from fairlot.reallocation.large_market.replicas import ReplicaRow, ReplicaStudy
from fairlot.testing import course_market, timetable_market

WIDTHS = {"phone": (3.4, 3.4), "screen": (8.0, 4.6)}


@cache
def solved(size: int) -> tuple[fl.Equilibrium, Leg]:
    market = course_market(3, 4, seed=1) if size == 3 else course_market(size, 60, seed=1, acceptable=0.15)
    recorder = fl.PathRecorder()
    found = fl.solve_equilibrium(market, reporter=recorder)
    return found, recorder.legs[-1]


@cache
def timetable() -> fl.Equilibrium:
    return fl.solve_equilibrium(timetable_market(40, 12, 1, 0.6, slots=4, load=3, meetings=True))


@cache
def compared(size: int) -> Comparison:
    if size > 3:  # measuring so many would take long, and pictures only see how many there are
        market, few = solved(size)[0].market, compared(3)
        found = [(row.mechanism, row.measures) for row in few.rows]
        rng = np.random.default_rng(1)
        rows = [
            Row(kind, replace(measures, utility=rng.random(size), ranks=rng.random(60)), 0.0, 0.0, 2, "")  # type: ignore[type-var, arg-type]
            for kind, measures in found
        ]
        return Comparison(market, tuple(rows), 2, 0)
    market, rows = solved(size)[0].market, []
    for baseline in BASELINES:
        if baseline.name in ("round-robin", "serial-dictatorship"):
            outcome = work(Job(baseline.name, market, 2, 0, None)).found
            rows.append(Row(baseline, measure(market, outcome), 0.0, 0.0, 2, ""))  # type: ignore[arg-type]
    return Comparison(market, tuple(rows), 2, 0)


@cache
def offered(size: int) -> tuple[fl.ReallocationProblem, fl.Menus]:
    tasks = 2 if size == 3 else 5
    rng = np.random.default_rng(1)
    problem = fl.ReallocationProblem.from_arrays(
        rng.integers(1, 9, (size, tasks)), rng.random((size, tasks)), fl.Beliefs.uniform(0.5, 1.5)
    )
    rays = []
    for name in "abcdef"[: tasks - 1]:
        change = np.zeros(tasks)
        change[:2] = -1, 1 + rng.random()
        change[2:] = rng.integers(-1, 2, tasks - 2)
        rays.append(fl.Ray(name, change))
    return problem, fl.Menus.of(problem.agents, problem.tasks, [fl.Menu(problem.agents[0], tuple(rays))])


def replicas() -> ReplicaStudy:
    return ReplicaStudy(1.0, tuple(ReplicaRow(n, 1 - 0.3 / n**0.5, 0.01, 0.2, 0.7) for n in (1, 4, 16)), 0.3)


@cache
def written_out(size: int) -> fl.Decomposition:
    return fl.decompose(solved(size)[0].lottery())


@cache
def limit() -> Any:
    return fl.follow_limit(fl.FiatEconomy([fl.UnitDemand([6, 3]), fl.UnitDemand([6, 4])], budgets=1))


PICTURES: dict[str, Callable[[int, Axes], object]] = {
    "plot_envy": lambda n, ax: plot.plot_envy(solved(n)[0], ax),
    "plot_limit": lambda n, ax: plot.plot_limit(limit(), ax),
    "plot_lottery": lambda n, ax: plot.plot_lottery(solved(n)[0].lottery(), ax),
    "plot_menu": lambda n, ax: plot.plot_menu(*offered(n), "agent1", ax=ax),
    "plot_path": lambda n, ax: plot.plot_path(solved(n)[1], solved(n)[0].market, ax),
    "plot_prices": lambda n, ax: plot.plot_prices(solved(n)[0], ax),
    "plot_ranks": lambda n, ax: plot.plot_ranks(compared(n), ax),
    "plot_replicas": lambda n, ax: plot.plot_replicas(replicas(), ax),
    "plot_shares": lambda n, ax: plot.plot_shares(solved(n)[0], ax),
    "plot_supply": lambda n, ax: plot.plot_supply(solved(n)[0], ax),
    "plot_terms": lambda n, ax: plot.plot_terms(written_out(n), ax),
    "plot_utilities": lambda n, ax: plot.plot_utilities(compared(n), ax),
}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_every_picture_is_here() -> None:
    assert set(PICTURES) | {"plot_menu_planes"} == set(plot.__all__)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [3, 3000])
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_labels_stay_few(name: str, size: int, width: str) -> None:
    figure = plt.figure(figsize=WIDTHS[width], layout="constrained")
    ax = figure.add_subplot()
    PICTURES[name](size, ax)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    most = WIDTHS[width]
    assert box.x0 > -0.1
    assert box.y0 > -0.1
    assert box.x1 < most[0] + 0.1
    assert box.y1 < most[1] + 0.1
    for axis in (ax.xaxis, ax.yaxis):
        assert len([tick for tick in axis.get_ticklabels() if tick.get_text()]) <= 30
    inside = ax.get_window_extent()
    assert inside.width > 0.4 * figure.bbox.width  # labels leave room for what they label
    assert inside.height > 0.3 * figure.bbox.height


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_vanishes_on_a_dark_page(name: str) -> None:
    with plt.style.context("dark_background"):
        ax = plt.figure(layout="constrained").add_subplot()
        PICTURES[name](3, ax)
        for line in ax.lines:
            assert mpl.colors.to_hex(line.get_color()) != "#000000"
        assert mpl.colors.to_hex(ax.xaxis.label.get_color()) == "#ffffff"


def test_planes_are_those_of_tasks_that_move() -> None:
    drawn = plot.plot_menu_planes(*offered(3000), "agent1")
    assert len(drawn) == 6
    assert len({(ax.get_xlabel(), ax.get_ylabel()) for ax in drawn}) == 6
    drawn = plot.plot_menu_planes(*offered(3), "agent1")
    assert len(drawn) == 1
    drawn[0].figure.draw_without_rendering()  # type: ignore[union-attr]


def test_pictures_of_timetables() -> None:
    found = timetable()
    assert found.market.crossings
    for name in ("plot_prices", "plot_shares", "plot_supply", "plot_envy"):
        ax = getattr(plot, name)(found)
        assert ax.get_ylabel()
    terms = found.lottery().terms
    assert terms is not None
    heights = plot.plot_terms(terms).patches[0].get_data().values  # type: ignore[attr-defined]
    assert_allclose(heights.sum(), 100, atol=1e-9)


def test_nobody_envies_anybody_in_a_timetable() -> None:
    """Each row's largest entry is the agent's own: at equal budgets the lottery leaves no envy."""
    found = timetable()
    ratio = np.asarray(plot.plot_envy(found).images[0].get_array())
    assert ratio.shape == (40, 40)
    own = np.diag(ratio)
    assert_allclose(own[~np.isnan(own)], 1.0, atol=1e-6)
    assert np.nanmax(ratio) <= 1 + 1e-6
    stripped = type("Published", (), {"market": found.market, "prices": found.prices, "shares": found.shares})
    with pytest.raises(ValueError, match="it takes the lottery"):
        plot.plot_envy(stripped())
    assert_allclose(
        np.asarray(plot.plot_envy(stripped(), lottery=found.lottery()).images[0].get_array()), ratio, atol=0
    )


def test_ids_are_no_markup() -> None:
    assert shortened("a$b") == r"a\$b"
    assert shortened("_hidden") == " _hidden"
    assert len(shortened("x" * 100)) == 24
    named = fl.PseudoMarket.from_arrays(
        [[10, 8], [10, 2], [10, 2]], capacities=1, goods=["$x^{$", "_$y"], agents=["$", "a_$", "%"]
    )
    recorder = fl.PathRecorder()
    found = fl.solve_equilibrium(named, reporter=recorder)
    for draw in (plot.plot_prices, plot.plot_shares, plot.plot_supply, plot.plot_envy):
        draw(found).figure.draw_without_rendering()  # type: ignore[union-attr]
    ax = plot.plot_path(recorder.legs[-1], named)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 2
