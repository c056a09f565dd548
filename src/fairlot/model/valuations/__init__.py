"""M♮-concave valuations: families and the operations that keep them M♮-concave, as composable objects."""

from fairlot.model.valuations.assignment import AssignmentValuation
from fairlot.model.valuations.base import MOST_ENUMERATED, Valuation, steepest_ascent
from fairlot.model.valuations.bounds import Bound
from fairlot.model.valuations.constrained import Constrained, LowerBound, Satiation
from fairlot.model.valuations.expressions import Number
from fairlot.model.valuations.matroids import (
    GraphicMatroid,
    LaminarMatroid,
    LinearMatroid,
    Matroid,
    TransversalMatroid,
    UniformMatroid,
    WeightedRank,
)
from fairlot.model.valuations.operations import Convolution, Endowment, Restriction, Scaling
from fairlot.model.valuations.oracles import Oracle
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
    "AssignmentValuation",
    "Bound",
    "Cardinality",
    "Constrained",
    "Convolution",
    "Endowment",
    "GraphicMatroid",
    "LaminarConcave",
    "LaminarMatroid",
    "LinearMatroid",
    "LowerBound",
    "Matroid",
    "Number",
    "Oracle",
    "Restriction",
    "Satiation",
    "Scaling",
    "Table",
    "Taste",
    "TransversalMatroid",
    "UniformMatroid",
    "UnitDemand",
    "Valuation",
    "WeightedRank",
    "steepest_ascent",
]
