"""Small random markets with every kind of constraint, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket


def random_market(
    seed: int, *, lower: bool = True, tapers: bool = True, limits: bool = True, ties: bool = False
) -> PseudoMarket:
    """A market of 3 to 7 agents and 4 to 6 goods in two departments, feasible by construction.

    Supply is plentiful enough that everybody's lower quotas (equal and small) can be met at once.
    """
    rng = np.random.default_rng(seed)
    n, n_goods = int(rng.integers(3, 8)), int(rng.integers(4, 7))
    goods = [f"g{j}" for j in range(n_goods)]
    half = n_goods // 2
    values = rng.integers(1, 4, (n, n_goods)).astype(float) if ties else rng.uniform(0.1, 1.0, (n, n_goods))
    values[rng.uniform(size=values.shape) < 0.15] = np.nan
    values[:, [0, half]] = np.where(np.isnan(values[:, [0, half]]), 1.0, values[:, [0, half]])
    capacities = rng.integers(1, n + 1, n_goods)
    quotas = [Quota("load", max=int(rng.integers(1, 4)))]
    if rng.uniform() < 0.5:
        quotas.append(Quota("first department", goods[:half], max=int(rng.integers(1, 3))))
    if lower and rng.uniform() < 0.7:
        capacities[half] = n
        quotas.append(Quota("second department", goods[half:], min=1))
    bends = [Taper("second one", [0.0, -0.2, -0.5], goods[:half])] if tapers and rng.uniform() < 0.6 else []
    tops = []
    if limits and rng.uniform() < 0.5:
        tops.append(Limit("wing", max=int(capacities[:half].sum()) // 2 + 1, goods=goods[:half]))
    return PseudoMarket.from_arrays(
        values,
        capacities,
        rng.uniform(1.0, 1.0 if lower else 2.0, n),
        goods=goods,
        per_agent=rng.integers(1, 3, n_goods),
        quotas=quotas,
        tapers=bends,
        limits=tops,
    )
