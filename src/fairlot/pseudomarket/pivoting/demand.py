r"""What an agent takes at given prices, where an earlier equilibrium does not say.

Somebody new, and somebody whose wishes or bounds have changed, starts from a vertex of

.. math:: \max_x (v_i - \varepsilon_i p) \cdot x - \text{penalties}, \quad l \le E x \le h, \quad
    p \cdot (x + f) \le b_i, \quad 0 \le x \le c.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.compiled import CompiledMarket


def best_copies(
    compiled: CompiledMarket, i: int, price: FloatArray, epsilon: float, left: float
) -> FloatArray | None:
    """Find copies that are best for an agent; None if she can afford nothing acceptable.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    i : int
        The agent.
    price : FloatArray, shape (n_goods,)
        Prices.
    epsilon : float
        Her price of money.
    left : float
        Her budget after the copies that bounds force on her.
    """
    c = compiled
    pairs, nodes = slice(c.start[i], c.start[i + 1]), np.arange(c.node_start[i], c.node_start[i + 1])
    member = (c.chain[pairs][:, :, None] == nodes).any(axis=1).T.astype(np.float64)
    cost = price[c.good[pairs]]
    penalty = c.penalty[nodes]
    excess = -np.eye(len(nodes))[:, np.isfinite(penalty)]
    over = np.hstack([member, excess])
    above, below = np.isfinite(c.upper[nodes]), np.isfinite(c.lower[nodes])
    solved = linprog(
        np.concatenate([epsilon * cost - c.value[pairs], penalty[np.isfinite(penalty)]]),
        A_ub=np.vstack([over[above], -over[below], np.append(cost, np.zeros(excess.shape[1]))[None]]),
        b_ub=np.concatenate([c.upper[nodes][above], -c.lower[nodes][below], [left]]),
        bounds=[(0.0, cap) for cap in c.cap[pairs]] + [(0.0, None)] * excess.shape[1],
        method="highs-ds",
    )
    return None if solved.x is None else np.asarray(solved.x[: len(cost)])
