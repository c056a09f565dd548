r"""What an agent of a reallocation is asked: to keep what she has, or to pick a line of her menu.

A line is a ray :math:`\{\eta + y \kappa : 0 \le y \le 1\}`: an exchange at its full extent, or any smaller
one in that proportion. Whoever picks a line only if she would rather have it than keep what she has cannot
end with more load than she accepts, by her own judgement, whatever others pick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.menus import picks_csv, read_menus
from fairlot.io.problem import parse_reallocation_files
from fairlot.io.tables import read_table
from fairlot.model.menus import KEEP, LESS
from fairlot.reallocation.outcome import member_ids

MENUS = "menus.csv"


@dataclass(frozen=True)
class Line:
    """An exchange she may pick.

    Parameters
    ----------
    name : str
        Its id in her menu.
    change : mapping of str to float
        By how much each task changes at full extent, those that change.
    less : bool
        Whether it is to have less of everything, task by task, and nothing more.
    """

    name: str
    change: Mapping[str, float]
    less: bool


@dataclass(frozen=True, eq=False)
class MenuForm:
    """What one agent, or one member of a group, is asked.

    Parameters
    ----------
    agent : str
        Who.
    has : mapping of str to float
        Instances by task that she may insist on, in the order of the problem; every task.
    money : frozenset of str
        Which tasks are money.
    lines : tuple of Line
        What she may pick instead of keeping; none where there is nothing to choose.
    """

    agent: str
    has: Mapping[str, float]
    money: frozenset[str]
    lines: tuple[Line, ...]

    def read(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Check an answer.

        Parameters
        ----------
        payload : mapping
            ``{"pick": "keep"}`` or the id of a line.

        Raises
        ------
        InvalidProblemError
            If it is none of hers.
        """
        offered = [KEEP, *(line.name for line in self.lines)]
        if set(payload) != {"pick"} or payload["pick"] not in offered:
            found = str(payload.get("pick"))
            raise InvalidProblemError([Issue("pick", found=found, expected=" or ".join(offered))])
        return {"pick": payload["pick"]}


class MenuForms:
    """The forms of all members of a reallocation.

    Parameters
    ----------
    files : mapping of str to bytes
        Its problem folder.
    menus : bytes
        ``menus.csv`` of its design.

    Raises
    ------
    InvalidProblemError
        If they cannot be read.
    """

    def __init__(self, files: Mapping[str, bytes], menus: bytes) -> None:
        self._problem = parse_reallocation_files(files).problem
        issues: list[Issue] = []
        table = read_table(lambda _: menus, MENUS, issues)
        if table is None or issues:
            raise InvalidProblemError(issues)
        self._menus = read_menus(table, self._problem)
        self.agents = member_ids(self._problem)
        self._row = {agent: m for m, agent in enumerate(self.agents)}
        self._owner = np.repeat(np.arange(self._problem.n_agents), self._problem.sizes)

    def __getitem__(self, agent: str) -> MenuForm:
        """Return a member's form.

        Raises
        ------
        KeyError
            If there is no such member.
        """
        problem, j = self._problem, int(self._owner[self._row[agent]])
        rays = self._menus[problem.agents[j]].rays
        return MenuForm(
            agent,
            dict(zip(problem.tasks, problem.endowment[j].tolist(), strict=True)),
            frozenset(
                task for task, is_money in zip(problem.tasks, problem.transfer, strict=True) if is_money
            ),
            tuple(Line(ray.name, _moved(problem.tasks, ray.change), ray.name == LESS) for ray in rays),
        )

    def picks(self, payloads: Mapping[str, Mapping[str, Any]]) -> bytes:
        """Write ``picks.csv``.

        Parameters
        ----------
        payloads : mapping
            An answer, as :meth:`MenuForm.read` returns it, for each member who gave one. The others keep.
        """
        menus = self._menus
        names = zip(menus.ray_agents.tolist(), menus.ray_names, strict=True)
        at = {ray: r for r, ray in enumerate(names)}
        picks = np.full(len(self.agents), -1, dtype=np.int64)
        for agent, payload in payloads.items():
            m = self._row[agent]
            if payload["pick"] != KEEP:
                picks[m] = at[int(self._owner[m]), payload["pick"]]
        return picks_csv(self._problem, menus, picks)


def _moved(tasks: tuple[str, ...], change: Any) -> dict[str, float]:
    nothing = 1e-9 * float(np.abs(change).max())
    return {task: float(x) for task, x in zip(tasks, change, strict=True) if abs(x) > nothing}
