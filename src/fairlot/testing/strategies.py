"""Hypothesis strategies for small pseudo-markets with every feature of the model.

Hypothesis is an optional part (extra ``dev``); it is imported when a strategy is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fairlot.errors import MissingExtraError
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy


def pseudo_markets(
    *,
    max_agents: int = 4,
    max_goods: int = 5,
    lower: bool = True,
    tapers: bool = True,
    limits: bool = True,
    equal_budgets: bool = False,
) -> SearchStrategy[PseudoMarket]:
    """Draw small markets: ties, zero values, unacceptable pairs, goods without supply, several copies.

    Quotas and tapers lie on one laminar family of sets of goods; each is for everybody or for some
    agents. An agent's own bounds may contradict each other.

    Parameters
    ----------
    max_agents, max_goods : int
        Largest size.
    lower, tapers, limits : bool
        Whether there may be lower bounds, tapers, limits.
    equal_budgets : bool
        Whether all budgets are 1.

    Raises
    ------
    MissingExtraError
        If hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ImportError as error:
        raise MissingExtraError("fairlot.testing.pseudo_markets", "dev") from error

    value = st.one_of(
        st.none(),
        st.integers(0, 4).map(float),
        st.sampled_from([0.1, 0.2, 0.3, 1e-3, 1e3]),
        st.integers(0, 9999).map(lambda k: k / 1000),
    )

    def laminar(draw: DrawFn, goods: list[str]) -> list[tuple[str, ...]]:
        """Draw a laminar family: cut the goods in pieces, and pieces in pieces."""
        family: list[tuple[str, ...]] = []
        waiting = [tuple(draw(st.permutations(goods)))]
        while waiting:
            piece = waiting.pop()
            if draw(st.booleans()):
                family.append(piece)
            if len(piece) > 1 and draw(st.booleans()):
                cut = draw(st.integers(1, len(piece) - 1))
                waiting += [piece[:cut], piece[cut:]]
        return family

    def some(draw: DrawFn, agents: list[str]) -> Any:
        chosen = draw(st.one_of(st.just("all"), st.sets(st.sampled_from(agents), min_size=1)))
        return chosen if isinstance(chosen, str) else tuple(sorted(chosen))

    @st.composite
    def markets(draw: DrawFn) -> PseudoMarket:
        n = draw(st.integers(1, max_agents))
        n_goods = draw(st.integers(1, max_goods))
        agents = [f"a{i}" for i in range(n)]
        goods = [f"g{j}" for j in range(n_goods)]
        cells = draw(st.lists(value, min_size=n * n_goods, max_size=n * n_goods))
        values = np.array([np.nan if cell is None else cell for cell in cells]).reshape(n, n_goods)
        quotas: list[Quota] = []
        soft: list[Taper] = []
        for k, members in enumerate(laminar(draw, goods)):
            whom = some(draw, agents)
            if tapers and draw(st.integers(0, 2)) == 0:
                steps = draw(
                    st.lists(st.sampled_from([1.0, 0.1, 0.0, -0.1, -0.5, -2.0]), min_size=1, max_size=4)
                )
                soft.append(Taper(f"taper{k}", tuple(sorted(steps, reverse=True)), members, whom))
            else:
                least = draw(st.integers(0, 2)) if lower else 0
                most = draw(st.one_of(st.none(), st.integers(least, least + 2)))
                quotas.append(Quota(f"quota{k}", members, least, most, whom))
        family = laminar(draw, goods) if limits and draw(st.booleans()) else []
        budgets = (
            1.0
            if equal_budgets
            else draw(st.lists(st.sampled_from([1.0, 1.0, 0.5, 2.0, 1.3]), min_size=n, max_size=n))
        )
        return PseudoMarket.from_arrays(
            values,
            capacities=draw(st.lists(st.integers(0, 4), min_size=n_goods, max_size=n_goods)),
            budgets=budgets,
            agents=agents,
            goods=goods,
            per_agent=draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=n_goods, max_size=n_goods)),
            quotas=quotas,
            tapers=soft,
            limits=[Limit(f"limit{k}", draw(st.integers(0, 6)), members) for k, members in enumerate(family)],
        )

    return markets()
