"""What ``summary.json`` says, in the words of a page; what has no words here stays in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fairlot.web.told import marked

SUMMARY = "summary.json"
WORDS = {
    "status": marked("Status"),
    "status_quo_cost": marked("Cost of the present split"),
    "cost": marked("Cost from now on"),
    "saving": marked("Saving"),
    "moved": marked("Instances that move"),
    "expected_saving": marked("Expected saving of these menus"),
    "no_choice_saving": marked("Saving without asking anybody"),
    "bilateral_saving": marked("Saving of trades between pairs"),
    "first_best_saving": marked("Saving if everybody's mind were known, at most"),
    "utility_gap": marked("What anybody misses of the best she can afford, at most"),
    "envy": marked("Envy, at most"),
    "budget_gap": marked("Money spent beyond a budget, at most"),
    "clearing": marked("Copies that have a price and are left over, at most"),
    "satiated": marked("Agents who can afford the best they may have"),
    "max_price": marked("Dearest price"),
}


def facts(files: Mapping[str, bytes]) -> list[tuple[str, str | int | float]]:
    """Return what is worth telling of a result, with English labels for the catalogue.

    Parameters
    ----------
    files : mapping of str to bytes
        A result folder; nothing is told where it has no summary.
    """
    if SUMMARY not in files:
        return []
    found = json.loads(files[SUMMARY])
    return [
        (label, found[key]) for key, label in WORDS.items() if isinstance(found.get(key), str | int | float)
    ]
