"""What ``fairlot check`` says of a folder, said of the files of a round.

Before agents have chosen, those without values are taken to accept everything: a round may open if everybody
could be served then.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError
from fairlot.io.problem import parse_problem_files, parse_reallocation_files
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem
from fairlot.pseudomarket.preconditions import Severity, check_market
from fairlot.reallocation.value.conditions import theorem1
from fairlot.rounds.records import CheckReport, Finding
from fairlot.store import Kind


def check_problem(files: Mapping[str, bytes], kind: Kind) -> CheckReport:
    """Check the files of a problem.

    Parameters
    ----------
    files : mapping of str to bytes
        The problem folder.
    kind : Kind
        Which half it must be of.
    """
    told: tuple[str, ...] = ()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            if kind is Kind.PSEUDOMARKET:
                found = _market(parse_problem_files(files).problem)
            else:
                found = _tasks(parse_reallocation_files(files).problem)
            told = tuple(str(warning.message) for warning in caught)
    except InvalidProblemError as error:
        return CheckReport(error.issues, told, {}, (), False)
    sizes, findings = found
    passed = all(finding.severity != Severity.FAULT for finding in findings)
    return CheckReport((), told, sizes, findings, passed)


def _market(market: PseudoMarket) -> tuple[dict[str, int], tuple[Finding, ...]]:
    sizes = {
        "agents": market.n_agents,
        "goods": market.n_goods,
        "seats": int(market.capacities.sum()),
        "quotas": len(market.quotas),
        "limits": len(market.limits),
    }
    silent = np.diff(market.values.indptr) == 0
    sizes["agents with values"] = int((~silent).sum())
    if silent.any():
        market = dataclasses.replace(market, values=_filled(market, silent))
    findings = [Finding(f.name, f.severity.value, f.text) for f in check_market(market)]
    return sizes, tuple(findings)


def _filled(market: PseudoMarket, silent: np.ndarray) -> sp.csr_array:
    """Give agents without values the value 1 for everything."""
    everything = sp.csr_array(np.outer(silent, np.ones(market.n_goods)))
    return sp.csr_array(market.values + everything)


def _tasks(problem: ReallocationProblem) -> tuple[dict[str, int], tuple[Finding, ...]]:
    sizes = {"agents": problem.n_agents, "people": int(problem.sizes.sum()), "tasks": problem.n_tasks}
    findings = [
        Finding(condition.name, "ok" if condition.holds else "warning", str(condition))
        for condition in theorem1(problem).conditions
    ]
    return sizes, tuple(findings)
