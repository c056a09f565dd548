"""Equilibria of markets whose agents are in parts, on one machine or many."""

from fairlot.pseudomarket.sharded.part import PartSpecification
from fairlot.pseudomarket.sharded.solve import ShardedEquilibrium, keep_shares, solve_shards
from fairlot.pseudomarket.sharded.split import joined_equilibrium, split_market

__all__ = [
    "PartSpecification",
    "ShardedEquilibrium",
    "joined_equilibrium",
    "keep_shares",
    "solve_shards",
    "split_market",
]
