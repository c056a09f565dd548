r"""The support function :math:`S_j(w)`: what the best menu for one agent is worth to the organisation.

.. math:: S_j(w) = w \cdot \eta_j + \max \sum_k P(c_j \cdot \kappa^k < 0)\, (w \cdot \kappa^k)^+

over polarized menus, beside the remedial set and what needs no asking (Valenzuela-Stookey, section 4.2,
the program after Proposition 2). How to solve it the paper leaves open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fairlot.certificate import Certificate, Stats, Status
from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import LESS, Menu, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.support.acceptance import Acceptance, menu_acceptance
from fairlot.reallocation.support.bounds.sample import confidence_bound, sample_bound
from fairlot.reallocation.support.no_choice import no_choice_change, remedial_gain
from fairlot.reallocation.support.pricing import Kind
from fairlot.reallocation.support.search import best_menu
from fairlot.reallocation.support.terms import Terms, agent_position
from fairlot.reallocation.support.two_tasks import best_two_task_menu, has_exact_chance
from fairlot.verify.support import verify_support

BoundKind = Literal["certified", "95%", "not certified"]
Method = Literal["auto", "exact", "search"]

_TOLERANCES = {1: 0.01, 2: 0.01, 3: 0.01, 4: 0.02}
_BOUND_TYPES = {1: 1024, 2: 1024, 3: 1024, 4: 1024}
_MOST_SAMPLES = 4096


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
    status : Status
        As the certificate found it.
    certificate : Certificate
        See :func:`fairlot.verify.support.verify_support`.
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
    status: Status
    certificate: Certificate
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
    bound: bool = False,
    tolerance: float | None = None,
    n_jobs: int | None = 1,
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
    method : "auto", "exact" or "search"
        ``exact`` is for two tasks and beliefs with a formula
        (:func:`fairlot.reallocation.support.two_tasks.has_exact_chance`), and bounds what it finds;
        ``search`` is for any number of tasks; ``auto`` is the first where it applies.
    start : sequence of FloatArray, optional
        Menus to improve upon, shape (n_rays, n_tasks) each.
    seed : int
        Of all samples.
    time_limit : float, optional
        Seconds after which the search ends with the best it has.
    bound : bool
        Whether to bound what any menu could gain
        (:mod:`fairlot.reallocation.support.bounds.sample`): seconds up to five tasks, minutes for six;
        beyond eight no better than the first best.
    tolerance : float, optional
        Relative gap at which a bound is good enough: by default 1% for up to three tasks, 2% for four,
        5% for more.
    n_jobs : int, optional
        Workers of the bound.

    Raises
    ------
    InvalidProblemError
        If the arguments are wrong, or the best menu need not exist
        (:meth:`fairlot.reallocation.support.terms.Terms.require_attained`).
    NotSupportedError
        If the exact method does not apply, or a bound is asked of a sample with costs of 0.

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> problem = ReallocationProblem.from_arrays(
    ...     status_quo=[[1, 1], [1, 1]], costs=[[1, 2], [2, 1]], beliefs=Beliefs.uniform(0.5, 1.5)
    ... )
    >>> found = support_function(problem, "agent1", [1, 1])
    >>> found.kind, round(found.gain, 4), found.bound_kind  # 3/16
    ('menu', 0.1875, 'certified')
    """
    began = time.perf_counter()
    values = _values(w, problem.n_tasks)
    if method not in get_args(Method):
        raise InvalidProblemError([Issue("method", found=method, expected=" or ".join(get_args(Method)))])
    terms = Terms.of(problem, agent)
    terms.require_attained(values)
    exact = problem.n_tasks == 2 and has_exact_chance(terms.belief)
    if method == "exact" and not exact:
        msg = "the exact method is for two tasks with uniform, known or lognormal costs, or a sample"
        raise NotSupportedError(msg)
    remedial = remedial_gain(terms, values)
    proven: float | None = None
    if exact and method != "search":
        found = best_two_task_menu(terms, values)
        offers = [(found.changes, Acceptance(found.chances, found.chances[None]))]
        climbs, proven = 0, max(found.bound, remedial)
    else:
        candidates, climbs = best_menu(
            terms, values, seed=seed, start=() if start is None else start, time_limit=time_limit
        )
        offers = [(c.changes, menu_acceptance(terms.belief, c.changes, seed=seed)) for c in candidates]
    offer = _best_offer(terms, values, offers)
    bound_kind: BoundKind | None = None if proven is None else "certified"
    if bound and proven is None:
        left = None if time_limit is None else max(time_limit - (time.perf_counter() - began), 0.0)
        rays = [changes for changes, _ in offers]
        proven, bound_kind = _bounded(terms, values, rays, left, tolerance, n_jobs, seed)
    name = problem.agents[agent_position(problem, agent)]
    names = [LESS] if offer.kind == "remedial" else [chr(ord("a") + k) for k in range(len(offer.rays))]
    base = float(values @ terms.endowment)
    for array in (values, offer.activation):
        array.flags.writeable = False
    parameters = {"seed": seed, "tolerance": tolerance, "time_limit": time_limit}
    menu = Menu(name, tuple(Ray(n, ray) for n, ray in zip(names, offer.rays, strict=True)))
    value = base + offer.gain
    upper_bound = None if proven is None else base + max(proven, offer.gain)
    certificate = verify_support(
        problem, name, values, menu, offer.activation, offer.gain, value, upper_bound, seed=seed
    )
    return SupportFunction(
        agent=name,
        w=values,
        value=value,
        gain=offer.gain,
        standard_error=offer.error,
        interval=offer.interval,
        kind=offer.kind,
        menu=menu,
        activation=offer.activation,
        upper_bound=upper_bound,
        bound_kind=bound_kind,
        status=Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED,
        certificate=certificate,
        stats=Stats(
            "exact" if exact and method != "search" else "search",
            climbs,
            time.perf_counter() - began,
            parameters,
        ),
    )


@dataclass(frozen=True, eq=False)
class _Offer:
    """What is offered, its gain and the error of that."""

    kind: Kind
    rays: FloatArray
    activation: FloatArray
    gain: float
    error: float
    interval: tuple[float, float]


def _best_offer(terms: Terms, w: FloatArray, menus: list[tuple[FloatArray, Acceptance]]) -> _Offer:
    """Compare menus of rays with what needs no asking."""
    best = _Offer("menu", np.zeros((0, terms.n_tasks)), np.zeros(0), 0.0, 0.0, (0.0, 0.0))
    for rays, accepted in menus:
        gain, error, low, high = accepted.interval(rays @ w)
        if gain > best.gain:
            best = _Offer("menu", rays, np.array(accepted.probabilities), gain, error, (low, high))
    change = no_choice_change(terms, w)
    gain = float(w @ change)
    if gain > best.gain and (change > 0).any():
        best = _Offer("no-choice", change[None], np.ones(1), gain, 0.0, (gain, gain))
    gain = remedial_gain(terms, w)
    if 0 < gain >= best.gain:
        best = _Offer("remedial", -terms.endowment[None], np.ones(1), gain, 0.0, (gain, gain))
    return best


def _bounded(
    terms: Terms,
    w: FloatArray,
    menus: list[FloatArray],
    time_limit: float | None,
    tolerance: float | None,
    n_jobs: int | None,
    seed: int,
) -> tuple[float, BoundKind]:
    """Bound the gain: on the belief's own sample if it is one, else with 95% confidence."""
    n = terms.n_tasks
    gap = _TOLERANCES.get(n, 0.05) if tolerance is None else tolerance
    samples = terms.belief.samples
    if samples is not None and len(samples) <= _MOST_SAMPLES:
        types = terms.types(len(samples))
        one = sample_bound(
            terms, types, w, menus, tolerance=gap, time_limit=time_limit, n_jobs=n_jobs, seed=seed
        )
        return one.bound, "certified" if one.finished else "not certified"
    many = confidence_bound(
        terms,
        w,
        menus,
        n_types=_BOUND_TYPES.get(n, 256),
        tolerance=gap,
        time_limit=time_limit,
        n_jobs=n_jobs,
        seed=seed,
    )
    return many.bound, "95%" if many.finished else "not certified"


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
