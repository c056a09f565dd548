"""Random economies of agents of every M♮-concave family, by name and seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    Cardinality,
    Convolution,
    Endowment,
    GraphicMatroid,
    LaminarConcave,
    LaminarMatroid,
    LinearMatroid,
    Satiation,
    Taste,
    TransversalMatroid,
    UniformMatroid,
    UnitDemand,
    Valuation,
    WeightedRank,
)


def _gains(rg: random.Random, n: int) -> list[int]:
    gains = sorted((rg.randint(0, 10) for _ in range(n)), reverse=True)
    return [sum(gains[:k]) for k in range(n + 1)]


FAMILIES: dict[str, Callable[[int, random.Random], Valuation]] = {
    "unit demand": lambda n, rg: UnitDemand([rg.randint(1, 20) for _ in range(n)]),
    "additive": lambda n, rg: Additive([rg.randint(1, 20) for _ in range(n)]),
    "cardinality": lambda n, rg: Cardinality(_gains(rg, n)),
    "uniform": lambda n, rg: WeightedRank(
        UniformMatroid(n, rg.randint(1, 3)), [rg.randint(1, 20) for _ in range(n)]
    ),
    "laminar": lambda n, rg: WeightedRank(
        LaminarMatroid(n, (Bound((0, 1), 0, 1), Bound(tuple(range(n)), 0, rg.randint(1, 3)))),
        [rg.randint(1, 20) for _ in range(n)],
    ),
    "graphic": lambda n, rg: WeightedRank(
        GraphicMatroid(tuple((rg.randrange(4), rg.randrange(4)) for _ in range(n))),
        [rg.randint(1, 20) for _ in range(n)],
    ),
    "linear": lambda n, rg: WeightedRank(
        LinearMatroid([[rg.randint(0, 1) for _ in range(3)] for _ in range(n)], 2),
        [rg.randint(1, 20) for _ in range(n)],
    ),
    "transversal": lambda n, rg: WeightedRank(
        TransversalMatroid(n, [rg.sample(range(n), 2) for _ in range(2)]),
        [rg.randint(1, 20) for _ in range(n)],
    ),
    "assignment": lambda n, rg: AssignmentValuation(
        [[rg.randint(0, 20) for _ in range(n)] for _ in range(2)]
    ),
    "laminar concave": lambda n, rg: LaminarConcave(
        n,
        (
            *(Taste((j,), (0, rg.randint(1, 9))) for j in range(n)),
            Taste(tuple(range(n)), tuple(_gains(rg, n))),
        ),
    ),
    "convolution": lambda n, rg: Convolution([FAMILIES["uniform"](n, rg), FAMILIES["unit demand"](n, rg)]),
    "endowment": lambda n, rg: Endowment(FAMILIES["assignment"](n, rg), [0]),
    "satiation": lambda n, rg: Satiation(FAMILIES["additive"](n, rg), rg.randint(1, n)),
}
"""Makers of a random valuation with small integer values, given the number of goods."""


def random_economy(n_goods: int, n_agents: int, seed: int = 0, families: Sequence[str] = ()) -> FiatEconomy:
    """Make an economy of agents of random families with small integer values, and budgets from 1 to 3.

    Parameters
    ----------
    n_goods, n_agents : int
        Size; at least two goods.
    seed : int
        Of the random choices.
    families : sequence of str
        Names in :data:`FAMILIES` to choose from; all by default.

    Examples
    --------
    >>> random_economy(3, 2, families=["unit demand"]).valuations[0]
    UnitDemand(values=(2, 9, 17))
    """
    rg = random.Random(seed)
    names = [rg.choice(sorted(families or FAMILIES)) for _ in range(n_agents)]
    return FiatEconomy(
        tuple(FAMILIES[name](n_goods, rg) for name in names),
        tuple(Fraction(rg.randint(1, 3)) for _ in range(n_agents)),
    )
