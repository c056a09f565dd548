"""Small markets that the tests of mechanisms share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket


def unit(values: Sequence[Sequence[float]], capacities: int | Sequence[int] = 1) -> PseudoMarket:
    """Every agent gets at most one copy; a value of 0 is unacceptable."""
    table = np.array(values, dtype=np.float64)
    table[table == 0] = np.nan
    return PseudoMarket.from_arrays(table, capacities=capacities, quotas=[Quota("one copy", max=1)])


def several(values: Sequence[Sequence[float]], capacities: int | Sequence[int] = 1) -> PseudoMarket:
    """Agents may hold a copy of everything."""
    return PseudoMarket.from_arrays(values, capacities=capacities)
