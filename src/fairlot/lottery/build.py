"""Lotteries from a market's shares, or from any shares and laminar sets of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.cells import CellSet, Expectations, ascending, laminar_side, pair_positions, read_shares
from fairlot.lottery.exact import exact_lottery
from fairlot.lottery.guarantee import with_utility_chains
from fairlot.model.hierarchy import UNBOUNDED, Forest, IntArray, laminar_forest
from fairlot.model.lotteries import UNDECLARED, CellSets, Kind, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation

Guarantee = Literal["none", "utility"]


def lottery_from_shares(
    shares: RandomAllocation | Any,
    *,
    agents: Sequence[str] | None = None,
    goods: Sequence[str] | None = None,
    agent_sets: Sequence[CellSet] = (),
    good_sets: Sequence[CellSet] = (),
    rows: bool = True,
    columns: bool = True,
    kind: Kind = "pseudomarket",
    tol: float = 1e-9,
) -> Lottery:
    r"""Make the lottery that has the stated expected copies and rounds every set of a bihierarchy.

    Parameters
    ----------
    shares : RandomAllocation, array or scipy sparse matrix, shape (n_agents, n_goods)
        Expected copies. An array of ``fractions.Fraction`` (and int) is taken exactly, if its common
        denominator is at most 2^62; else it is rounded as floating-point numbers are.
    agents, goods : sequence of str, optional
        Ids of rows and columns; default those of ``shares``, or ``agent1, ...`` and ``good1, ...``.
    agent_sets, good_sets : sequence of CellSet
        Sets on either side; those of one side are nested or disjoint.
    rows, columns : bool
        Whether each agent's cells are a set of the agents' side too, and each good's of the goods'.
    kind : "pseudomarket" or "reallocation"
        What the cells mean.
    tol : float
        Copies by which a floating-point share may miss an integer that is meant; a total, an integer or a
        bound, by that times the total if it is more than 1.

    Returns
    -------
    Lottery
        ``repair_report(shares, lottery)`` says how far its expectations are from floating-point shares.

    Raises
    ------
    InvalidProblemError
        Listing negative or non-finite shares, unknown ids, sets that cross, sets whose bounds do not hold.

    References
    ----------
    Budish, Che, Kojima, Milgrom (2013), "Designing Random Allocation Mechanisms", AER 103(2), Theorem 1.

    Examples
    --------
    >>> from fractions import Fraction
    >>> third = Fraction(1, 3)
    >>> lottery = lottery_from_shares([[third, 2 * third], [2 * third, third]])
    >>> lottery.denominator, lottery.numerators
    (3, [1, 2, 2, 1])
    """
    given = read_shares(shares, agents, goods)
    issues: list[Issue] = []
    of_agents = [CellSet(f"agent '{agent}'", agents=(agent,)) for agent in given.agents] if rows else []
    of_goods = [CellSet(f"good '{good}'", goods=(good,)) for good in given.goods] if columns else []
    inner = laminar_side([*agent_sets, *of_agents], given, issues)
    outer = laminar_side([*good_sets, *of_goods], given, issues)
    if issues:
        raise InvalidProblemError(issues)
    return exact_lottery(given, inner, outer, kind, tol)


def market_lottery(
    market: PseudoMarket,
    shares: RandomAllocation,
    *,
    guarantee: Guarantee = "none",
    tol: float = 1e-9,
) -> Lottery:
    """Make the lottery over the shares of a pseudo-market that respects all its constraints.

    On the agents' side each agent's bundle is a set, and within it every set her quotas and tapers bound or
    bend; on the goods' side every limit and, within it, every good's capacity.

    Parameters
    ----------
    market : PseudoMarket
        The constraints.
    shares : RandomAllocation
        Expected copies, with the market's agents and goods.
    guarantee : "none" or "utility"
        With "utility", sets are added so that every realised utility is near the expected one
        (:func:`~fairlot.lottery.guarantee.utility_guarantee`). They are part of the published lottery and
        reveal how each agent ranks goods she gets with a probability strictly between 0 and 1.
    tol : float
        As in :func:`lottery_from_shares`.

    Raises
    ------
    InvalidProblemError
        Naming the unacceptable pairs with a share, and the quotas, capacities and limits that the shares
        exceed by more than tol.
    """
    if guarantee not in get_args(Guarantee):
        expected = " or ".join(get_args(Guarantee))
        raise InvalidProblemError([Issue("guarantee", found=str(guarantee), expected=expected)])
    if (shares.agents, shares.goods) != (market.agents, market.goods):
        raise InvalidProblemError([Issue("shares", expected="the market's agents and goods, in its order")])
    given = read_shares(shares, None, None)
    row, column = (np.array(ascending(ids)) for ids in (market.agents, market.goods))
    agent, good = row[given.cell_agent], column[given.cell_good]  # positions in the market
    pair = pair_positions(market, agent, good)
    accepted = pair >= 0
    copies = given.copies.copy()
    issues = [
        Issue(
            f"share of {given.cell_name(k)}", found=str(copies[k]), expected="0: the pair is not acceptable"
        )
        for k in np.flatnonzero(~accepted & ~(np.abs(copies) <= tol)).tolist()
    ]
    most = market.per_agent[good]
    issues += [
        Issue(f"share of {given.cell_name(k)}", found=str(copies[k]), expected=f"at most {most[k]} copies")
        for k in np.flatnonzero(copies > most + tol).tolist()
    ]
    if issues:
        raise InvalidProblemError(issues)
    copies[~accepted] = 0.0
    given = Expectations(
        given.agents, given.goods, given.cell_agent, given.cell_good, np.minimum(copies, most)
    )
    leaf = np.full(len(pair), -1)
    leaf[accepted] = market.families.leaf[pair[accepted]]
    lottery = exact_lottery(
        given, _agent_side(market, given, leaf), _good_side(market, given, good), "pseudomarket", tol
    )
    return with_utility_chains(market, lottery) if guarantee == "utility" else lottery


def _agent_side(market: PseudoMarket, given: Expectations, leaf: IntArray) -> CellSets:
    """Build each agent's row, then her nodes, parents first."""
    families, n = market.families, market.n_agents
    owner = np.argsort(ascending(market.agents))[families.agent]  # positions in the lottery
    # Nodes come before their parents in a market, after them in a lottery.
    position = n + np.arange(families.n_nodes)[::-1]
    parent = np.where(families.parent >= 0, position[families.parent], owner)[::-1]
    hard = ~np.isfinite(families.penalty)
    lower = np.where(hard & (families.lower > 0), families.lower, UNDECLARED)[::-1]
    upper = np.where(hard & (families.upper < UNBOUNDED), families.upper, UNDECLARED)[::-1]
    labels = [bound.label for bound in market.bound_sets]
    names = [f"agent '{agent}'" for agent in given.agents] + [
        f"{labels[families.source[node]]} of agent '{given.agents[owner[node]]}'"
        for node in range(families.n_nodes - 1, -1, -1)
    ]
    free = np.full(n, UNDECLARED)
    return CellSets(
        parent=np.concatenate([np.full(n, -1), parent]),
        lower=np.concatenate([free, lower]),
        upper=np.concatenate([free, upper]),
        names=tuple(names),
        leaf=np.where(leaf >= 0, position[leaf], given.cell_agent) if len(position) else given.cell_agent,
    )


def _good_side(market: PseudoMarket, given: Expectations, good: IntArray) -> CellSets:
    """Build the limits, parents first, then the columns; ``good`` is each cell's position in the market."""
    forest = laminar_forest([goods for goods, _ in market.limit_sets], market.n_goods)
    if not isinstance(forest, Forest):  # the market has refused crossing limits
        raise TypeError(forest)
    n = len(forest.order)
    limit_parent = np.where(forest.parent >= 0, n - 1 - forest.parent, -1)[::-1]
    limits = forest.order[::-1]
    home = np.where(forest.leaf >= 0, n - 1 - forest.leaf, -1)
    in_order = np.array(ascending(market.goods))
    return CellSets(
        parent=np.concatenate([limit_parent, home[in_order]]),
        lower=np.full(n + market.n_goods, UNDECLARED),
        upper=np.concatenate([[market.limit_sets[k][1] for k in limits], market.capacities[in_order]]),
        names=tuple(
            [market.limits[k].label for k in limits] + [f"capacity of good '{one}'" for one in given.goods]
        ),
        leaf=n + given.cell_good,
    )
