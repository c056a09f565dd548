"""M♮-concave valuations: families and the operations that keep them M♮-concave, as composable objects."""

from fairlot.model.valuations.base import MOST_ENUMERATED, Valuation, steepest_ascent
from fairlot.model.valuations.bounds import Bound
from fairlot.model.valuations.expressions import Number
from fairlot.model.valuations.simple import (
    Additive,
    Cardinality,
    LaminarConcave,
    Table,
    Taste,
    UnitDemand,
)

__all__ = [
    "MOST_ENUMERATED",
    "Additive",
    "Bound",
    "Cardinality",
    "LaminarConcave",
    "Number",
    "Table",
    "Taste",
    "UnitDemand",
    "Valuation",
    "steepest_ascent",
]
