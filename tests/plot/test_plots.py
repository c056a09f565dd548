"""Pictures: what they show is what was found, at three agents and at three thousand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose

mpl.use("Agg")
from matplotlib import colors
from matplotlib import pyplot as plt

import fairlot as fl
from fairlot import plot
from fairlot.baselines.comparison import Comparison, Row
from fairlot.baselines.measures import measure
from fairlot.baselines.mechanisms import BASELINES
from fairlot.baselines.running import Job, work
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.plot.markets import wanted_for_free
from fairlot.plot.style import colours
from fairlot.pseudomarket.trace import Leg
from fairlot.reallocation.large_market.replicas import ReplicaRow, ReplicaStudy
from fairlot.testing import acceptable_bundles, course_market


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def small() -> fl.PseudoMarket:
    return fl.PseudoMarket.from_arrays(
        [[100, 20, 0], [100, 20, 0], [100, 80, 0]], capacities=1, quotas=[fl.Quota("one", max=1)]
    )


@pytest.fixture(scope="module")
def solved(small: fl.PseudoMarket) -> fl.Equilibrium:
    return fl.solve_equilibrium(small)


def labelled(ax: plt.Axes) -> bool:
    return bool(ax.get_xlabel() and ax.get_ylabel())


def test_prices_are_those_of_the_equilibrium(solved: fl.Equilibrium) -> None:
    ax = plot.plot_prices(solved)
    offsets = np.asarray(ax.collections[0].get_offsets())
    assert solved.prices is not None
    assert_allclose(offsets[:, 1], solved.prices, atol=1e-12)
    assert_allclose(offsets[:, 0], [3, 0, 0], atol=0)  # all three want the first for free
    assert labelled(ax)


def test_wanted_for_free_is_every_best_bundle() -> None:
    market = course_market(12, 6, seed=3)
    expected = np.zeros(market.n_goods)
    for i in range(market.n_agents):
        bundles = acceptable_bundles(market, i)
        expected += bundles.copies[bundles.utility.argmax()]
    # With ties the bundle may differ, the number of copies of strictly better goods may not.
    assert wanted_for_free(market).sum() == pytest.approx(expected.sum(), abs=market.n_agents)


def test_wanted_for_free_where_quotas_cross() -> None:
    # Nobody may take two classes of a slot or two sections of a course; the most useful pair is wanted.
    quotas = [
        fl.Quota("course", ["good1", "good2"], max=1),
        fl.Quota("slot", ["good2", "good3"], max=1),
    ]
    market = fl.PseudoMarket.from_arrays([[3, 4, 2], [1, 5, 2]], capacities=1, quotas=quotas)
    assert market.crossings
    assert wanted_for_free(market).tolist() == [1, 1, 1]
    rng = np.random.default_rng(4)
    market = fl.PseudoMarket.from_arrays(rng.uniform(0.1, 1.0, (20, 3)), capacities=1, quotas=quotas)
    expected = np.zeros(3)
    for i in range(20):
        bundles = acceptable_bundles(market, i)
        expected += bundles.copies[bundles.utility.argmax()]
    assert wanted_for_free(market).tolist() == expected.tolist()


def test_shares_are_the_map(solved: fl.Equilibrium) -> None:
    ax = plot.plot_shares(solved)
    image = np.asarray(ax.images[0].get_array())
    assert solved.shares is not None
    assert_allclose(np.sort(image.ravel()), np.sort(solved.shares.to_array().ravel()), atol=1e-12)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["good1", "good2", "good3"]
    assert labelled(ax)


def test_supply_bars_are_capacities_and_copies_given(solved: fl.Equilibrium) -> None:
    ax = plot.plot_supply(solved)
    heights = [bar.get_height() for bar in ax.patches]
    assert solved.shares is not None
    given = solved.shares.to_array().sum(axis=0)  # good 1 is the dearest, good 3 is free
    assert_allclose(heights, [1, 1, 1, *given], atol=1e-8)
    assert labelled(ax)


def test_envy_is_at_most_one_at_equal_budgets(solved: fl.Equilibrium) -> None:
    image = np.asarray(plot.plot_envy(solved).images[0].get_array())
    assert_allclose(np.diag(image), 1.0, atol=1e-9)
    assert image.max() <= 1 + 1e-9


def test_many_agents_are_counted_not_named() -> None:
    values = np.random.default_rng(0).integers(1, 50, size=(300, 40)).astype(float)
    market = fl.PseudoMarket.from_arrays(values, capacities=30, quotas=[fl.Quota("load", max=3)])
    found = fl.solve_equilibrium(market)
    ax = plot.plot_shares(found)
    assert ax.get_ylabel() == "300 agents (by what they hold most of)"
    assert ax.get_xlabel() == "40 goods (dearest first)"
    assert np.asarray(plot.plot_envy(found).images[0].get_array()).shape == (60, 60)


def test_ranks_and_utilities_across_mechanisms(small: fl.PseudoMarket) -> None:
    rows = []
    for baseline in BASELINES[1:4]:
        outcome = work(Job(baseline.name, small, 10, 0, None)).found
        rows.append(Row(baseline, measure(small, outcome), 0.0, 0.0, 10, ""))  # type: ignore[arg-type]
    comparison = Comparison(small, tuple(rows), 10, 0)
    ax = plot.plot_ranks(comparison)
    assert len(ax.lines) == 3
    assert all(line.get_ydata()[-1] <= 1 + 1e-9 for line in ax.lines)  # type: ignore[index, operator]
    assert labelled(ax)
    ax = plot.plot_utilities(comparison)
    assert ax.lines[0].get_ydata()[-1] == 100  # type: ignore[index]
    assert labelled(ax)
    with pytest.raises(TypeError, match="mechanisms for goods"):
        plot.plot_ranks(Comparison(None, (), 0, 0))  # type: ignore[arg-type]


def test_a_lottery_shows_what_is_left_to_chance(solved: fl.Equilibrium) -> None:
    lottery = solved.lottery()
    ax = plot.plot_lottery(lottery)
    assert sum(bar.get_height() for bar in ax.patches) == (lottery.fraction > 0).sum()  # type: ignore[attr-defined]
    assert "are left to chance" in ax.get_title()
    assert labelled(ax)


def test_a_menu_shows_its_rays_and_who_takes_them() -> None:
    problem = ReallocationProblem.from_arrays(
        [[4, 4], [4, 4]], [[1, 3], [3, 1]], Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
    )
    menus = Menus.of(problem.agents, problem.tasks, [Menu(problem.agents[0], (Ray("a", [-4, 4]),))])
    ax = plot.plot_menu(problem, menus, problem.agents[0])
    assert_allclose(ax.lines[0].get_xdata(), [4, 0])  # type: ignore[arg-type]
    assert_allclose(ax.lines[0].get_ydata(), [4, 8])  # type: ignore[arg-type]
    assert ax.get_legend_handles_labels()[1][0] == "a: 50% take it"
    # who would rather have fewer of the first, as many of the second: everybody; the other way: nobody
    shades = np.asarray(ax.images[0].get_array())
    assert shades[:, 0].max() == 100
    assert shades[0, 0] == 100
    assert shades[-1, -1] == 0
    assert labelled(ax)


def test_replicas_and_the_limit() -> None:
    rows = tuple(ReplicaRow(n, 1 - 0.3 / n**0.5, 0.01, 0.2, 0.7) for n in (1, 4, 16))
    ax = plot.plot_replicas(ReplicaStudy(1.0, rows, 0.3))
    assert ax.get_xscale() == "log"
    assert labelled(ax)


def test_colours_and_shades_differ_in_grey() -> None:
    """Neighbouring colours differ in luminance; shades rise steadily."""
    light = [float(np.dot([0.2126, 0.7152, 0.0722], np.array(colors.to_rgb(c)) ** 2.2)) for c in colours()]
    assert min(abs(a - b) for a, b in pairwise(light)) > 0.03
    shades = mpl.colormaps["cividis"](np.linspace(0, 1, 20))[:, :3] ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(shades) > 0).all()


def test_nothing_to_draw_is_said() -> None:
    market = fl.PseudoMarket.from_arrays([[1.0], [1.0]], 1, quotas=[fl.Quota("one", min=1, max=1)])
    with pytest.raises(ValueError, match="there is nothing to draw: "):
        plot.plot_prices(fl.solve_equilibrium(market))


def test_the_path_shows_prices_and_folds(small: fl.PseudoMarket) -> None:
    recorder = fl.PathRecorder()
    found = fl.solve_equilibrium(small, reporter=recorder)
    leg = recorder.legs[-1]
    ax = plot.plot_path(leg, small)
    assert found.prices is not None
    ends = [line.get_ydata()[-1] for line in ax.lines[:3]]  # type: ignore[index]
    assert_allclose(ends, np.sort(found.prices)[::-1], atol=1e-5)
    assert labelled(ax)
    turning = Leg("a road", np.array([1.0, 0.2, 0.5, 0.1]), np.ones((4, 3)))
    ax = plot.plot_path(turning, small)
    assert "folds: 2" in ax.get_legend_handles_labels()[1]
    assert_allclose(ax.lines[3].get_xdata(), [0.2, 0.5])  # type: ignore[arg-type]
