"""The promise "shape", over time: organiser, agents and draw in any order, through the browser.

A model keeps what was acknowledged. Whatever is tried and in whatever order: nothing is edited after the
freeze, what was saved is what counts, an aborted or repeated draw stays on record, the state only moves as it
should, and the log is a chain that only grows.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from browsers import FAR, Browser, Service, serve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made_rounds import MARKET, SEED, made_round

from fairlot.rounds import (
    Kind,
    RoundState,
    draw_view,
    frozen,
    invite,
    log,
    read_back,
    round_,
    run_waiting,
    submission,
    verify_log,
)
from fairlot.web.settings import Rates

ORDER = list(RoundState)
AGENTS = ("s1", "s2", "s3")
GOODS = ("logic", "optics")


class Life(RuleBasedStateMachine):
    """One round, from open to archived, and all that people try meanwhile."""

    service: Service
    tried: Counter[str]

    @initialize(steps=st.integers(0, 5))
    def begin(self, steps: int) -> None:
        store = self.service.store
        self.ann = self.service.account("Ann", admin=True)
        self.id = made_round(store, self.ann, Kind.PSEUDOMARKET, RoundState.OPEN).id
        self.office = self.service.organiser("Ann")
        self.agents: dict[str, Browser] = {}
        for sent in invite(store, self.id, self.ann):
            browser = self.agents[sent.agent] = self.service.browser()
            browser.follow_link(sent.secret)
        self.saved: dict[str, dict[str, int]] = {}
        self.entries = log(store, self.id)
        self.sealed: tuple[Any, ...] | None = None
        self.draws = 0
        self.committed = False
        self.state = RoundState.OPEN
        self.choose("s1", {"logic": 4}, 0)
        on_time = [self.freeze, self.solve, lambda: self.commit(""), lambda: self.draw(""), self.publish]
        for step in on_time[:steps]:
            step()

    def ask(self, path: str, fields: dict[str, Any] | None = None, files: Any = None) -> int:
        status = self.office.post(f"/o/{self.id}{path}", fields, files).status_code
        assert status in (200, 303, 409, 422), (path, status)
        self.tried[f"{path} {status}"] += 1
        return status

    @property
    def is_open(self) -> bool:
        return self.state is RoundState.OPEN

    # Agents

    @rule(
        agent=st.sampled_from(AGENTS),
        wishes=st.dictionaries(st.sampled_from(GOODS), st.integers(0, 5)),
        key=st.integers(0, 5),
    )
    def choose(self, agent: str, wishes: dict[str, int], key: int) -> None:
        browser = self.agents[agent]
        page = f"/r/{self.id}/me"
        if self.is_open:
            token = browser.token(page)
            self.token = token
        else:
            token = getattr(self, "token", "x")
        before = submission(self.service.store, self.id, agent)
        data = {"csrf": token, "key": f"{agent}-{len(self.entries)}-{key}"}
        data |= {"seen": str(0 if before is None else before.version)}
        data |= {f"rate:{good}": str(stars) for good, stars in wishes.items()}
        answer = browser.http.post(page, data=data, follow_redirects=False)
        self.tried[f"choose {answer.status_code}"] += 1
        if answer.status_code in (200, 303) and self.is_open:
            self.saved[agent] = {good: stars for good, stars in wishes.items() if stars}
        else:
            assert not self.is_open or answer.status_code in (403, 409, 422), answer.status_code

    # Attempts to edit

    @rule(value=st.integers(0, 9))
    def send_files(self, value: int) -> None:
        changed = {**MARKET, "values.csv": f"agent,good,value\ns1,logic,{value}\n".encode()}
        status = self.ask("/files", files=[("files", item) for item in changed.items()])
        assert status == 409  # it has been opened: its files are what agents saw

    @rule(text=st.sampled_from(["", "3"]))
    def mend_a_cell(self, text: str) -> None:
        assert self.ask("/cells", {"goods.csv|2|capacity": text}) == 409

    @rule()
    def discard(self) -> None:
        assert self.ask("/files/discard", {"name": "values.csv"}) == 409

    @rule(scale=st.sampled_from(["points", "stars"]))
    def change_scale(self, scale: str) -> None:
        status = self.ask("/settings", {"scale": scale, "preview": "keep", "retention_days": "30"})
        assert status == (303 if scale == "stars" else 409)

    @rule()
    def move_deadline(self) -> None:
        assert (self.ask("/extend", {"deadline": FAR}) == 303) == self.is_open

    # Steps, in time and out of it

    @rule()
    def freeze(self) -> None:
        done = self.ask("/freeze") == 303
        assert done == self.is_open
        if done:
            self.state = RoundState.FROZEN
            store = self.service.store
            self.sealed = (dict(read_back(store, self.id)), frozen(store, self.id))

    @rule()
    def solve(self) -> None:
        status = self.ask("/work", {"what": "solve"})
        run_waiting(self.service.store)
        solvable = self.state is RoundState.FROZEN
        solvable |= self.state is RoundState.SOLVED and not self.committed  # until it is committed to
        assert (status == 303) == solvable
        if solvable:
            self.state = RoundState.SOLVED

    @rule(again=st.sampled_from(["", "yes"]))
    def commit(self, again: str) -> None:
        status = self.ask("/draw/commit", {"source": "given", "again": again})
        if status == 303:
            assert self.state in (RoundState.SOLVED, RoundState.DRAWN)
            self.state = RoundState.SOLVED
            self.committed = True

    @rule(reason=st.sampled_from(["", "the dice fell off the table"]))
    def draw(self, reason: str) -> None:
        status = self.ask("/draw", {"seed": SEED, "reason": reason})
        if status == 303:
            assert self.state is RoundState.SOLVED
            self.state = RoundState.DRAWN
            self.draws += 1

    @rule()
    def abort(self) -> None:
        status = self.ask("/draw/abort", {"reason": "an official left"})
        if status == 303:
            assert self.state is RoundState.SOLVED
            self.draws += 1

    @rule()
    def publish(self) -> None:
        done = self.ask("/publish") == 303
        assert done == (self.state is RoundState.DRAWN)
        if done:
            self.state = RoundState.PUBLISHED

    @precondition(lambda self: self.state is RoundState.PUBLISHED)
    @rule()
    def archive(self) -> None:
        assert self.ask("/archive") == 303
        self.state = RoundState.ARCHIVED

    # What always holds

    @invariant()
    def the_state_is_the_model_s(self) -> None:
        if hasattr(self, "id"):
            assert round_(self.service.store, self.id).state is self.state

    @invariant()
    def the_log_is_a_chain_that_only_grows(self) -> None:
        if hasattr(self, "id"):
            entries = log(self.service.store, self.id)
            assert entries[: len(self.entries)] == self.entries
            assert verify_log(entries) == []
            self.entries = entries

    @invariant()
    def what_was_saved_counts(self) -> None:
        for agent, wishes in getattr(self, "saved", {}).items():
            held = submission(self.service.store, self.id, agent)
            assert held is not None
            assert {good: stars for good, stars in held.payload["ratings"].items() if stars} == wishes

    @invariant()
    def nothing_is_edited_after_the_freeze(self) -> None:
        if getattr(self, "sealed", None) is not None:
            store = self.service.store
            assert (dict(read_back(store, self.id)), frozen(store, self.id)) == self.sealed

    @invariant()
    def every_draw_stays_on_record(self) -> None:
        if getattr(self, "draws", 0):
            view = draw_view(self.service.store, self.id)
            held = (*view.earlier, *(() if view.transcript is None else (view.transcript,)))
            assert len(held) == self.draws
            assert [one.number for one in held] == list(range(1, self.draws + 1))


def live(url: str, examples: int, steps: int) -> Counter[str]:
    from hypothesis.stateful import run_state_machine_as_test

    with serve(url, Rates(address=10**9, account=10**9)) as service:
        kind = type("LifeHere", (Life,), {"service": service, "tried": Counter()})
        run_state_machine_as_test(
            kind,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=examples < 20,
                suppress_health_check=list(HealthCheck),
            ),
        )
        return kind.tried


def test_any_order_of_things(database_url):
    tried = live(database_url, 3, 25)
    assert tried.total() > 50


@pytest.mark.slow
def test_any_order_of_things_at_length(database_url):
    tried = live(database_url, int(os.environ.get("FAIRLOT_TEST_LIVES", "40")), 60)
    print(f"\n{tried.total()} requests: {dict(sorted(tried.items()))}")  # noqa: T201
    assert tried["/publish 303"]
