r"""Why one member got what she got.

She moves along the ray :math:`\kappa` she picked as far as that lowers the social cost. Her exchange at
full extent changes the cost of her own work by :math:`\pi_j \cdot \kappa`, and that of the others, who
make room for it, by :math:`-\lambda \cdot \kappa` at the prices :math:`\lambda` of the selection: it is
carried out in full where the sum is negative, not at all where it is positive, and as far as the others'
picks balance it where it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.menus import KEEP, LESS, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.letters import (
    DRAW_WORDS,
    SAFETY_WORDS,
    amounts_words,
    extent_along,
    menu_words,
    number_words,
    outcome_words,
    ray_words,
)
from fairlot.reallocation.outcome import member_ids

_CLOSE = 1e-9


class Reason(StrEnum):
    """Why her exchange goes as far as it does, and not further."""

    NO_CHOICE = "nothing was offered"
    KEPT = "she kept what she had"
    FULL = "carried out in full"
    PART = "as far as the others' picks balance it"
    NONE = "it would not have lowered the cost"


@dataclass(frozen=True, eq=False)
class MemberExplanation:
    r"""Why one member got what she got.

    Parameters
    ----------
    member : str
        Who.
    tasks : tuple of str
        Names of the tasks.
    transfer : BoolArray, shape (n_tasks,)
        Which of them are money.
    had, gets : FloatArray, shape (n_tasks,)
        Instances before, and expected.
    offered : tuple of Ray
        Her menu, beside keeping what she had.
    picked : Ray or None
        Her pick; None where she kept.
    extent : float
        Share of the exchange that is carried out.
    own_cost, others_cost : float
        :math:`\pi_j \cdot \kappa` and :math:`-\lambda \cdot \kappa`: by how much the exchange at full extent
        changes the social cost of her own work, and of the others' who make room for it.
    reason : Reason
        Why not more.
    drawn : FloatArray, shape (n_tasks,), or None
        What the draw gave her, NaN where nothing is drawn; None before the draw.
    """

    member: str
    tasks: tuple[str, ...]
    transfer: BoolArray
    had: FloatArray
    gets: FloatArray
    offered: tuple[Ray, ...]
    picked: Ray | None
    extent: float
    own_cost: float
    others_cost: float
    reason: Reason
    drawn: FloatArray | None

    def sentences(self) -> list[str]:
        """Return the explanation in plain words, one paragraph an entry."""
        had, *rest = outcome_words(self.tasks, self.had, self.picked, self.gets - self.had, self.transfer)
        paragraphs = [f"{self.member}: {had[0].lower()}{had[1:]}"]
        others = [ray for ray in self.offered if self.picked is None or ray.name != self.picked.name]
        if others:
            choices = [f"- `{ray.name}`: {ray_words(self.tasks, ray)}" for ray in others]
            paragraphs.append("\n".join(["You could have picked:", *choices]))
        paragraphs += [*(rest if self.offered else []), self._why()]
        if self.picked is not None and self.extent > 0:
            paragraphs.append(f"So you get {self._amounts(self.gets)}. {SAFETY_WORDS}")
        if self.drawn is not None:
            whole = np.where(np.isnan(self.drawn), self.gets, self.drawn)
            paragraphs.append(f"The draw gave you {self._amounts(whole)}.")
        elif (np.abs(self.gets - np.rint(self.gets)) > _CLOSE).any():
            paragraphs.append(DRAW_WORDS)
        paragraphs.append(
            "You can check that your menu is the one you were handed, that your pick is the one you made, "
            "and that your shares are those the draw was made from; fairlot verify recomputes every number "
            "above."
        )
        return paragraphs

    def _amounts(self, amounts: FloatArray) -> str:
        return amounts_words(self.tasks, amounts, self.transfer)

    def _why(self) -> str:
        match self.reason:
            case Reason.NO_CHOICE:
                return "There was nothing to choose for you this time: you keep what you had."
            case Reason.KEPT:
                return "Only a pick of yours can move you: what the others picked does not."
            case Reason.FULL:
                return "Not more, because more than that you did not accept: nobody is moved beyond her pick."
            case _:
                balance = (
                    "Every task must be done by somebody, so that what you give up others must have picked "
                    "to take, and what you take they must have picked to give up."
                )
                if self.reason is Reason.PART:
                    return f"Not more, because of what others picked no more fits yours. {balance}"
                total = self.own_cost + self.others_cost
                return (
                    f"{balance} In full, your exchange would change the cost of your own work by "
                    f"{_signed(self.own_cost)}, and that of the others who make room for it by "
                    f"{_signed(self.others_cost)}. That is {_signed(total)} together, which saves nothing. "
                    "(A cost unit is what the cost table counts in: minutes, say, or money.)"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        return {
            "agent": self.member,
            "had": self._by_task(self.had),
            "offered": {ray.name: self._by_task(ray.change) for ray in self.offered},
            "picked": KEEP if self.picked is None else self.picked.name,
            "gets": self._by_task(self.gets),
            "extent": self.extent,
            "own_cost_change": self.own_cost,
            "others_cost_change": self.others_cost,
            "reason": self.reason.value,
            "drawn": None if self.drawn is None else self._by_task(self.drawn),
            "text": self.sentences(),
        }

    def _by_task(self, numbers: FloatArray) -> dict[str, float]:
        return dict(zip(self.tasks, numbers.tolist(), strict=True))


def _signed(cost: float) -> str:
    return f"{'+' if cost > 0 else ''}{number_words(cost)} cost units"


def explain_member(
    problem: ReallocationProblem,
    menus: Menus,
    picks: IntArray,
    amounts: FloatArray,
    prices: FloatArray,
    member: str,
    *,
    drawn: Mapping[str, float] | None = None,
) -> MemberExplanation:
    r"""Explain what one member gets, and her draw if there was one.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What was offered.
    picks : IntArray, shape (n_members,)
        Position of the picked ray, members of the first agent first; -1 keeps.
    amounts : FloatArray, shape (n_members, n_tasks)
        Expected amounts.
    prices : FloatArray, shape (n_tasks,)
        :math:`\lambda`, social cost per instance.
    member : str
        Her id; in a group, the group's with ``#`` and a number.
    drawn : mapping of str to float, optional
        Instances by task that the draw gave her.

    Raises
    ------
    InvalidProblemError
        If there is no such member.

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> from fairlot.model.menus import Menu
    >>> problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], [[1, 3], [3, 1]], Beliefs.uniform(1, 2))
    >>> rays = [Menu("agent1", (Ray("a", [2, -2]),)), Menu("agent2", (Ray("a", [-1, 1]),))]
    >>> menus = Menus.of(problem.agents, problem.tasks, rays)
    >>> amounts = np.array([[3.0, 1.0], [1.0, 3.0]])
    >>> why = explain_member(problem, menus, np.array([0, 1]), amounts, np.array([0.0, 2.0]), "agent1")
    >>> why.extent, why.own_cost, why.others_cost, why.reason.value
    (0.5, -4.0, 4.0, "as far as the others' picks balance it")
    """
    m = _position(member, member_ids(problem))
    j, r = int(np.repeat(np.arange(problem.n_agents), problem.sizes)[m]), int(picks[m])
    had, gets = problem.endowment[j], amounts[m]
    offered = menus[problem.agents[j]].rays
    picked, extent, own, others = None, 0.0, 0.0, 0.0
    reason = Reason.KEPT if offered else Reason.NO_CHOICE
    if r >= 0:
        picked = Ray(menus.ray_names[r], menus.changes[r])
        extent = min(max(extent_along(picked, gets - had), 0.0), 1.0)
        own, others = float(problem.costs[j] @ picked.change), float(-prices @ picked.change)
        if extent >= 1 - _CLOSE:
            reason = Reason.FULL
        else:
            reason = Reason.PART if extent > _CLOSE or picked.name == LESS else Reason.NONE
    given = None
    if drawn is not None:
        given = np.array([float(drawn.get(task, 0)) for task in problem.tasks])
        given[problem.transfer] = np.nan
    return MemberExplanation(
        member=member,
        tasks=problem.tasks,
        transfer=problem.transfer,
        had=had,
        gets=gets,
        offered=offered,
        picked=picked,
        extent=extent,
        own_cost=own,
        others_cost=others,
        reason=reason,
        drawn=given,
    )


@dataclass(frozen=True, eq=False)
class Offer:
    """What an agent has, and what she may pick.

    Parameters
    ----------
    agent : str
        Who.
    has : dict of str to float
        Instances by task.
    offered : dict of str to dict
        Displacement at full extent by ray and task.
    text : str
        The page she is handed.
    """

    agent: str
    has: dict[str, float]
    offered: dict[str, dict[str, float]]
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return the offer as plain data."""
        return {"agent": self.agent, "has": self.has, "offered": self.offered, "text": self.text}


def explain_offer(problem: ReallocationProblem, menus: Menus, agent: str) -> Offer:
    """Explain an agent's menu, before anybody has picked.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What is offered.
    agent : str
        Her id, or her group's.

    Raises
    ------
    InvalidProblemError
        If there is no such agent.
    """
    j = _position(agent, problem.agents)

    def by_task(numbers: FloatArray) -> dict[str, float]:
        return dict(zip(problem.tasks, numbers.tolist(), strict=True))

    offered = {ray.name: by_task(ray.change) for ray in menus[agent].rays}
    return Offer(agent, by_task(problem.endowment[j]), offered, menu_words(problem, menus, agent))


def _position(name: str, ids: tuple[str, ...]) -> int:
    if name in ids:
        return ids.index(name)
    mine = [other for other in ids if other.startswith(f"{name}#")]
    expected = f"a member of the group: {mine[0]} to {mine[-1]}" if mine else "an id of agents.csv"
    raise InvalidProblemError([Issue("unknown agent", found=name, expected=expected)])
