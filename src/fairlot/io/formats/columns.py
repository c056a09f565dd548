"""What the columns of an arbitrary spreadsheet mean: found by name and content, or asked.

Nothing that changes the outcome is guessed in silence. What was found is told; what is unclear becomes a
:class:`Question`, for a person at a terminal or as a fault that names the option to give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.mapping import DECIMALS, LAYOUTS, SCALES, ColumnMapping
from fairlot.io.formats.sheet import decimal_mark, is_numeric
from fairlot.io.tables import Table

_AGENT = "agent student participant applicant reviewer bidder voter user person employee member matriculation"
_GOOD = "good course item project paper section shift room alternative class elective seminar"
_VALUE = "value rating score points bid utility preference interest valuation"
_RANK = "rank ranking choice priority position wish"
_CAPACITY = "capacity capacities seats places spots max_enrolment enrolment_limit"
_BUDGET = "budget tokens entitlement"
_LOAD = "load wanted courses_wanted max_courses number_of_courses demand"
_NAME = "name names first last given family surname email mail title"
_ATTRIBUTE = (
    "year age semester term level gpa credits cohort group programme program degree number no nr count"
)


@dataclass(frozen=True)
class Question:
    """Something about a spreadsheet that only a person knows.

    Parameters
    ----------
    key : str
        Field of the mapping that the answer is for.
    text : str
        The question.
    option : str
        What to give on the command line.
    choices : tuple of str
        Possible answers; any if empty.
    """

    key: str
    text: str
    option: str
    choices: tuple[str, ...] = ()


def understand(
    table: Table, given: ColumnMapping, known_goods: Sequence[str] = ()
) -> tuple[ColumnMapping, tuple[Question, ...]]:
    """Find out what the columns mean.

    Parameters
    ----------
    table : Table
        The spreadsheet.
    given : ColumnMapping
        What was said; it is not questioned, but its columns must be there.
    known_goods : sequence of str
        Goods of a table of capacities; empty if there is none.

    Returns
    -------
    mapping : ColumnMapping
        What was said and found.
    questions : tuple of Question
        What is unclear; with answers, call again.

    Raises
    ------
    InvalidProblemError
        If a column that was named is missing.
    """
    named = (given.agent, *given.goods, given.value, given.capacity, given.budget)
    issues: list[Issue] = []
    table.require(
        dict.fromkeys(
            name for name in (*named, given.load if isinstance(given.load, str) else None) if name is not None
        ),
        issues,
    )
    if issues:
        raise InvalidProblemError(issues)
    return _Finder(table, given, known_goods).found()


def overlooked(table: Table, mapping: ColumnMapping) -> tuple[str, ...]:
    """List the columns of numbers of a wide table that look like goods and are taken for none.

    A good that is new this term is missing in last term's mapping, one with a typing error in the table of
    capacities.
    """
    if mapping.layout != "wide":
        return ()
    numbers = _Finder(table, replace(mapping, goods=()), ())._wide()
    return tuple(column for column in numbers if column not in mapping.goods)


class _Finder:
    """Fills a mapping step by step."""

    def __init__(self, table: Table, given: ColumnMapping, known_goods: Sequence[str]) -> None:
        self._table = table
        self._known_goods = set(known_goods)
        self._questions: list[Question] = []
        self._mapping = given

    def found(self) -> tuple[ColumnMapping, tuple[Question, ...]]:
        stated = self._mapping.capacity
        self._side_columns()
        self._layout()
        if self._mapping.layout != "long":
            self._set(capacity=stated)  # a row for each agent has no place for a good's capacity
        if self._mapping.layout is not None:
            self._numbers()
        by_column = self._mapping.layout == "long" and self._mapping.capacity is not None
        if not self._known_goods and self._mapping.seats is None and not by_column:
            self._ask("seats", "how many seats has every good?", "--seats N, or --capacities FILE")
        if self._mapping.load is None:
            self._ask("load", "how many goods may one agent get at most?", "--load N, or --load COLUMN")
        return self._mapping, tuple(self._questions)

    def _ask(self, key: str, text: str, option: str, choices: tuple[str, ...] = ()) -> None:
        self._questions.append(Question(key, text, option, choices))

    def _set(self, **said: object) -> None:
        self._mapping = replace(self._mapping, **said)  # type: ignore[arg-type]

    def _side_columns(self) -> None:
        """Find agents, capacities, budgets and loads by name."""
        mapping = self._mapping
        if mapping.budget is None:
            self._set(budget=self._numeric_named(_BUDGET))
        if mapping.load is None:
            self._set(load=self._numeric_named(_LOAD))
        if mapping.capacity is None and mapping.seats is None and not self._known_goods:
            self._set(capacity=self._numeric_named(_CAPACITY))
        if mapping.agent is None:
            self._set(agent=self._named(_AGENT) or self._address() or self._id_column())
        if self._mapping.agent is None:
            self._ask("agent", "which column holds the agents' ids?", "--agent-column NAME", self._free())

    def _layout(self) -> None:
        mapping = self._mapping
        if mapping.layout is None:
            self._set(layout=self._guess_layout())
        match self._mapping.layout:
            case "long":
                if not mapping.goods:
                    good = self._named(_GOOD)
                    self._set(goods=() if good is None else (good,))
                    if good is None:
                        self._ask(
                            "goods", "which column holds the goods?", "--good-column NAME", self._free()
                        )
                if mapping.value is None:
                    numeric = self._numeric_named(_VALUE) or self._numeric_named(_RANK)
                    value = numeric or self._named(_VALUE) or self._named(_RANK)
                    self._set(value=value)
                    if value is None:
                        text = "which column holds values or ranks?"
                        self._ask("value", text, "--value-column NAME", self._free())
            case "wide" | "choices" if not mapping.goods:
                self._set(goods=self._wide() if self._mapping.layout == "wide" else self._choices())
        if self._mapping.layout is None or (self._mapping.layout != "long" and not self._mapping.goods):
            self._set(layout=mapping.layout)
            self._ask(
                "layout",
                "a row for each pair (long), a column for each good (wide), or choices?",
                "--layout long|wide|choices and --good-column NAME (repeat)",
                LAYOUTS,
            )

    def _guess_layout(self) -> str | None:
        mapping = self._mapping
        if mapping.value is not None:
            return "long"
        if not mapping.goods and (choices := self._choices()):
            # Numbers under "Preference 3" may be the id of the third choice, or the value of good 3.
            return None if not self._known_goods and all(map(self._numeric, choices)) else "choices"
        good = mapping.goods[0] if len(mapping.goods) == 1 else self._named(_GOOD)
        if good is not None and not mapping.goods[1:]:
            numbers = {self._numeric_named(_VALUE), self._numeric_named(_RANK)} - {None, good}
            if numbers or not self._numeric(good):
                return "long"
        return "wide" if (mapping.goods and all(map(self._numeric, mapping.goods))) or self._wide() else None

    def _numbers(self) -> None:
        """Find out how numbers are written and whether they are ranks."""
        mapping = self._mapping
        table = self._table
        if mapping.layout == "choices":
            self._set(scale="rank", decimal=mapping.decimal or "point")
            return
        columns = ((mapping.value,) if mapping.value else ()) if mapping.layout == "long" else mapping.goods
        if mapping.decimal is None:
            side = tuple(c for c in (mapping.budget, mapping.load, mapping.capacity) if isinstance(c, str))
            self._set(decimal=decimal_mark(text for c in (*columns, *side) for text in table[c]))
            if self._mapping.decimal is None:
                text = "is the comma in a number such as 1,234 a decimal mark?"
                self._ask("decimal", text, "--decimal comma|point", DECIMALS)
        if mapping.scale is not None or not columns:
            return
        if mapping.layout == "long" and _has_word(columns[0], _RANK) and not _has_word(columns[0], _VALUE):
            self._set(scale="rank")
        elif self._like_ranks(columns):
            text = "every agent has 1, 2, 3 ...: are these ranks (1 is best) or values (more is better)?"
            self._ask("scale", text, "--scale rank|value", SCALES)
        else:
            self._set(scale="value")

    def _like_ranks(self, columns: Sequence[str]) -> bool:
        """Say whether each agent's numbers are 1, 2, ..., k."""
        table, mapping = self._table, self._mapping
        numbers: dict[str, list[str]] = {}
        if mapping.agent is None:
            return False
        for column in columns:
            for agent, text in zip(table[mapping.agent], table[column], strict=True):
                if text:
                    numbers.setdefault(agent, []).append(text)
        return max(map(len, numbers.values()), default=0) > 1 and all(
            sorted(texts) == sorted(map(str, range(1, len(texts) + 1))) for texts in numbers.values()
        )

    def _wide(self) -> tuple[str, ...]:
        free = self._free()
        if self._known_goods:
            return tuple(column for column in free if column in self._known_goods)
        return tuple(
            column
            for column in free
            if self._numeric(column) and not _has_word(column, f"{_ATTRIBUTE} {_NAME}")
        )

    def _choices(self) -> tuple[str, ...]:
        """Columns such as "Choice 1", "2nd choice": a word for ranks and a number."""
        numbered = {
            column: int(digits[0])
            for column in self._free()
            if _has_word(column, f"{_RANK} preference")
            and len(digits := re.findall(r"[0-9]{1,4}", column)) == 1
        }
        return tuple(sorted(numbered, key=numbered.__getitem__)) if len(numbered) > 1 else ()

    def _free(self) -> tuple[str, ...]:
        m = self._mapping
        taken = {m.agent, m.value, m.capacity, m.budget, m.load}
        return tuple(column for column in self._table.columns if column not in taken)

    def _named(self, words: str) -> str | None:
        """Find a column by name: the name itself first, then one that holds the word, ids before names."""
        free = self._free()
        exact = [column for column in free if _plain(column) in words.split()]
        holding = [column for column in free if _has_word(column, words) and not _has_word(column, _NAME)]
        return next(iter(exact + holding), None)

    def _numeric_named(self, words: str) -> str | None:
        free = [column for column in self._free() if _has_word(column, words) and self._numeric(column)]
        # Several, such as "rating of Chess" and "rating of Choir": none of them is the one.
        return free[0] if len(free) == 1 else None

    def _address(self) -> str | None:
        """Find the one column of addresses: what forms on the web know people by."""
        free = [column for column in self._free() if _has_word(column, "email mail login username")]
        return free[0] if len(free) == 1 else None

    def _id_column(self) -> str | None:
        """Find the first column, if its cells differ and it is called an id or is neither number nor time."""
        first = self._table.columns[0]
        cells = self._table[first]
        if first not in self._free() or not cells or len(set(cells)) < len(cells) or "" in cells:
            return None
        if _has_word(first, "id nr name"):
            return first
        return None if self._numeric(first) or _has_word(first, "timestamp time date") else first

    def _numeric(self, column: str) -> bool:
        cells = [cell for cell in self._table[column] if cell]
        return bool(cells) and all(map(is_numeric, cells))


def _plain(name: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def _has_word(name: str, words: str) -> bool:
    plain = f"_{_plain(name)}_"
    return any(f"_{word}_" in plain or f"_{word}s_" in plain for word in words.split())
