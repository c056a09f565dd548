r"""When is choice worth it: the conditions of Theorem 1, one by one.

If preferences have a common bounded support and the status quo has full support, then choice improves
upon the status quo, among obviously strategy-proof trading mechanisms and among all Bayesian incentive
compatible ones, if and only if preferences are not degenerate and performance is not identical. If,
moreover, :math:`\beta_j = 1` and the support has dimension I, choice is then optimal. Where supports
differ, one pair of agents that shares tasks is enough (Proposition 1); a bilateral trade is the proof
(Lemmas 2 and 3).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.programs import LinearProgram, solve_program

_SAME = 1e-9
_NAMED = 3


@dataclass(frozen=True)
class Condition:
    """One condition of Theorem 1.

    Parameters
    ----------
    name : str
        The condition.
    holds : bool
        Whether the problem satisfies it.
    broken_by : tuple of str
        Agents and tasks that break it.
    """

    name: str
    holds: bool
    broken_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.holds:
            return f"{self.name}: yes"
        shown = "; ".join(self.broken_by[:_NAMED])
        more = len(self.broken_by) - _NAMED
        return f"{self.name}: no" + (f" ({shown}{f' and {more} more' if more > 0 else ''})" if shown else "")


@dataclass(frozen=True)
class Theorem1:
    """The conditions of Theorem 1 and what follows.

    Parameters
    ----------
    common_support, bounded_support, full_support, non_degenerate, non_identical : Condition
        Assumptions, the first three; condition i., the other two.
    full_dimension, no_slack : Condition
        What part iv. asks in addition.
    pair : tuple of (int, int), optional
        Two agents who satisfy Proposition 1 on the tasks they share.
    trade : tuple of float, optional
        A bilateral trade of theirs that satisfies Lemma 2.
    """

    common_support: Condition
    bounded_support: Condition
    full_support: Condition
    non_degenerate: Condition
    non_identical: Condition
    full_dimension: Condition
    no_slack: Condition
    pair: tuple[int, int] | None
    trade: tuple[float, ...] | None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions, in the order of the paper."""
        return (
            self.common_support,
            self.bounded_support,
            self.full_support,
            self.non_degenerate,
            self.non_identical,
            self.full_dimension,
            self.no_slack,
        )

    @property
    def applies(self) -> bool:
        """Whether the theorem's assumptions hold, so that it decides either way."""
        return self.common_support.holds and self.bounded_support.holds and self.full_support.holds

    @property
    def improves(self) -> bool | None:
        """Whether choice improves upon the status quo; None where neither the theorem nor a pair decides."""
        if self.trade is not None:
            return True
        if not (self.non_identical.holds and self.non_degenerate.holds):
            return False
        return True if self.applies else None

    @property
    def optimal(self) -> bool | None:
        """Whether choice is optimal; None where that is not decided."""
        if self.improves is False:
            return False
        decided = self.applies and self.full_dimension.holds and self.no_slack.holds
        return True if decided and self.improves else None


def theorem1(problem: ReallocationProblem) -> Theorem1:
    """Check the conditions of Theorem 1.

    Parameters
    ----------
    problem : ReallocationProblem
        Burdens with fixed totals only.

    References
    ----------
    Valenzuela-Stookey, Theorem 1, Proposition 1, Lemmas 2 and 3.
    """
    problem.require_fixed_burdens()
    low, high = problem.beliefs.low, problem.beliefs.high
    common_low, common_high = _middle(low), _middle(high)
    differs = ~(_same(low, common_low) & _same(high, common_high))
    bare = problem.status_quo <= 0
    certain = problem.beliefs.degenerate_pairs
    costs_differ = ~_same(problem.costs, problem.costs[0]).all(axis=1)
    identical = () if costs_differ.any() else ("all agents have the same costs",)
    pair = improving_pair(problem)
    return Theorem1(
        common_support=_condition("common support of preferences", problem, differs),
        bounded_support=_condition("bounded support", problem, problem.beliefs.unbounded_pairs),
        full_support=_condition("everybody has some of every task", problem, bare),
        non_degenerate=Condition(
            "preferences are not known for certain",
            not certain.all(),
            ("every cost of every agent is known",) if certain.all() else (),
        ),
        non_identical=Condition("performance differs between agents", bool(costs_differ.any()), identical),
        full_dimension=_condition("preferences vary in every task", problem, certain),
        no_slack=Condition(
            "no slack in the status-quo constraint",
            bool((problem.beta == 1).all()),
            tuple(f"agent '{problem.agents[j]}'" for j in np.flatnonzero(problem.beta > 1)),
        ),
        pair=None if pair is None else pair[:2],
        trade=None if pair is None else tuple(pair[2].tolist()),
    )


def _middle(ends: FloatArray) -> FloatArray:
    """Take an end of the supports that belongs to the agent in the middle, infinite ones included."""
    return np.asarray(np.sort(ends, axis=0)[(len(ends) - 1) // 2])


def _same(table: FloatArray, row: FloatArray) -> BoolArray:
    with np.errstate(invalid="ignore"):
        near = np.abs(table - row) <= _SAME * np.maximum(np.abs(table), np.abs(row))
    return np.asarray((table == row) | near)


def _condition(name: str, problem: ReallocationProblem, broken: BoolArray) -> Condition:
    if broken.all():
        return Condition(name, False, ("every agent, every task",))
    breaking = tuple(
        f"agent '{problem.agents[j]}', task '{problem.tasks[i]}'" for j, i in np.argwhere(broken).tolist()
    )
    return Condition(name, not breaking, breaking)


def lemma2_conditions(
    problem: ReallocationProblem, first: int, second: int, trade: FloatArray
) -> dict[str, bool]:
    r"""Check the four conditions of Lemma 2 on a bilateral trade.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    first, second : int
        Who would move by :math:`+\gamma`, and who by :math:`-\gamma`.
    trade : FloatArray, shape (n_tasks,)
        :math:`\gamma`.

    Returns
    -------
    dict
        Whether the trade is ``feasible``, ``saves`` cost, and may be wanted by ``first`` and ``second``.
    """
    sigma, beliefs = problem.status_quo, problem.beliefs
    moved = np.flatnonzero(trade)
    gamma = trade[moved]
    low, high = beliefs.low[:, moved], beliefs.high[:, moved]
    least = np.where(gamma > 0, gamma * low[first], gamma * high[first]).sum()
    most = np.where(gamma > 0, gamma * high[second], gamma * low[second]).sum()
    feasible = (sigma[first] + trade >= 0).all() and (sigma[second] - trade >= 0).all()
    return {
        "feasible": bool(feasible),
        "saves": bool((problem.costs[first] - problem.costs[second]) @ trade < 0),
        "first": bool(least < 0),
        "second": bool(most > 0),
    }


def lemma3_trade(problem: ReallocationProblem, first: int, second: int) -> FloatArray | None:
    r"""Find a bilateral trade for a pair that satisfies Proposition 1 on the tasks both have.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    first, second : int
        The pair, in either order.

    Returns
    -------
    FloatArray, shape (n_tasks,), or None
        :math:`\gamma` for ``first`` (minus that for ``second``) as large as the status quo allows; None
        where the proposition's conditions fail.

    Notes
    -----
    For two types c', c'' common to both boxes, maximise t subject to
    :math:`(\pi' - \pi'') \cdot \gamma \le -t`, :math:`\gamma \cdot c' \le -t`,
    :math:`\gamma \cdot c'' \ge t`; one of the two orders succeeds where c', c'' and
    :math:`\pi' - \pi''` are pairwise independent.
    """
    sigma, beliefs = problem.status_quo, problem.beliefs
    shared = np.flatnonzero((sigma[first] > 0) & (sigma[second] > 0))
    delta = problem.costs[first, shared] - problem.costs[second, shared]
    low = np.maximum(beliefs.low[first, shared], beliefs.low[second, shared])
    high = np.minimum(beliefs.high[first, shared], beliefs.high[second, shared])
    high = np.where(np.isinf(high), 2 * low + 1, high)
    if len(shared) < 2 or not delta.any() or (high < low).any() or not (high > low).any():
        return None
    scale = np.abs(delta).max()
    for one, other in _two_types(low, high):
        for wanting, giving in ((one, other), (other, one)):
            rows = np.array([delta / scale, wanting / wanting.max(), -giving / giving.max()])
            n = len(shared)
            program = LinearProgram.dense(
                cost=np.append(np.zeros(n), -1.0),
                rows=np.column_stack([rows, np.ones(3)]),
                row_lower=np.full(3, -np.inf),
                row_upper=np.zeros(3),
                lower=np.append(-np.ones(n), 0.0),
                upper=np.ones(n + 1),
            )
            solution = solve_program(program)
            if solution.optimal and solution.x[-1] > _SAME:
                trade = np.zeros(problem.n_tasks)
                trade[shared] = solution.x[:-1]
                room = np.where(trade > 0, sigma[second], sigma[first])
                with np.errstate(divide="ignore", invalid="ignore"):
                    trade *= np.where(trade != 0, room / np.abs(trade), np.inf).min()
                return np.clip(trade, -sigma[first], sigma[second])
    return None


def _two_types(low: FloatArray, high: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """List pairs of types of a box: a corner of one task against the middle, and against its own opposite."""
    middle = (low + high) / 2
    pairs = []
    for i in np.flatnonzero(high > low):
        up, down = middle.copy(), middle.copy()
        up[i], down[i] = high[i], low[i]
        pairs += [(up, down), (up, middle), (down, middle)]
    return pairs


def improving_pair(problem: ReallocationProblem) -> tuple[int, int, FloatArray] | None:
    """Find two agents and a bilateral trade of theirs that improves upon the status quo.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents. Pairs are tried in order of how much their costs differ.

    Returns
    -------
    first, second, trade
        None where no pair satisfies Proposition 1 on the tasks it shares.
    """
    spread = problem.costs - problem.costs.mean(axis=0)
    order = np.argsort(-np.abs(spread).max(axis=1), kind="stable").tolist()
    for first, second in itertools.combinations(order, 2):
        trade = lemma3_trade(problem, first, second)
        if trade is not None and all(lemma2_conditions(problem, first, second, trade).values()):
            return first, second, trade
    return None
