r"""The market's system on a piece, by the few prices that superbasic copies leave free.

.. math:: H q + W \lambda = a, \qquad W^\top q = g.

There are nearly as many superbasic pairs as prices. With :math:`\Pi W = L U` and L cut into a square part
:math:`L_1` and the rows :math:`L_2` below it, prices that meet the second equation are
:math:`\Pi q = q_0 + Z q_2`, :math:`Z = (-L_1^{-\top} L_2^\top, I)`, and :math:`Z^\top \Pi W = 0`, so that
:math:`Z^\top H Z` has a row per price that is free. It is lifted a little: where nobody minds a price, it
moves far. Where W has no full rank, because of ties, the whole system is factored, lifted.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dgetrf, dgetrs, dtrtrs

from fairlot.model.hierarchy import FloatArray

_LIFT_PRICES, _LIFT_COPIES = 1e-9, 1e-10
_RANK = 1e-8


class Saddle:
    """The system, factored.

    Parameters
    ----------
    slopes : FloatArray, shape (n, n)
        H.
    mix : FloatArray, shape (n, r)
        W.
    """

    def __init__(self, slopes: FloatArray, mix: FloatArray) -> None:
        n, r = self.n, self.r = mix.shape
        self._whole = r > n
        if r and not self._whole:
            lu, pivots, _ = dgetrf(mix)
            diagonal = np.abs(np.diag(lu))
            self._whole = not diagonal.min() > _RANK * diagonal.max()
        if self._whole:
            matrix = np.zeros((n + r, n + r))
            matrix[:n, :n], matrix[:n, n:], matrix[n:, :n] = slopes, mix, mix.T
            lift = np.concatenate([np.full(n, _LIFT_PRICES), np.full(r, _LIFT_COPIES)])
            matrix[np.diag_indices(n + r)] -= lift
            self._lu = dgetrf(matrix)[:2]
            return
        order = list(range(n))
        self._null = np.eye(n, n - r)
        if r:
            for k, other in enumerate(pivots.tolist()):
                order[k], order[other] = order[other], order[k]
            self._square = np.asfortranarray(lu[:r])
            self._null = np.vstack([-self._by_lower(lu[r:].T, 1), np.eye(n - r)])
        self._order = np.array(order)
        self._slopes = slopes[np.ix_(self._order, self._order)]
        reduced = self._null.T @ self._slopes @ self._null
        reduced[np.diag_indices(n - r)] -= _LIFT_PRICES
        self._lu = dgetrf(reduced)[:2] if n > r else (reduced, np.zeros(0))

    def solve(self, rows: FloatArray, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (q, λ) for the right sides a and g."""
        n, r = self.n, self.r
        if self._whole:
            found = dgetrs(*self._lu, np.concatenate([rows, gains]))[0]
            return found[:n], found[n:]
        base, right = np.zeros(n), rows[self._order]
        if r:
            base[:r] = self._by_lower(self._by_upper(gains, 1), 1)
        if n > r:
            free = dgetrs(*self._lu, self._null.T @ (right - self._slopes @ base))[0]
            base += self._null @ free
        q = np.empty(n)
        q[self._order] = base
        if not r:
            return q, gains
        return q, self._by_upper(self._by_lower((right - self._slopes @ base)[:r], 0), 0)

    def _by_lower(self, right: FloatArray, trans: int) -> FloatArray:
        return np.asarray(dtrtrs(self._square, right, lower=1, trans=trans, unitdiag=1)[0])

    def _by_upper(self, right: FloatArray, trans: int) -> FloatArray:
        return np.asarray(dtrtrs(self._square, right, trans=trans)[0])
