r"""The N-replica market: every agent and every seat N times, values and rules as they were.

Prices and shares of an equilibrium, repeated, are an equilibrium of the replica. What shrinks is the part
that one agent is of the whole: with N copies of everybody, a lie of one of them moves prices by
:math:`O(1/N)` (Azevedo and Budish 2019, "Strategy-proofness in the Large", Review of Economic Studies 86(1)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.constraints import Members, Quota, Taper
from fairlot.model.market import PseudoMarket


def replicate(market: PseudoMarket, n: int) -> PseudoMarket:
    """Copy every agent and every seat.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    n : int
        Copies, at least 1.

    Returns
    -------
    PseudoMarket
        Agent i of copy c is in position ``c * market.n_agents + i``, under her old id in copy 0 and with
        ``#c`` behind it in the others. Capacities and limits are n times the old ones.

    Raises
    ------
    InvalidProblemError
        If ``n`` is less than 1.

    Examples
    --------
    >>> twice = replicate(PseudoMarket.from_arrays([[3, 2]], capacities=[1, 4]), 2)
    >>> twice.agents, twice.capacities.tolist()
    (('agent1', 'agent1#2'), [2, 8])
    """
    if n < 1:
        raise InvalidProblemError([Issue("replicas", found=str(n), expected="at least 1")])
    if n == 1:
        return market
    mark = "#"
    while any(mark in agent for agent in market.agents):
        mark += "#"

    def copies(agents: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{agent}{mark}{c + 1}" if c else agent for c in range(n) for agent in agents)

    def members(agents: Members) -> Members:
        return agents if isinstance(agents, str) else copies(agents)

    def bound(bound: int | Mapping[str, int] | Sequence[int]) -> int | Mapping[str, int] | Sequence[int]:
        if isinstance(bound, Mapping):
            return dict(zip(copies(tuple(bound)), list(bound.values()) * n, strict=True))
        return bound if np.ndim(bound) == 0 else tuple(np.tile(np.asarray(bound), n).tolist())

    def quota(quota: Quota) -> Quota:
        most = None if quota.max is None else bound(quota.max)
        return replace(quota, min=bound(quota.min), max=most, agents=members(quota.agents))

    def taper(taper: Taper) -> Taper:
        return replace(taper, agents=members(taper.agents))

    return replace(
        market,
        agents=copies(market.agents),
        capacities=market.capacities * n,
        budgets=np.tile(market.budgets, n),
        values=sp.csr_array(sp.vstack([market.values] * n)),
        quotas=tuple(map(quota, market.quotas)),
        tapers=tuple(map(taper, market.tapers)),
        limits=tuple(replace(limit, max=limit.max * n) for limit in market.limits),
    )
