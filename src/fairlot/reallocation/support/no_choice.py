r"""What needs no asking: less of anything, or an exchange that every type in the box accepts.

*Remedial* (section 4.2): :math:`T = \{x : 0 \le x \le \eta\}`, of which the designer takes
:math:`\sum_i w_i^- \eta_i`. *No choice*: :math:`\max w \cdot \kappa` over :math:`\kappa \ge -\eta` within the
caps with :math:`\bar c \cdot \kappa^+ \le \underline c \cdot \kappa^-`.
"""

from __future__ import annotations

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.reallocation.programs import LinearProgram, solve_program
from fairlot.reallocation.support.terms import Terms

_MARGIN = 1e-9
"""Share of what she gets that is held back, so that no believed type is indifferent."""


def remedial_gain(terms: Terms, w: FloatArray) -> float:
    r"""Evaluate :math:`\sum_i w_i^- \eta_i`.

    Parameters
    ----------
    terms : Terms
        The agent.
    w : FloatArray, shape (n_tasks,)
        Values.
    """
    return float(np.maximum(-w, 0.0) @ terms.endowment)


def no_choice_change(terms: Terms, w: FloatArray) -> FloatArray:
    """Find the most valuable exchange that every believed type accepts.

    Parameters
    ----------
    terms : Terms
        The agent.
    w : FloatArray, shape (n_tasks,)
        Values.

    Returns
    -------
    FloatArray, shape (n_tasks,)
        0 if there is none.
    """
    low, high = terms.belief.low[0], terms.belief.high[0]
    n = terms.n_tasks
    # where her cost has no upper end, or nothing of the task may be added, no growth at all
    open_tasks = np.isfinite(high) & ~terms.closed
    rows = [np.concatenate([np.where(open_tasks, high, 0.0), -low])]
    limits = [0.0]
    if np.isfinite(terms.load_room):
        rows.append(np.concatenate([np.ones(n), -np.ones(n)]))
        limits.append(terms.load_room)
    program = LinearProgram.dense(
        cost=np.concatenate([-w, w]),
        rows=np.array(rows),
        row_lower=np.full(len(rows), -np.inf),
        row_upper=np.array(limits),
        upper=np.concatenate([np.where(open_tasks, terms.room, 0.0), terms.endowment]),
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the program without choice was not solved"  # 0 is feasible, and no cost has 0 as its upper end
        raise ArithmeticError(msg)
    gets, gives = solution.x.reshape(2, n)
    change: FloatArray = gets - gives
    return np.asarray(np.where(change > 0, (1 - _MARGIN) * change, change))
