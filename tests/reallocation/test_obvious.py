"""Trading protocols: the definitions of sections 1.1 and 3, Lemma 4, Theorem 2 and its claims."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from protocol_cases import random_polarized, random_protocol

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import FiniteSet, Mechanism, Polytope, Segment, TradingProtocol
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.obvious.dominance import (
    is_obviously_strategy_proof,
    menu_witness,
    obvious_dominance_witness,
    polarized_ray_domination,
)
from fairlot.reallocation.obvious.mechanisms import (
    bilateral_mechanism,
    fixed_price_protocol,
    two_price_menus,
    two_price_rays,
    two_price_witness,
)
from fairlot.reallocation.obvious.protocols import (
    dominates,
    essential_reduction,
    is_non_redundant,
    myopic_choices,
    reduced_sets,
)
from fairlot.reallocation.obvious.rays import conflicting_rays, in_conflict
from fairlot.verify.menus import dominant_actions, obvious_dominance_failures, verify_protocol


def myopic(protocol, agent):
    return lambda costs: myopic_choices(protocol, agent, costs)[0]


def truthful(protocol):
    return Mechanism(protocol, tuple(myopic(protocol, j) for j in range(len(protocol.endowment))))


def definition_by_hand(protocol, agent, costs):
    """List the obviously dominant actions, with loops over the others' actions and nothing else."""
    others = [range(n) if j != agent else [0] for j, n in enumerate(protocol.n_actions)]
    loads = []
    for k in range(protocol.n_actions[agent]):
        profiles = ([*p[:agent], k, *p[agent + 1 :]] for p in itertools.product(*others))
        loads.append([float(costs @ protocol.selection(tuple(profile))[agent]) for profile in profiles])
    return [
        k
        for k, mine in enumerate(loads)
        if all(max(mine) <= min(other) + 1e-9 for other in loads[:k] + loads[k + 1 :])
    ]


@pytest.fixture(scope="module")
def protocols():
    rng = np.random.default_rng(7)
    return [random_protocol(rng) for _ in range(1200)]


def test_osp_definition_obviously_strategy_proof_closed_form_agrees_on_1200_protocols(protocols):
    refused = 0
    for protocol in protocols:
        failing = {failure.agent for failure in obvious_dominance_failures(protocol)}
        agents = range(len(protocol.endowment))
        assert failing == {j for j in agents if obvious_dominance_witness(protocol, j) is not None}
        refused += bool(failing)
    assert 300 < refused < 900  # both answers are common


def test_osp_definition_obviously_dominant_witnesses_have_no_dominant_action(protocols):
    for protocol in protocols[:300]:
        witness = obvious_dominance_witness(protocol)
        if witness is not None:
            assert (witness.type > 0).all()
            assert witness.worst > witness.best
            assert dominant_actions(protocol, witness.agent, witness.type) == []
            assert definition_by_hand(protocol, witness.agent, witness.type) == []
            truth = reduced_sets(protocol, witness.agent)[witness.truth] @ witness.type
            deviation = reduced_sets(protocol, witness.agent)[witness.deviation] @ witness.type
            assert_allclose([truth.max(), deviation.min()], [witness.worst, witness.best], rtol=1e-12)


def test_osp_definition_obviously_dominant_by_random_types(protocols):
    rng = np.random.default_rng(8)
    for protocol in protocols[:200]:
        n_tasks = protocol.endowment.shape[1]
        for j in range(len(protocol.endowment)):
            types = rng.dirichlet(np.full(n_tasks, 0.5), size=10)
            by_hand = [definition_by_hand(protocol, j, c) for c in types]
            assert by_hand == [dominant_actions(protocol, j, c) for c in types]
            if obvious_dominance_witness(protocol, j) is None:
                assert all(by_hand)


def test_osp_definition_trading_protocol_must_be_feasible():
    endowment = np.array([[2.0, 2.0], [2.0, 2.0]])
    keep, trade = FiniteSet(endowment[0]), FiniteSet([[2, 2], [3, 1]])
    other = FiniteSet([[2, 2], [1, 3]])
    good = {(1, 1): np.array([[3.0, 1.0], [1.0, 3.0]])}
    menus = ((keep, trade), (keep, other))
    fine = TradingProtocol(endowment, menus, lambda k: good.get(k, endowment))
    assert verify_protocol(fine).passed
    planted = {
        "market clearing": {(1, 1): np.array([[3.0, 1.0], [2.0, 2.0]])},
        "selection within the chosen sets": {(1, 1): np.array([[1.0, 3.0], [3.0, 1.0]])},
        "obviously strategy-proof": None,
        "non-negative": None,
    }
    for name, rule in planted.items():
        if name == "obviously strategy-proof":
            wide = FiniteSet([[2, 2], [3, 1], [1, 3]])
            outcomes = {(1, 1): good[1, 1], (1, 2): good[1, 1][::-1]}
            broken = TradingProtocol(
                endowment, ((keep, wide), (keep, other, trade)), lambda k, o=outcomes: o.get(k, endowment)
            )
        elif name == "non-negative":
            far = np.array([[5.0, -1.0], [-1.0, 5.0]])
            sets = (FiniteSet([[2, 2], [5, -1]]), FiniteSet([[2, 2], [-1, 5]]))
            broken = TradingProtocol(
                endowment,
                ((keep, sets[0]), (keep, sets[1])),
                lambda k, f=far: f if k == (1, 1) else endowment,
            )
        else:
            broken = TradingProtocol(endowment, menus, lambda k, r=rule: r.get(k, endowment))
        assert [check.name for check in verify_protocol(broken).failed] == [name]


def test_osp_definition_essential_reduction_and_non_redundant(protocols):
    redundant = 0
    for protocol in protocols[:200]:
        reduction = essential_reduction(protocol)
        assert is_non_redundant(reduction)
        redundant += not is_non_redundant(protocol)
        for j, menu in enumerate(reduction.menus):
            for k, small in enumerate(menu):
                chosen = {
                    tuple(protocol.selection(profile)[j])
                    for profile in itertools.product(*map(range, protocol.n_actions))
                    if profile[j] == k
                }
                assert {tuple(point) for point in small.points} == chosen
        assert is_obviously_strategy_proof(reduction) == is_obviously_strategy_proof(protocol)
    assert 20 < redundant < 180


def test_osp_definition_domination(protocols):
    for protocol in protocols[:100]:
        mechanism = truthful(protocol)
        reduction = Mechanism(essential_reduction(protocol), mechanism.strategies)
        assert dominates(mechanism, reduction)
        assert dominates(mechanism, mechanism)
        assert dominates(reduction, mechanism, effectively=True)
        assert dominates(reduction, mechanism) == is_non_redundant(protocol)
        others = Mechanism(protocol, truthful(protocol).strategies)
        assert not dominates(others, mechanism)  # strategies differ


def test_osp_definition_myopically_optimal():
    endowment = np.array([[2.0, 2.0], [2.0, 2.0]])
    protocol = bilateral_mechanism(endowment, 0, 1, [1, -1]).protocol
    assert myopic_choices(protocol, 0, np.array([1.0, 2.0])) == [1]
    assert myopic_choices(protocol, 0, np.array([2.0, 1.0])) == [0, 1]  # the traders' set holds η too
    assert myopic_choices(protocol, 1, np.array([2.0, 1.0])) == [1]


def test_osp_lemma4_obviously_dominant_actions_are_myopically_optimal(protocols):
    rng = np.random.default_rng(9)
    for protocol in protocols[:150]:
        for j in range(len(protocol.endowment)):
            for costs in rng.dirichlet(np.ones(protocol.endowment.shape[1]), size=5):
                assert set(dominant_actions(protocol, j, costs)) <= set(myopic_choices(protocol, j, costs))


def test_osp_theorem2_obviously_strategy_proof_is_effectively_dominated_by_polarized_rays(protocols):
    kinds_seen = set()
    for protocol in protocols[:500]:
        mechanism = truthful(protocol)
        found = polarized_ray_domination(mechanism)
        if found.mechanism is None:
            assert found.witness is not None
            continue
        assert dominates(found.mechanism, mechanism, effectively=True)
        for j, (menu, kinds) in enumerate(zip(found.mechanism.protocol.menus, found.kinds, strict=True)):
            kinds_seen |= set(kinds)
            rays = [s.change for s, kind in zip(menu, kinds, strict=True) if kind == "ray"]
            assert not any(in_conflict(a, b) for a, b in itertools.combinations(rays, 2))
            for ray in rays:  # non-monotone, and out to the edge of the orthant
                assert ray.min() < 0 < ray.max()
                assert_allclose((protocol.endowment[j] + ray).min(), 0, rtol=0, atol=1e-9)
            assert "remedial" not in kinds or "ray" not in kinds  # claim 6
            # at most one remedial set: another would be just as good
            assert kinds.count("remedial") <= 1
    assert kinds_seen == {"endowment", "ray", "redundant", "remedial"}


def test_osp_theorem2_claim1_every_set_holds_the_endowment(protocols):
    for protocol in protocols[:300]:
        for j, endowment in enumerate(protocol.endowment):
            for bundles in reduced_sets(protocol, j):
                assert (np.abs(bundles - endowment).max(axis=1) == 0).any()


def test_osp_theorem2_claims_2_and_3_each_way_of_failing_is_found():
    endowment = np.full(2, 4.0)
    two_gains = [np.array([[4.0, 4.0]]), np.array([[3.0, 5.0]]), np.array([[5.0, 3.0], [4.0, 2.0]])]
    gain_and_loss = [np.array([[4.0, 4.0]]), np.array([[3.0, 5.0], [5.0, 3.0]])]
    for sets in (two_gains, gain_and_loss):
        costs, truth, deviation, worst, best = menu_witness(endowment, sets)
        assert worst > best
        loads = [np.append(s @ costs, endowment @ costs) for s in sets]
        assert loads[truth].max() == worst
        assert loads[deviation].min() == best
    assert menu_witness(endowment, [np.array([[4.0, 4.0]]), np.array([[3.0, 5.0], [2.0, 6.0]])]) is None


def test_osp_theorem2_any_polarized_ray_mechanism_is_obviously_strategy_proof_whatever_is_selected():
    rng = np.random.default_rng(10)
    for _ in range(200):
        n_tasks = int(rng.integers(2, 5))
        rays = random_polarized(rng, n_tasks, int(rng.integers(1, n_tasks + 1)))
        endowment = 10 * np.ones(n_tasks)
        sets = [endowment[None]]
        for ray in rays:
            extents = np.append(0.0, rng.random(3))
            sets.append(endowment + extents[:, None] * ray)
        assert menu_witness(endowment, sets) is None
        # two agents on opposite sides of each ray: the definition, profile by profile
        both = np.array([endowment, endowment])
        menus = (
            tuple(FiniteSet(s) for s in sets),
            (FiniteSet(endowment), *(FiniteSet(2 * endowment - s) for s in sets[1:])),
        )
        moves = [s - endowment for s in sets]

        def select(profile, moves=moves, both=both):
            k, m = profile
            move = moves[k][-1] if k == m else np.zeros(both.shape[1])
            return both + np.array([move, -move])

        protocol = TradingProtocol(both, menus, select)
        assert obvious_dominance_witness(protocol, 0) is None
        assert 0 not in {failure.agent for failure in obvious_dominance_failures(protocol)}


def test_osp_definition_polarized_ray_mechanism_remedial_alone_is_fine_and_beside_a_ray_is_not():
    endowment = np.array([3.0, 2.0])
    box = Polytope.below(endowment)
    keep = endowment[None]
    assert menu_witness(endowment, [keep, box.points]) is None
    assert menu_witness(endowment, [keep, box.points, Segment(endowment, [-1, 1]).points]) is not None
    assert menu_witness(endowment, [keep, Segment(endowment, [-1, 1]).points]) is None


def test_reading_6_the_remedial_set_is_a_box_in_all_tasks():
    box = Polytope.below([3.0, 2.0])
    assert box.contains(np.array([3.0, 0.0]))
    assert box.contains(np.array([0.0, 2.0]))
    assert not box.contains(np.array([3.0, 2.5]))


def test_reading_1_the_endowment_alone_is_no_ray_and_every_menu_has_it():
    mechanism = bilateral_mechanism([[2, 2], [2, 2]], 0, 1, [1, -1])
    found = polarized_ray_domination(mechanism)
    assert found.kinds == (("endowment", "ray"), ("endowment", "ray"))


def test_osp_corollary3_any_selection_rule_from_the_dominating_rays_stays_obvious(protocols):
    rng = np.random.default_rng(11)
    tried = 0
    for protocol in protocols[:400]:
        found = polarized_ray_domination(truthful(protocol))
        if found.mechanism is None or any("redundant" in kinds for kinds in found.kinds):
            continue
        larger = found.mechanism.protocol
        for j, menu in enumerate(larger.menus):
            sets = []
            for trading_set in menu:
                hull = rng.dirichlet(np.ones(len(trading_set.points)), size=4)
                sets.append(np.vstack([protocol.endowment[j], hull @ trading_set.points]))
            assert menu_witness(protocol.endowment[j], sets) is None
            tried += 1
    assert tried > 100


def test_example_bilateral_trade_is_obviously_strategy_proof():
    mechanism = bilateral_mechanism([[2.0, 2.0], [2.0, 2.0], [1.0, 1.0]], 0, 2, [-0.5, 1.0])
    assert verify_protocol(mechanism.protocol).passed
    assert is_obviously_strategy_proof(mechanism.protocol)
    costs = np.array([3.0, 1.0])
    assert [strategy(costs) for strategy in mechanism.strategies] == [1, 0, 0]
    assert mechanism.strategies[2](np.array([1.0, 1.0])) == 1
    with pytest.raises(InvalidProblemError, match="agent 2 has too little"):
        bilateral_mechanism([[2.0, 2.0], [2.0, 2.0], [1.0, 1.0]], 0, 2, [-0.5, 1.5])


@pytest.mark.parametrize(("take", "shed"), [(1.0, 1.5), (1.2, 1.2), (0.5, 3.0), (1.5, 1.0), (2.0, 1.99)])
def test_example_two_price_is_polarized_if_and_only_if_take_is_at_most_shed(take, shed):
    witness = two_price_witness(take, shed)
    assert (witness is None) == (take <= shed)
    rays = two_price_rays([2.0, 1.0, 4.0], [True, True, False], take, shed)
    assert bool(in_conflict(rays[0], rays[1])) == (take > shed)
    if witness is not None:
        assert witness @ [1, -take] < 0
        assert witness @ [-1, shed] < 0


def test_reading_9_prices_the_wrong_way_round_and_mirrored_prices():
    costs = np.array([5.0, 4.0]) / 9
    offers = np.array([[1.0, -1.5], [-1.0, 1.0]])
    assert_allclose(offers @ costs, [-1 / 9, -1 / 9], rtol=1e-12)
    assert two_price_witness(1.5, 1.0) is not None
    # the counterparty of p¹ = 1 < p² = 1.5 sheds at 1 and takes at 1.5
    assert two_price_witness(1.0, 1.5) is None
    mirrored = -np.array([[1.0, -1.0], [-1.0, 1.5]])
    assert in_conflict(mirrored[0], mirrored[1])
    assert (mirrored @ costs < 0).all()


def test_two_price_menus_refuse_prices_the_wrong_way_round_and_reach_full_extent():
    problem = ReallocationProblem.from_arrays(
        [[2.0, 1.0, 4.0], [1.0, 0.0, 0.0], [3.0, 3.0, 3.0]], np.ones((3, 3)), Beliefs.uniform(0.5, 1.5)
    )
    in_a = [True, True, False]
    menus = two_price_menus(problem, in_a, take=[1.0, 1.0, np.nan], shed=1.5)
    assert menus.ray_names == ("take", "shed", "shed")  # agent2 has nothing of class B
    assert conflicting_rays(menus) == []
    assert_allclose(menus.changes[0], [8 / 3, 4 / 3, -4], rtol=1e-12)
    assert_allclose(menus.changes[1], [-2, -1, 4.5], rtol=1e-12)
    with pytest.raises(InvalidProblemError, match="prices of agent 'agent3'"):
        two_price_menus(problem, in_a, take=[1.0, 1.0, 2.0], shed=1.5)
    with pytest.raises(InvalidProblemError, match="numbers above 0"):
        two_price_menus(problem, in_a, take=0.0, shed=1.5)


def test_reading_10_the_fixed_price_pseudo_market_is_not_obviously_strategy_proof():
    endowment = np.array([[2.0, 2.0], [2.0, 2.0]])
    demands = [[[4.0, 0.0], [3.0, 1.0]], [[0.0, 4.0], [1.0, 3.0]]]
    protocol = fixed_price_protocol(endowment, [1.0, 1.0], demands)
    costs = np.array([1.0, 2.0])
    loads = [bundles @ costs for bundles in reduced_sets(protocol, 0)]
    assert [sorted(load.tolist()) for load in loads] == [[6.0], [4.0, 6.0], [5.0, 6.0]]
    assert dominant_actions(protocol, 0, costs) == []
    assert not is_obviously_strategy_proof(protocol)
    failed = verify_protocol(protocol).failed
    assert [check.name for check in failed] == ["obviously strategy-proof"]
    with pytest.raises(InvalidProblemError, match="demand 1 of agent 0: found 'worth 5'"):
        fixed_price_protocol(endowment, [1.0, 1.0], [[[5.0, 0.0]], [[0.0, 4.0]]])


@pytest.fixture(scope="module")
def obvious_sets(protocols):
    """Moves of each reduced set, for agents without a failure by the definition."""
    return [
        [bundles - protocol.endowment[j] for bundles in reduced_sets(protocol, j)]
        for protocol in protocols[:400]
        for j in set(range(len(protocol.endowment)))
        - {failure.agent for failure in obvious_dominance_failures(protocol)}
    ]


def test_osp_theorem2_claim4_sets_are_above_below_or_on_one_ray(obvious_sets):
    seen = set()
    for sets in obvious_sets:
        for moves in sets:
            above, below = (moves >= 0).all(), (moves <= 0).all()
            unit = [move / np.linalg.norm(move) for move in moves if move.any()]
            one_ray = bool(unit) and all(np.abs(u - unit[0]).max() < 1e-9 for u in unit)
            assert above or below or one_ray
            seen.add("above" if above else "below" if below else "ray")
    assert seen == {"above", "below", "ray"}


def test_osp_theorem2_claim5_sets_that_are_not_remedial_are_polarized(obvious_sets):
    tried = 0
    for sets in obvious_sets:
        rays = [next(m for m in moves if m.any()) for moves in sets if not (moves <= 0).all()]
        for one, other in itertools.combinations(rays, 2):
            # y' and y'' of the definition: where some task's change turns, one of them being 1
            rates = [0.0, *(-one[other != 0] / other[other != 0]), *(-other[one != 0] / one[one != 0])]
            mixed = [one + rate * other for rate in rates if rate >= 0]
            mixed += [rate * one + other for rate in rates if rate >= 0]
            assert max(mix.min() for mix in mixed) >= -1e-12
            tried += 1
    assert tried > 20


def test_osp_theorem2_claim6_beside_a_remedial_set_all_are_remedial_or_redundant(obvious_sets):
    tried = 0
    for sets in obvious_sets:
        if any((moves <= 0).all() and moves.any() for moves in sets):
            assert all((moves <= 0).all() or (moves >= 0).all() for moves in sets)
            tried += 1
    assert tried > 20


def test_osp_theorem2_strict_monotonicity_keeps_everybody_from_redundant_sets(protocols):
    rng = np.random.default_rng(12)
    tried = 0
    for protocol in protocols[:300]:
        for j, endowment in enumerate(protocol.endowment):
            moves = [bundles - endowment for bundles in reduced_sets(protocol, j)]
            redundant = [k for k, m in enumerate(moves) if (m >= 0).all() and m.any()]
            for k in redundant:
                strict = rng.uniform(0.1, 1, len(endowment))
                assert k not in dominant_actions(protocol, j, strict)
                # a type that does not mind what is added may take it: the theorem says "strictly monotone"
                careless = np.where(moves[k].any(axis=0), 0.0, 1.0)
                if k in dominant_actions(protocol, j, careless):
                    tried += 1
    assert tried > 20


def test_osp_section11_participation_holds_ex_post_for_every_profile_of_types(protocols):
    rng = np.random.default_rng(13)
    tried = 0
    for protocol in protocols[:150]:
        if not is_obviously_strategy_proof(protocol):
            continue
        tried += 1
        mechanism = truthful(protocol)
        for _ in range(5):
            types = rng.uniform(0.1, 1, protocol.endowment.shape)
            profile = tuple(s(c) for s, c in zip(mechanism.strategies, types, strict=True))
            after = (types * protocol.selection(profile)).sum(axis=1)
            assert (after <= (types * protocol.endowment).sum(axis=1) + 1e-9).all()
    assert tried > 25
