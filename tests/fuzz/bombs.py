"""Small files that would fill the memory: ``python tests/fuzz/bombs.py NAME`` reads one within 3 GB."""

from __future__ import annotations

import io
import resource
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

MARKET = b"""format = 1
kind = "pseudomarket"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
"""
MANY = 30_000


def ids(header: bytes, letter: bytes, n: int, rest: bytes = b"") -> bytes:
    """Return a table of n ids."""
    return header + b"\n" + b"".join(letter + str(k).encode() + rest + b"\n" for k in range(n))


def refused(read: Callable[[Any], object], given: Any) -> None:
    """Read; nothing but a refusal in a few lines will do."""
    from fairlot.errors import FairlotError

    try:
        read(given)
    except FairlotError as error:
        if 0 < len(str(error).splitlines()) < 60:
            return
    raise SystemExit("was read, or refused in no clear lines")


def deep_json() -> None:
    """A million brackets."""
    from fairlot.io.formats.fairpyx import read_fairpyx
    from fairlot.lottery.protocol.salts import Salts
    from fairlot.lottery.protocol.steps import Commitment, Transcript
    from fairlot.model.lotteries import Lottery
    from fairlot.model.valuations import Valuation

    kinds = (Commitment, Transcript, Salts, Lottery, Valuation)
    for read in (*(kind.from_json for kind in kinds), lambda data: read_fairpyx(data, "x.json")):
        for opening in (b"[", b'{"a":'):
            refused(read, opening * 1_000_000)


def deep_toml() -> None:
    """A hundred thousand brackets."""
    from fairlot.io.formats.mapping import read_mapping
    from fairlot.io.problem import parse_problem_files

    deep = b"goods = " + b"[" * 100_000
    refused(lambda data: read_mapping(data, "mapping.toml"), deep)
    refused(parse_problem_files, {"problem.toml": deep})


def all_meet_at_once() -> None:
    """Twenty thousand goods at the same time: two hundred million pairs."""
    from fairlot.io.problem import parse_problem_files

    rule = b'[[conflict]]\nname = "t"\nmeetings = { days = "d", start = "s", end = "e" }\n'
    files = {
        "problem.toml": MARKET + rule,
        "goods.csv": ids(b"good,capacity,d,s,e", b"g", 20_000, b",1,MW,9:00,10:00"),
        "agents.csv": b"agent\na\n",
        "values.csv": b"agent,good,value\na,g1,1\n",
    }
    refused(parse_problem_files, files)


def missing_values() -> None:
    """Every pair of many agents and many goods is worth 0."""
    from fairlot.io.problem import parse_problem_files

    files = {
        "problem.toml": MARKET + b"missing = 0\n",
        "goods.csv": ids(b"good,capacity", b"g", MANY, b",1"),
        "agents.csv": ids(b"agent", b"a", MANY),
        "values.csv": b"agent,good,value\na1,g1,1\n",
    }
    refused(parse_problem_files, files)


def many_tasks() -> None:
    """Many agents, many tasks."""
    from readers import SAMPLES

    from fairlot.io.problem import parse_reallocation_files

    files = {
        **SAMPLES,
        "tasks.csv": ids(b"task", b"t", MANY),
        "agents.csv": ids(b"agent", b"a", MANY),
        "status_quo.csv": b"agent,task,amount\na1,t1,1\n",
        "cost.csv": b"agent,task,cost\na1,t1,1\n",
        "preferences.csv": b"agent,task,low,high\n*,*,1,2\n",
    }
    refused(parse_reallocation_files, files)


def many_samples() -> None:
    """A sample per row, each of all pairs."""
    from readers import SAMPLES

    from fairlot.io.problem import parse_reallocation_files

    files = {
        **SAMPLES,
        "tasks.csv": ids(b"task", b"t", 1000),
        "agents.csv": ids(b"agent", b"a", 1000),
        "status_quo.csv": b"agent,task,amount\na1,t1,1\n",
        "cost.csv": b"agent,task,cost\na1,t1,1\n",
        "preferences.csv": ids(b"sample,agent,task,cost", b"", 10_000, b",a1,t1,1"),
    }
    refused(parse_reallocation_files, files)


def crowd_in_a_row() -> None:
    """Groups of a thousand million members."""
    from readers import SAMPLES

    from fairlot.io.menus import read_picks
    from fairlot.io.problem import parse_reallocation_files
    from fairlot.io.tables import read_table
    from fairlot.model.menus import Menus

    def read(files: dict[str, bytes]) -> object:
        problem = parse_reallocation_files(files).problem
        table = read_table(lambda _: b"agent,member,ray\na,1,keep\n", "picks.csv", [])
        if table is None:
            raise SystemExit("no table")
        return read_picks(table, problem, Menus.of(problem.agents, problem.tasks, []))

    refused(read, {**SAMPLES, "agents.csv": b"agent,size\na,999999999\nb,999999999\n"})


def million_voters() -> None:
    """A line of PrefLib that a million voters hold."""
    from fairlot.io.formats.preflib import preflib_draft, read_preflib

    order = ",".join(str(k) for k in range(1, 21))
    text = f"# NUMBER ALTERNATIVES: 20\n1000000: {order}\n"
    refused(lambda data: preflib_draft(read_preflib(data, "x.soc"), 1, 1, "x.soc").files(), text.encode())


def equal_rows() -> None:
    """Thirty million equal rows of Parquet."""
    import polars as pl
    from readers import _one_table

    out = io.BytesIO()
    pl.select(pl.repeat("a", 30_000_000).alias("agent")).write_parquet(out)
    refused(_one_table, ("x.parquet", out.getvalue()))


def workbook(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a workbook with parts of its sheet replaced."""
    from readers import plain_workbook

    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(plain_workbook())) as book,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in book.namelist():
            text = book.read(name)
            if name.endswith("sheet1.xml"):
                for old, new in parts:
                    text = text.replace(old, new)
            bomb.writestr(name, text)
    return out.getvalue()


def blank_workbook() -> None:
    """A sheet of nothing but space, a thousand times as large as its file."""
    from readers import _one_table

    refused(_one_table, ("x.xlsx", workbook([(b"<sheetData>", b"<sheetData>" + b" " * (600 << 20))])))


def far_cell() -> None:
    """A cell in the last corner of a sheet."""
    from readers import _one_table

    refused(_one_table, ("x.xlsx", workbook([(b'r="B3"', b'r="XFD1048576"')])))


BOMBS = {
    bomb.__name__: bomb
    for bomb in (
        deep_json,
        deep_toml,
        all_meet_at_once,
        missing_values,
        many_tasks,
        many_samples,
        crowd_in_a_row,
        million_voters,
        equal_rows,
        blank_workbook,
        far_cell,
    )
}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    BOMBS[sys.argv[1]]()
