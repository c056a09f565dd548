"""The verifiable draw: commit, a seed that nobody could choose, draw, and a record of it all.

``docs/draw-specification.md`` is the specification, :mod:`fairlot.verify.draw` the independent check.
"""

from fairlot.lottery.protocol.ceremony import Ceremony, Official, seal
from fairlot.lottery.protocol.record import Change, abort_result, commit_result, draw_result, public_part
from fairlot.lottery.protocol.salts import Salts, new_salts
from fairlot.lottery.protocol.seeds import OPEN, DrandRound, DrawRefusedError, GivenSeed, Seed, Source
from fairlot.lottery.protocol.steps import (
    Commitment,
    Draw,
    Transcript,
    abort,
    commit,
    draw,
    inner_seed,
    ticket,
)

__all__ = [
    "OPEN",
    "Ceremony",
    "Change",
    "Commitment",
    "DrandRound",
    "Draw",
    "DrawRefusedError",
    "GivenSeed",
    "Official",
    "Salts",
    "Seed",
    "Source",
    "Transcript",
    "abort",
    "abort_result",
    "commit",
    "commit_result",
    "draw",
    "draw_result",
    "inner_seed",
    "new_salts",
    "public_part",
    "seal",
    "ticket",
]
