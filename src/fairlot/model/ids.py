"""Ids of agents, goods and tasks: non-empty texts, unique."""

from __future__ import annotations

from collections.abc import Sequence

from fairlot.errors import Issue


def id_issues(noun: str, ids: Sequence[str]) -> list[Issue]:
    """List empty and repeated ids, and the absence of any.

    Parameters
    ----------
    noun : str
        What the ids name, in the singular.
    ids : sequence of str
        The ids.
    """
    issues = []
    if not ids:
        issues.append(Issue(f"no {noun}s", expected=f"at least one {noun}"))
    seen: set[str] = set()
    for identifier in ids:
        if not identifier:
            issues.append(Issue(f"{noun} id is empty", expected="a non-empty text"))
        elif identifier in seen:
            issues.append(Issue(f"duplicate {noun} id", found=identifier, expected="unique ids"))
        seen.add(identifier)
    return issues
