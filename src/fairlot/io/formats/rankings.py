r"""Rankings as values, by a stated rule.

Fiat money is spent by *values*: that a good is worth twice another says something, that it is ranked above
it much less. Where all there is is a ranking, fairlot uses Borda's rule. Of m alternatives,

.. math:: v_{ij} = m - \#\{k : i \text{ ranks } k \text{ strictly above } j\},

so the first is worth m, a complete strict ranking ends with 1, alternatives that are tied are worth the same,
and what is not ranked is not acceptable.
"""

from __future__ import annotations

from collections.abc import Sequence

RULE = "value = number of goods not ranked above it (Borda); a good that is not ranked is not acceptable"
WARNING = (
    "rankings were turned into values by Borda's rule; how much more one good is worth than the next was "
    "invented, and prices and shares depend on it: cardinal values matter, ask for points if you can"
)


def borda(groups: Sequence[Sequence[int]], n_alternatives: int) -> dict[int, int]:
    """Turn one ranking into values.

    Parameters
    ----------
    groups : sequence of sequences of int
        Tied alternatives, the best first.
    n_alternatives : int
        How many there are, ranked or not.

    Returns
    -------
    dict of int to int
        Value by alternative, ranked ones only.

    Examples
    --------
    >>> borda([[2], [0, 1]], n_alternatives=4)
    {2: 4, 0: 3, 1: 3}
    """
    values: dict[int, int] = {}
    above = 0
    for group in groups:
        values.update(dict.fromkeys(group, n_alternatives - above))
        above += len(group)
    return values
