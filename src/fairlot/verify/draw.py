"""Check a fairlot draw with nothing but Python's standard library.

Run it on a result folder::

    python draw.py RESULT [--commitment HEX]

This file imports nothing of fairlot and shares no code with what made the draw. It reads every byte anew,
draws again from the public seed, and names each check. What it implements is ``docs/draw-specification.md``:

1. *bytes*: canonical JSON, shapes of documents, fields, CSV;
2. *bits*: SHA-256 of a seed and a counter, and exact coins of any rational probability;
3. *lottery*: expected copies over one denominator, and two forests of sets;
4. *walk* and *pick*: the binding algorithms that turn a seed into an assignment;
5. *checks*: what the files of a result must say.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

PROTOCOL = "fairlot-draw-v1"
CEREMONY = "fairlot-ceremony-v1"
QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"


class Fault(Exception):
    """What is wrong, in words."""


def need(condition: object, fault: str) -> None:
    """Raise a fault unless the condition holds."""
    if not condition:
        raise Fault(fault)


# 1. Bytes


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    """Write JSON in the one way that counts."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def fits(value: Any, shape: Any) -> bool:
    """Tell whether a JSON value has a shape.

    A shape is a type, a test, a literal, ``{key: shape}`` with exactly these keys, ``[shape]`` for a list
    of any length, or a tuple of shapes for a list of that length.
    """
    if isinstance(shape, type):
        return type(value) is shape
    if callable(shape):
        return bool(shape(value))
    if type(shape) is dict:
        keyed = type(value) is dict and value.keys() == shape.keys()
        return keyed and all(fits(value[key], shape[key]) for key in shape)
    if type(shape) is list:
        return type(value) is list and all(fits(item, shape[0]) for item in value)
    if type(shape) is tuple:
        paired = type(value) is list and len(value) == len(shape)
        return paired and all(fits(item, part) for item, part in zip(value, shape, strict=True))
    return type(value) is type(shape) and bool(value == shape)


def either(*shapes: Any) -> Callable[[Any], bool]:
    """Return the shape of what has one of several."""
    return lambda value: any(fits(value, shape) for shape in shapes)


def text(pattern: str) -> Callable[[Any], bool]:
    """Return the shape of texts that match a regular expression."""
    return lambda value: type(value) is str and re.fullmatch(pattern, value) is not None


HASH = text("[0-9a-f]{64}")
COUNT = either(None, lambda value: type(value) is int and 0 <= value < 2**31)
SETS = [(int, COUNT, COUNT, str)]
LOTTERY = {
    "format": 1,
    "kind": text("pseudomarket|reallocation"),
    "denominator": lambda value: type(value) is int and 1 <= value <= 2**62,
    "agents": [str],
    "goods": [str],
    "cells": [(int, int, int, int, int)],  # agent, good, numerator, agent set, good set
    "agent_sets": SETS,  # parent, lower, upper, name
    "good_sets": SETS,
}
TERMS = {**LOTTERY, "draw": "terms", "terms": [(int, [int])]}  # weight, copies of each cell
ROUND = {"kind": "drand", "chain": QUICKNET, "round": lambda v: type(v) is int and 1 <= v < 2**53}
HASHES = [(str, HASH)]
COMMITMENT = {
    "format": 1,
    "commitment": HASH,
    "frozen": {
        "protocol": PROTOCOL,
        "draw": str,
        "source": either({"kind": "open"}, ROUND, {"kind": "ceremony", "officials": [str]}),
        "lottery": HASH,
        "files": HASHES,
        "personal": HASHES,  # of salt and table
        "agents": HASHES,  # of salt and rows
    },
}
TRANSCRIPT = {
    "format": 1,
    "protocol": PROTOCOL,
    "draw": str,
    "number": int,
    "previous": either(None, HASH),
    "reason": either(None, text("(?s:.+)")),
    "commitment": HASH,
    "status": text("drawn|aborted"),
    "origin": either(
        {"kind": text("none|given")},
        {**ROUND, "signature": text("[0-9a-f]{96}")},
        {
            "kind": "ceremony",
            "dice": either(None, text("[1-6]{20,}")),
            "officials": [(str, HASH, either(None, HASH))],  # name, seal, number
        },
    ),
    "public_seed": either(None, HASH),
    "seed": either(None, HASH),
    "assignment": either(None, HASH),
}


def read(files: Mapping[str, bytes], name: str, shape: Any) -> Any:
    """Read canonical JSON of a certain shape."""
    need(name in files, f"{name} is missing")
    try:
        value = json.loads(files[name].decode())
        need(canonical(value) == files[name], f"{name} is not in canonical form")
    except (ValueError, RecursionError):
        raise Fault(f"{name} is not JSON in UTF-8") from None
    if name == "lottery.json" and type(value) is dict and "draw" not in value:
        value.pop("terms", None)  # a list for reading: never drawn from, never frozen
    need(fits(value, shape), f"{name} has a key or value of the wrong kind")
    return value


def fields(*texts: str) -> bytes:
    """Join texts so that different lists of texts give different bytes."""
    return b"".join(len(data).to_bytes(8, "big") + data for data in (t.encode() for t in texts))


def csv_cell(cell: str) -> str:
    """Write a cell: one more apostrophe before what a spreadsheet would run, quotes where needed."""
    safe = f"'{cell}" if re.match(r"'*[=+\-@]", cell) else cell
    return '"' + safe.replace('"', '""') + '"' if re.search(r'[,"\n\r]', safe) else safe


# 2. Bits


def inner_seed(public_seed: str, commitment: str) -> bytes:
    """Mix the public seed with the commitment, both in hexadecimal."""
    public = hashlib.sha256(bytes.fromhex(public_seed)).digest()
    return hashlib.sha256(PROTOCOL.encode() + public + bytes.fromhex(commitment)).digest()


def bits(seed: bytes) -> Iterator[int]:
    """Yield fair bits: SHA-256 of seed and counter, most significant first."""
    counter = 0
    while True:
        block = int.from_bytes(hashlib.sha256(seed + counter.to_bytes(8, "big")).digest(), "big")
        yield from (block >> shift & 1 for shift in range(255, -1, -1))
        counter += 1


def coins(seed: bytes) -> Callable[[int, int], bool]:
    """Return ``coin(a, s)``: true with probability a/s, by comparing bits with the binary digits of a/s."""
    stream = bits(seed)

    def coin(a: int, s: int) -> bool:
        while a:
            digit, a = divmod(2 * a, s)
            bit = next(stream)
            if bit != digit:
                return bit < digit
        return False

    return coin


def ticket(seed: bytes, draw: str, agent: str) -> str:
    """Return an agent's lottery number; of two, the one that sorts first as text wins."""
    return hmac.new(seed, fields("ticket", draw, agent), "sha256").hexdigest()


def seal(commitment: str, official: str, number: str) -> str:
    """Return what an official of a ceremony announces before she reveals her number."""
    return sha256(fields(CEREMONY, "seal", commitment, official, number))


def ceremony_seed(commitment: str, dice: str, opened: list[tuple[str, str]]) -> str:
    """Return the public seed of a ceremony: dice, and each official's name and number."""
    return sha256(fields(CEREMONY, "seed", commitment, dice, *(t for pair in opened for t in pair)))


# 3. Lottery


class Lottery:
    """Expected copies n/D of cells, and the sets whose totals are rounded up or down."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        raw = read(files, "lottery.json", either(LOTTERY, TERMS))
        self.hash = sha256(canonical(raw))
        self.denominator, self.cells = raw["denominator"], raw["cells"]
        self.agents, self.goods = raw["agents"], raw["goods"]
        self.sides = raw["agent_sets"], raw["good_sets"]
        self.header = "agent,good,copies\n" if raw["kind"] == "pseudomarket" else "agent,task,amount\n"
        for ids in (self.agents, self.goods):
            need(all(a < b for a, b in pairwise(ids)), "lottery.json: ids do not ascend")
        need(all(a[:2] < b[:2] for a, b in pairwise(self.cells)), "lottery.json: cells do not ascend")
        for sets in self.sides:
            parents = [row[0] for row in sets]
            need(all(-1 <= p < own for own, p in enumerate(parents)), "lottery.json: a set's parent")
        ends = len(self.agents), len(self.goods), *map(len, self.sides)
        for i, j, n, a, b in self.cells:
            need(0 <= i < ends[0] and 0 <= j < ends[1], "lottery.json: a cell of nobody or nothing")
            need(-1 <= a < ends[2] and -1 <= b < ends[3], "lottery.json: a cell in an unknown set")
            need(1 <= n <= (2**31 - 1) * self.denominator, "lottery.json: a numerator out of range")
        self.terms = raw.get("terms")
        if self.terms is not None:
            weights, lists = [w for w, _ in self.terms], [copies for _, copies in self.terms]
            fitting = all(len(copies) == len(self.cells) and min(copies, default=0) >= 0 for copies in lists)
            need(fitting and min(weights, default=0) > 0, "lottery.json: a term of the wrong form")
            need(sum(weights) == self.denominator, "lottery.json: the terms' weights do not add up")
            for k, cell in enumerate(self.cells):
                expected = sum(w * copies[k] for w, copies in self.terms)
                need(expected == cell[2], f"lottery.json: the terms expect another {self.row(k)}")

    def totals(self, side: int, amounts: list[int]) -> list[int]:
        """Sum amounts of the cells over every set of a side; the last entry is the grand total."""
        sets = self.sides[side]
        totals = [0] * (len(sets) + 1)  # so that position -1, "in no set", is the grand total
        for cell, amount in zip(self.cells, amounts, strict=True):
            totals[cell[3 + side]] += amount
        for k in range(len(sets) - 1, -1, -1):
            totals[sets[k][0]] += totals[k]
        return totals

    def row(self, k: int) -> str:
        """Write a cell's ids as in ``assignment.csv``."""
        agent, good = self.cells[k][:2]
        return f"{csv_cell(self.agents[agent])},{csv_cell(self.goods[good])},"

    def csv(self, copies: list[int]) -> bytes:
        """Write ``assignment.csv``."""
        rows = [f"{self.row(k)}{number}\n" for k, number in enumerate(copies) if number]
        return "".join([self.header, *rows]).encode()

    def copies(self, table: bytes) -> list[int]:
        """Read ``assignment.csv``: a line for each cell with copies, in the order of the cells."""
        rest, copies = table.decode(errors="replace"), []
        need(rest.startswith(self.header), "not the header")
        at = len(self.header)
        for row in map(self.row, range(len(self.cells))):
            number = (
                re.compile("([1-9][0-9]{0,9})\n").match(rest, at + len(row))
                if rest.startswith(row, at)
                else None
            )
            copies.append(int(number[1]) if number else 0)
            at = number.end() if number else at
        need(at == len(rest), f"no cell's copies: {rest[at : at + 80]!r}")
        return copies


# 4. The walk


def walk(lottery: Lottery, coin: Callable[[int, int], bool]) -> list[int]:
    """Draw the copies of every cell: cancel cycles of fractional edges until none is left."""
    d, (agent_sets, good_sets) = lottery.denominator, lottery.sides
    numerators = [cell[2] for cell in lottery.cells]
    agent_totals, good_totals = lottery.totals(0, numerators), lottery.totals(1, numerators)
    # Node 0 is the top of the agents' side and node g that of the goods': position -1, moved by 1 or g + 1.
    g = len(agent_sets) + 1
    edges = [(a + 1, g + 1 + b, n) for _, _, n, a, b in lottery.cells]  # (tail, head, value)
    edges += [(row[0] + 1, k + 1, agent_totals[k]) for k, row in enumerate(agent_sets)]
    edges += [(g + 1 + k, g + 1 + row[0], good_totals[k]) for k, row in enumerate(good_sets)]
    edges += [(g, 0, agent_totals[-1])]
    flow = [value % d for _, _, value in edges]
    adjacent: list[list[int]] = [[] for _ in range(g + 1 + len(good_sets))]  # the first edge stands last
    for e in range(len(edges) - 1, -1, -1):
        if flow[e]:
            adjacent[edges[e][0]].append(e)
            adjacent[edges[e][1]].append(e)

    def first_edge(node: int, entering: int) -> int | None:
        listed = adjacent[node]
        for place in (-1, -2):
            while len(listed) >= -place and flow[listed[place]] in (0, d):
                del listed[place]
            if len(listed) >= -place and listed[place] != entering:
                return listed[place]
        return None

    for start in range(len(adjacent)):
        path: list[int] = []  # edges; path[k] leaves nodes[k]
        nodes, position = [start], {start: 0}
        while (edge := first_edge(nodes[-1], path[-1] if path else -1)) is not None:
            path.append(edge)
            tail, head, _ = edges[edge]
            there = head if tail == nodes[-1] else tail
            if there not in position:
                position[there] = len(nodes)
                nodes.append(there)
                continue
            begin = position[there]
            cycle = [(e, edges[e][0] == node) for e, node in zip(path[begin:], nodes[begin:], strict=True)]
            ahead = min(d - flow[e] if along else flow[e] for e, along in cycle)
            back = min(flow[e] if along else d - flow[e] for e, along in cycle)
            step = ahead if coin(back, ahead + back) else -back
            for e, along in cycle:
                flow[e] += step if along else -step
            cut = next(k for k in range(begin, len(path)) if flow[path[k]] in (0, d))
            for node in nodes[cut + 1 :]:
                del position[node]
            del nodes[cut + 1 :], path[cut:]
    return [n // d + (flow[k] == d) for k, n in enumerate(numerators)]


def pick(lottery: Lottery, seed: bytes) -> list[int]:
    """Draw the copies of every cell where the lottery is its terms: one of them, by its weight."""
    width, stream = (lottery.denominator - 1).bit_length(), bits(seed)
    number = lottery.denominator
    while number >= lottery.denominator:
        number = 0
        for _ in range(width):
            number = 2 * number + next(stream)
    for weight, copies in lottery.terms:
        number -= weight
        if number < 0:
            return list(copies)
    raise Fault("lottery.json: the terms' weights do not add up")


# 5. Checks: each reads the files of a result by name and raises a fault, or returns what it could not see


def commitments(files: Mapping[str, bytes]) -> list[tuple[str, dict[str, Any]]]:
    """Read the commitment of every draw: the earlier ones in order, then the one that counts."""
    earlier = {name[: name.find("/", 6) + 1] for name in files if name.startswith("draws/")}
    names = [f"{folder}commitment.json" for folder in [*sorted(earlier), ""]]
    return [(name, read(files, name, COMMITMENT)) for name in names]


def attempts(files: Mapping[str, bytes]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Read folder, commitment and transcript of every draw, in the same order."""
    folders = [(name.removesuffix("commitment.json"), document) for name, document in commitments(files)]
    return [(f, document, read(files, f"{f}transcript.json", TRANSCRIPT)) for f, document in folders]


def drawn(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Yield name and bytes of every assignment, with its transcript."""
    for folder, _, transcript in attempts(files):
        name = f"{folder}assignment.csv"
        if transcript["status"] == "drawn":
            need(name in files, f"{name} is missing")
            yield name, transcript, files[name]


def check_manifest(files: Mapping[str, bytes]) -> None:
    """Compare every file with the SHA-256 that manifest.json lists."""
    listed = read(files, "manifest.json", {"format": 1, "files": dict})["files"]
    found = {name: sha256(data) for name, data in files.items() if name != "manifest.json"}
    for name in sorted(found.keys() | listed.keys()):
        need(name in found, f"{name} is missing")
        need(listed.get(name) == found[name], f"{name} has changed, or is not listed")


def check_lottery(files: Mapping[str, bytes]) -> None:
    """Read lottery.json: canonical bytes, ids and cells in order, sets that form two forests."""
    Lottery(files)


def check_commitment(files: Mapping[str, bytes]) -> None:
    """Hash what each commitment freezes; no file and no agent may be in it twice."""
    for name, document in commitments(files):
        frozen = document["frozen"]
        for key in ("files", "personal", "agents"):
            need(all(a[0] < b[0] for a, b in pairwise(frozen[key])), f"{name}: {key} do not ascend")
        need(document["commitment"] == sha256(canonical(frozen)), f"{name}: the hash does not fit")


def check_frozen(files: Mapping[str, bytes]) -> str | None:
    """Compare the lottery and every other frozen file with its hash."""
    closed: set[str] = set()
    for _, document in commitments(files):
        frozen = document["frozen"]
        need(Lottery(files).hash == frozen["lottery"], "lottery.json has changed")
        for name, digest in frozen["files"]:
            need(name in files and sha256(files[name]) == digest, f"{name} has changed or is missing")
        closed.update(name for name, _ in frozen["personal"])
    return f"opened only with their salts, not here: {', '.join(sorted(closed))}" if closed else None


def check_record(files: Mapping[str, bytes]) -> None:
    """Follow the draws: numbered, each naming the one before, with a reason where one is due."""
    previous, seeds = None, {None}
    for number, (folder, document, t) in enumerate(found := attempts(files), 1):
        name, last = f"{folder}transcript.json", number == len(found)
        need(folder == ("" if last else f"draws/{number:03}/"), f"{name}: should be draw {number}")
        need(t["number"] == number and t["previous"] == previous, f"{name}: does not follow the one before")
        need(t["draw"] == document["frozen"]["draw"] == found[0][2]["draw"], f"{name}: another draw")
        need(t["commitment"] == document["commitment"], f"{name}: another commitment than the one beside it")
        need(t["reason"] or (number == 1 and t["status"] == "drawn"), f"{name}: gives no reason")
        if t["status"] == "drawn":
            need(t["seed"] not in seeds, f"{name}: has no seed, or one that was used before")
            seeds.add(t["seed"])
        else:
            empty = t["public_seed"] is t["seed"] is t["assignment"] is None
            empty = empty and f"{folder}assignment.csv" not in files
            need(empty, f"{name}: aborted, yet something was drawn")
        previous = sha256(files[name])


def check_seed(files: Mapping[str, bytes]) -> str | None:
    """Derive each seed from the source that its commitment named, and from the commitment."""
    note = None
    for folder, document, t in attempts(files):
        name, origin, source = f"{folder}transcript.json", t["origin"], document["frozen"]["source"]
        complete, public = True, t["public_seed"]
        if origin["kind"] == "given":
            note = "how the public seed came about is for its witnesses to say"
        elif origin["kind"] == "drand":
            public = sha256(bytes.fromhex(origin["signature"]))
            note = f"whether drand signed round {origin['round']} is not checked here: that takes BLS12-381"
        elif origin["kind"] == "ceremony":
            for official, sealed, number in origin["officials"]:
                fitting = number is None or seal(t["commitment"], official, number) == sealed
                need(fitting, f"{name}: the number of {official} does not fit her seal")
            opened = [(official, number) for official, _, number in origin["officials"]]
            complete = bool(opened) and origin["dice"] is not None and None not in dict(opened).values()
            need(len(dict(opened)) == len(opened), f"{name}: one official twice")
            public = ceremony_seed(t["commitment"], origin["dice"], opened) if complete else None
        if t["status"] == "drawn":
            announced = {key: origin[key] for key in ("kind", "chain", "round") if key in origin}
            if origin["kind"] == "ceremony":
                announced["officials"] = [official for official, _, _ in origin["officials"]]
            need(source in ({"kind": "open"}, announced), f"{name}: another source than was announced")
            need(complete and origin["kind"] != "none", f"{name}: the seed has no complete origin")
            need(public and public == t["public_seed"], f"{name}: the public seed is not of its origin")
            mixed = inner_seed(public, t["commitment"]).hex()
            need(mixed == t["seed"], f"{name}: the seed is not public seed and commitment mixed")
    return note


def check_assignment(files: Mapping[str, bytes]) -> None:
    """Draw again from each seed, and compare the assignment byte for byte."""
    lottery = Lottery(files)
    for name, transcript, assignment in drawn(files):
        need(sha256(assignment) == transcript["assignment"], f"{name}: another hash than in the transcript")
        need(transcript["seed"], f"{name}: no seed")
        seed = bytes.fromhex(transcript["seed"])
        drawn_again = walk(lottery, coins(seed)) if lottery.terms is None else pick(lottery, seed)
        again = lottery.csv(drawn_again)
        need(assignment == again, f"{name}: not what the seed gives")


def check_bounds(files: Mapping[str, bytes]) -> None:
    """Compare every cell and set of each assignment with its expectation and its declared bounds."""
    lottery = Lottery(files)
    d, expected = lottery.denominator, [cell[2] for cell in lottery.cells]
    for name, _, assignment in drawn(files):
        copies = lottery.copies(assignment)
        for k, (n, z) in enumerate(zip(expected, copies, strict=True)):
            need(n // d <= z <= -(-n // d), f"{name}: {lottery.row(k)} is {z}, expected {n}/{d}")
        for side, sets in enumerate(lottery.sides):
            totals = zip(lottery.totals(side, expected), lottery.totals(side, copies), strict=True)
            rows = zip([*sets, (-1, None, None, "the total")], totals, strict=True)
            for (_, lower, upper, label), (n, z) in rows:
                if lottery.terms is None:
                    need(n // d <= z <= -(-n // d), f"{name}: {label} is {z}, expected {n}/{d}")
                need(lower is None or lower <= z, f"{name}: {label} is {z}, at least {lower} declared")
                need(upper is None or z <= upper, f"{name}: {label} is {z}, at most {upper} declared")
                need(lower is None or lower * d <= n, f"{label} can fall below {lower}")
                need(upper is None or n <= upper * d, f"{label} can exceed {upper}")


CHECKS: dict[str, Callable[[Mapping[str, bytes]], str | None]] = {
    "manifest": check_manifest,
    "lottery": check_lottery,
    "commitment": check_commitment,
    "frozen files": check_frozen,
    "record": check_record,
    "seed": check_seed,
    "assignment": check_assignment,
    "bounds": check_bounds,
}


def verify(files: Mapping[str, bytes], published: str | None = None) -> dict[str, tuple[bool, str]]:
    """Run every check on the files of a result folder, given by path with ``/``.

    Parameters
    ----------
    files : mapping of str to bytes
        Every file of the folder.
    published : str, optional
        The commitment that was published before the draw.

    Returns
    -------
    dict
        For each check whether it passed, and what is wrong or what it could not see.
    """
    results = {}
    for name, check in CHECKS.items():
        try:
            results[name] = (True, check(files) or "")
        except Fault as fault:
            results[name] = (False, str(fault))
    if published and results["commitment"][0] and commitments(files)[-1][1]["commitment"] != published:
        results["commitment"] = (False, "commitment.json: another commitment than the published one")
    return results


def main() -> int:
    """Check a result folder and say what was found."""
    parser = argparse.ArgumentParser(description="Check a fairlot draw.")
    parser.add_argument("result", type=Path, help="the result folder")
    parser.add_argument("--commitment", help="the hash that was published before the draw")
    given = parser.parse_args()
    paths = [path for path in given.result.rglob("[!.~]*") if path.is_file()]
    files = {path.relative_to(given.result).as_posix(): path.read_bytes() for path in paths}
    results = verify(files, given.commitment)
    for name, (passed, note) in results.items():
        sys.stdout.write(f"{'ok   ' if passed else 'FAIL '}{name}{': ' if note else ''}{note}\n")
    return 0 if all(passed for passed, _ in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
