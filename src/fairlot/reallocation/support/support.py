r"""The support function :math:`S_j(w)`: what the best menu for one agent is worth to the organisation.

.. math:: S_j(w) = w \cdot \eta_j + \max \sum_k P(c_j \cdot \kappa^k < 0)\, (w \cdot \kappa^k)^+

over polarized menus, beside the remedial set and what needs no asking (Valenzuela-Stookey, section 4.2,
the program after Proposition 2). How to solve it the paper leaves open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fairlot.certificate import Stats
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import LESS, Menu, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.support.acceptance import menu_acceptance
from fairlot.reallocation.support.no_choice import no_choice_change, remedial_gain
from fairlot.reallocation.support.pricing import Kind
from fairlot.reallocation.support.search import best_menu
from fairlot.reallocation.support.terms import Terms, agent_position

BoundKind = Literal["certified", "95%", "not certified"]
Method = Literal["auto", "search"]


@dataclass(frozen=True, eq=False)
class SupportFunction:
    r"""The best menu found for one agent, and what is known about better ones.

    Parameters
    ----------
    agent : str
        Her id; amounts are per member of a group.
    w : FloatArray, shape (n_tasks,)
        Value of one more unit of each task at her.
    value : float
        :math:`w \cdot \eta` and the gain.
    gain : float
        Of the menu, exact or out of sample.
    standard_error : float
        Of the gain; 0 where the probabilities are exact.
    interval : tuple of float
        95% confidence interval of the gain.
    kind : "menu", "remedial" or "no-choice"
        Rays to choose from; less of anything; or one exchange that every believed type accepts.
    menu : Menu
        The rays at full extent; the remedial set as one ray of that name.
    activation : FloatArray, shape (n_rays,)
        Probability that each is picked.
    upper_bound : float or None
        No menu is worth more, :math:`w \cdot \eta` included, as far as ``bound_kind`` says.
    bound_kind : "certified", "95%", "not certified" or None
        A proof; a confidence level; or a search for a proof that did not end in time.
    stats : Stats
        Method, climbs, seconds, seed.
    """

    agent: str
    w: FloatArray
    value: float
    gain: float
    standard_error: float
    interval: tuple[float, float]
    kind: Kind
    menu: Menu
    activation: FloatArray
    upper_bound: float | None
    bound_kind: BoundKind | None
    stats: Stats

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {
            "agent": self.agent,
            "value": self.value,
            "gain": self.gain,
            "standard_error": self.standard_error,
            "interval": list(self.interval),
            "kind": self.kind,
            "upper_bound": self.upper_bound,
            "bound_kind": self.bound_kind,
            "rays": [
                {"ray": ray.name, "change": ray.change.tolist(), "activation": chance}
                for ray, chance in zip(self.menu.rays, self.activation.tolist(), strict=True)
            ],
        }


def support_function(
    problem: ReallocationProblem,
    agent: str | int,
    w: npt.ArrayLike,
    *,
    method: Method = "auto",
    start: Sequence[FloatArray] | None = None,
    seed: int = 0,
    time_limit: float | None = None,
) -> SupportFunction:
    r"""Find the best menu for one agent at given values of the tasks.

    Parameters
    ----------
    problem : ReallocationProblem
        Endowment, caps and belief are taken from it; its costs are not used.
    agent : str or int
        Her id or position.
    w : array_like, shape (n_tasks,)
        :math:`\lambda - \pi_j`: the value to the organisation of one more unit of each task at her.
    method : "auto" or "search"
        ``search`` for any number of tasks.
    start : sequence of FloatArray, optional
        Menus to improve upon, shape (n_rays, n_tasks) each.
    seed : int
        Of all samples.
    time_limit : float, optional
        Seconds after which the search ends with the best it has.

    Raises
    ------
    InvalidProblemError
        If the arguments are wrong, or the best menu need not exist
        (:meth:`fairlot.reallocation.support.terms.Terms.require_attained`).

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> problem = ReallocationProblem.from_arrays(
    ...     status_quo=[[1, 1], [1, 1]], costs=[[1, 2], [2, 1]], beliefs=Beliefs.uniform(0.5, 1.5)
    ... )
    >>> found = support_function(problem, "agent1", [1, 1])
    >>> found.kind, round(found.gain, 3)  # 3/16, by one ray or two
    ('menu', 0.187)
    """
    began = time.perf_counter()
    values = _values(w, problem.n_tasks)
    terms = Terms.of(problem, agent)
    terms.require_attained(values)
    candidates, climbs = best_menu(
        terms, values, seed=seed, start=() if start is None else start, time_limit=time_limit
    )
    rays, activation = np.zeros((0, terms.n_tasks)), np.zeros(0)
    gain, error, interval, kind = 0.0, 0.0, (0.0, 0.0), "menu"
    for candidate in candidates:
        accepted = menu_acceptance(terms.belief, candidate.changes, seed=seed)
        mean, deviation, low, high = accepted.interval(candidate.changes @ values)
        if mean > gain:
            rays, activation = candidate.changes, accepted.probabilities
            gain, error, interval = mean, deviation, (low, high)
    change = no_choice_change(terms, values)
    if values @ change > gain and (change > 0).any():
        rays, activation, kind = change[None], np.ones(1), "no-choice"
        gain, error, interval = float(values @ change), 0.0, (float(values @ change),) * 2
    remedial = remedial_gain(terms, values)
    if remedial > 0 and remedial >= gain:
        rays, activation, kind = -terms.endowment[None], np.ones(1), "remedial"
        gain, error, interval = remedial, 0.0, (remedial, remedial)
    name = problem.agents[agent_position(problem, agent)]
    names = [LESS] if kind == "remedial" else [chr(ord("a") + k) for k in range(len(rays))]
    for array in (values, activation):
        array.flags.writeable = False
    return SupportFunction(
        agent=name,
        w=values,
        value=float(values @ terms.endowment) + gain,
        gain=gain,
        standard_error=error,
        interval=interval,
        kind=kind,  # type: ignore[arg-type]
        menu=Menu(name, tuple(Ray(n, ray) for n, ray in zip(names, rays, strict=True))),
        activation=activation,
        upper_bound=None,
        bound_kind=None,
        stats=Stats("search", climbs, time.perf_counter() - began, {"seed": seed}),
    )


def _values(w: npt.ArrayLike, n_tasks: int) -> FloatArray:
    values: FloatArray = np.array(w, dtype=np.float64)
    if values.shape != (n_tasks,):
        raise InvalidProblemError([Issue("w", found=f"shape {values.shape}", expected=f"shape ({n_tasks},)")])
    issues = [
        Issue(f"w of task {i + 1}", found=f"{values[i]:g}", expected="a finite number")
        for i in np.flatnonzero(~np.isfinite(values)).tolist()
    ]
    if issues:
        raise InvalidProblemError(issues)
    return values
