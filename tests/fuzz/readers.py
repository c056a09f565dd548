"""Every reader of fairlot, with good input to start from and what may come of hostile input.

A reader ends with what it read, or with an error of fairlot's own whose every fault is one line that says
something. Whatever else is raised is a finding, and so is memory beyond what a bounded input can need.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from hostile import Choose, hostile_csv, hostile_file, hostile_files, hostile_json, hostile_text, pick
from xlsxwriter import Workbook

import fairlot as fl
from fairlot.errors import FairlotError, InvalidProblemError, Issue
from fairlot.io.conflicts import section
from fairlot.io.equilibrium import equilibrium_files, read_equilibrium
from fairlot.io.formats.columns import understand
from fairlot.io.formats.enrolments import canvas_enrolments, oneroster_enrolments
from fairlot.io.formats.fairpyx import read_fairpyx
from fairlot.io.formats.mapping import ColumnMapping, read_mapping, write_mapping
from fairlot.io.formats.preflib import PrefLib, preflib_draft, read_preflib, write_preflib
from fairlot.io.formats.sheet import read_sheet
from fairlot.io.formats.spreadsheet import capacity_columns, spreadsheet_draft
from fairlot.io.formats.workbook import assignment_workbook
from fairlot.io.hospital import reallocation_template
from fairlot.io.mechanism import read_mechanism
from fairlot.io.menus import menus_csv, picks_csv
from fairlot.io.problem import parse_problem_files, parse_reallocation_files, problem_files
from fairlot.io.reallocation_results import (
    outcome_files,
    read_menus_file,
    read_offer,
    read_outcome,
    read_picks_file,
)
from fairlot.io.results import manifest
from fairlot.io.tables import read_table
from fairlot.io.template import template_files
from fairlot.io.verification import verify_files
from fairlot.lottery.protocol.ceremony import Ceremony
from fairlot.lottery.protocol.record import Change, commit_result, draw_result
from fairlot.lottery.protocol.salts import Salts, new_salts
from fairlot.lottery.protocol.steps import Commitment, Transcript
from fairlot.model.lotteries import Lottery
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.valuations import Valuation
from fairlot.verify import draw as draw_check

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader under fire.

    Parameters
    ----------
    make : callable
        Gives hostile input.
    read : callable
        Reads it; raises what the reader raises.
    """

    make: Callable[[Choose], Any]
    read: Callable[[Any], object]


def outcome(reader: Reader, given: Any) -> str:
    """Read; say ``read`` or ``refused``, and raise on anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # about the input, such as a count that rescales
        try:
            reader.read(given)
        except InvalidProblemError as error:
            if not error.issues:
                raise AssertionError("refused without a fault") from error
            for issue in error.issues[:200]:
                told(str(issue), issue)
        except FairlotError as error:
            if not str(error).strip() or "Traceback" in str(error):
                raise AssertionError("refused without a word") from error
        else:
            return "read"
    return "refused"


def told(line: str, issue: Issue) -> None:
    """A fault is one printable line that says what is wrong."""
    if not issue.message.strip() or not line.isprintable() or len(line) > 2000:
        raise AssertionError(f"no clear line: {line[:300]!r}")


# ---- good input --------------------------------------------------------------------------------------------

MARKET_RULES = b"""
[[conflict]]
name = "times"
meetings = { days = "days", start = "start", end = "end" }
gap = 10
[[conflict]]
name = "kit"
file = "kit.csv"
[[conflict]]
name = "pairs"
pairs = [["HEAT", "MIND"]]
"""


def market_folder() -> dict[str, bytes]:
    """The template, with every kind of conflict."""
    files = dict(template_files("pseudomarket"))
    files["problem.toml"] += MARKET_RULES
    header, *rows = files["goods.csv"].decode().splitlines()
    times = [",MW,9:00,10:00", ",TR,13:00,14:30", ",,,", ",M,9:30,11:00", ",F,8:00,9:00", ",,,"]
    lines = [f"{header},days,start,end", *(row + time for row, time in zip(rows, times, strict=True))]
    files["goods.csv"] = ("\n".join(lines) + "\n").encode()
    files["kit.csv"] = b"good_a,good_b\nOPTICS,HEAT\n"
    assert section(1) == "conflict-1"
    return files


MARKET = market_folder()
WIDE = {
    **template_files("pseudomarket"),
    "values.csv": b"agent,LOGIC-1,HEAT\ns1,1,2\ns2,,3\ns3,0,\ns4,1.5,2\n",
}
WIDE["problem.toml"] = WIDE["problem.toml"].replace(b'"long"', b'"wide"', 1)
TASKS = dict(reallocation_template())
TASKS["problem.toml"] += b'\n[endowment]\nfile = "status_quo.csv"\n'
TASKS["forbidden.csv"] = b"agent,task\n"
SAMPLES = {
    "problem.toml": b'format = 1\nkind = "reallocation"\n'
    + b"".join(
        f'[{name}]\nfile = "{name}.csv"\n'.encode()
        for name in ("tasks", "agents", "status_quo", "cost", "preferences")
    ),
    "tasks.csv": b"task,count,transfer,total,burden\nx,3,no,fixed,yes\ny,,no,,\n",
    "agents.csv": b"agent,size\na,2\nb,1\n",
    "status_quo.csv": b"agent,task,amount\na,x,1\na,y,2\nb,x,1\n",
    "cost.csv": b"agent,task,cost\na,x,1\na,y,-2\nb,x,3\nb,y,4\n",
    "preferences.csv": b"sample,agent,task,cost\n1,a,x,1\n1,a,y,2\n1,b,x,1\n1,b,y,1\n",
}
SHEETS = {
    "long.csv": b"Student,Course,Points,Year\ns1,Chess,2.5,1\ns1,Choir,1,1\ns2,Choir,3.75,2\n",
    "wide.csv": b"Student ID;Year;Chess;Choir\ns1;1;2,5;1\ns2;2;;3,75\n",
    "choices.csv": b"Student,Choice 1,Choice 2\ns1,Chess,Choir\ns2,Choir,\n",
    "merged.csv": b"Electives,,,\nStudent ID,Year,Clubs,\n,,Chess,Choir\ns1,1,2.5,1\ns2,2,,3.75\n",
}
PREFLIB = {
    kind: write_preflib(PrefLib(kind, ("tea", "milk", "beer"), orders, (3, 2), categories, "Drinks"))
    for kind, orders, categories in (
        ("soc", (((0,), (1,), (2,)), ((2,), (1,), (0,))), ()),
        ("toi", (((0, 1),), ((2,), (1,))), ()),
        ("cat", (((0,), (1, 2)), ((), (0, 1, 2))), ("yes", "no")),
    )
}
FAIRPYX = json.dumps(
    {
        "valuations": {"a": {"x": 1, "y": 2}, "b": {"x": 3}},
        "agent_capacities": {"a": 1, "b": 2},
        "item_capacities": {"x": 1, "y": 2},
        "agent_entitlements": {"a": 1, "b": 2.5},
        "agent_conflicts": {"a": ["y"]},
        "item_conflicts": {"x": ["y"]},
        "item_weights": 1,
    }
).encode()
MAPPING = write_mapping(
    ColumnMapping("long", 1, "Student", ("Course",), "Points", "value", "point", seats=2, load=1)
)
VALUATION = fl.Satiation(fl.Additive([1, Fraction(1, 2), 3]), 2).to_json()


def workbook() -> bytes:
    """A small table as a real workbook."""
    out = io.BytesIO()
    with Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        rows = [["Student", "Course", "Points"], ["s1", "Chess", 2.5], ["s2", "Choir", 3]]
        for r, row in enumerate(rows):
            sheet.write_row(r, 0, row)
    return out.getvalue()


def plain_workbook() -> bytes:
    """The same by hand, with cells in place, formulas and errors."""
    text = '<c r="%s" t="inlineStr"><is><t>%s</t></is></c>'
    cells = [
        text % ("A1", "Student") + text % ("B1", "Chess"),
        text % ("A2", "s1") + '<c r="B2"><f>1+1</f><v>2</v></c>',
        text % ("A3", "s2") + '<c r="B3"><v>3</v></c>',
    ]
    rows = "".join(f'<row r="{k}">{row}</row>' for k, row in enumerate(cells, start=1))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    link = f'<Relationship Id="rId1" Type="{office}/%s" Target="%s"/>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f"{link % ('officeDocument', 'xl/workbook.xml')}</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="T" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f"{link % ('worksheet', 'worksheets/sheet1.xml')}</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        for name, text in parts.items():
            book.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def parquet() -> bytes:
    """A small table as Parquet."""
    out = io.BytesIO()
    pl.DataFrame({"student": ["s1", "s2"], "Chess": [2.5, None], "Choir": [1.0, 3.75]}).write_parquet(out)
    return out.getvalue()


def market_result() -> dict[str, bytes]:
    """Hylland and Zeckhauser's market, solved by hand, committed and drawn."""
    from fairlot.certificate import Stats, Status
    from fairlot.lottery import market_lottery
    from fairlot.pseudomarket.equilibrium import Equilibrium
    from fairlot.verify.equilibrium import verify_equilibrium

    market = fl.PseudoMarket.from_arrays(
        [[100, 20, 0], [100, 20, 0], [100, 80, 0]], capacities=1, quotas=[fl.Quota("one", max=1)]
    )
    shares = sp.csr_array(np.array([[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1.0, 0]]))
    allocation = fl.RandomAllocation(market.agents, market.goods, shares)
    p, zero = np.array([2.0, 1.0, 0.0]), np.zeros(3)
    certificate = verify_equilibrium(market, p, allocation, row_prices=p)
    gaps = (0.0, 0.0, 0.0)
    stats, none = Stats("by hand", 0, 0.0), np.zeros(3, dtype=bool)
    found = Equilibrium(
        market, p, p, allocation, zero, Status.CERTIFIED, certificate, stats, zero, *gaps, none
    )
    return drawn(equilibrium_files(found, market_lottery(market, allocation), problem_files(market)))


def sealed(files: Files) -> dict[str, bytes]:
    """Return files with a manifest that fits them."""
    rest = {name: data for name, data in files.items() if name != "manifest.json"}
    return {**rest, "manifest.json": manifest(rest)}


def drawn(files: Files) -> dict[str, bytes]:
    """Commit and draw."""
    found = sealed(files)
    found = _after(found, commit_result(found, "fuzz", salts=new_salts("fuzz", found))[1])
    return _after(found, draw_result(found, bytes(32))[1])


def _after(files: Files, change: Change) -> dict[str, bytes]:
    kept = {name: data for name, data in files.items() if name not in change.remove}
    return sealed({**kept, **change.write})


PROBLEM = parse_reallocation_files(SAMPLES).problem
MENUS = Menus.of(PROBLEM.agents, PROBLEM.tasks, [Menu("a", (Ray("r1", np.array([-1.0, 1.0])),))])
OUTCOME = fl.reallocate(PROBLEM, MENUS, {"a": ["r1", "keep"]})
MARKET_RESULT = market_result()
OUTCOME_RESULT = drawn(outcome_files(OUTCOME, OUTCOME.lottery(), parse_reallocation_files(SAMPLES).files))
MECHANISM = {
    "mechanism.csv": b"agent,menu,weight\na,1,0.5\nb,1,1\n",
    "mechanism_menus.csv": b"agent,menu,ray,task,change\na,1,ray1,x,'-1\na,1,ray1,y,1\nb,1,less,x,'-1\n",
}

# ---- the readers -------------------------------------------------------------------------------------------


def _import(given: tuple[str, bytes]) -> None:
    file, data = given
    sheet = read_sheet(data, file)
    mapping, _ = understand(sheet.table, ColumnMapping(seats=2, load=1))
    if mapping.agent is None or mapping.layout is None or not mapping.goods:
        return
    if mapping.layout == "long" and mapping.value is None:
        return
    spreadsheet_draft(sheet.table, mapping).files()


def _with_capacities(given: tuple[str, bytes]) -> None:
    file, data = given
    seats = read_sheet(data, file).table
    goods = tuple(seats[capacity_columns(seats)[0]])
    bids = read_sheet(SHEETS["long.csv"], "bids.csv").table
    mapping, questions = understand(bids, ColumnMapping(load=1), goods)
    if not questions:
        spreadsheet_draft(bids, mapping, seats).files()


def _one_table(given: tuple[str, bytes]) -> None:
    issues: list[Issue] = []
    file, data = given
    table = read_table(lambda _: data, file, issues)
    if table is None or issues:
        raise InvalidProblemError(issues)


def _in_a_folder(read: Callable[[Path], object]) -> Callable[[Files], object]:
    def written(files: Files) -> object:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            return read(Path(folder))

    return written


def _picks(folder: Path) -> object:
    menus = read_menus_file(folder / "menus.csv", PROBLEM)
    return read_picks_file(folder / "picks.csv", PROBLEM, menus)


def _resealed(files: Files) -> Callable[[Choose], dict[str, bytes]]:
    """Mangle a result; now and then under a manifest that fits, so that what is behind it is reached."""

    def make(choose: Choose) -> dict[str, bytes]:
        changed = hostile_files(choose, files)
        return sealed(changed) if choose(4) else changed

    return make


def _one_of(files: Files) -> Callable[[Choose], tuple[str, bytes]]:
    def make(choose: Choose) -> tuple[str, bytes]:
        name = pick(choose, sorted(files))
        return name, hostile_file(choose, name, files[name])

    return make


def _checked(files: Files) -> None:
    checks = draw_check.verify(files)
    if not checks or any("Traceback" in why for _, why in checks.values()):
        raise AssertionError("no list of checks")


TABLES = {**SHEETS, "book.xlsx": workbook(), "plain.xlsx": plain_workbook(), "frame.parquet": parquet()}
READERS: dict[str, Reader] = {
    "problem folder, market": Reader(lambda c: hostile_files(c, MARKET), parse_problem_files),
    "problem folder, wide values": Reader(lambda c: hostile_files(c, WIDE), parse_problem_files),
    "problem folder, tasks": Reader(lambda c: hostile_files(c, TASKS), parse_reallocation_files),
    "problem folder, samples": Reader(lambda c: hostile_files(c, SAMPLES), parse_reallocation_files),
    "tables": Reader(_one_of(TABLES), _one_table),
    "import of spreadsheets": Reader(_one_of(TABLES), _import),
    "import, table of capacities": Reader(
        _one_of({"seats.csv": b"course,capacity,room\nChess,2,A\nChoir,3,B\n"}), _with_capacities
    ),
    "import of PrefLib": Reader(
        lambda c: (lambda kind: (f"x.{kind}", hostile_text(c, PREFLIB[kind])))(pick(c, sorted(PREFLIB))),
        lambda given: preflib_draft(read_preflib(given[1], given[0]), 2, 1).files(),
    ),
    "import of fairpyx": Reader(
        lambda c: hostile_json(c, FAIRPYX), lambda data: read_fairpyx(data, "x.json").files()
    ),
    "mapping.toml": Reader(
        lambda c: hostile_text(c, MAPPING), lambda data: read_mapping(data, "mapping.toml")
    ),
    "result, market": Reader(_resealed(MARKET_RESULT), verify_files),
    "result, tasks": Reader(_resealed(OUTCOME_RESULT), verify_files),
    "published equilibrium": Reader(lambda c: hostile_files(c, MARKET_RESULT), read_equilibrium),
    "published outcome": Reader(lambda c: hostile_files(c, OUTCOME_RESULT), read_outcome),
    "published offer": Reader(lambda c: hostile_files(c, OUTCOME_RESULT), read_offer),
    "menus and picks": Reader(
        lambda c: hostile_files(c, {"menus.csv": menus_csv(MENUS), "picks.csv": picks_csv(PROBLEM, MENUS)}),
        _in_a_folder(_picks),
    ),
    "mechanism": Reader(
        lambda c: hostile_files(c, MECHANISM), _in_a_folder(lambda folder: read_mechanism(folder, PROBLEM))
    ),
    "lottery.json": Reader(
        lambda c: hostile_json(c, pick(c, (MARKET_RESULT, OUTCOME_RESULT))["lottery.json"]), Lottery.from_json
    ),
    "commitment.json": Reader(
        lambda c: hostile_json(c, MARKET_RESULT["commitment.json"]), Commitment.from_json
    ),
    "transcript.json": Reader(
        lambda c: hostile_json(c, MARKET_RESULT["transcript.json"]), Transcript.from_json
    ),
    "ceremony.json": Reader(
        lambda c: hostile_json(c, Ceremony.begin("ab" * 32, {"ann": "cd" * 32}).to_json()), Ceremony.from_json
    ),
    "salts": Reader(
        lambda c: hostile_json(
            c, Salts("fuzz", {"ann": "ab" * 32}, {"input/values.csv": "cd" * 32}).to_json()
        ),
        Salts.from_json,
    ),
    "standalone check of a draw": Reader(_resealed(MARKET_RESULT), _checked),
    "valuations": Reader(lambda c: hostile_json(c, VALUATION), Valuation.from_json),
    "enrolments and workbook": Reader(
        lambda c: hostile_files(c, MARKET_RESULT),
        lambda files: (
            canvas_enrolments(files),
            oneroster_enrolments(files, "s"),
            assignment_workbook(files),
        ),
    ),
    "csv of a problem": Reader(
        lambda c: {**MARKET, "goods.csv": hostile_csv(c, MARKET["goods.csv"])}, parse_problem_files
    ),
}
