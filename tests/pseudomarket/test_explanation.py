"""Why an agent got this."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.explanation import Explanation, Reason, explain_agent


def explained(
    values: list[list[float]], prices: list[float], shares: list[list[float]], agent: str, **extra: object
) -> Explanation:
    market = PseudoMarket.from_arrays(
        values, extra.get("capacities", 1), quotas=[Quota("load", max=int(str(extra.get("load", 1))))]
    )
    allocation = RandomAllocation(market.agents, market.goods, sp.csr_array(np.array(shares)))
    return explain_agent(market, np.array(prices), allocation, agent, assignment=extra.get("drawn"))


def test_satiated_agent_is_told_so() -> None:
    why = explained([[5, 3, 0]], [0.0, 0.0, 0.0], [[1, 0, 0]], "agent1")
    assert why.money_value == 0
    reasons = {line.good: line.reason for line in why.lines}
    assert reasons == {"good1": Reason.CERTAIN, "good2": Reason.FULL, "good3": Reason.WORTHLESS}
    assert next(line.quota for line in why.lines if line.good == "good2") == "quota 'load'"
    assert any("Your money was enough" in sentence for sentence in why.sentences())


def test_each_reason_and_the_money_it_rests_on() -> None:
    values = [[100, 20, 0], [100, 20, 0], [100, 80, 0]]
    shares = [[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1.0, 0]]
    why = explained(values, [2.0, 1.0, 0.0], shares, "agent1", drawn={"good1": 1})
    assert {line.good: line.reason for line in why.lines} == {
        "good1": Reason.PART,
        "good3": Reason.PART,
        "good2": Reason.DEAR,
    }
    assert (why.budget, why.cost, why.utility, why.best) == (1, 1, 50, 50)
    text = " ".join(why.sentences())
    assert "The draw gave you good1." in text
    assert "50 points" in text
    assert json.loads(json.dumps(why.to_dict()))["drawn"] == {"good1": 1}


def test_good_without_seats() -> None:
    why = explained([[5, 3]], [0.0, 0.0], [[0, 1]], "agent1", capacities=[0, 1])
    assert why.lines[0].reason is Reason.CLOSED


def test_unknown_agent_is_one_clear_fault() -> None:
    with pytest.raises(InvalidProblemError, match="unknown agent: found 'nobody'"):
        explained([[1.0]], [0.0], [[1.0]], "nobody")
