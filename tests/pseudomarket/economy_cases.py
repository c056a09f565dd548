"""The paper's small economies, for the tests of this folder."""

from __future__ import annotations

from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import Table, UnitDemand

PAIR_OR_NOTHING = Table(tuple(2 if mask.bit_count() >= 2 else 0 for mask in range(8)))
EXAMPLE_1 = FiatEconomy((PAIR_OR_NOTHING, PAIR_OR_NOTHING), 1)
EXAMPLE_2 = FiatEconomy((Table((0, 10, 8, 11)), Table((0, 10, 2, 11)), Table((0, 10, 2, 11))), 1)
HYLLAND_ZECKHAUSER = FiatEconomy(
    (UnitDemand((100, 20, 0)), UnitDemand((100, 20, 0)), UnitDemand((100, 80, 0))), 1
)
