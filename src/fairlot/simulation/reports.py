r"""Lies that people tell: simple manipulations of one's own reported values.

===============  ==============================================================================
``truncate``     only the better half of the list, all else unacceptable
``exaggerate``   ten times the value for the favourite
``copy``         one's own numbers, in the order in which the goods are popular
``drop-popular`` the most popular quarter of one's goods unacceptable, one good at least left
``perturb``      every value times :math:`e^{z/2}`, z standard normal: a report at random
===============  ==============================================================================

A good is as popular as agents' mean value for it, relative to what each would get with everything at hand.
No lie makes a good acceptable that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.simulation.playing import entitlements

_FACTOR = 10.0
_NOISE = 0.5

Lie = Callable[[FloatArray, FloatArray, np.random.Generator], FloatArray]
"""(own values, popularity of these goods, generator) -> reported values, NaN where unacceptable."""


def _truncate(values: FloatArray, popularity: FloatArray, rng: np.random.Generator) -> FloatArray:
    kept = np.argsort(-values, kind="stable")[: (len(values) + 1) // 2]
    report = np.full(len(values), np.nan)
    report[kept] = values[kept]
    return report


def _exaggerate(values: FloatArray, popularity: FloatArray, rng: np.random.Generator) -> FloatArray:
    report = values.copy()
    report[np.argmax(values)] *= _FACTOR
    return report


def _copy(values: FloatArray, popularity: FloatArray, rng: np.random.Generator) -> FloatArray:
    report = np.empty(len(values))
    report[np.argsort(-popularity, kind="stable")] = -np.sort(-values)
    return report


def _drop_popular(values: FloatArray, popularity: FloatArray, rng: np.random.Generator) -> FloatArray:
    report = values.copy()
    dropped = min((len(values) + 3) // 4, len(values) - 1)
    report[np.argsort(-popularity, kind="stable")[:dropped]] = np.nan
    return report


def _perturb(values: FloatArray, popularity: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.asarray(values * np.exp(_NOISE * rng.standard_normal(len(values))))


LIES: Mapping[str, Lie] = {
    "truncate": _truncate,
    "exaggerate": _exaggerate,
    "copy": _copy,
    "drop-popular": _drop_popular,
    "perturb": _perturb,
}
"""The manipulations by name."""


def popularity(market: PseudoMarket) -> FloatArray:
    """Compute the mean relative value of each good, shape (n_goods,)."""
    relative = market.values.data / entitlements(market)[market.pair_agent]
    total = np.bincount(market.pair_good, np.nan_to_num(relative), minlength=market.n_goods)
    return np.asarray(total / market.n_agents)


def misreport(
    market: PseudoMarket, liars: Sequence[int], lie: str, *, popular: FloatArray, seed: int = 0
) -> PseudoMarket:
    """Make the market as reported when some agents lie.

    Parameters
    ----------
    market : PseudoMarket
        The market, with true values.
    liars : sequence of int
        Positions of those who lie.
    lie : str
        One of :data:`LIES`.
    popular : FloatArray, shape (n_goods,)
        From :func:`popularity`.
    seed : int
        For ``perturb``; every agent has a generator of her own.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 2, 1], [1, 2, 3]], capacities=1)
    >>> misreport(market, [0], "truncate", popular=popularity(market)).values.toarray().tolist()
    [[3.0, 2.0, 0.0], [1.0, 2.0, 3.0]]
    """
    data = np.array(market.values.data)
    for i in liars:
        span = slice(market.values.indptr[i], market.values.indptr[i + 1])
        goods = market.values.indices[span]
        if len(goods):
            data[span] = LIES[lie](data[span], popular[goods], np.random.default_rng([seed, i]))
    kept = np.flatnonzero(~np.isnan(data))
    place = (market.pair_agent[kept], market.pair_good[kept])
    return replace(market, values=sp.csr_array((data[kept], place), shape=market.values.shape))
