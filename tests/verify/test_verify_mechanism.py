"""Certificates of the mechanism behind a design: a planted wrong answer for each check."""

from dataclasses import replace

import numpy as np
import pytest

from fairlot.io.problem import read_reallocation_files, write_problem
from fairlot.io.reallocation_results import design_files, reallocation_checks
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.design import design_menus
from fairlot.verify.mechanism import MECHANISM_REQUIRED, ClaimedBound, OfferedMenu, verify_mechanism

# two mirrored agents: each gives away the task that she is bad at
COSTS = [[1.0, 2.0], [2.0, 1.0]]
TAKE = np.array([[1.0, -1.0]])
PRICES = np.array([1.5, 1.5])


def claim(**changed):
    """Claim a mechanism of two agents, each with one ray at rate 1, picked by half the types."""
    problem = ReallocationProblem.from_arrays(
        [[1.0, 1.0], [1.0, 1.0]],
        COSTS,
        Beliefs.uniform(0.5, 1.5),
        caps=Caps(task_growth=changed.pop("task_growth", None)),
    )
    offers = [OfferedMenu(0, 1.0, TAKE, np.full(1, 0.5)), OfferedMenu(1, 1.0, -TAKE, np.full(1, 0.5))]
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu(a, (Ray("a", ray[0]),)) for a, ray in zip(problem.agents, (TAKE, -TAKE), strict=True)],
    )
    claimed = {
        "offers": offers,
        "saving": 1.0,
        "prices": PRICES,
        "bound": ClaimedBound(1.2, PRICES, np.array([0.6, 0.6])),
        "menus": menus,
        "expected_saving": 0.4,
    } | changed
    return verify_mechanism(problem, **claimed)


def offers(*changed):
    """Replace fields of the two offers."""
    first = OfferedMenu(0, 1.0, TAKE, np.full(1, 0.5))
    second = OfferedMenu(1, 1.0, -TAKE, np.full(1, 0.5))
    return [replace(offer, **change) for offer, change in zip((first, second), changed, strict=True)]


def test_a_right_claim_passes():
    found = claim()
    assert found.passed, found.failed
    assert sorted(check.name for check in found.checks) == sorted(MECHANISM_REQUIRED)
    assert claim(bound=None, menus=None).passed


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        # more than 1 for each agent: twice as much is saved, as the sum says
        ({"offers": offers({"weight": 1.1}, {"weight": 1.1}), "saving": 1.1}, "probabilities"),
        ({"offers": offers({"weight": -0.1}, {"weight": -0.1}), "saving": -0.1}, "probabilities"),
        # gives away more than she has, and is claimed to be picked as often
        (
            {
                "offers": offers({"changes": 1.1 * TAKE}, {"changes": -1.1 * TAKE}),
                "saving": 1.1,
            },
            "non-negative",
        ),
        ({"task_growth": 0.5}, "caps"),
        (
            {
                "offers": offers(
                    {
                        "changes": np.array([[1.0, -1.0], [-0.9, 0.8]]),
                        "activation": np.array([0.5, 0.609375]),
                        "weight": 0.0,
                    },
                    {"weight": 0.0},
                ),
                "saving": 0.0,
            },
            "polarized menus",
        ),
        (
            {
                "offers": offers({"activation": np.full(1, 0.53)}, {"activation": np.full(1, 0.53)}),
                "saving": 1.06,
            },
            "activation",
        ),
        ({"offers": offers({}, {"weight": 0.9}), "saving": 0.95}, "everything assigned"),
        ({"saving": 1.01}, "saving"),
        ({"saving": 0.99}, "saving"),
        ({"bound": ClaimedBound(1.3, PRICES, np.array([0.6, 0.6]))}, "bound"),
        ({"bound": ClaimedBound(0.98, PRICES, np.array([0.49, 0.49]))}, "bound"),
        ({"bound": ClaimedBound(1.2, PRICES, np.array([0.45, 0.75]))}, "bound"),
        ({"bound": ClaimedBound(2.9, np.zeros(2), np.array([2.9, 0.0]))}, "bound"),
        ({"expected_saving": 1.1}, "menus"),
        ({"saving": np.nan}, "saving"),
    ],
)
def test_each_planted_fault_fails_exactly_its_check(changed, name):
    found = claim(**changed)
    assert not found.passed
    assert [check.name for check in found.failed] == [name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of a design of four agents, bounded."""
    rng = np.random.default_rng(4)
    problem = ReallocationProblem.from_arrays(
        rng.integers(1, 6, (4, 2)).astype(float), rng.uniform(0.5, 2.0, (4, 2)), Beliefs.uniform(0.5, 1.5)
    )
    path = tmp_path_factory.mktemp("mechanism") / "problem"
    write_problem(problem, path)
    read = read_reallocation_files(path)
    return design_files(design_menus(read.problem, bound=True, draws=40), read.files)


def test_a_design_folder_tells_enough_to_recompute_its_mechanism(folder):
    found = {check.name: check for check in reallocation_checks(folder)}
    assert all(check.passed for check in found.values()), [c for c in found.values() if not c.passed]
    assert {f"mechanism: {name}" for name in MECHANISM_REQUIRED} <= found.keys()


@pytest.mark.parametrize(
    ("file", "change", "name"),
    [
        ("mechanism.csv", lambda text: text.replace(",1\n", ",0.9\n", 1), None),
        ("mechanism_prices.csv", lambda text: text.replace("task1,", "task9,"), "mechanism: files"),
        ("mechanism_bounds.csv", lambda text: text.replace("agent1,", "agent1,1"), "mechanism: bound"),
        (
            "summary.json",
            lambda text: text.replace('"large_market_saving": ', '"large_market_saving": 9'),
            None,
        ),
        ("summary.json", lambda text: text.replace('"bound"', '"bond"'), "mechanism: files"),
        ("mechanism_menus.csv", lambda text: text.replace("ray", "way", 1), "mechanism: files"),
    ],
)
def test_a_changed_file_is_noticed(folder, file, change, name):
    before = folder[file].decode()
    after = change(before)
    assert after != before
    failed = [c.name for c in reallocation_checks({**folder, file: after.encode()}) if not c.passed]
    assert failed
    assert all(check.startswith("mechanism: ") for check in failed)
    if name is not None:
        assert failed == [name]


def test_folders_without_prices_are_checked_as_before(folder):
    older = {name: data for name, data in folder.items() if name != "mechanism_prices.csv"}
    assert not [check for check in reallocation_checks(older) if check.name.startswith("mechanism")]
