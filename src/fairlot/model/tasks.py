r"""The reallocation problem: who does how much of which task, at what cost, and what each may insist on.

I tasks with :math:`n^i` instances are to be divided among J agents. An instance of task i done by agent j
costs the organisation :math:`\pi_j(i)` and the agent herself :math:`c_j(i) > 0`, which only she knows;
the designer holds beliefs :math:`F_j`. Each agent may insist on her share :math:`\sigma_j` of the status
quo, whose columns sum to n (Valenzuela-Stookey, section 1):

.. math:: \min \sum_{i,j} \pi_j(i) \mu_j(i) \quad\text{s.t.}\quad \sum_j \mu_j(i) = n^i .

An agent may stand for a group of ``size`` exchangeable members; every amount is per member.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.beliefs import Beliefs
from fairlot.model.frames import read_wide_frame
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.ids import id_issues

_LARGEST = 1e15
_BALANCE = 1e-9
"""Relative difference between column sums that is rounding, not a fault."""


@dataclass(frozen=True)
class Caps:
    """How far practice lets an agent's work grow.

    Parameters
    ----------
    load_growth : float, optional
        Growth of the sum of her amounts, transfers left out, as a share of that sum in the status quo.
    task_growth : float, optional
        Growth of each amount, as a share of the same amount in the status quo; a task that she does
        not have stays away.
    """

    load_growth: float | None = None
    task_growth: float | None = None


@dataclass(frozen=True, eq=False)
class ReallocationProblem:
    r"""Agents, tasks, costs, the status quo and beliefs about preferences.

    Parameters
    ----------
    agents, tasks : tuple of str
        Ids, unique.
    status_quo : FloatArray, shape (n_agents, n_tasks)
        :math:`\sigma_j(i)`, instances per period and member, at least 0.
    costs : FloatArray, shape (n_agents, n_tasks)
        :math:`\pi_j(i)`, social cost per instance.
    beliefs : Beliefs
        About :math:`c_j(i)`, in any unit of the agent's own.
    sizes : IntArray, shape (n_agents,)
        Members of each group, at least 1.
    beta : FloatArray, shape (n_agents,)
        :math:`\beta_j \ge 1`, slack in the status-quo constraint of mechanisms without choice.
    endowment : FloatArray, shape (n_agents, n_tasks)
        :math:`\eta_j`, from which trades start; sums to the same counts.
    caps : Caps
        Limits of practice.
    forbidden : BoolArray, shape (n_agents, n_tasks)
        Tasks an agent may not do.
    transfer, free_total, burden : BoolArray, shape (n_tasks,)
        A transfer is money paid by the agent, its total fixed unless ``free_total``; a task that is no
        burden is a good, which agents would rather have more of.
    title : str
        For people.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.

    Examples
    --------
    >>> problem = ReallocationProblem.from_arrays(
    ...     status_quo=[[2, 1], [1, 2]], costs=[[1, 3], [2, 1]], beliefs=Beliefs.uniform(0.5, 1.5)
    ... )
    >>> problem.counts, float(problem.status_quo_cost)
    (array([3., 3.]), 9.0)
    """

    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    status_quo: FloatArray
    costs: FloatArray
    beliefs: Beliefs
    sizes: IntArray
    beta: FloatArray
    endowment: FloatArray
    caps: Caps
    forbidden: BoolArray
    transfer: BoolArray
    free_total: BoolArray
    burden: BoolArray
    title: str = ""

    def __post_init__(self) -> None:
        issues = id_issues("agent", self.agents) + id_issues("task", self.tasks)
        n, n_tasks = len(self.agents), len(self.tasks)
        shapes = {
            **dict.fromkeys(("status_quo", "costs", "endowment", "forbidden"), (n, n_tasks)),
            **dict.fromkeys(("sizes", "beta"), (n,)),
            **dict.fromkeys(("transfer", "free_total", "burden"), (n_tasks,)),
        }
        for name, shape in shapes.items():
            kind = np.bool_ if name in ("forbidden", "transfer", "free_total", "burden") else np.float64
            part: npt.NDArray[Any] = np.array(getattr(self, name), dtype=kind)
            if part.shape != shape:
                issues.append(Issue(name, found=f"shape {part.shape}", expected=f"shape {shape}"))
            part.flags.writeable = False
            object.__setattr__(self, name, part)
        try:
            object.__setattr__(self, "beliefs", self.beliefs.broadcast((n, n_tasks)))
        except ValueError:
            found = f"shape {self.beliefs.low.shape}"
            issues.append(Issue("beliefs", found=found, expected=f"shape {(n, n_tasks)}"))
        if not issues:
            issues = self._faults()
        if issues:
            raise InvalidProblemError(issues)
        sizes = self.sizes.astype(np.int64)
        sizes.flags.writeable = False
        object.__setattr__(self, "sizes", sizes)

    def _faults(self) -> list[Issue]:
        issues = self._pairs("status quo", self.status_quo, self.status_quo >= 0, "at least 0")
        issues += self._pairs("cost", self.costs, np.full(self.costs.shape, True), "of any sign")
        if not np.array_equal(self.endowment, self.status_quo, equal_nan=True):
            issues += self._pairs("endowment", self.endowment, self.endowment >= 0, "at least 0")
        whole = (self.sizes >= 1) & (self.sizes == np.floor(self.sizes)) & (self.sizes < 2**31)
        for j in np.flatnonzero(~whole).tolist():
            found = f"{self.sizes[j]:g}"
            issues.append(
                Issue(f"size of agent '{self.agents[j]}'", found=found, expected="an integer above 0")
            )
        for j in np.flatnonzero(~(np.isfinite(self.beta) & (self.beta >= 1))).tolist():
            found = f"{self.beta[j]:g}"
            issues.append(
                Issue(f"beta of agent '{self.agents[j]}'", found=found, expected="a number of at least 1")
            )
        issues += self.beliefs.issues(self.agents, self.tasks)
        for name in ("load_growth", "task_growth"):
            growth = getattr(self.caps, name)
            if growth is not None and not (np.isfinite(growth) and growth >= 0):
                issues.append(Issue(f"cap {name}", found=f"{growth:g}", expected="a number of at least 0"))
        for j, i in np.argwhere(self.forbidden & ((self.status_quo > 0) | (self.endowment > 0))).tolist():
            message = f"agent '{self.agents[j]}' has task '{self.tasks[i]}', which is forbidden to her"
            issues.append(Issue(message, found=f"{self.status_quo[j, i]:g}", expected="0 in the status quo"))
        for i in np.flatnonzero(self.free_total & ~self.transfer).tolist():
            issues.append(
                Issue(f"task '{self.tasks[i]}' has a free total", expected="only a transfer has a free total")
            )
        if not issues:
            granted = self.sizes @ self.endowment
            off = np.abs(granted - self.counts) > _BALANCE * np.maximum(1.0, self.counts)
            for i in np.flatnonzero(off).tolist():
                message = f"endowment of task '{self.tasks[i]}' does not add up"
                expected = f"{self.counts[i]:g}, as in the status quo"
                issues.append(Issue(message, found=f"{granted[i]:g}", expected=expected))
        return issues

    def _pairs(self, noun: str, table: FloatArray, in_range: BoolArray, which: str) -> list[Issue]:
        good = np.isfinite(table) & (np.abs(table) <= _LARGEST) & in_range
        return [
            Issue(
                f"{noun} of agent '{self.agents[j]}', task '{self.tasks[i]}'",
                found=f"{table[j, i]:g}",
                expected=f"a finite number {which}, not above {_LARGEST:g}",
            )
            for j, i in np.argwhere(~good).tolist()
        ]

    @classmethod
    def from_arrays(
        cls,
        status_quo: Any,
        costs: Any,
        beliefs: Beliefs,
        *,
        agents: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        counts: npt.ArrayLike | None = None,
        sizes: npt.ArrayLike = 1,
        beta: npt.ArrayLike = 1.0,
        endowment: Any = None,
        caps: Caps | None = None,
        forbidden: npt.ArrayLike = False,
        transfer: npt.ArrayLike = False,
        free_total: npt.ArrayLike = False,
        burden: npt.ArrayLike = True,
        title: str = "",
    ) -> ReallocationProblem:
        """Make a problem from arrays or data frames.

        Parameters
        ----------
        status_quo, costs : array_like or data frame
            Shape (n_agents, n_tasks). A pandas or polars frame is wide: one column ``agent``, then a
            column per task; frames are matched by ids, the status quo giving the order.
        beliefs : Beliefs
            Anything that broadcasts to (n_agents, n_tasks), in the order of the status quo.
        agents, tasks : sequence of str, optional
            Ids; default ``agent1, agent2, ...`` and ``task1, task2, ...``, or the frame's.
        counts : array_like, shape (n_tasks,), optional
            Instances per period. Where they differ from the sum of the status quo, its column is
            rescaled, with a ``UserWarning``.
        sizes, beta : array_like
            Per agent, or one number for all.
        endowment : array_like, optional
            Default: the status quo.
        caps : Caps, optional
            Default: none.
        forbidden, transfer, free_total, burden : array_like of bool
            As in the class.
        title : str
            For people.
        """
        if hasattr(status_quo, "columns"):
            status_quo, agents, tasks = read_wide_frame("status_quo", status_quo)
        amounts = np.array(np.atleast_2d(np.asarray(status_quo, dtype=np.float64)))
        n, n_tasks = amounts.shape
        agent_ids = tuple(f"agent{j + 1}" for j in range(n)) if agents is None else tuple(map(str, agents))
        task_ids = tuple(f"task{i + 1}" for i in range(n_tasks)) if tasks is None else tuple(map(str, tasks))
        if hasattr(costs, "columns"):
            costs = _aligned(costs, agent_ids, task_ids)
        members = np.broadcast_to(np.asarray(sizes, dtype=np.float64), (n,))
        if counts is not None:
            amounts = _rescaled(amounts, members, np.asarray(counts, dtype=np.float64), task_ids)
        return cls(
            agents=agent_ids,
            tasks=task_ids,
            status_quo=amounts,
            costs=np.broadcast_to(np.asarray(costs, dtype=np.float64), (n, n_tasks)),
            beliefs=beliefs,
            sizes=members,  # type: ignore[arg-type]  # whole numbers are what the constructor checks
            beta=np.broadcast_to(np.asarray(beta, dtype=np.float64), (n,)),
            endowment=amounts if endowment is None else np.asarray(endowment, dtype=np.float64),
            caps=Caps() if caps is None else caps,
            forbidden=np.broadcast_to(np.asarray(forbidden, dtype=np.bool_), (n, n_tasks)),
            transfer=np.broadcast_to(np.asarray(transfer, dtype=np.bool_), (n_tasks,)),
            free_total=np.broadcast_to(np.asarray(free_total, dtype=np.bool_), (n_tasks,)),
            burden=np.broadcast_to(np.asarray(burden, dtype=np.bool_), (n_tasks,)),
            title=title,
        )

    @property
    def n_agents(self) -> int:
        """Number of agents (groups)."""
        return len(self.agents)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @cached_property
    def counts(self) -> FloatArray:
        r"""Instances :math:`n^i` of each task per period, shape (n_tasks,)."""
        return np.asarray(self.sizes @ self.status_quo, dtype=np.float64)

    @cached_property
    def status_quo_cost(self) -> float:
        r"""Social cost :math:`\sum_{i,j} \pi_j(i) \sigma_j(i)` of the status quo, over all members."""
        return float(self.sizes @ (self.costs * self.status_quo).sum(axis=1))

    @cached_property
    def amount_ceilings(self) -> FloatArray:
        """Most of each task that a member may get under the caps, shape (n_agents, n_tasks); may be inf."""
        growth = self.caps.task_growth
        ceilings = (
            np.full(self.status_quo.shape, np.inf) if growth is None else (1 + growth) * self.status_quo
        )
        return np.where(self.forbidden, 0.0, np.maximum(ceilings, self.endowment))

    @cached_property
    def load_ceilings(self) -> FloatArray:
        """Largest load of a member under the caps, shape (n_agents,); may be inf."""
        growth = self.caps.load_growth
        if growth is None:
            return np.full(self.n_agents, np.inf)
        return np.maximum((1 + growth) * self.loads(self.status_quo), self.loads(self.endowment))

    def loads(self, amounts: FloatArray) -> FloatArray:
        """Add up amounts of work, shape (..., n_tasks) to (...): transfers are money, not work."""
        return np.asarray(amounts @ (~self.transfer).astype(np.float64))

    def require_fixed_burdens(self) -> None:
        """Raise ``NotSupportedError`` if some task is a good or has a free total."""
        goods = [task for task, burden in zip(self.tasks, self.burden, strict=True) if not burden]
        free = [task for task, free in zip(self.tasks, self.free_total, strict=True) if free]
        if goods:
            msg = f"tasks that agents would rather have more of are not supported yet: {', '.join(goods)}"
            raise NotSupportedError(msg)
        if free:
            raise NotSupportedError(f"transfers with a free total are not supported yet: {', '.join(free)}")


def _rescaled(
    amounts: FloatArray, members: FloatArray, counts: FloatArray, tasks: Sequence[str]
) -> FloatArray:
    """Scale the columns of the status quo to the counts."""
    sums = members @ amounts
    if counts.shape != sums.shape:
        raise InvalidProblemError(
            [Issue("counts", found=f"shape {counts.shape}", expected=f"shape {sums.shape}")]
        )
    issues = []
    for i, task in enumerate(tasks):
        if not (np.isfinite(counts[i]) and counts[i] >= 0):
            expected = "a finite number of at least 0"
            issues.append(Issue(f"count of task '{task}'", found=f"{counts[i]:g}", expected=expected))
        elif sums[i] == 0 < counts[i]:
            message = f"nobody has task '{task}' in the status quo"
            issues.append(Issue(message, found=f"count {counts[i]:g}", expected="a count of 0"))
    if issues:
        raise InvalidProblemError(issues)
    scale = np.ones(len(counts))
    differs = np.abs(counts - sums) > _BALANCE * np.maximum(1.0, sums)
    scale[differs] = counts[differs] / sums[differs]
    for i in np.flatnonzero(differs).tolist():
        warnings.warn(
            f"task '{tasks[i]}': the status quo adds up to {sums[i]:g}, its count is {counts[i]:g}; "
            "the status quo was rescaled",
            UserWarning,
            stacklevel=3,
        )
    return amounts * scale


def _aligned(frame: Any, agents: Sequence[str], tasks: Sequence[str]) -> FloatArray:
    """Read a wide frame in the order of the given ids."""
    cells, rows, columns = read_wide_frame("costs", frame)
    row, column = {a: k for k, a in enumerate(rows)}, {t: k for k, t in enumerate(columns)}
    missing = [f"agent '{a}'" for a in agents if a not in row]
    missing += [f"task '{t}'" for t in tasks if t not in column]
    unknown = [f"agent '{a}'" for a in sorted(row.keys() - set(agents))]
    unknown += [f"task '{t}'" for t in sorted(column.keys() - set(tasks))]
    issues = [Issue(f"costs have no row or column for {name}") for name in missing]
    issues += [Issue(f"costs name an unknown {name}") for name in unknown]
    issues += id_issues("agent", rows)
    if issues:
        raise InvalidProblemError(issues)
    return cells[np.ix_([row[a] for a in agents], [column[t] for t in tasks])]
