"""The promise "shape": what the OpenAPI document says is what happens, whatever is sent; no fault of ours.

Every operation is fuzzed from the document, signed in as an owner of all rounds and as an agent of two, with
valid tokens, so that it gets past the walls; forms whose fields have no fixed names are fuzzed by hand.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import requests
import schemathesis
from browsers import BASE, Browser, Service, serve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_rounds import made_round
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fairlot.rounds import Kind, RoundState, invite
from fairlot.web.rates import Limiter
from fairlot.web.settings import Rates

PLENTY = Rates(address=10**9, account=10**9, guesses=10**9)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROUNDS = [
    (Kind.PSEUDOMARKET, RoundState.DRAFT),
    (Kind.PSEUDOMARKET, RoundState.OPEN),
    (Kind.PSEUDOMARKET, RoundState.SOLVED),
    (Kind.PSEUDOMARKET, RoundState.PUBLISHED),
    (Kind.REALLOCATION, RoundState.CHECKED),
    (Kind.REALLOCATION, RoundState.OPEN),
    (Kind.REALLOCATION, RoundState.PUBLISHED),
]
LOOSE = ["columns", "cells", "next", "draw/seals"]
"""Paths of a round whose forms have fields without fixed names."""


class Target:
    """A service with rounds of both kinds in many states, and a browser that is signed in everywhere."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ann = service.account("Ann", admin=True)
        self.browser: Browser = service.organiser("Ann")
        made = [made_round(service.store, self.ann, kind, state) for kind, state in ROUNDS]
        self.rounds = [one.id for one in made]
        for one in made[1], made[5]:
            agent = "s1" if one.kind is Kind.PSEUDOMARKET else "ann"
            (sent,) = invite(service.store, one.id, self.ann, [agent])
            self.browser.follow_link(sent.secret)
        self.answers: Counter[int] = Counter()

    def document(self) -> dict[str, Any]:
        """Return the document, with values for path parameters that lead somewhere, and one that does not."""
        document: dict[str, Any] = self.browser.get("/api/openapi.json").json()
        known = {
            "round_id": [*self.rounds, "nowhere"],
            "job_id": [1, 2, 3, 99],
            "format_": ["csv", "xlsx", "canvas", "oneroster", "x"],
            "area": ["design", "result", "x"],
            "agent": ["s1", "ann", "s2", "nobody"],
        }
        for path in document["paths"].values():
            for operation in path.values():
                for parameter in operation.get("parameters", []):
                    if parameter["name"] in known:
                        parameter["schema"] = {"enum": known[parameter["name"]]}
        del document["paths"]["/o/sign-out"], document["paths"]["/r/{round_id}/me/sign-out"]  # at the end
        return document

    def headers(self, path: str) -> dict[str, str]:
        """Return the token for a path, made as the pages make it."""
        parts = path.split("/")
        name = "fairlot_visit"
        if parts[1] == "o":
            name = "fairlot_organiser"
        elif parts[1] == "r" and "me" in parts:
            name = f"fairlot_agent_{parts[2]}"
        secret = self.browser.http.cookies.get(name, "")
        return {"x-csrf-token": hmac.new(secret.encode(), b"fairlot form", hashlib.sha256).hexdigest()}

    def send(self, case: schemathesis.Case) -> None:
        """Send a case and hold the answer to the document."""
        kwargs = case.as_transport_kwargs(base_url=BASE)
        kwargs["headers"] = {
            k: v for k, v in kwargs["headers"].items() if k.lower() not in ("cookie", "host")
        }
        kwargs.pop("cookies", None)
        sent = requests.Request(**{k: v for k, v in kwargs.items() if k in _REQUEST}).prepare()
        headers = dict(sent.headers) | self.headers(sent.path_url)
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        answer = self.browser.http.request(
            str(sent.method), str(sent.url), content=body, headers=headers, follow_redirects=False
        )
        self.answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)


_REQUEST = ("method", "url", "headers", "files", "data", "params", "json")


@pytest.fixture(scope="module")
def target(module_database_url) -> Iterator[Target]:
    with serve(module_database_url, PLENTY) as running:
        yield Target(running)


def fuzz(target: Target, examples: int, modes: Sequence[GenerationMode], part: int = 1) -> None:
    schema = schemathesis.openapi.from_dict(target.document())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 75
    chosen = settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 10,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in sorted(operations, key=lambda one: one.method != "get")[::part]:
        for mode in modes:
            if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
                continue
            chosen(given(operation.as_strategy(generation_mode=mode))(target.send))()


def fuzz_loose(target: Target, examples: int) -> None:
    names = st.sampled_from(
        ["goods", "agent", "layout", "seats", "load", "header_row", "title", "count-ward", "seal-Bea"]
    )
    cells = st.sampled_from(["values.csv|2|value", "goods.csv|1|good", "agents.csv|-1|agent", "a|b", "|"])
    texts = st.one_of(st.text(max_size=20), st.sampled_from(["wide", "1", "logic", "-1", "1e400", "a" * 64]))
    fields = st.dictionaries(st.one_of(names, cells, st.text(max_size=10)), texts, max_size=5)

    @settings(max_examples=examples, deadline=None, derandomize=examples < 50, database=None)
    @given(st.sampled_from(target.rounds), st.sampled_from(LOOSE), fields)
    def send(round_id: str, page: str, data: dict[str, str]) -> None:
        path = f"/o/{round_id}/{page}"
        answer = target.browser.http.post(
            path, data=data, headers=target.headers(path), follow_redirects=False
        )
        target.answers[answer.status_code] += 1
        assert answer.status_code in (303, 400, 404, 409, 413, 422), (path, data, answer.text)

    send()


def test_operations_answer_as_documented(target):
    fuzz(target, 1, [GenerationMode.POSITIVE], part=3)  # all of them at length
    fuzz_loose(target, 15)
    assert target.answers[403] == 0  # nothing was stopped at the walls, which are not what is tested here
    assert set(target.answers) <= {200, 303, 400, 401, 404, 409, 413, 422}


# Litestar leaves the file of a multipart form that breaks off to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.slow
def test_every_operation_answers_as_documented_at_length(database_url):
    total: Counter[int] = Counter()
    for _ in range(2):  # fresh rounds: what is fuzzed ends most of them
        with serve(database_url, PLENTY) as running:
            target = Target(running)
            fuzz(target, 12, list(GenerationMode))
            fuzz_loose(target, 300)
            total += target.answers
    print(f"\n{total.total()} requests; answers {dict(sorted(total.items()))}")  # noqa: T201
    assert not [status for status in total if status >= 500]


def test_the_document_tells_of_every_route(target):
    document = target.browser.get("/api/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert {"400", "401", "403", "404", "409", "422", "429", "503"} <= set(operation["responses"])


def test_limits_of_these_tests_are_not_those_of_the_service():
    assert Limiter(Rates().address).allows("x")
    assert Rates().account < 1000
