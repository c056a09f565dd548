r"""Which goods one agent cannot hold together: classes that overlap, pairs, sets of which she gets one.

Conflicts form a graph on the goods. Two meetings conflict if they share a day and one begins less than
a gap after the other ends. A set of goods of which nobody may hold two is a clique; the rows

.. math:: \sum_{j \in K} x_{ij} \le 1, \quad K \text{ a maximal clique},

are the strongest that single conflicts give, and for intervals of time they describe an agent's possible
bundles exactly. Sets of conflicts cross each other and an agent's quotas, so that expected copies within
all bounds need not be a lottery over assignments within them: that is found out instance by instance
(:mod:`fairlot.pseudomarket.timetable`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.hierarchy import BoolArray, IntArray

MOST_CLIQUES = 20_000
"""Maximal cliques beyond which rows are not listed."""
_DAYS = {
    name: day
    for day, names in enumerate(
        ("mon mo m", "tue tu t", "wed we w", "thu th r", "fri fr f", "sat sa s", "sun su u")
    )
    for name in names.split()
}
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, eq=False)
class Conflict:
    """Pairs of goods that no agent can hold together.

    Parameters
    ----------
    name : str
        How messages call it.
    pairs : sequence of (str, str)
        Ids of two different goods, in any order.

    Examples
    --------
    >>> Conflict("clashes", [("algebra", "logic")]).label
    "conflict 'clashes'"
    """

    name: str
    pairs: Sequence[tuple[str, str]]

    kind = "conflict"

    @property
    def label(self) -> str:
        """Kind and name, as messages show it."""
        return f"{self.kind} '{self.name}'"


@dataclass(frozen=True)
class Meeting:
    """When and where a class meets every week.

    Parameters
    ----------
    days : frozenset of int
        0 is Monday.
    start, end : int
        Minutes after midnight, start before end.
    campus : str
        Where; "" if it does not matter.
    """

    days: frozenset[int]
    start: int
    end: int
    campus: str = ""

    def overlaps(self, other: Meeting, gap: int = 0, travel: int = 0) -> bool:
        """Tell whether nobody can attend both.

        Parameters
        ----------
        other : Meeting
            The other class.
        gap, travel : int
            Minutes needed between classes, on one campus and between two.
        """
        moves = bool(self.campus and other.campus and self.campus != other.campus)
        pause = max(gap, travel) if moves else gap
        first, second = sorted((self, other), key=lambda meeting: (meeting.start, meeting.end))
        return bool(self.days & other.days) and second.start < first.end + pause


def parse_days(text: str) -> frozenset[int]:
    """Read days of the week: names, their first letters in English, or single letters as M T W R F S U.

    Raises
    ------
    ValueError
        If some part names no day.

    Examples
    --------
    >>> sorted(parse_days("TueThu")), sorted(parse_days("MWF")), sorted(parse_days("Mon, Wednesday"))
    ([1, 3], [0, 2, 4], [0, 2])
    """
    days: set[int] = set()
    for word in re.split(r"[\s,;/&+-]+", text.strip()):
        rest = word.lower()
        while rest:
            whole = next((k for k, name in enumerate(_FULL) if rest.startswith(name)), None)
            if whole is not None:
                days.add(whole)
                rest = rest[len(_FULL[whole]) :]
                continue
            length = next((n for n in (3, 2, 1) if rest[:n] in _DAYS and len(rest) >= n), 0)
            if not length:
                msg = f"no day of the week in '{word}'"
                raise ValueError(msg)
            days.add(_DAYS[rest[:length]])
            rest = rest[length:]
    return frozenset(days)


def parse_time(text: str) -> int:
    """Read a time of day in minutes: 13:00, 9:05, 13.00 or 1:00 PM.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> parse_time("14:15"), parse_time("01:00 PM"), parse_time("12:30 am")
    (855, 780, 30)
    """
    found = re.fullmatch(r"(\d{1,2})[:.](\d{2})(?:[:.]00)?\s*([ap])?\.?m?\.?", text.strip().lower())
    if found is None:
        msg = f"'{text}' is no time of day"
        raise ValueError(msg)
    hour, minute = int(found[1]), int(found[2])
    if found[3]:
        if not 1 <= hour <= 12:
            msg = f"'{text}' is no time of day"
            raise ValueError(msg)
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    if hour > 24 or minute > 59 or 60 * hour + minute > 24 * 60:
        msg = f"'{text}' is no time of day"
        raise ValueError(msg)
    return 60 * hour + minute


MOST_PAIRS = 1_000_000
"""Pairs of one conflict beyond which it is refused rather than left to fill the memory."""


def meeting_conflict(
    name: str, meetings: Mapping[str, Sequence[Meeting]], *, gap: int = 0, travel: int = 0
) -> Conflict:
    """List the pairs of goods of which some meetings overlap.

    Parameters
    ----------
    name : str
        How messages call it.
    meetings : mapping of str to sequence of Meeting
        The meetings of each good; none for a good that meets nowhere.
    gap, travel : int
        Minutes needed between classes, on one campus and between two.

    Raises
    ------
    InvalidProblemError
        If there are more than :data:`MOST_PAIRS`.

    Examples
    --------
    >>> early, late = Meeting(frozenset({0}), 540, 600), Meeting(frozenset({0}), 605, 660)
    >>> meeting_conflict("clash", {"a": [early], "b": [late]}, gap=10).pairs
    (('a', 'b'),)
    """
    goods = list(meetings)
    rows = [(k, meeting) for k, good in enumerate(goods) for meeting in meetings[good]]
    day_bit = {day: 1 << d for d, day in enumerate(sorted({day for _, m in rows for day in m.days}))}
    campus_code = {campus: c for c, campus in enumerate(sorted({"", *(m.campus for _, m in rows)}))}
    owner, days, start, end, campus = (
        np.array(column, dtype=np.int64)
        for column in (
            [k for k, _ in rows],
            [sum(day_bit[day] for day in m.days) for _, m in rows],
            [m.start for _, m in rows],
            [m.end for _, m in rows],
            [campus_code[m.campus] for _, m in rows],
        )
    )
    pairs: set[tuple[int, int]] = set()
    for r, k in enumerate(owner.tolist()):  # Meeting.overlaps, one meeting against all that follow
        moves = (campus[r] > 0) & (campus[r:] > 0) & (campus[r:] != campus[r])
        pause = np.where(moves, max(gap, travel), gap)
        before = (start[r:] > start[r]) | ((start[r:] == start[r]) & (end[r:] >= end[r]))
        meet = np.where(before, start[r:] < end[r] + pause, start[r] < end[r:] + pause)
        clashing = owner[r:][meet & ((days[r:] & days[r]) > 0) & (owner[r:] != k)]
        pairs.update((k, other) for other in clashing.tolist())
        if len(pairs) > MOST_PAIRS:
            expected = f"at most {MOST_PAIRS} pairs; a quota of 1 by the column of times says the same"
            raise InvalidProblemError([Issue("too many goods meet at once", found=name, expected=expected)])
    return Conflict(name, tuple((goods[k], goods[other]) for k, other in sorted(pairs)))


def resolve_conflicts(
    conflicts: Sequence[Conflict], goods: Sequence[str], per_agent: IntArray, issues: list[Issue]
) -> IntArray:
    """Turn all conflicts into pairs of positions, the smaller first, each pair once, in order.

    Parameters
    ----------
    conflicts : sequence of Conflict
        By ids.
    goods : sequence of str
        All ids.
    per_agent : IntArray, shape (n_goods,)
        Copies that one agent may hold; a good in conflict with another must have 1.
    issues : list of Issue
        Faults are appended here.

    Returns
    -------
    IntArray, shape (n_pairs, 2)
    """
    at = {good: j for j, good in enumerate(goods)}
    found: set[tuple[int, int]] = set()
    for conflict in conflicts:
        named = sorted({one for pair in conflict.pairs for one in pair})
        several = [one for one in named if one in at and per_agent[at[one]] > 1]
        for message, wrong, expected in (
            ("unknown good", [one for one in named if one not in at], "ids of goods in the market"),
            ("an agent may hold several", several, "per_agent = 1 for goods that conflict"),
            ("a good with itself", [a for a, b in conflict.pairs if a == b], "two different goods"),
        ):
            if wrong:
                found_text = ", ".join(wrong)
                issues.append(Issue(f"{conflict.label}: {message}", found=found_text, expected=expected))
        known = [(at[a], at[b]) for a, b in conflict.pairs if a != b and a in at and b in at]
        found.update((min(pair), max(pair)) for pair in known)
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def maximal_cliques(adjacent: BoolArray) -> list[IntArray]:
    """List the maximal cliques of at least two vertices, members ascending, in ascending order.

    Parameters
    ----------
    adjacent : BoolArray, shape (n, n)
        Symmetric; the diagonal is ignored.

    Raises
    ------
    NotSupportedError
        If there are more than :data:`MOST_CLIQUES`.

    References
    ----------
    C. Bron and J. Kerbosch, "Algorithm 457", Communications of the ACM 16 (1973), with Tomita's pivot.

    Examples
    --------
    >>> edges = np.zeros((4, 4), dtype=bool)
    >>> for a, b in ((0, 1), (1, 2), (0, 2), (2, 3)):
    ...     edges[a, b] = edges[b, a] = True
    >>> [clique.tolist() for clique in maximal_cliques(edges)]
    [[0, 1, 2], [2, 3]]
    """
    n = len(adjacent)
    near = [sum(1 << int(k) for k in np.flatnonzero(adjacent[j]) if k != j) for j in range(n)]
    cliques: list[list[int]] = []
    stack: list[tuple[int, int, int]] = [(0, (1 << n) - 1, 0)]
    while stack:
        clique, open_, closed = stack.pop()
        if not open_:
            if not closed and clique.bit_count() > 1:
                cliques.append(list(_bits(clique)))
                if len(cliques) > MOST_CLIQUES:
                    msg = f"more than {MOST_CLIQUES} maximal sets of goods that exclude each other"
                    raise NotSupportedError(msg)
            continue
        pivot = max(_bits(open_ | closed), key=lambda j: (near[j] & open_).bit_count())
        for j in _bits(open_ & ~near[pivot]):
            stack.append((clique | 1 << j, open_ & near[j], closed & near[j]))
            open_ &= ~(1 << j)
            closed |= 1 << j
    return [np.array(members, dtype=np.int64) for members in sorted(cliques)]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
