"""What a result folder says of a timetable beyond an equilibrium: the outcome, its proof, and their check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlot.certificate import Check
from fairlot.errors import FairlotError
from fairlot.io.tables import FINITE, numbers, read_table, write_csv

if TYPE_CHECKING:
    from fairlot.io.equilibrium import PublishedEquilibrium
    from fairlot.pseudomarket.equilibrium import Equilibrium

SEPARATION = "separation.csv"
"""Weights on agents that prove that no lottery is an equilibrium at the published prices."""


def timetable_files(equilibrium: Equilibrium) -> dict[str, bytes]:
    """Write the proof that no lottery is an equilibrium, where there is one."""
    proof = getattr(equilibrium, "impossibility", None)
    if proof is None:
        return {}
    rows = zip(equilibrium.market.agents, proof.direction.tolist(), strict=True)
    return {SEPARATION: write_csv(("agent", "weight"), ((agent, f"{c:.17g}") for agent, c in rows if c))}


def timetable_summary(equilibrium: Equilibrium) -> dict[str, Any]:
    """Return what ``summary.json`` says of a timetable; nothing of other markets."""
    from fairlot.pseudomarket.timetable.result import TimetableEquilibrium

    if not isinstance(equilibrium, TimetableEquilibrium):
        return {}
    lottery, proof = equilibrium.drawn_from, equilibrium.impossibility
    summary: dict[str, Any] = {
        "outcome": str(equilibrium.outcome),
        "terms": 0 if lottery is None or lottery.terms is None else lottery.terms.n_terms,
        "deviation": _finite(equilibrium.deviation),
        "linear_programs": equilibrium.programs,
        "integer_programs": equilibrium.integer_programs,
        "extra_seats": dict(equilibrium.extra_seats),
        "statement": equilibrium.statement() if lottery is not None else None,
    }
    if proof is not None:
        summary |= {
            "separation": _finite(proof.beyond),
            "guarantee": _finite(proof.guarantee),
            "guarantee_bound": _finite(proof.guarantee_bound),
        }
    return summary


def timetable_checks(
    files: Mapping[str, bytes],
    published: PublishedEquilibrium,
    tol: float,
    unseen: list[str],
    of_equilibrium: str,
    of_lottery: str,
) -> tuple[list[Check], str]:
    """Recompute what a result claims of a timetable.

    Parameters
    ----------
    files : mapping
        The result.
    published : PublishedEquilibrium
        Its prices and shares.
    tol : float
        Largest residual of a condition of equilibrium that passes.
    unseen : list of str
        What could not be rechecked is appended.
    of_equilibrium, of_lottery : str
        Prefixes of names.

    Returns
    -------
    checks : list of Check
        Of the equilibrium, of the lottery, and of a proof that there is none.
    statement : str
        What is true of every draw, with the measured figure; empty unless the lottery's checks pass.
    """
    from fairlot.model.lotteries import Lottery
    from fairlot.verify.timetable import lottery_losses, statement, verify_terms, verify_timetable

    market = published.market
    try:
        lottery = Lottery.from_json(files["lottery.json"])
        trouble = [] if lottery.drawn_by == "terms" else ["a timetable is drawn by terms"]
    except KeyError:
        lottery, trouble = None, ["lottery.json is missing"]
    except FairlotError as error:
        lottery, trouble = None, str(error).splitlines()
    certificate = verify_timetable(
        market, published.prices, published.shares, lottery, row_prices=published.row_prices, tol=tol
    )
    checks = [_named(of_equilibrium, check) for check in certificate.checks]
    checks.append(Check(f"{of_lottery}file", float(len(trouble)), 0.0, trouble[0] if trouble else ""))
    said = ""
    if lottery is not None and not trouble:
        found = verify_terms(market, lottery, published.shares)
        checks += [_named(of_lottery, check) for check in found.checks]
        if found.passed:
            losses = lottery_losses(market, published.prices, published.shares, lottery)
            said = statement(market, float(np.nanmax(losses)))
    if SEPARATION in files:
        checks.append(_separation(files, published, unseen))
    return checks, said


def _separation(files: Mapping[str, bytes], published: PublishedEquilibrium, unseen: list[str]) -> Check:
    """Check the proof of impossibility as far as that goes without an integer program."""
    from fairlot.verify.impossibility import spending_margin

    market = published.market
    table = read_table(files.__getitem__, SEPARATION, [])
    direction = np.zeros(market.n_agents)
    try:
        if table is None or not table.require(("agent", "weight"), []):
            raise KeyError(SEPARATION)
        at = {agent: i for i, agent in enumerate(market.agents)}
        direction[[at[agent] for agent in table["agent"]]] = numbers(table, "weight", FINITE, [])
        stated = json.loads(files["summary.json"])["separation"]
        claimed = np.inf if stated is None else float(stated)
    except (KeyError, ValueError, TypeError):
        return Check("separation", np.nan, 0.0, f"{SEPARATION} or summary.json cannot be read")
    margin = spending_margin(market, published.prices, published.row_prices, direction)
    if np.isnan(margin):
        unseen.append(
            "that no lottery is an equilibrium at these prices rests on the bound of an integer program, "
            f"which leaves {claimed:.3g}; it was not rechecked"
        )
        return Check("separation", max(0.0, -claimed), 0.0)
    return Check("separation", max(0.0, -margin), 0.0, "some assignment of best bundles spends the budgets")


def _named(prefix: str, check: Check) -> Check:
    return Check(f"{prefix}{check.name}", check.residual, check.tolerance, check.witness)


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
