"""What agents are asked: forms, their rule, and what their answers make of the files."""

from __future__ import annotations

import numpy as np
import pytest

from fairlot.errors import InvalidProblemError
from fairlot.io.problem import parse_problem_files
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.rounds.choices import ballot, check_payload, picks_csv, values_csv, wish_forms
from fairlot.rounds.wishes import Bound, Good, Scale, WishForm
from fairlot.verify.demand import best_affordable

PROBLEM = b"""\
format = 1
kind = "pseudomarket"
title = "Three courses"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
budget = 1.0
[values]
file = "wide.csv"
layout = "wide"
missing = 3
[[quota]]
name = "one section per course"
by = "course"
max = 1
[[quota]]
name = "two for first-years"
goods = "all"
agents = { year = 1 }
min = 1
max = 2
"""
FILES = {
    "problem.toml": PROBLEM,
    "goods.csv": b"good,capacity,course,title\na1,1,A,Algebra 1\na2,1,A,Algebra 2\nb1,2,B,\n",
    "agents.csv": b"agent,year\nann,1\nbob,2\n",
    "wide.csv": b"agent,a1,a2,b1\nann,10,,5\nbob,,7,\n",
}


def form(agent: str = "ann", scale: str = "stars") -> WishForm:
    found = ballot(FILES, None, agent, scale)
    assert isinstance(found, WishForm)
    return found


def test_form_shows_goods_and_only_the_bounds_about_her() -> None:
    ann, bob = form(), form("bob")
    assert [(good.title, good.facts) for good in ann.goods] == [
        ("Algebra 1", (("course", "A"),)),
        ("Algebra 2", (("course", "A"),)),
        ("b1", (("course", "B"),)),
    ]
    assert [(bound.group, bound.most) for bound in bob.bounds] == [("course = A", 1), ("course = B", 1)]
    assert [(bound.name, bound.least, bound.most) for bound in ann.bounds][-1] == (
        "two for first-years",
        1,
        2,
    )
    assert ann.entered == {"a1": 10, "a2": 3, "b1": 5}


def test_standing_tells_what_binds_and_what_is_short() -> None:
    empty = form().standing({})
    assert [one.short for one in empty] == [0, 0, 1]
    full = form().standing({"a1": 5, "a2": 2, "b1": 1})
    assert [one.binds for one in full] == [True, False, True]
    assert full[0].rated == ("a1", "a2")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"ratings": []},
        {"ratings": {"zzz": 1}},
        {"ratings": {"a1": 6}},
        {"ratings": {"a1": -1}},
        {"ratings": {"a1": 1.5}},
        {"ratings": {"a1": True}},
        {"ratings": {"a1": "3"}},
        {"ratings": {}, "more": 1},
    ],
)
def test_answers_that_are_none_are_refused(payload: dict[str, object]) -> None:
    with pytest.raises(InvalidProblemError):
        check_payload(FILES, "ann", payload)


def test_an_answer_has_one_form() -> None:
    one = check_payload(FILES, "ann", {"ratings": {"b1": 2, "a1": 0, "a2": 5}})
    assert list(one["ratings"].items()) == [("a2", 5), ("b1", 2)]
    assert check_payload(FILES, "ann", {"ratings": {"a1": 100}}, scale="points") == {"ratings": {"a1": 100}}


def test_answers_replace_her_rows_and_nobody_elses() -> None:
    files = values_csv(FILES, {"ann": {"ratings": {"a2": 5, "b1": 2}}})
    market = parse_problem_files(files).problem
    dense = market.values.toarray()
    np.testing.assert_array_equal(dense, [[0, 100, 40], [3, 7, 3]])
    assert market.values.nnz == 5  # what ann did not rate is not acceptable to her
    assert b"title" in files["goods.csv"]  # what the solver does not need stays for the pages


def test_forms_are_made_once_per_content() -> None:
    assert wish_forms(FILES) is wish_forms(dict(FILES))
    assert wish_forms(FILES) is not wish_forms(FILES, Scale.POINTS)
    assert wish_forms(FILES) is not wish_forms({**FILES, "agents.csv": b"agent,year\nann,2\nbob,1\n"})


def test_preview_is_the_best_she_can_afford() -> None:
    found = form().preview({"a1": 5, "a2": 4, "b1": 1}, {"a1": 2.0, "a2": 0.5})
    assert found is not None
    np.testing.assert_allclose(dict(found.shares)["b1"], 1, atol=1e-9)
    np.testing.assert_allclose(
        [dict(found.shares)["a1"], dict(found.shares)["a2"]], [1 / 3, 2 / 3], atol=1e-7
    )
    np.testing.assert_allclose(found.cost, 1, atol=1e-7)
    assert form().preview({}, {}) is not None
    assert form().preview({"a1": 1}, {"a1": 7.0}) is None  # her minimum of one is beyond her budget


def test_preview_agrees_with_the_verifier_on_random_markets() -> None:
    random = np.random.default_rng(5)
    for _ in range(25):
        n = int(random.integers(2, 8))
        goods = [f"g{k}" for k in range(n)]
        load, (some, others) = int(random.integers(1, n + 1)), (goods[: n // 2], goods[n // 2 :])
        ratings = {good: int(random.integers(0, 101)) for good in goods}
        market = PseudoMarket.from_arrays(
            [[ratings[good] or np.nan for good in goods]],
            goods=goods,
            capacities=1,
            quotas=[Quota("load", max=load), Quota("some", some, max=1)],
            tapers=[Taper("less", [0, -10, -30], others)],
        )
        asked = WishForm(
            "ann",
            Scale.POINTS,
            tuple(Good(good, good, 1, 1, ()) for good in goods),
            (
                Bound("load", "", tuple(goods), 0, load),
                Bound("some", "", tuple(some), 0, 1),
                Bound("less", "", tuple(others), 0, None, (0, -10, -30)),
            ),
            1.0,
            {},
        )
        prices = random.random(n).round(2)
        found = asked.preview(ratings, dict(zip(goods, prices.tolist(), strict=True)))
        assert found is not None
        best = best_affordable(market, prices)
        worth = sum(ratings[good] * share for good, share in found.shares)
        taken = sum(share for good, share in found.shares if good in others)
        worth -= 10 * max(taken - 1, 0) + 20 * max(taken - 2, 0)
        np.testing.assert_allclose(worth, best.value[0], rtol=1e-5)
        assert found.cost <= 1 + 1e-7


def test_menu_forms_and_picks() -> None:
    files = {
        "problem.toml": b"""format = 1
kind = "reallocation"
title = "Desk"
[tasks]
file = "tasks.csv"
[agents]
file = "agents.csv"
[status_quo]
file = "status_quo.csv"
[cost]
file = "cost.csv"
[preferences]
file = "preferences.csv"
""",
        "tasks.csv": b"task\nx\ny\n",
        "agents.csv": b"agent,size\nann,1\nteam,2\n",
        "status_quo.csv": b"agent,task,amount\nann,x,2\nann,y,2\nteam,x,1\nteam,y,3\n",
        "cost.csv": b"agent,task,cost\nann,x,1\nann,y,3\nteam,x,3\nteam,y,1\n",
        "preferences.csv": b"agent,task,low,high,family\n*,*,1,2,uniform\n",
    }
    menus = b"agent,ray,task,change\nann,a,x,2\nann,a,y,-1\nteam,less,x,-1\nteam,less,y,-3\n"
    ann = ballot(files, menus, "ann")
    assert ann.has == {"x": 2, "y": 2}
    assert [(line.name, dict(line.change), line.less) for line in ann.lines] == [
        ("a", {"x": 2, "y": -1}, False)
    ]
    assert ballot(files, menus, "team#2").lines[0].less
    with pytest.raises(KeyError):
        ballot(files, menus, "team")
    with pytest.raises(InvalidProblemError, match="keep or a"):
        check_payload(files, "ann", {"pick": "less"}, menus=menus)
    chosen = {"ann": {"pick": "a"}, "team#2": {"pick": "less"}}
    written = picks_csv(files, menus, chosen)
    assert written == b"agent,member,ray\nann,1,a\nteam,1,keep\nteam,2,less\n"
