r"""The implementability problem: which random consumptions have a lottery over assignments.

Given :math:`\tau = (\sigma_1, \dots, \sigma_n) \in (\Delta(2^H))^n`, is there
:math:`\alpha \in \Delta(\Omega)` whose i-th marginal is :math:`\sigma_i` for every i? Adding up,
:math:`\sum_i \sum_{A \ni j} \sigma_i(A) \le 1`, is necessary, not sufficient: what counts is the bundles, not
the expected shares. It is a linear program over the disjoint combinations of the bundles that occur, and if
there is none its dual says why: prices :math:`y_i(A)` of bundles at which every assignment is worth at most
0 and the random consumptions more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fairlot.errors import NotSupportedError
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.valuations import Bound, Number
from fairlot.model.valuations.expressions import goods_in, mask_of
from fairlot.pseudomarket.bundles.cells import MOST_ASSIGNMENTS
from fairlot.pseudomarket.bundles.rational import minimise


@dataclass(frozen=True)
class Implementation:
    """Whether random consumptions are the marginals of a lottery over assignments.

    Parameters
    ----------
    lottery : BundleLottery or None
        Such a lottery, exact; None if there is none.
    witness : tuple of dict
        Where there is none: of each agent, a number per bundle. However assignments combine these bundles,
        the numbers add up to 0 at most; their expectations over the random consumptions add up to more,
        ``unmatched`` per agent.
    unmatched : Fraction
        The probability that is left when as much as possible of the random consumptions is implemented.
    """

    lottery: BundleLottery | None
    witness: tuple[dict[frozenset[int], Fraction], ...]
    unmatched: Fraction


def implement(
    consumptions: Sequence[Mapping[frozenset[int], Number]], limits: Sequence[Bound] = ()
) -> Implementation:
    """Decide whether random consumptions can be implemented, in fractions.

    Parameters
    ----------
    consumptions : sequence of mappings, one per agent
        Probabilities of bundles, which add up to 1; bundles are frozensets of goods.
    limits : sequence of Bound
        Upper bounds on what all agents together get from sets of goods.

    Raises
    ------
    ValueError
        If probabilities are negative or do not add up to 1.
    NotSupportedError
        If there are too many combinations of bundles.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> pair = {frozenset({0, 1}): half, frozenset(): half}
    >>> implement([pair, pair]).lottery is not None, implement([pair, pair, pair]).unmatched
    (True, Fraction(1, 4))
    """
    sigma = [{mask_of(bundle): Fraction(w) for bundle, w in mine.items() if w} for mine in consumptions]
    for i, mine in enumerate(sigma):
        if any(w < 0 for w in mine.values()) or sum(mine.values()) != 1:
            msg = f"the random consumption of agent {i} is no probability distribution"
            raise ValueError(msg)
    terms: list[tuple[int, ...]] = [()]
    for mine in sigma:
        terms = [(*term, mask) for term in terms for mask in mine if _fits(term, mask, limits)]
        if len(terms) > MOST_ASSIGNMENTS:
            msg = f"more than {MOST_ASSIGNMENTS} combinations of bundles"
            raise NotSupportedError(msg)
    place = [(i, mask) for i, mine in enumerate(sigma) for mask in mine]
    m, n_terms = len(place), len(terms)
    rows = []
    for r, (i, mask) in enumerate(place):
        row = [Fraction(term[i] == mask) for term in terms]
        rows.append(row + [Fraction(r == s) for s in range(m)])
    right = [sigma[i][mask] for i, mask in place]
    found = minimise([Fraction(0)] * n_terms + [Fraction(1)] * m, rows, right)
    if found.value:
        witness: tuple[dict[frozenset[int], Fraction], ...] = tuple({} for _ in sigma)
        for (i, mask), y in zip(place, found.duals, strict=True):
            witness[i][frozenset(goods_in(mask))] = y
        return Implementation(None, witness, found.value / len(sigma))
    kept = [t for t in range(n_terms) if found.x[t]]
    lottery = BundleLottery(
        tuple(found.x[t] for t in kept), tuple(tuple(map(goods_in, terms[t])) for t in kept)
    )
    return Implementation(lottery, (), Fraction(0))


def _fits(term: tuple[int, ...], mask: int, limits: Sequence[Bound]) -> bool:
    given = 0
    for other in term:
        given |= other
    if given & mask:
        return False
    return all(
        limit.upper is None or ((given | mask) & limit.mask).bit_count() <= limit.upper for limit in limits
    )
