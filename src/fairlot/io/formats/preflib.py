"""PrefLib files: strict and weak orders (.soc, .soi, .toc, .toi) and categories (.cat).

A file is a header of ``# KEY: value`` lines and a line for each distinct preference: how many voters hold it,
a colon, and alternatives by their number, the best first. Braces hold alternatives that are tied; in a
``.cat`` file there is one entry for each category. Strict files (``so.``) have no ties, complete ones
(``..c``) rank every alternative. The format is that of PrefLib's specification since 2021 [1]_.

References
----------
.. [1] N. Mattei and T. Walsh, "PrefLib: A library for preferences", ADT 2013.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.draft import Draft, refuse_too_many
from fairlot.io.formats.rankings import RULE, WARNING, borda
from fairlot.io.tables import decode
from fairlot.model.market import PseudoMarket

ORDERS = ("soc", "soi", "toc", "toi")
KINDS = (*ORDERS, "cat")
"""Types of file that are read and written."""
MOST_VOTERS = 1_000_000

Order = tuple[tuple[int, ...], ...]
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_GROUP = re.compile(r"\s*(?:\{([0-9,\s]*)\}|([0-9]{1,9}))\s*(?:,|$)")


@dataclass(frozen=True)
class PrefLib:
    """What a PrefLib file says.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    alternatives : tuple of str
        Names; alternative k of the file is ``alternatives[k - 1]``.
    orders : tuple
        Each distinct preference: groups of alternatives (counted from 0), the best first; of a ``cat``
        file one group for each category, which may be empty.
    counts : tuple of int
        Voters who hold each.
    categories : tuple of str
        Names of the categories, the best first.
    title : str
        For people.

    Examples
    --------
    >>> drinks = PrefLib("toi", ("tea", "milk", "beer"), (((1,), (0, 2)),), (7,), title="Drinks")
    >>> print(write_preflib(drinks).decode())
    # TITLE: Drinks
    # DATA TYPE: toi
    # NUMBER ALTERNATIVES: 3
    # NUMBER VOTERS: 7
    # NUMBER UNIQUE ORDERS: 1
    # ALTERNATIVE NAME 1: tea
    # ALTERNATIVE NAME 2: milk
    # ALTERNATIVE NAME 3: beer
    7: 2,{1,3}
    <BLANKLINE>
    """

    kind: str
    alternatives: tuple[str, ...]
    orders: tuple[Order, ...]
    counts: tuple[int, ...]
    categories: tuple[str, ...] = ()
    title: str = ""


def read_preflib(data: bytes, file: str) -> PrefLib:
    """Read a PrefLib file.

    Parameters
    ----------
    data : bytes
        Its contents.
    file : str
        Its name, for messages; the ending says the type where the header does not.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, with its row.
    """
    issues: list[Issue] = []
    text = decode(data, file, issues)
    found = None if text is None else _Reader(file, issues).read(text)
    if found is None or issues:
        raise InvalidProblemError(issues)
    return found


class _Reader:
    """Reads one file and collects its faults."""

    def __init__(self, file: str, issues: list[Issue]) -> None:
        self._file = file
        self._issues = issues

    def read(self, text: str) -> PrefLib | None:
        header: dict[tuple[str, int], str] = {}
        lines: list[tuple[int, str]] = []
        for row, line in enumerate(text.splitlines(), start=1):
            if line.lstrip().startswith("#"):
                key, _, value = line.lstrip()[1:].partition(":")
                words = key.split()
                number = int(words.pop()) if words and _NUMBER.fullmatch(words[-1]) else 0
                header[" ".join(words), number] = value.strip()
            elif line.strip():
                lines.append((row, line))
        kind = self._kind(header.get(("DATA TYPE", 0), ""))
        alternatives = self._names(header, "ALTERNATIVE", "NUMBER ALTERNATIVES", len(text))
        categories = self._names(header, "CATEGORY", "NUMBER CATEGORIES", len(text)) if kind == "cat" else ()
        if self._issues:
            return None
        if not alternatives or not lines:
            missing = "alternatives" if not alternatives else "preferences"
            self._fault(f"no {missing}", None, None, "a PrefLib file with alternatives and preferences")
            return None
        orders: dict[Order, int] = {}
        for row, line in lines:
            order, count = self._order(line, row, kind, len(alternatives), len(categories))
            orders[order] = orders.get(order, 0) + count
        title = header.get(("TITLE", 0), "")
        return PrefLib(kind, alternatives, tuple(orders), tuple(orders.values()), categories, title)

    def _kind(self, declared: str) -> str:
        ending = self._file.rpartition(".")[2].lower()
        kind = declared.lower() or ending
        if kind not in KINDS:
            self._fault("type of PrefLib file not known", None, kind, " or ".join(KINDS))
        elif ending in KINDS and ending != kind:
            self._fault("type and ending differ", None, f"DATA TYPE {kind}", f"a name that ends in .{kind}")
        return kind

    def _names(self, header: dict[tuple[str, int], str], noun: str, key: str, most: int) -> tuple[str, ...]:
        stated = header.get((key, 0), "")
        if not _NUMBER.fullmatch(stated) or not 0 < int(stated) <= most:
            expected = f"a line '# {key}: ' and a number (the PrefLib format since 2021)"
            self._fault("missing or not a number", None, stated, expected)
            return ()
        names = [header.get((f"{noun} NAME", k), "") for k in range(1, int(stated) + 1)]
        for k, name in enumerate(names, start=1):
            if not name.isprintable():
                self._fault(
                    f"unprintable name of {noun.lower()} {k}", None, name, "letters, digits and signs"
                )
        names = [name or str(k) for k, name in enumerate(names, start=1)]
        return tuple(names)

    def _order(self, line: str, row: int, kind: str, n: int, n_categories: int) -> tuple[Order, int]:
        count, colon, rest = line.partition(":")
        if not colon or not _NUMBER.fullmatch(count) or int(count) == 0:
            self._fault("no preference", row, line, "voters: alternatives, such as 3: 2,{1,4}")
            return (), 0
        groups: list[tuple[int, ...]] = []
        rest, place = rest.strip(), 0
        while place < len(rest):
            group = _GROUP.match(rest, place)
            parts = [] if group is None else (group[1] if group[2] is None else group[2]).split(",")
            blank = len(parts) == 1 and not parts[0].strip()
            if group is None or not (blank or all(_NUMBER.fullmatch(part) for part in parts)):
                self._fault("not a preference", row, rest[place:], "numbers and braces, such as 2,{1,4}")
                return (), 0
            groups.append(tuple(sorted(int(part) - 1 for part in parts if part.strip())))
            place = group.end()
        members = Counter(k for group in groups for k in group)
        for k, times in members.items():
            if not 0 <= k < n:
                self._fault("unknown alternative", row, str(k + 1), f"a number from 1 to {n}")
            elif times > 1:
                self._fault("alternative more than once", row, str(k + 1), "each alternative once")
        if kind == "cat":
            if len(groups) > n_categories:
                self._fault("too many categories", row, str(len(groups)), f"at most {n_categories}")
            groups += [()] * (n_categories - len(groups))
        else:
            groups = [group for group in groups if group]
            if kind.startswith("so") and any(len(group) > 1 for group in groups):
                self._fault(f"tie in a .{kind} file", row, line, "a strict order, or the ending .toi")
            if kind.endswith("c") and len(members) < n:
                expected = f"all {n} alternatives, or the ending .{kind[:2]}i"
                self._fault(
                    f"incomplete order in a .{kind} file", row, f"{len(members)} alternatives", expected
                )
        return tuple(groups), int(count)

    def _fault(self, message: str, row: int | None, found: str | None, expected: str) -> None:
        self._issues.append(Issue(message, self._file, row, None, found, expected))


def write_preflib(content: PrefLib) -> bytes:
    """Write a PrefLib file: most frequent preferences first; :func:`read_preflib` gives the same back."""
    lines = [
        f"# TITLE: {content.title}",
        f"# DATA TYPE: {content.kind}",
        f"# NUMBER ALTERNATIVES: {len(content.alternatives)}",
        f"# NUMBER VOTERS: {sum(content.counts)}",
        f"# NUMBER UNIQUE {'PREFERENCES' if content.kind == 'cat' else 'ORDERS'}: {len(content.orders)}",
    ]
    if content.kind == "cat":
        lines.append(f"# NUMBER CATEGORIES: {len(content.categories)}")
        lines += [f"# CATEGORY NAME {k}: {name}" for k, name in enumerate(content.categories, start=1)]
    lines += [f"# ALTERNATIVE NAME {k}: {name}" for k, name in enumerate(content.alternatives, start=1)]
    by_count = sorted(zip(content.counts, content.orders, strict=True), key=lambda pair: -pair[0])
    for count, order in by_count:
        lines.append(f"{count}: {','.join(map(_group, order))}")
    return ("\n".join(lines) + "\n").encode()


def _group(group: tuple[int, ...]) -> str:
    numbers = ",".join(str(k + 1) for k in group)
    return numbers if len(group) == 1 else f"{{{numbers}}}"


def preflib_draft(content: PrefLib, seats: int, load: int, file: str = "preferences") -> Draft:
    """Turn preferences into a pseudo-market: an agent per voter, a good per alternative.

    Orders become values by Borda's rule (:mod:`fairlot.io.formats.rankings`). Of K categories, the k-th is
    worth K - k, and the last is not acceptable unless it is the only one.

    Parameters
    ----------
    content : PrefLib
        What was read.
    seats : int
        Capacity of each good; PrefLib has none.
    load : int
        Goods one agent may hold; PrefLib has none.
    file : str
        Where it came from, for messages.

    Raises
    ------
    InvalidProblemError
        If it is too large to be written out agent by agent.
    """
    n_voters, n = sum(content.counts), len(content.alternatives)
    if n_voters > MOST_VOTERS:
        found, expected = f"{n_voters} voters", f"at most {MOST_VOTERS} voters"
        raise InvalidProblemError([Issue("too large to import", file, found=found, expected=expected)])
    sizes = [sum(map(len, order)) for order in content.orders]
    refuse_too_many(sum(c * size for c, size in zip(content.counts, sizes, strict=True)), file)
    distinct = len(set(content.alternatives)) == n
    width = len(str(n))
    goods = content.alternatives if distinct else [f"a{k:0{width}d}" for k in range(1, n + 1)]
    voters = [f"v{k:0{len(str(n_voters))}d}" for k in range(1, n_voters + 1)]
    columns: tuple[list[str], list[str], list[str]] = ([], [], [])
    names = iter(voters)
    for order, count in zip(content.orders, content.counts, strict=True):
        values = _category_values(order) if content.kind == "cat" else borda(order, n)
        ids, texts = [goods[k] for k in values], [str(value) for value in values.values()]
        for _ in range(count):
            columns[0].extend([next(names)] * len(ids))
            columns[1].extend(ids)
            columns[2].extend(texts)
    table = {"good": goods, "capacity": [str(seats)] * n}
    if not distinct:
        table["title"] = content.alternatives
    if content.kind == "cat":
        rule = "value = number of categories below; the last category is not acceptable"
        warning = WARNING.replace(
            "rankings were turned into values by Borda's rule", "categories became values"
        )
    else:
        rule, warning = RULE, WARNING
    return Draft(
        goods=table,
        agents={"agent": voters},
        values=dict(zip(("agent", "good", "value"), columns, strict=True)),
        load=load,
        title=content.title,
        notes=(
            f"PrefLib .{content.kind}: {n_voters} voters with {len(content.orders)} different preferences, "
            f"{n} alternatives",
            rule,
        ),
        warnings=(warning,),
    )


def _category_values(order: Order) -> dict[int, int]:
    best = max(len(order) - 1, 1)
    return {k: best - c for c, group in enumerate(order) for k in group if c < best}


def market_preflib(market: PseudoMarket, kind: str = "") -> PrefLib:
    """Write what agents accept, in the order of its value, as PrefLib preferences.

    Parameters
    ----------
    market : PseudoMarket
        The market; capacities, budgets, rules and ids of agents have no place in PrefLib.
    kind : str
        One of :data:`KINDS`; by default the narrowest type of order that fits. ``cat`` has two categories,
        acceptable and not acceptable.

    Raises
    ------
    InvalidProblemError
        If the preferences do not fit the type, or an id or the title is no line of text.
    """
    n = market.n_goods
    orders: Counter[Order] = Counter()
    for i in range(market.n_agents):
        span = slice(market.values.indptr[i], market.values.indptr[i + 1])
        members, values = market.values.indices[span].tolist(), market.values.data[span].tolist()
        if kind == "cat":
            rest = sorted(set(range(n)).difference(members))
            orders[tuple(sorted(members)), tuple(rest)] += 1
            continue
        groups: dict[float, list[int]] = {}
        for k, value in zip(members, values, strict=True):
            groups.setdefault(value, []).append(k)
        orders[tuple(tuple(sorted(groups[value])) for value in sorted(groups, reverse=True))] += 1
    strict = all(len(group) == 1 for order in orders for group in order)
    complete = all(sum(map(len, order)) == n for order in orders)
    fits = [k for k in ORDERS if (strict or k[0] == "t") and (complete or k[2] == "i")]
    issues = [
        Issue(
            "not possible in PrefLib", found=text, expected="one line of printable text, no space around it"
        )
        for text in (*market.goods, market.title)
        if text != text.strip() or not text.isprintable()
    ]
    kind = kind or fits[0]
    if kind not in (*fits, "cat"):
        expected = " or ".join(f".{k}" for k in (*fits, "cat"))
        issues.append(Issue("these preferences do not fit the type", found=f".{kind}", expected=expected))
    if issues:
        raise InvalidProblemError(issues)
    categories = ("acceptable", "not acceptable") if kind == "cat" else ()
    return PrefLib(kind, market.goods, tuple(orders), tuple(orders.values()), categories, market.title)
