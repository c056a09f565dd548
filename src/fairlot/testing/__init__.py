"""For our tests and our users': made-up markets, slow oracles, hypothesis strategies, assertions.

``markets`` makes seeded markets by name; ``oracles`` recomputes by enumeration and a plain linear
program what the library computes fast; ``strategies`` draws small markets with every feature for
hypothesis (part of the extra ``dev``).
"""

from fairlot.testing.asserts import assert_equilibrium
from fairlot.testing.markets import VALUE_KINDS, course_market, random_values, unit_demand
from fairlot.testing.oracles import (
    Bundles,
    acceptable_bundles,
    best_affordable_lottery,
    best_use,
    utility_of_mean,
)
from fairlot.testing.strategies import pseudo_markets
from fairlot.testing.timetables import timetable_market
from fairlot.testing.valuations import table_by_definition, valuations

__all__ = [
    "VALUE_KINDS",
    "Bundles",
    "acceptable_bundles",
    "assert_equilibrium",
    "best_affordable_lottery",
    "best_use",
    "course_market",
    "pseudo_markets",
    "random_values",
    "table_by_definition",
    "timetable_market",
    "unit_demand",
    "utility_of_mean",
    "valuations",
]
