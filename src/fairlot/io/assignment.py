"""What a draw gave everybody, out of the files of a result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from fairlot.io.tables import COUNT, numbers, read_table


def drawn_copies(files: Mapping[str, bytes], noun: str, amount: str) -> dict[str, dict[str, int]] | None:
    """Read what the draw gave everybody; None before the draw."""
    if "assignment.csv" not in files:
        return None
    table = read_table(files.__getitem__, "assignment.csv", [])
    if table is None:
        return None
    counts = numbers(table, amount, COUNT, [])
    drawn: dict[str, dict[str, int]] = defaultdict(dict)
    for agent, name, count in zip(table["agent"], table[noun], counts, strict=True):
        drawn[agent][name] = int(count)
    return dict(drawn)
