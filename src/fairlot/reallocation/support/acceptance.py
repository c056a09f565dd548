r"""How likely each ray of a menu is picked, exactly or with the error of an independent sample.

Where no formula gives :math:`P(c \cdot \kappa < 0)`, each of 16 independent scramblings of 8,192 Sobol
points (2^17 types in all, none of which a search has seen) gives an unbiased estimate; their spread is
the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc
from scipy.stats import t as student

from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import FloatArray
from fairlot.reallocation.value.acceptance import conditional_probability, exact_probability

_SCRAMBLES = 16
_POINTS = 1 << 13
_EDGE = 2.0**-40
_FRESH = 0x5EED
"""Added to the seed, so that no search has seen these types."""


@dataclass(frozen=True, eq=False)
class Acceptance:
    r"""Probabilities that rays are picked.

    Parameters
    ----------
    probabilities : FloatArray, shape (n_rays,)
        :math:`P(c \cdot \kappa^k < 0)`.
    replicates : FloatArray, shape (n_scrambles, n_rays)
        Independent unbiased estimates whose mean they are; one row where all are exact.
    """

    probabilities: FloatArray
    replicates: FloatArray

    def interval(self, values: FloatArray) -> tuple[float, float, float, float]:
        r"""Estimate :math:`\sum_k P_k v_k`.

        Parameters
        ----------
        values : FloatArray, shape (n_rays,)
            :math:`v_k`.

        Returns
        -------
        mean, standard_error, low, high : float
            The ends of a 95% confidence interval last; all the same where the probabilities are exact.
        """
        sums = self.replicates @ values
        mean = float(sums.mean()) if len(sums) else 0.0
        if len(sums) < 2:
            return mean, 0.0, mean, mean
        error = float(sums.std(ddof=1) / np.sqrt(len(sums)))
        margin = float(student.ppf(0.975, len(sums) - 1)) * error
        return mean, error, mean - margin, mean + margin


def menu_acceptance(belief: Beliefs, changes: FloatArray, *, seed: int = 0) -> Acceptance:
    """Evaluate how likely each ray is picked.

    Parameters
    ----------
    belief : Beliefs
        About one agent, shape (1, n_tasks).
    changes : FloatArray, shape (n_rays, n_tasks)
        Her rays.
    seed : int
        Of the scramblings.
    """
    exact = [exact_probability(belief, change) for change in changes]
    known = np.array([np.nan if p is None else p for p in exact], dtype=np.float64)
    missing = np.flatnonzero(np.isnan(known))
    if not len(missing):
        return Acceptance(known, known[None])
    estimates = np.tile(known, (_SCRAMBLES, 1))
    for scramble in range(_SCRAMBLES):
        stream = np.random.SeedSequence([_FRESH, seed, scramble]).generate_state(1)[0]
        points = qmc.Sobol(changes.shape[1], seed=int(stream)).random(_POINTS)
        types = belief.types(np.clip(points, _EDGE, 1 - _EDGE)[:, None, :])[:, 0]
        for r in missing.tolist():
            estimates[scramble, r] = conditional_probability(belief, changes[r], types)
    return Acceptance(estimates.mean(axis=0), estimates)
