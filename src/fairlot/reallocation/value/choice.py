"""Is choice worth it: all that can be said before anybody is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from fairlot.certificate import Stats
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.value.bilateral import BilateralTrades, best_bilateral_trades
from fairlot.reallocation.value.conditions import Theorem1, theorem1
from fairlot.reallocation.value.no_choice import (
    FirstBest,
    Lemma1,
    NoChoice,
    best_without_choice,
    first_best,
    lemma1,
    lemma1_saving,
)


@dataclass(frozen=True, eq=False)
class ValueOfChoice:
    """What choice may be worth.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    conditions : Theorem1
        Theorem 1, condition by condition, and what follows.
    no_choice : NoChoice
        The best allocation that nobody could object to.
    lemma1 : Lemma1
        Lemma 1 at that allocation.
    lemma1_saving : float, optional
        Lemma 1's bound on the saving without choice; None where it says nothing.
    bilateral : BilateralTrades
        What trades between two agents save.
    first_best : FirstBest
        What could be saved if everybody's mind were known.
    stats : Stats
        Time and seed.
    """

    problem: ReallocationProblem
    conditions: Theorem1
    no_choice: NoChoice
    lemma1: Lemma1
    lemma1_saving: float | None
    bilateral: BilateralTrades
    first_best: FirstBest
    stats: Stats

    def words(self) -> str:
        """Say it to a manager."""
        total = self.problem.status_quo_cost
        found = self.conditions
        lines = [f"The present split costs {total:,.6g} per period."]
        if found.improves:
            lines.append("Letting people choose can lower that, however the menus are kept plain.")
        elif found.improves is False:
            why = found.non_identical if not found.non_identical.holds else found.non_degenerate
            lines.append(f"Letting people choose cannot lower that: {why.broken_by[0]}.")
        else:
            lines.append("The theory does not decide whether letting people choose can lower that.")
        lines += [f"  {condition}" for condition in found.conditions]
        if found.pair is not None and found.trade is not None:
            one, other = (self.problem.agents[j] for j in found.pair)
            lines.append(f"For example, '{one}' and '{other}' can gain by a trade that also lowers the cost.")
        lines.append(f"Without asking anybody: {self._share(self.no_choice.saving)}.")
        if self.lemma1_saving is not None:
            lines.append(f"  Theory allows at most {self._share(self.lemma1_saving)} that way (Lemma 1).")
        lines.append(
            f"With trades between {len(self.bilateral.disjoint)} pairs, each of two people: "
            f"{self._share(self.bilateral.saving)} expected."
        )
        for trade in self.bilateral.disjoint[:3]:
            names = f"'{self.problem.agents[trade.first]}' and '{self.problem.agents[trade.second]}'"
            lines.append(
                f"  {names}: both agree with probability {trade.probability:.2f}, "
                f"expected saving {trade.saving:,.4g}."
            )
        ceiling = self._share(self.first_best.saving)
        lines.append(f"If everybody's mind were known, and nobody made worse off: {ceiling}.")
        lines.append("  No menu gives more than that.")
        return "\n".join(lines)

    def _share(self, saving: float) -> str:
        total = abs(self.problem.status_quo_cost)
        return f"{100 * saving / total:.2f}% less" if total else f"{saving:,.4g} less"

    def to_dict(self) -> dict[str, Any]:
        """Return the findings for ``summary.json``."""
        found, agents = self.conditions, self.problem.agents
        return {
            "status_quo_cost": self.problem.status_quo_cost,
            "choice_improves": found.improves,
            "choice_optimal": found.optimal,
            "conditions": [
                {"name": c.name, "holds": c.holds, "broken_by": list(c.broken_by)} for c in found.conditions
            ],
            "no_choice_saving": self.no_choice.saving,
            "lemma1_saving": self.lemma1_saving,
            "bilateral_saving": self.bilateral.saving,
            "bilateral_trades": [
                {
                    "first": agents[t.first],
                    "second": agents[t.second],
                    "trade": dict(zip(self.problem.tasks, t.trade.tolist(), strict=True)),
                    "probability": t.probability,
                    "saving": t.saving,
                }
                for t in self.bilateral.disjoint
            ],
            "best_pair_saving": self.bilateral.trades[0].saving if self.bilateral.trades else 0.0,
            "first_best_saving": self.first_best.saving,
            "first_best_standard_error": self.first_best.standard_error,
        }


def value_of_choice(
    problem: ReallocationProblem, *, draws: int = 20, seed: int = 0, reporter: Reporter | None = None
) -> ValueOfChoice:
    """Find out whether choice is worth it.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    draws : int
        Profiles of types for the first best.
    seed : int
        Of all draws.
    reporter : Reporter, optional
        Told how far the work is.

    References
    ----------
    Valenzuela-Stookey, section 2.
    """
    reporter = NullReporter() if reporter is None else reporter
    began = time.perf_counter()
    reporter.stage("conditions")
    conditions = theorem1(problem)
    reporter.stage("without choice")
    no_choice = best_without_choice(problem)
    reporter.stage("known types")
    ceiling = first_best(problem, draws=draws, seed=seed)
    trades = best_bilateral_trades(problem, seed=seed, reporter=reporter)
    return ValueOfChoice(
        problem=problem,
        conditions=conditions,
        no_choice=no_choice,
        lemma1=lemma1(problem, no_choice.allocation),
        lemma1_saving=lemma1_saving(problem),
        bilateral=trades,
        first_best=ceiling,
        stats=Stats("value", 0, time.perf_counter() - began, {"draws": draws, "seed": seed}),
    )
