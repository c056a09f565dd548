"""Explanations of outcomes and offers: what she had, could pick, picked and gets, and why not more."""

import numpy as np
import pytest
from outcome_cases import random_case

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.explanation import Reason, explain_member, explain_offer
from fairlot.reallocation.letters import letter, menu_words
from fairlot.reallocation.outcome import reallocate


def explained(outcome, member, **more):
    return explain_member(
        outcome.problem, outcome.menus, outcome.picks, outcome.amounts, outcome.prices, member, **more
    )


@pytest.fixture
def swap():
    problem = ReallocationProblem.from_arrays(
        [[4, 4]] * 5,
        [[1, 3], [3, 1], [2, 2], [3, 1], [1, 3]],
        Beliefs.uniform(1, 2),
        agents=["ann", "bob", "cat", "dan", "eve"],
        tasks=["abuse", "neglect"],
    )
    to_abuse, to_neglect = Ray("a", [4, -4]), Ray("n", [-2, 2])
    rays = {"ann": (to_abuse,), "bob": (to_neglect,), "cat": (to_neglect,), "dan": (Ray("a", [2, -2]),)}
    menus = Menus.of(problem.agents, problem.tasks, [Menu(agent, part) for agent, part in rays.items()])
    return reallocate(problem, menus, {"ann": "a", "bob": "n", "cat": "keep", "dan": "a"})


def test_every_reason_has_its_words(swap):
    reasons = {member: explained(swap, member) for member in swap.members}
    assert {member: why.reason for member, why in reasons.items()} == {
        "ann": Reason.PART,
        "bob": Reason.FULL,
        "cat": Reason.KEPT,
        "dan": Reason.NONE,
        "eve": Reason.NO_CHOICE,
    }
    text = {member: "\n".join(why.sentences()) for member, why in reasons.items()}
    assert "ann: you had 4 *abuse* and 4 *neglect* (8 instances in all)." in text["ann"]
    assert "You get 50% of that exchange." in text["ann"]
    assert "what others picked no more fits yours" in text["ann"]
    assert "So you get 6 *abuse* and 2 *neglect* (8 instances in all)." in text["ann"]
    assert "nobody is moved beyond her pick" in text["bob"]
    assert "You could have picked:\n- `n`: Have 2 fewer *abuse* and get 2 more *neglect*" in text["cat"]
    # two of abuse more at dan's desk cost 4 more; whoever makes room for it saves 4 at most
    assert "by +4 cost units, and that of the others" in text["dan"]
    assert "There was nothing to choose for you this time" in text["eve"]
    assert reasons["dan"].own_cost == 4


def test_an_explanation_repeats_the_letter_where_they_overlap():
    rng = np.random.default_rng(3)
    for _ in range(20):
        problem, menus, picks = random_case(rng, groups=True)
        outcome = reallocate(problem, menus, picks)
        for member in outcome.members:
            had, *rest = letter(outcome, member).split("\n\n")[1:]
            said = "\n".join(explained(outcome, member).sentences())
            assert had[4:] in said
            assert all(part in said for part in rest if part.startswith(("You picked", "You get")))


def test_reasons_are_the_signs_of_the_reduced_costs():
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(40):
        outcome = reallocate(*random_case(rng, groups=True))
        for member in outcome.members:
            why = explained(outcome, member)
            if why.picked is None or why.picked.name == "less":
                continue
            total = why.own_cost + why.others_cost
            slack = 1e-7 * (abs(why.own_cost) + abs(why.others_cost) + 1)
            seen.add(why.reason)
            assert why.reason is not Reason.FULL or total <= slack
            assert why.reason is not Reason.NONE or total >= -slack
            assert why.reason is not Reason.PART or abs(total) <= slack
    assert {Reason.FULL, Reason.PART, Reason.NONE} <= seen


def test_the_draw_and_what_is_not_drawn(swap):
    text = "\n".join(explained(swap, "ann", drawn={"abuse": 6, "neglect": 2}).sentences())
    assert "The draw gave you 6 *abuse* and 2 *neglect* (8 instances in all)." in text
    paid = ReallocationProblem.from_arrays(
        [[2, 2.5]] * 2,
        [[1, 3], [3, 1]],
        Beliefs.uniform(1, 2),
        transfer=[False, True],
        tasks=["abuse", "fee"],
    )
    outcome = reallocate(paid, Menus.of(paid.agents, paid.tasks, []), {})
    why = explained(outcome, "agent1", drawn={"abuse": 2})
    assert "The draw gave you 2 *abuse* and 2.5 *fee*." in "\n".join(why.sentences())  # no sum with money
    assert np.isnan(why.to_dict()["drawn"]["fee"])


def test_an_offer_is_the_page_that_was_handed_out(swap):
    offer = explain_offer(swap.problem, swap.menus, "ann")
    assert offer.text == menu_words(swap.problem, swap.menus, "ann")
    assert offer.to_dict()["offered"] == {"a": {"abuse": 4.0, "neglect": -4.0}}


def test_unknown_members_are_told_what_to_write(swap):
    with pytest.raises(InvalidProblemError, match=r"an id of agents\.csv"):
        explained(swap, "zoe")
    problem = ReallocationProblem.from_arrays(
        [[2, 2]], [[1, 3]], Beliefs.uniform(1, 2), agents=["team"], sizes=[3]
    )
    outcome = reallocate(problem, Menus.of(problem.agents, problem.tasks, []), {})
    with pytest.raises(InvalidProblemError, match="a member of the group: team#1 to team#3"):
        explained(outcome, "team")
