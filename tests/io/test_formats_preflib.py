"""PrefLib files: what is written reads the same, faults have rows, orders become values by Borda's rule."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairlot.errors import InvalidProblemError
from fairlot.io.formats.preflib import (
    KINDS,
    PrefLib,
    market_preflib,
    preflib_draft,
    read_preflib,
    write_preflib,
)
from fairlot.io.formats.rankings import borda
from fairlot.io.problem import parse_problem_files
from fairlot.model.market import PseudoMarket

HEADER = "# TITLE: Votes\n# DATA TYPE: {}\n# NUMBER ALTERNATIVES: 3\n# ALTERNATIVE NAME 1: A\n"
HEADER += "# ALTERNATIVE NAME 2: B\n# ALTERNATIVE NAME 3: C\n"


def read(text: str, kind: str = "toi") -> PrefLib:
    return read_preflib(text.encode(), f"votes.{kind}")


def faults(text: str, kind: str = "toi") -> list[str]:
    with pytest.raises(InvalidProblemError) as caught:
        read(text, kind)
    return [str(issue) for issue in caught.value.issues]


@st.composite
def contents(draw: st.DrawFn) -> PrefLib:
    kind = draw(st.sampled_from(KINDS))
    n = draw(st.integers(1, 6))
    names = st.text(st.characters(min_codepoint=33, max_codepoint=0x250), min_size=1, max_size=8)
    printable = names.filter(lambda name: name.isprintable() and name.strip() == name)
    alternatives = tuple(draw(st.lists(printable, min_size=n, max_size=n)))
    n_categories = draw(st.integers(1, 4))
    orders = []
    for _ in range(draw(st.integers(1, 5))):
        members = draw(st.permutations(range(n)))
        if kind[-1] == "i":
            members = members[: draw(st.integers(0, n))]
        if kind == "cat":
            place = [draw(st.integers(0, n_categories - 1)) for _ in members]
            groups = [[k for k, p in zip(members, place, strict=True) if p == c] for c in range(n_categories)]
        else:
            cut = [kind[0] == "s" or draw(st.booleans()) for _ in members]
            groups = []
            for k, new in zip(members, cut, strict=True):
                if new or not groups:
                    groups.append([])
                groups[-1].append(k)
        orders.append(tuple(tuple(sorted(group)) for group in groups))
    orders = list(dict.fromkeys(orders))
    counts = tuple(draw(st.integers(1, 9)) for _ in orders)
    categories = tuple(f"c{k}" for k in range(n_categories)) if kind == "cat" else ()
    return PrefLib(kind, alternatives, tuple(orders), counts, categories, "A title: with a colon")


@settings(max_examples=80, deadline=None)
@given(content=contents())
def test_round_trip(content: PrefLib) -> None:
    back = read_preflib(write_preflib(content), f"votes.{content.kind}")
    assert dict(zip(back.orders, back.counts, strict=True)) == dict(
        zip(content.orders, content.counts, strict=True)
    )
    assert (back.kind, back.alternatives, back.categories, back.title) == (
        content.kind,
        content.alternatives,
        content.categories,
        content.title,
    )


@settings(max_examples=40, deadline=None)
@given(content=contents().filter(lambda content: content.kind != "cat"))
def test_orders_survive_the_way_through_a_market(content: PrefLib) -> None:
    """Borda keeps every order, so that a market's preferences are the file's."""
    files = preflib_draft(content, seats=1, load=2).files()
    market = parse_problem_files(files).problem
    back = market_preflib(market)
    expected: dict[object, int] = dict(zip(content.orders, content.counts, strict=True))
    assert dict(zip(back.orders, back.counts, strict=True)) == expected
    assert read_preflib(write_preflib(back), f"x.{back.kind}").kind == back.kind
    assert (back.kind[0], back.kind[2]) <= (content.kind[0], content.kind[2])


def slow_borda(groups: list[list[int]], n: int) -> dict[int, int]:
    """Count, alternative by alternative, those that are not ranked strictly above it."""
    place = {k: g for g, group in enumerate(groups) for k in group}
    return {k: sum(1 for other in range(n) if place.get(other, n) >= place[k]) for k in place}


@given(data=st.data(), n=st.integers(1, 7))
def test_borda_counts_what_is_not_ranked_above(data: st.DataObject, n: int) -> None:
    members = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, n))]
    groups: list[list[int]] = []
    for k in members:
        if not groups or data.draw(st.booleans()):
            groups.append([])
        groups[-1].append(k)
    assert borda(groups, n) == slow_borda(groups, n)


def test_values_of_orders_and_categories() -> None:
    draft = preflib_draft(read(HEADER.format("toi") + "2: 3,{1,2}\n1: 2\n"), seats=4, load=2)
    assert draft.agents["agent"] == ["v1", "v2", "v3"]
    assert list(zip(*(draft.values[c] for c in ("agent", "good", "value")), strict=True)) == [
        *((v, g, x) for v in ("v1", "v2") for g, x in (("C", "3"), ("A", "2"), ("B", "2"))),
        ("v3", "B", "3"),
    ]
    assert "cardinal values matter" in draft.warnings[0]
    text = HEADER.format("cat") + "# NUMBER CATEGORIES: 3\n1: {1,2},{},3\n1: 3\n"
    draft = preflib_draft(read(text, "cat"), seats=1, load=1)
    assert list(zip(draft.values["good"], draft.values["value"], strict=True)) == [
        ("A", "2"), ("B", "2"), ("C", "2"),
    ]  # fmt: skip
    market = parse_problem_files(draft.files()).problem
    assert (market.n_agents, market.n_goods, market.title) == (2, 3, "Votes")


def test_alternatives_of_one_name_get_ids() -> None:
    text = HEADER.format("soc").replace(": B", ": A") + "1: 1,2,3\n"
    draft = preflib_draft(read(text, "soc"), seats=1, load=1)
    assert draft.goods["good"] == ["a1", "a2", "a3"]
    assert draft.goods["title"] == ("A", "A", "C")


@pytest.mark.parametrize(
    ("kind", "line", "fault"),
    [
        ("soi", "1: {1,2}", "tie in a .soi file"),
        ("toc", "1: {1,2}", "incomplete order in a .toc file"),
        ("toi", "1: 1,4", "unknown alternative: found '4', expected a number from 1 to 3"),
        ("toi", "1: 1,0", "unknown alternative"),
        ("toi", "1: 1,{2,1}", "alternative more than once"),
        ("toi", "0: 1", "no preference"),
        ("toi", "1,2,3", "no preference"),
        ("toi", "1: 1;2", "not a preference"),
        ("toi", "1: {1,2", "not a preference"),
        ("toi", "1: {1,{2}}", "not a preference"),
    ],
)
def test_every_fault_has_its_row(kind: str, line: str, fault: str) -> None:
    (told,) = faults(HEADER.format(kind) + line + "\n", kind)
    assert told.startswith(f"votes.{kind}, row 7: {fault}")


def test_header_faults() -> None:
    assert "NUMBER ALTERNATIVES" in faults("3\n1,A\n2,B\n3,C\n")[0]
    assert "type and ending differ" in faults(HEADER.format("soc") + "1: 1,2,3\n", "toc")[0]
    assert "no preferences" in faults(HEADER.format("toi"))[0]
    assert "missing or not a number" in faults("# NUMBER ALTERNATIVES: 999999999\n1: 1\n")[0]
    huge = HEADER.format("toi") + "999999999: 1\n"
    with pytest.raises(InvalidProblemError, match="at most 1000000 voters"):
        preflib_draft(read(huge), seats=1, load=1)


def test_a_market_that_does_not_fit_the_type() -> None:
    market = PseudoMarket.from_arrays([[2, 2, float("nan")], [1, 2, 3]], [1, 1, 1])
    assert market_preflib(market).kind == "toi"
    with pytest.raises(InvalidProblemError, match=r"found '\.soc', expected \.toi or \.cat"):
        market_preflib(market, "soc")
    approved = market_preflib(market, "cat")
    assert approved.orders == (((0, 1), (2,)), ((0, 1, 2), ()))
    assert read_preflib(write_preflib(approved), "a.cat") == approved


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_told_in_lines(data: st.DataObject) -> None:
    original = (HEADER.format("toi") + "2: 3,{1,2}\n1: 2\n").encode()
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, len(original)))
    damaged = original[:start] + data.draw(st.binary(max_size=12)) + original[end:]
    with suppress(InvalidProblemError):
        preflib_draft(read_preflib(damaged, "x.toi"), seats=1, load=1).files()


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.text("0123456789:,{}# \tab", max_size=20), max_size=5))
@example(lines=["1: " + "{1," * 30])
def test_any_lines_are_told(lines: list[str]) -> None:
    with suppress(InvalidProblemError):
        preflib_draft(read(HEADER.format("toi") + "\n".join(lines)), seats=1, load=1).files()
