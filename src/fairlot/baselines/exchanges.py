r"""The mechanisms for tasks, by name, measured by what they save when people pick as the designer believes.

Preferences are drawn from the beliefs with common seeds; everybody picks the line of her menu that she gains
most from, and the best assignment given the picks is selected. Whether a menu is obviously strategy-proof is
decided for these very menus by the closed form of :mod:`fairlot.reallocation.obvious`; its witness is a type
for whom some lie is not plainly worse than the truth.

*Fixed-price pseudo-market* (Valenzuela-Stookey, section 3): prices, here the agents' mean median private
costs, are fixed up front, everybody may exchange all she has for any one task at these prices, and what fits
together is carried out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.design import design_menus
from fairlot.reallocation.obvious.dominance import menu_witness
from fairlot.reallocation.obvious.rays import full_extent
from fairlot.reallocation.simulation import simulate
from fairlot.reallocation.value.no_choice import best_without_choice, first_best


@dataclass(frozen=True, eq=False)
class Saved:
    """What a mechanism for tasks saves.

    Parameters
    ----------
    mean, standard_error : float
        Saving of social cost over draws of the preferences, and the error of the mean.
    least : float
        Smallest saving of a draw.
    load_change : float
        Mean relative change of the load as people see it themselves; NaN where nobody picks.
    obvious : bool
        Whether telling the truth is obviously dominant.
    witness : str
        Why, or a type for whom it is not.
    """

    mean: float
    standard_error: float
    least: float
    load_change: float
    obvious: bool
    witness: str


@dataclass(frozen=True)
class Exchange:
    """A mechanism for tasks under one interface.

    Parameters
    ----------
    name, title : str
        For options and for tables.
    run : callable
        (problem, n_draws, seed, time_limit) -> Saved.
    """

    name: str
    title: str
    run: Callable[[ReallocationProblem, int, int, float | None], Saved]


def menus_saving(problem: ReallocationProblem, menus: Menus, n_draws: int, seed: int) -> Saved:
    """Measure menus: what they save, and whether the truth is obvious.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        One per agent.
    n_draws, seed : int
        Draws of everybody's preferences.
    """
    found = simulate(problem, menus, draws=n_draws, seed=seed)
    witness = obvious_witness(problem, menus)
    return Saved(
        found.mean,
        found.standard_error,
        float(found.savings.min()),
        float(found.load_changes.mean()),
        not witness,
        witness or "each line of a menu is taken or left for its own sake",
    )


def obvious_witness(problem: ReallocationProblem, menus: Menus) -> str:
    """Find a type for whom the truth is not obviously dominant; nothing if there is none."""
    for j, agent in enumerate(problem.agents):
        own = menus.changes[menus.ray_agents == j]
        endowment = problem.endowment[j]
        sets = [endowment[None], *(np.array([endowment, endowment + change]) for change in own)]
        found = menu_witness(endowment, sets)
        if found is not None:
            costs, _, _, worst, best = found
            weights = ", ".join(
                f"{task} {cost:.3g}" for task, cost in zip(problem.tasks, costs, strict=True) if cost
            )
            return (
                f"agent '{agent}' with private costs {weights}: her truthful pick may leave her a load of "
                f"{worst:.4g}, another pick one of only {best:.4g}"
            )
    return ""


def fixed_price_menus(problem: ReallocationProblem, prices: FloatArray | None = None) -> Menus:
    """Let everybody exchange all she has for one task at fixed prices, as far as caps allow.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    prices : FloatArray, shape (n_tasks,), optional
        Default the agents' mean median private cost of each task.
    """
    price = _median_costs(problem) if prices is None else prices
    menus = []
    for j, agent in enumerate(problem.agents):
        wealth = float(problem.endowment[j] @ price)
        changes = np.diag(wealth / price) - problem.endowment[j]
        changes = changes[np.abs(changes).max(axis=1) > 0]
        full = full_extent(problem, np.full(len(changes), j, dtype=np.int64), changes)
        menus.append(Menu(agent, tuple(Ray(f"only {k + 1}", row) for k, row in enumerate(full) if row.any())))
    return Menus.of(problem.agents, problem.tasks, menus)


def _median_costs(problem: ReallocationProblem) -> FloatArray:
    medians = problem.beliefs.types(np.full(problem.endowment.shape, 0.5))
    return np.asarray(np.average(medians, axis=0, weights=problem.sizes))


def _designed(method: str) -> Callable[[ReallocationProblem, int, int, float | None], Saved]:
    def run(problem: ReallocationProblem, n_draws: int, seed: int, time_limit: float | None) -> Saved:
        found = design_menus(
            problem,
            method=method,  # type: ignore[arg-type]
            seed=seed,
            draws=2,
            time_limit=time_limit,
        )
        return menus_saving(problem, found.menus, n_draws, seed)

    return run


def _fixed_price(problem: ReallocationProblem, n_draws: int, seed: int, time_limit: float | None) -> Saved:
    return menus_saving(problem, fixed_price_menus(problem), n_draws, seed)


def _no_choice(problem: ReallocationProblem, n_draws: int, seed: int, time_limit: float | None) -> Saved:
    saving = best_without_choice(problem).saving
    return Saved(saving, 0.0, saving, np.nan, True, "nobody is asked anything")


def _first_best(problem: ReallocationProblem, n_draws: int, seed: int, time_limit: float | None) -> Saved:
    began = time.monotonic()
    draws = 2
    found = first_best(problem, draws=draws, seed=seed)
    spent = time.monotonic() - began
    more = n_draws if time_limit is None else min(n_draws, int(draws * 0.8 * time_limit / max(spent, 1e-6)))
    if more > draws:
        found = first_best(problem, draws=more, seed=seed)
    note = f"a ceiling, not a mechanism: it needs everybody's mind ({found.draws} draws)"
    return Saved(found.saving, found.standard_error, np.nan, np.nan, False, note)


EXCHANGES: tuple[Exchange, ...] = (
    Exchange("menus", "polarized menus (fairlot)", _designed("menus")),
    Exchange("no-choice", "no choice", _no_choice),
    Exchange("bilateral", "bilateral matching", _designed("bilateral")),
    Exchange("two-price", "two prices", _designed("two-price")),
    Exchange("fixed-price", "fixed-price pseudo-market", _fixed_price),
    Exchange("first-best", "first best (ceiling)", _first_best),
)
