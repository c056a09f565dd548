"""What the checks of a draw must catch: every byte, every field, and for each check one planted fault."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from javascript import ask, needs_node
from small_results import (
    DRAW,
    ROUND,
    VALUES,
    changed,
    committed,
    drand_result,
    result_files,
    salts,
    sealed,
    seed,
    solved,
    terms_file,
)

from fairlot.lottery.protocol.canonical import canonical_json, digest
from fairlot.lottery.protocol.record import commit_result, draw_result
from fairlot.lottery.protocol.steps import inner_seed
from fairlot.verify import draw as twin
from fairlot.verify.transcript import REQUIRED, verify_draw

HAS_CURVE = importlib.util.find_spec("py_ecc") is not None
NEVER = {"manifest.json", "input/values.csv"}
HOSTILE: tuple[Any, ...] = (
    None, True, 1.5, float("nan"), -1, 0, 10**40, 2**53, "", "x", "0" * 64, "é\ud800", [], {}, [[]], ["a"],
)  # fmt: skip


def failed(files: Mapping[str, bytes]) -> set[str]:
    return {name for name, (passed, _) in twin.verify(files).items() if not passed}


def failed_all(files: Mapping[str, bytes]) -> set[str]:
    certificate = verify_draw(files, salts=salts().to_json())
    return {check.name for check in certificate.failed} - (set() if HAS_CURVE else {"beacon"})


def simple_result() -> dict[str, bytes]:
    files = committed()
    return changed(files, draw_result(files, seed(7))[1])


def terms_result() -> dict[str, bytes]:
    files = sealed({**solved(), "lottery.json": terms_file()})
    files = changed(files, commit_result(files, DRAW, salts=salts())[1])
    return changed(files, draw_result(files, seed(7))[1])


def test_untouched_results_pass() -> None:
    for files in (simple_result(), result_files(), terms_result()):
        assert failed(files) == set()
        certificate = verify_draw(files, salts=salts().to_json())
        assert certificate.passed
        assert certificate.required == REQUIRED
    assert "input/values.csv" in verify_draw(simple_result())["personal tables"].witness


def test_every_flipped_byte_of_every_file_breaks_the_manifest() -> None:
    files = result_files()
    for name, data in files.items():
        for at in range(len(data)):
            flipped = data[:at] + bytes([data[at] ^ (1 + (at * 37) % 255)]) + data[at + 1 :]
            with pytest.raises(twin.Fault):
                twin.check_manifest({**files, name: flipped})


def flips(files: Mapping[str, bytes], step: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Flip bytes and seal the result again, as one would who wants to deceive."""
    for name in files.keys() - NEVER:
        data = files[name]
        for at in range(0, len(data), step):
            flipped = data[:at] + bytes([data[at] ^ (1 + (at * 37) % 255)]) + data[at + 1 :]
            yield f"{name} at {at}", sealed({**files, name: flipped})


def test_every_flipped_byte_is_caught_even_under_a_new_manifest() -> None:
    for where, files in flips(simple_result(), 1):
        assert failed(files) - {"manifest"}, where
        assert "manifest" not in failed(files), where


def test_flipped_bytes_of_a_long_record_are_caught_under_a_new_manifest() -> None:
    # Only the last reason is free text that nothing refers to; every other one is hashed by what follows.
    original = json.loads(result_files()["transcript.json"])["reason"]
    for where, files in flips(result_files(), 11):
        if not failed(files):
            document = json.loads(files["transcript.json"])
            assert document.pop("reason") != original, where
            assert where.startswith("transcript.json"), where


def test_every_flipped_byte_of_a_personal_table_is_caught_with_its_salts() -> None:
    files = simple_result()
    for at in range(len(VALUES)):
        flipped = VALUES[:at] + bytes([VALUES[at] ^ 1]) + VALUES[at + 1 :]
        assert failed_all(sealed({**files, "input/values.csv": flipped})) == {"personal tables"}, at


def test_renamed_missing_and_added_files_break_the_manifest() -> None:
    files = result_files()
    for name in files.keys() - {"manifest.json"}:
        rest = {k: v for k, v in files.items() if k != name}
        assert "manifest" in failed(rest)
        assert "manifest" in failed({**rest, f"{name}.bak": files[name]})
    assert failed({**files, "extra.txt": b""}) == {"manifest"}


def mutations(value: Any) -> Iterator[Any]:
    """Yield the JSON value with one thing changed: a leaf replaced, a key or item gone, added or doubled."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for changed_item in mutations(value[key]):
                yield {**value, key: changed_item}
        yield {**value, "extra": 0}
    elif isinstance(value, list):
        yield [*value, 0]
        for k, item in enumerate(value):
            yield value[:k] + value[k + 1 :]
            yield value[: k + 1] + value[k:]
            for changed_item in mutations(item):
                yield [*value[:k], changed_item, *value[k + 1 :]]
    for hostile in HOSTILE:
        if type(hostile) is not type(value) or hostile != value:
            yield copy.deepcopy(hostile)


def mutated_results(source: Mapping[str, bytes], names: tuple[str, ...]) -> Iterator[dict[str, bytes]]:
    for name in names:
        for value in mutations(json.loads(source[name])):
            text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            data = text.encode("utf-8", "surrogatepass") + b"\n"
            if data != source[name]:
                yield sealed({**source, name: data})


DOCUMENTS = ("commitment.json", "transcript.json", "lottery.json")


@pytest.mark.parametrize("result", [simple_result, terms_result])
def test_every_changed_field_is_caught_and_nothing_raises(result: Callable[[], dict[str, bytes]]) -> None:
    count = 0
    for files in mutated_results(result(), DOCUMENTS):
        count += 1
        if not failed(files):  # a reason may be given where none is needed
            assert isinstance(json.loads(files["transcript.json"])["reason"], str)
    assert count > 1500


@needs_node
def test_javascript_finds_the_same_faults() -> None:
    cases = [
        *list(mutated_results(simple_result(), DOCUMENTS))[::3],
        terms_result(),
        *list(mutated_results(terms_result(), ("lottery.json",)))[::2],
        *(redrawn({"lottery.json": data}) for data in wrong_bounds()),
        *list(mutated_results(result_files(), ("draws/001/transcript.json", "draws/002/commitment.json")))[
            ::5
        ],
        *list(mutated_results(drand_result_or_simple(), ("transcript.json", "commitment.json")))[::3],
        *(files for _, files in list(flips(result_files(), 61))),
        *(plant()[0] for plant in PLANTED.values()),
    ]
    requests = [("verify", {"files": {name: data.hex() for name, data in files.items()}}) for files in cases]
    for files, answer in zip(cases, ask(requests), strict=True):
        assert {name for name, passed, _ in answer if not passed} == failed(files)


def drand_result_or_simple() -> dict[str, bytes]:
    return drand_result() if HAS_CURVE else simple_result()


def refit(**changes: Any) -> dict[str, bytes]:
    """Return a result whose transcript is changed and whose seed and hashes follow, as a cheat would do."""
    files = simple_result()
    t = json.loads(files["transcript.json"]) | changes
    return sealed({**files, "transcript.json": canonical_json(t)})


def planted_bounds() -> dict[str, bytes]:
    document = json.loads(committed()["lottery.json"])
    document["good_sets"][0][2] = 0  # art has no seat, yet one is expected
    return redrawn({"lottery.json": canonical_json(document)})


def wrong_bounds() -> list[bytes]:
    """Return lotteries of terms that break a bound they declare, in some term or on average."""
    documents = []
    for place, bound in ((1, 2), (2, 0), (1, 1)):  # art is given once in every term, law once, by terms
        document = json.loads(terms_file())
        document["good_sets"][1][place] = bound
        documents.append(document)
    # On average ann has between one and two, and at most one in some terms.
    crossing = json.loads(terms_file())
    for cell in crossing["cells"][:2]:
        cell[3] = 0
    for lower, upper in ((2, None), (None, 1)):
        documents.append(crossing | {"agent_sets": [[-1, lower, upper, "ann"]]})
    return [canonical_json(document) for document in documents]


def test_terms_are_held_to_declared_bounds() -> None:
    found = [failed(redrawn({"lottery.json": data})) for data in wrong_bounds()]
    assert found == [{"bounds"}, {"bounds"}, set(), {"bounds"}, {"bounds"}]


def redrawn(files: Mapping[str, bytes], frozen_changes: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Commit to and draw from whatever files say, by the standard-library twin, which refuses nothing."""
    base = simple_result()
    merged = {**base, **files}
    lottery = twin.Lottery(merged)
    frozen = (
        json.loads(base["commitment.json"])["frozen"] | {"lottery": lottery.hash} | (frozen_changes or {})
    )
    commitment = twin.sha256(twin.canonical(frozen))
    t = json.loads(base["transcript.json"]) | {"commitment": commitment}
    mixed = twin.inner_seed(t["public_seed"], commitment)
    copies = twin.walk(lottery, twin.coins(mixed)) if lottery.terms is None else twin.pick(lottery, mixed)
    table = lottery.csv(copies)
    t |= {"seed": mixed.hex(), "assignment": twin.sha256(table)}
    merged |= {
        "commitment.json": canonical_json({"format": 1, "commitment": commitment, "frozen": frozen}),
        "transcript.json": canonical_json(t),
        "assignment.csv": table,
    }
    return sealed(merged)


def planted_commitment() -> dict[str, bytes]:
    files = simple_result()
    document, t = json.loads(files["commitment.json"]), json.loads(files["transcript.json"])
    lottery = twin.Lottery(files)
    document["commitment"] = t["commitment"] = "1" * 64
    mixed = twin.inner_seed(t["public_seed"], "1" * 64)
    table = lottery.csv(twin.walk(lottery, twin.coins(mixed)))
    t |= {"seed": mixed.hex(), "assignment": digest(table)}
    new = {"commitment.json": canonical_json(document), "transcript.json": canonical_json(t)}
    return sealed({**files, **new, "assignment.csv": table})


def planted_assignment() -> dict[str, bytes]:
    files = simple_result()
    other = b"agent,good,copies\nann,art,1\nbob,law,1\n"
    if files["assignment.csv"] == other:
        other = b"agent,good,copies\nann,law,1\nbob,art,1\n"
    return sealed({**refit(assignment=digest(other)), "assignment.csv": other})


def planted_beacon() -> dict[str, bytes]:
    chain = {"kind": "drand", "chain": twin.QUICKNET, "round": ROUND}
    files = redrawn({}, {"source": chain})
    t = json.loads(files["transcript.json"])
    forged = "ab" * 48
    public = digest(bytes.fromhex(forged))
    mixed = inner_seed(bytes.fromhex(public), t["commitment"])
    lottery = twin.Lottery(files)
    table = lottery.csv(twin.walk(lottery, twin.coins(mixed)))
    t |= {"origin": {**chain, "signature": forged}, "public_seed": public}
    t |= {"seed": mixed.hex(), "assignment": digest(table)}
    return sealed({**files, "transcript.json": canonical_json(t), "assignment.csv": table})


PLANTED: dict[str, Callable[[], tuple[dict[str, bytes], set[str]]]] = {
    "manifest": lambda: ({**simple_result(), "prices-new.csv": b""}, {"manifest"}),
    # What is drawn from a lottery that cannot be read cannot be checked either.
    "lottery": lambda: (
        sealed({**simple_result(), "lottery.json": b"{}\n"}),
        {"lottery", "frozen files", "assignment", "bounds"},
    ),
    "commitment": lambda: (planted_commitment(), {"commitment"}),
    "frozen files": lambda: (sealed({**simple_result(), "prices.csv": b"good,price\n"}), {"frozen files"}),
    "record": lambda: (refit(number=2), {"record"}),
    "seed": lambda: (refit(public_seed="0" * 64), {"seed"}),
    "assignment": lambda: (planted_assignment(), {"assignment"}),
    "bounds": lambda: (planted_bounds(), {"bounds"}),
    "personal tables": lambda: (
        sealed({**simple_result(), "input/values.csv": VALUES.replace(b"2", b"3")}),
        {"personal tables"},
    ),
    "beacon": lambda: (planted_beacon(), {"beacon"} if HAS_CURVE else set()),
}


@pytest.mark.parametrize("check", REQUIRED)
def test_each_check_catches_a_fault_planted_for_it(check: str) -> None:
    files, expected = PLANTED[check]()
    assert failed_all(files) == expected


def test_a_published_commitment_is_compared() -> None:
    files = simple_result()
    published = json.loads(files["commitment.json"])["commitment"]
    assert verify_draw(files, commitment=published).passed
    assert [c.name for c in verify_draw(files, commitment="0" * 64).failed] == ["commitment"]


def test_nobody_is_committed_to_twice() -> None:
    # With two hashes for one agent the organiser could show her either.
    frozen = json.loads(simple_result()["commitment.json"])["frozen"]
    for key in ("agents", "files", "personal"):
        twice = [*frozen[key], [frozen[key][-1][0], "0" * 64]]
        assert "commitment" in failed(redrawn({}, {key: twice}))
    assert failed(redrawn({}, {"files": [*frozen["files"], ["void.csv", digest(b"")]]})) == {"frozen files"}


def test_swapped_draws_are_caught() -> None:
    files = result_files()
    swapped = dict(files)
    for name in ("transcript.json", "assignment.csv", "commitment.json"):
        swapped[name], swapped[f"draws/002/{name}"] = files[f"draws/002/{name}"], files[name]
    assert failed(sealed(swapped)) == {"record"}
    dropped = {name: data for name, data in files.items() if not name.startswith("draws/002/")}
    assert failed(sealed(dropped)) == {"record"}


def test_the_same_seed_twice_is_caught() -> None:
    files = simple_result()
    t = json.loads(files["transcript.json"])
    again = t | {"number": 2, "previous": digest(files["transcript.json"]), "reason": "once more"}
    moved = {f"draws/001/{n}": files[n] for n in ("transcript.json", "commitment.json", "assignment.csv")}
    result = sealed({**files, **moved, "transcript.json": canonical_json(again)})
    assert failed(result) == {"record"}


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"null\n", b"[]\n", b"\xff\xfe", b"\xef\xbb\xbf{}\n", b"[" * 5000 + b"]" * 5000 + b"\n",
     b"9" * 5000 + b"\n", b'{"a":1,"a":2}\n', b'"\\ud800"\n', b"NaN\n", b"1e999\n", b"{}", b"\x00"],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_junk_in_any_document_is_a_fault_and_never_a_traceback(data: bytes) -> None:
    for name in (*DOCUMENTS, "manifest.json", "draws/001/transcript.json", "draws/junk", "assignment.csv"):
        files = {**result_files(), name: data}
        assert failed(files if name == "manifest.json" else sealed(files))
        verify_draw(files, salts=data)
        verify_draw(files, salts=salts().to_json())
