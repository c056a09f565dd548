r"""Top trading cycles from random endowments, for agents who get one copy each.

Everybody is dealt a copy at random. Each points at the owner of the best copy there is to her (of equally
good ones the first), and cycles trade and leave. Outcomes are efficient whatever the deal; over random
deals the mechanism is the same lottery as random serial dictatorship (Abdulkadiroğlu and Sönmez 1998,
Theorem 2), which a test shows by enumeration. It is strategy-proof but, unlike serial dictatorship, not
obviously so (Li 2017).

References
----------
Shapley and Scarf (1974), "On Cores and Indivisibility", Journal of Mathematical Economics 1(1).
Li (2017), "Obviously Strategy-Proof Mechanisms", AER 107(11), Proposition 5.
"""

from __future__ import annotations

import numpy as np

from fairlot.baselines.outcome import Outcome
from fairlot.model.hierarchy import IntArray
from fairlot.model.market import PseudoMarket


def applies(market: PseudoMarket) -> str:
    """Say why the mechanism does not apply; nothing if it does.

    It takes one copy each and no constraint but the capacities: at least as many copies as agents, or the
    deal leaves somebody without anything to trade.
    """
    families = market.families
    single = market.n_agents == len(families.upper) and bool(
        (families.upper == 1).all() and np.isinf(families.penalty).all() and (families.leaf >= 0).all()
    )
    if not single and bool((np.diff(market.values.indptr) > 1).any()):
        return "every agent must want exactly one copy"
    if market.limit_sets or bool((families.lower > 0).any()):
        return "it has no place for lower quotas and limits"
    if int(market.capacities.sum()) < market.n_agents:
        return f"there are {int(market.capacities.sum())} copies to deal to {market.n_agents} agents"
    return ""


def top_trading_cycles(market: PseudoMarket, n_draws: int, seed: int) -> Outcome:
    """Deal copies at random and let them trade.

    Parameters
    ----------
    market : PseudoMarket
        One to which :func:`applies` has no objection.
    n_draws : int
        Number of deals.
    seed : int
        For the deals.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays([[2, 1], [1, 2]], capacities=1, quotas=[Quota("one", max=1)])
    >>> top_trading_cycles(market, 1, seed=0).draws.tolist()
    [[1, 0, 0, 1]]
    """
    draws = np.empty((n_draws, market.values.nnz), dtype=np.int64)
    copies = np.repeat(np.arange(market.n_goods), market.capacities)
    for k in range(n_draws):
        deal = np.random.default_rng([seed, k]).permutation(copies)
        draws[k] = trade(market, deal)
    return Outcome(draws)


def trade(market: PseudoMarket, deal: IntArray) -> IntArray:
    """Play top trading cycles from one deal.

    Parameters
    ----------
    market : PseudoMarket
        One copy each.
    deal : IntArray, shape (n_copies,)
        The good of every copy; the first n_agents copies are owned by the agents in order, the others by
        nobody, and whoever points at one takes it.

    Returns
    -------
    IntArray, shape (n_pairs,)
        Copies in the end; a copy that its owner does not accept stays with nobody.
    """
    n = market.n_agents
    start = market.values.indptr
    ranked = [
        [int(j) for j in own_goods[np.argsort(-worth, kind="stable")]]
        for own_goods, worth in (
            (market.pair_good[start[i] : start[i + 1]], market.values.data[start[i] : start[i + 1]])
            for i in range(n)
        )
    ]
    owners: list[list[int]] = [[] for _ in range(market.n_goods)]
    for copy, good in enumerate(deal.tolist()):
        owners[good].append(copy if copy < n else -1)
    owned = deal[:n].tolist()
    got = np.full(n, -1, dtype=np.int64)
    active = set(range(n))
    while active:
        path: list[int] = []
        place: dict[int, int] = {}
        i = min(active)
        while i not in place:
            place[i] = len(path)
            path.append(i)
            want = next((j for j in ranked[i] if owners[j]), -1)
            got[i] = want
            if want < 0 or owned[i] == want:
                place = {i: 0}
                path = [i]
                break
            free = -1 in owners[want]
            if free:
                place = {i: 0}
                path = [i]
                break
            i = owners[want][0]
        cycle = path[place[i] :]
        for member in cycle:
            own = owned[member]
            want = int(got[member])
            if len(cycle) == 1 and want >= 0 and own != want:
                owners[want].remove(-1)
                owners[own][owners[own].index(member)] = -1  # what she leaves is there for anybody
            elif len(cycle) == 1 and want < 0:
                owners[own][owners[own].index(member)] = -1
            else:
                owners[own].remove(member)
            active.discard(member)
    kept = np.flatnonzero(got >= 0)
    copies = np.zeros(market.values.nnz, dtype=np.int64)
    pair = {
        key: p
        for p, key in enumerate(zip(market.pair_agent.tolist(), market.pair_good.tolist(), strict=True))
    }
    for i in kept.tolist():
        copies[pair[i, int(got[i])]] = 1
    return copies
