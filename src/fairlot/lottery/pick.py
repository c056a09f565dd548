r"""One draw from a lottery that is its terms: the binding procedure for timetables.

Terms have integer weights :math:`w_1, w_2, \dots` that add up to D. With b the number of binary digits of
D − 1,

    repeat
        r := the next b random bits, most significant first
    until r < D
    the term drawn is the first whose weight and those before it add up to more than r

where random bits are those of the walk (:mod:`fairlot.lottery.walk`): SHA-256 of the seed followed by a
counter. With :math:`D = 2^{52}` the first 52 bits decide, and every term has exactly its probability.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.walk import BLOCK_BYTES, check_seed, random_bytes
from fairlot.model.lotteries import Assignment, Lottery


def draw_term(lottery: Lottery, seed: bytes) -> Assignment:
    """Draw the term that the seed decides.

    Parameters
    ----------
    lottery : Lottery
        Drawn by terms.
    seed : bytes
        32 bytes. For a draw that others shall trust, derived from a commitment and public randomness.

    Raises
    ------
    InvalidProblemError
        If the lottery is not drawn by terms, or the seed is not 32 bytes.
    """
    if lottery.drawn_by != "terms" or lottery.terms is None:
        raise InvalidProblemError([Issue("lottery", found="drawn by a walk", expected="drawn by terms")])
    check_seed(seed)
    ends = itertools.accumulate(lottery.terms.weights.tolist())
    number = _below(lottery.denominator, seed)
    term = next(k for k, end in enumerate(ends) if end > number)
    return lottery.assignment(lottery.terms.copies(term))


def _below(limit: int, seed: bytes) -> int:
    """Draw a whole number below a limit, each with the same probability."""
    width = (limit - 1).bit_length()
    blocks = 1
    while width:
        total = 8 * BLOCK_BYTES * blocks
        bits = int.from_bytes(random_bytes(seed, blocks), "big")
        for end in range(width, total + 1, width):
            number = bits >> (total - end) & (1 << width) - 1
            if number < limit:
                return number
        blocks *= 2
    return 0


def sample_terms(lottery: Lottery, n: int, seed: int) -> npt.NDArray[np.int32]:
    """Draw many terms for studies, shape (n, n_cells); see :func:`~fairlot.lottery.sampling.sample`."""
    if lottery.terms is None:
        raise InvalidProblemError([Issue("lottery", found="no terms", expected="drawn by terms")])
    weights = lottery.terms.weights / lottery.denominator
    picked = np.random.default_rng(seed).choice(len(weights), size=n, p=weights / weights.sum())
    copies = np.array([lottery.terms.copies(term) for term in range(lottery.terms.n_terms)])
    return np.asarray(copies[picked], dtype=np.int32).reshape(n, lottery.n_cells)
