r"""Two-price menus designed for a large market (Baron et al. 2025, in the terms of this paper).

Tasks fall into two classes, given or searched; everybody may take one A for :math:`p^1_j` fewer B, or shed
one A for :math:`p^2_j` more B, each class in her own proportions. The large-market program with these menus
alone is solved by column generation, each agent's best two prices being found in closed form
(:mod:`fairlot.reallocation.large_market.two_classes`), so that the pseudo-gap is a true one on the types that
probabilities are counted on. With two tasks and beliefs that are samples no Bayesian incentive compatible
mechanism saves more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.generation import LargeMarket, generate_columns
from fairlot.reallocation.large_market.mechanism import (
    AssignedMenus,
    RandomisedMechanism,
    assign_menus,
    menu_options,
)
from fairlot.reallocation.large_market.two_classes import TwoClassPricer

_ALL_SPLITS = 5
"""Up to so many tasks every way of making two classes is tried."""
_GAP = 1e-5


@dataclass(frozen=True, eq=False)
class TwoPriceDesign:
    """Classes, prices and what they are worth in a large market.

    Parameters
    ----------
    in_a : BoolArray, shape (n_tasks,)
        Class A.
    market : LargeMarket
        The solution of the large-market program with two-price menus alone.
    assigned : AssignedMenus
        Two prices for each agent.
    """

    in_a: BoolArray
    market: LargeMarket
    assigned: AssignedMenus

    @property
    def saving(self) -> float:
        """Of the best mixture in the large market, over all members."""
        return self.market.saving

    @property
    def menus(self) -> Menus:
        """The menus."""
        return self.assigned.menus

    @property
    def prices(self) -> FloatArray:
        """Fewer B for taking an A, more B for shedding one; NaN where not offered, shape (n_agents, 2)."""
        prices = np.full((self.market.problem.n_agents, 2), np.nan)
        for column in self.assigned.columns:
            if not column.remedial:
                moved_a = column.changes[:, self.in_a].sum(axis=1)
                moved_b = column.changes[:, ~self.in_a].sum(axis=1)
                prices[column.agent, (moved_a < 0).astype(int)] = -moved_b / moved_a
        return prices


def best_two_price(
    problem: ReallocationProblem,
    *,
    in_a: npt.ArrayLike | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> TwoPriceDesign:
    """Find the best two prices for everybody, and the two classes if they are not given.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    in_a : array_like of bool, shape (n_tasks,), optional
        Class A, the rest being class B. By default the split that saves most in the large market: with more
        than five tasks only splits along the main direction in which the agents' costs differ are tried.
    seed : int
        Of the types that probabilities are counted on.
    reporter : Reporter, optional
        Told how many splits are done.

    Raises
    ------
    InvalidProblemError
        If there are not two classes.
    """
    problem.require_fixed_burdens()
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("two classes")
    if in_a is None:
        splits = list(_splits(problem)) or [np.ones(problem.n_tasks, dtype=np.bool_)]
    else:
        given = np.asarray(in_a, dtype=np.bool_)
        if given.shape != (problem.n_tasks,) or given.all() or not given.any():
            expected = f"some but not all of {problem.n_tasks} tasks"
            raise InvalidProblemError(
                [Issue("class A", found=f"{int(given.sum())} tasks", expected=expected)]
            )
        splits = [given]
    found: list[tuple[BoolArray, LargeMarket]] = []
    for k, split in enumerate(splits):
        pricers = [TwoClassPricer(problem, j, split, seed=seed) for j in range(problem.n_agents)]
        found.append((split, generate_columns(problem, pricers, tol=_GAP)))
        reporter.update((k + 1) / len(splits))
    split, market = max(found, key=lambda pair: pair[1].saving)
    options = menu_options(RandomisedMechanism.of(market))
    return TwoPriceDesign(split, market, assign_menus(problem, options))


def _splits(problem: ReallocationProblem) -> Iterator[BoolArray]:
    """List ways of making two classes, task 1 in class A."""
    n = problem.n_tasks
    if n <= _ALL_SPLITS:
        for rest in itertools.product([True, False], repeat=n - 1):
            if not all(rest):
                yield np.array([True, *rest])
        return
    relative = problem.costs / np.maximum(np.abs(problem.costs).mean(axis=0), 1e-300)
    centred = relative - relative.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(direction, kind="stable")
    for cut in range(1, n):
        in_a = np.zeros(n, dtype=np.bool_)
        in_a[order[:cut]] = True
        yield in_a
