"""Cut a market into parts of its agents, and put what came of them together."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Status
from fairlot.model.constraints import Members
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.equilibrium import Claim, Equilibrium, publish
from fairlot.pseudomarket.sharded.solve import ShardedEquilibrium
from fairlot.verify.equilibrium import verify_equilibrium


def split_market(market: PseudoMarket, n_parts: int) -> list[PseudoMarket]:
    """Cut a market into parts of consecutive agents, about equally many each.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    n_parts : int
        How many, at least 1; not more than there are agents.

    Returns
    -------
    list of PseudoMarket
        Each with all goods, capacities and limits, and with the quotas and tapers that bind its agents.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 2], [1, 2], [2, 1]], capacities=1)
    >>> [part.agents for part in split_market(market, 2)]
    [('agent1',), ('agent2', 'agent3')]
    """
    if not 1 <= n_parts <= max(market.n_agents, 1):
        msg = f"n_parts is {n_parts}, expected 1 to {market.n_agents}, the number of agents"
        raise ValueError(msg)
    ends = [k * market.n_agents // n_parts for k in range(n_parts + 1)]
    return [_part(market, first, last) for first, last in pairwise(ends)]


def _part(market: PseudoMarket, first: int, last: int) -> PseudoMarket:
    quotas, tapers = [], []
    n_quotas = len(market.quotas)
    for k, bound in enumerate(market.bound_sets):
        agents: Members = "all"
        if bound.agents is not None:
            mine = bound.agents[(bound.agents >= first) & (bound.agents < last)]
            if not len(mine):
                continue
            agents = tuple(market.agents[i] for i in mine.tolist())
        if k >= n_quotas:
            tapers.append(replace(market.tapers[k - n_quotas], agents=agents))
        else:
            low, high = bound.lower[first:last], bound.upper[first:last]
            quotas.append(replace(market.quotas[k], min=low.tolist(), max=high.tolist(), agents=agents))
    return PseudoMarket(
        agents=market.agents[first:last],
        goods=market.goods,
        capacities=market.capacities,
        budgets=market.budgets[first:last],
        values=market.values[np.arange(first, last)],
        per_agent=market.per_agent,
        quotas=tuple(quotas),
        tapers=tuple(tapers),
        limits=market.limits,
        title=market.title,
    )


def joined_equilibrium(market: PseudoMarket, found: ShardedEquilibrium) -> Equilibrium:
    """Put the parts' shares together again, and have the whole verified as one.

    Parameters
    ----------
    market : PseudoMarket
        The market that :func:`split_market` cut.
    found : ShardedEquilibrium
        With the shares that it keeps by default.
    """
    shares = RandomAllocation(
        market.agents, market.goods, sp.vstack([part.matrix for part in found.kept], format="csr")
    )
    tol = float(found.stats.parameters["tol"])
    certificate = verify_equilibrium(market, found.prices, shares, row_prices=found.row_prices, tol=tol)
    claim = Claim(found.prices, found.row_prices, shares, certificate, found.stats.method)
    missed = Status.UNCERTIFIED if found.status is Status.CERTIFIED else found.status
    status = Status.CERTIFIED if certificate.passed else missed
    return publish(market, claim, status, found.stats)
