r"""The paper's examples of trading mechanisms, each with its obvious strategy-proofness decided.

*Bilateral trade* :math:`\gamma` between j' and j'': to :math:`\sigma_{j'} + \gamma` and
:math:`\sigma_{j''} - \gamma`, if both want it. Always a polarized ray mechanism.

*Two-price binary classification* (Baron et al. 2025): tasks fall into classes A and B; an agent may take
one more A for :math:`p^1` fewer B, or one fewer A for :math:`p^2` more B, each class in the proportions of
her own endowment. Polarized if and only if :math:`p^1 \le p^2`.

*Fixed-price pseudo-market*: an agent demands a bundle x on her budget line :math:`p \cdot x = p \cdot \eta_j`
and gets x or :math:`\eta_j`. In general not obviously strategy-proof.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import (
    FiniteSet,
    Mechanism,
    Menu,
    Menus,
    Ray,
    Strategy,
    TradingProtocol,
    TradingSet,
)
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.obvious.dominance import menu_witness
from fairlot.reallocation.obvious.rays import full_extent

_TIE = 1e-9


def bilateral_mechanism(endowment: npt.ArrayLike, first: int, second: int, trade: npt.ArrayLike) -> Mechanism:
    r"""Make the mechanism of one bilateral trade, with the natural strategies.

    Parameters
    ----------
    endowment : array_like, shape (n_agents, n_tasks)
        :math:`\eta`.
    first, second : int
        The agent who would move by :math:`+\gamma`, and the one who would move by :math:`-\gamma`.
    trade : array_like, shape (n_tasks,)
        :math:`\gamma`.

    Returns
    -------
    Mechanism
        Action 0 keeps, action 1 trades; others have action 0 only. An agent trades where that does
        not raise her load.

    Raises
    ------
    InvalidProblemError
        If the trade takes from an agent what she does not have.
    """
    table, gamma = np.asarray(endowment, dtype=np.float64), np.asarray(trade, dtype=np.float64)
    moves = {first: gamma, second: -gamma}
    short = [j for j, move in moves.items() if (table[j] + move < -_TIE * max(1.0, table.max())).any()]
    if short:
        expected = "an amount of at least 0 of every task after the trade"
        raise InvalidProblemError(
            [Issue(f"agent {j} has too little to trade", expected=expected) for j in short]
        )
    menus: list[tuple[TradingSet, ...]] = [(FiniteSet(row[None]),) for row in table]
    for j, move in moves.items():
        menus[j] = (FiniteSet(table[j][None]), FiniteSet(np.array([table[j], table[j] + move])))
    traded = table.copy()
    for j, move in moves.items():
        traded[j] += move

    def select(profile: tuple[int, ...]) -> FloatArray:
        return traded if profile[first] == profile[second] == 1 else table

    def strategy(j: int) -> Strategy:
        return lambda costs: int(j in moves and float(moves[j] @ costs) <= 0)

    return Mechanism(
        TradingProtocol(table, tuple(menus), select), tuple(strategy(j) for j in range(len(table)))
    )


def two_price_rays(endowment: npt.ArrayLike, in_a: npt.ArrayLike, take: float, shed: float) -> FloatArray:
    r"""Write the two offers of a two-price mechanism as rays.

    Parameters
    ----------
    endowment : array_like, shape (n_tasks,)
        :math:`\eta_j`, with something of either class.
    in_a : array_like of bool, shape (n_tasks,)
        Class A; the rest is B.
    take, shed : float
        :math:`p^1`, fewer B for taking one A; :math:`p^2`, more B for shedding one A.

    Returns
    -------
    FloatArray, shape (2, n_tasks)
        Displacements for one instance of A: taking it, shedding it.

    Examples
    --------
    >>> two_price_rays([1, 3, 2], [False, False, True], take=2.0, shed=4.0)
    array([[-0.5, -1.5,  1. ],
           [ 1. ,  3. , -1. ]])
    """
    amounts, inside = np.asarray(endowment, dtype=np.float64), np.asarray(in_a, dtype=np.bool_)
    of_a, of_b = np.where(inside, amounts, 0.0), np.where(inside, 0.0, amounts)
    if not of_a.any() or not of_b.any():
        raise InvalidProblemError([Issue("endowment", expected="an amount above 0 of either class")])
    unit_a, unit_b = of_a / of_a.sum(), of_b / of_b.sum()
    return np.array([unit_a - take * unit_b, shed * unit_b - unit_a])


def two_price_witness(take: float, shed: float) -> FloatArray | None:
    r"""Decide whether two prices make an obviously strategy-proof offer.

    Parameters
    ----------
    take, shed : float
        :math:`p^1, p^2`.

    Returns
    -------
    FloatArray, shape (2,), or None
        None if and only if :math:`p^1 \le p^2`; else costs :math:`(c_A, c_B)` of a type that gains from
        both offers.

    Examples
    --------
    >>> two_price_witness(1.0, 1.5) is None
    True
    """
    offers = np.array([[1.0, -take], [-1.0, shed]])
    found = menu_witness(np.zeros(2), [offer[None] for offer in offers])
    return None if found is None else found[0]


def two_price_menus(
    problem: ReallocationProblem, in_a: npt.ArrayLike, take: npt.ArrayLike, shed: npt.ArrayLike
) -> Menus:
    r"""Make the menus of a two-price binary-classification mechanism.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents. One without endowment in either class, or whose ray a cap forbids, is not offered it.
    in_a : array_like of bool, shape (n_tasks,)
        Class A.
    take, shed : array_like, shape (n_agents,) or a number
        :math:`p^1_j, p^2_j`, both above 0. NaN leaves an offer out.

    Raises
    ------
    InvalidProblemError
        Naming the agents with :math:`p^1 > p^2`, whose menu would not be obviously strategy-proof.
    """
    inside = np.asarray(in_a, dtype=np.bool_)
    take = np.broadcast_to(np.asarray(take, dtype=np.float64), (problem.n_agents,))
    shed = np.broadcast_to(np.asarray(shed, dtype=np.float64), (problem.n_agents,))
    issues = []
    for j, agent in enumerate(problem.agents):
        if take[j] <= 0 or shed[j] <= 0:
            issues.append(Issue(f"prices of agent '{agent}'", expected="numbers above 0"))
        elif take[j] > shed[j] * (1 + _TIE):
            found = f"taking at {take[j]:g}, shedding at {shed[j]:g}"
            expected = "the first at most the second: else some types gain from both"
            issues.append(Issue(f"prices of agent '{agent}'", found=found, expected=expected))
    if issues:
        raise InvalidProblemError(issues)
    menus = []
    for j, agent in enumerate(problem.agents):
        if problem.endowment[j, inside].any() and problem.endowment[j, ~inside].any():
            offered = ~np.isnan([take[j], shed[j]])
            prices = np.where(offered, [take[j], shed[j]], 1.0)
            rays = two_price_rays(problem.endowment[j], inside, prices[0], prices[1])
            changes = full_extent(problem, np.array([j, j]), rays)
            named = [
                Ray(name, change)
                for name, change, offer in zip(("take", "shed"), changes, offered, strict=True)
                if offer and change.any()
            ]
            menus.append(Menu(agent, tuple(named)))
    return Menus.of(problem.agents, problem.tasks, menus)


def fixed_price_protocol(
    endowment: npt.ArrayLike, prices: npt.ArrayLike, demands: Sequence[npt.ArrayLike]
) -> TradingProtocol:
    r"""Make the trading protocol of a pseudo-market whose prices are fixed up front.

    Parameters
    ----------
    endowment : array_like, shape (n_agents, n_tasks)
        :math:`\eta`.
    prices : array_like, shape (n_tasks,)
        p.
    demands : sequence of array_like, shape (n_demands, n_tasks)
        Bundles on each agent's budget line that she may ask for; action 0 keeps, action k asks for
        the k-th.

    Returns
    -------
    TradingProtocol
        The rule carries out the demands of as many agents as clear the market together, the first such
        set of agents in order; the others keep.

    Raises
    ------
    InvalidProblemError
        Naming the demands that are negative or off the budget line.
    """
    table, price = np.asarray(endowment, dtype=np.float64), np.asarray(prices, dtype=np.float64)
    asked = [np.atleast_2d(np.asarray(bundles, dtype=np.float64)) for bundles in demands]
    issues = []
    for j, bundles in enumerate(asked):
        wealth = float(price @ table[j])
        for k in np.flatnonzero(np.abs(bundles @ price - wealth) > _TIE * max(1.0, abs(wealth))).tolist():
            found = f"worth {bundles[k] @ price:g}"
            issues.append(Issue(f"demand {k + 1} of agent {j}", found=found, expected=f"worth {wealth:g}"))
        for k in np.flatnonzero((bundles < 0).any(axis=1)).tolist():
            issues.append(Issue(f"demand {k + 1} of agent {j}", expected="amounts of at least 0"))
    if issues:
        raise InvalidProblemError(issues)
    menus: list[tuple[TradingSet, ...]] = []
    for row, bundles in zip(table, asked, strict=True):
        menus.append((FiniteSet(row[None]), *(FiniteSet(np.array([row, bundle])) for bundle in bundles)))

    def select(profile: tuple[int, ...]) -> FloatArray:
        willing = [j for j, k in enumerate(profile) if k > 0]
        for size in range(len(willing), 1, -1):
            for group in itertools.combinations(willing, size):
                moved = table.copy()
                for j in group:
                    moved[j] = asked[j][profile[j] - 1]
                if np.abs(moved.sum(axis=0) - table.sum(axis=0)).max() <= _TIE * max(1.0, table.sum()):
                    return moved
        return table

    return TradingProtocol(table, tuple(menus), select)
