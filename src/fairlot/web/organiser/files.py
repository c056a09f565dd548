"""The files of a problem: sent as a folder or as one spreadsheet, reviewed, put right in place, checked.

A spreadsheet whose columns are still to be understood waits in the round under a name of its own
(:data:`SOURCE`) and is taken out once its tables are made.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Annotated, Any

from litestar import Response
from litestar.concurrency import sync_to_thread
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.columns import Question, understand
from fairlot.io.formats.mapping import DECIMALS, LAYOUTS, MAPPING, SCALES, ColumnMapping, write_mapping
from fairlot.io.formats.sheet import ENDINGS, Sheet, read_sheet
from fairlot.io.formats.spreadsheet import capacity_columns, spreadsheet_draft
from fairlot.io.keys import SETTINGS
from fairlot.io.tables import Table, decode, escape
from fairlot.rounds import RefusedError, UnknownError, check, read_back, round_, upload
from fairlot.rounds.checking import check_problem
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, download, round_page, who
from fairlot.web.routing import FILE, RoundId, StoreIn, act, go, read
from fairlot.web.uploads import LARGEST_BODY, packed, received

SOURCE = "as-received"
SEATS = "as-received-goods"
"""Names, without ending, under which a spreadsheet and its table of goods wait."""
_SHOWN = 100
"""Rows of a table, and faults, that a page shows."""
_EDITABLE = 256 << 10
"""Bytes of a text file that may be edited in the browser."""
_PATHS = (".toml", ".csv", ".txt")


@dataclass
class Files:
    """Files of a problem folder, or archives of them."""

    files: list[UploadFile]


@dataclass
class Spreadsheet:
    """One spreadsheet of wishes, and perhaps one of goods and their capacities."""

    table: UploadFile
    goods: UploadFile | None = None


@dataclass
class Name:
    """One file."""

    name: str


@dataclass
class Text:
    """One file of text, in whole."""

    name: str
    text: str


@read("/o/{round_id:str}/files", Access.AUDITOR)
def show_files(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show the files of a problem, and how to send others."""
    found = read_back(store, round_id)
    listed = [(name, len(data), _is_text(name, data)) for name, data in sorted(found.items())]
    return round_page(request, store, round_id, "files", files=listed, waiting=_source(found) is not None)


@act("/o/{round_id:str}/files", Access.OPERATOR, request_max_body_size=LARGEST_BODY)
def send_files(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Files, Body(media_type=RequestEncodingType.MULTI_PART)],
) -> Redirect:
    """Take files in place of those of the same names; a whole folder takes the place of all."""
    replace(request, store, round_id, received(data.files))
    return go(f"/o/{round_id}/check")


@act("/o/{round_id:str}/spreadsheet", Access.OPERATOR, request_max_body_size=LARGEST_BODY)
def send_spreadsheet(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Spreadsheet, Body(media_type=RequestEncodingType.MULTI_PART)],
) -> Redirect:
    """Take a spreadsheet whose columns are to be understood."""
    sent = {}
    for name, file in ((SOURCE, data.table), (SEATS, data.goods)):
        if file is None or not file.filename:
            continue
        ((plain, content),) = received([file]).items()
        ending = PurePosixPath(plain).suffix.lower()
        if ending not in ENDINGS:
            raise InvalidProblemError([Issue("not a table", plain, expected=", ".join(ENDINGS))])
        sent[name + ending] = content
    if not any(name.startswith(f"{SOURCE}.") for name in sent):
        raise InvalidProblemError([Issue("no file was sent", expected="a spreadsheet")])
    replace(request, store, round_id, sent, _waiting(read_back(store, round_id)))
    return go(f"/o/{round_id}/columns")


@read("/o/{round_id:str}/columns", Access.OPERATOR)
def show_columns(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show what the columns of a spreadsheet were taken for, and ask what is unclear."""
    return _columns(request, store, round_id, ColumnMapping())


@act("/o/{round_id:str}/columns", Access.OPERATOR)
async def take_columns(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect | Response[str]:
    """Make the tables of a problem from a spreadsheet, its columns understood as the form says."""
    form = await request.form()
    said = _said({key: form.getall(key) for key in form})
    return await sync_to_thread(_take_columns, request, store, round_id, said)


@read("/o/{round_id:str}/check", Access.AUDITOR)
def show_check(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Tell in words what a check finds, each fault with its place and a way to correct it."""
    found = read_back(store, round_id)
    report = check_problem(found, round_(store, round_id).kind)
    return round_page(
        request,
        store,
        round_id,
        "check",
        report=report,
        faults=_faults(found, report.issues[:_SHOWN]),
        more=max(len(report.issues) - _SHOWN, 0),
    )


@act("/o/{round_id:str}/check", Access.OPERATOR)
def pass_check(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Check the problem; a draft that passes is checked from then on."""
    passed = check(store, round_id, who(request)).passed
    return go(f"/o/{round_id}" if passed else f"/o/{round_id}/check")


@act("/o/{round_id:str}/cells", Access.OPERATOR)
async def correct_cells(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Write cells that were at fault anew; fields are named ``file``, row and column, with bars between."""
    form = await request.form()
    cells = {str(key): str(form[key]) for key in form if "|" in key}
    await sync_to_thread(_correct, request, store, round_id, cells)
    return go(f"/o/{round_id}/check")


@read("/o/{round_id:str}/files/edit", Access.OPERATOR)
def show_text(request: Asked, store: StoreIn, round_id: RoundId, name: FromQuery[str]) -> Response[str]:
    """Show a file of text, to be edited."""
    data = _file(read_back(store, round_id), name)
    if not _is_text(name, data):
        raise RefusedError("Only small files of text can be edited here; send this one again instead.")
    return round_page(request, store, round_id, "edit", name=name, text=data.decode("utf-8-sig"))


@act("/o/{round_id:str}/files/edit", Access.OPERATOR)
def save_text(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Text, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Save a file of text."""
    _file(read_back(store, round_id), data.name)
    lines = data.text.replace("\r\n", "\n")
    replace(request, store, round_id, {data.name: lines.encode()})
    return go(f"/o/{round_id}/check")


@act("/o/{round_id:str}/files/discard", Access.OPERATOR)
def discard_file(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Name, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Take a file out of the problem."""
    _file(read_back(store, round_id), data.name)
    replace(request, store, round_id, {}, [data.name])
    return go(f"/o/{round_id}/files")


@read("/o/{round_id:str}/files/file", Access.AUDITOR, media_type=FILE)
def get_file(store: StoreIn, round_id: RoundId, name: FromQuery[str]) -> Response[bytes]:
    """Hand out a file, byte for byte."""
    return download(_file(read_back(store, round_id), name), name)


@read("/o/{round_id:str}/problem.zip", Access.AUDITOR, media_type=FILE)
def get_folder(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the problem folder."""
    return download(packed(read_back(store, round_id)), f"{round_(store, round_id).title}-problem.zip")


def replace(
    request: Asked, store: Store, round_id: str, files: Mapping[str, bytes], without: Iterable[str] = ()
) -> None:
    """Put files in place of those of the same names, and leave some out; a whole folder replaces all.

    Parameters
    ----------
    request : Request
        Whose doing it is.
    store : Store
        Where the round is.
    round_id : str
        Which.
    files : mapping of str to bytes
        Contents by name.
    without : iterable of str
        Names to leave out.
    """
    gone = set(without)
    kept = {} if SETTINGS in files and len(files) > 1 else read_back(store, round_id)
    left = {name: data for name, data in kept.items() if name not in gone}
    upload(store, round_id, {**left, **files}, who(request))


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise UnknownError("There is no such file.")
    return files[name]


def _is_text(name: str, data: bytes) -> bool:
    if len(data) > _EDITABLE or PurePosixPath(name).suffix.lower() not in _PATHS:
        return False
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def _faults(files: Mapping[str, bytes], issues: Sequence[Issue]) -> list[tuple[Issue, str | None, str]]:
    """Pair faults with the name of the field that corrects them, and what is in the cell now."""
    tables: dict[str, list[list[str]]] = {}
    named = []
    for issue in issues:
        file, row, column = issue.file, issue.row, issue.column
        field, cell = None, ""
        if file is None or row is None or column is None or file not in files:
            pass
        elif _editable_table(file, files[file]):
            records = tables.setdefault(file, _records(files[file]))
            place = _column(records, column)
            if place is not None and row <= len(records) and place < len(records[row - 1]):
                field, cell = f"{file}|{row}|{column}", records[row - 1][place]
        named.append((issue, field, cell))
    return named


def _editable_table(name: str, data: bytes) -> bool:
    return name.lower().endswith(".csv") and decode(data, name, []) is not None


def _records(data: bytes) -> list[list[str]]:
    text = decode(data, "", []) or ""
    return list(csv.reader(io.StringIO(text, newline="")))


def _column(records: list[list[str]], name: str) -> int | None:
    header = next((record for record in records if any(record)), [])
    plain = [cell.strip() for cell in header]
    return plain.index(name) if name in plain else None


def _correct(request: Asked, store: Store, round_id: str, cells: Mapping[str, str]) -> None:
    files = read_back(store, round_id)
    wanted: defaultdict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for key, text in cells.items():
        file, _, rest = key.partition("|")
        row, _, column = rest.partition("|")
        if not row.isdecimal() or len(row) > 9 or not text.isprintable() or len(text) > 1000:
            raise InvalidProblemError([Issue("not a cell", file, column=column, found=text)])
        wanted[file].append((int(row), column, text))
    written = {}
    for file, changes in wanted.items():
        data = _file(files, file)
        records = _records(data) if _editable_table(file, data) else []
        for line, column, text in changes:
            place = _column(records, column)
            if place is None or not 0 < line <= len(records) or place >= len(records[line - 1]):
                raise InvalidProblemError([Issue("no such cell", file, line, column)])
            records[line - 1][place] = escape(text.strip())
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(records)
        written[file] = out.getvalue().encode()
    replace(request, store, round_id, written)


def _source(files: Mapping[str, bytes]) -> str | None:
    return next((name for name in files if name.startswith(f"{SOURCE}.")), None)


def _waiting(files: Mapping[str, bytes]) -> list[str]:
    return [name for name in files if name.startswith((f"{SOURCE}.", f"{SEATS}."))]


def _said(form: Mapping[str, list[str]]) -> ColumnMapping:
    """Read a mapping from the form; what is blank is still to be found."""
    given: dict[str, Any] = {}
    issues = []
    for field in fields(ColumnMapping):
        texts = [str(text).strip() for text in form.get(field.name, []) if str(text).strip()]
        if not texts:
            continue
        text = texts[0]
        if field.name == "goods":
            given["goods"] = tuple(texts)
        elif field.name in ("header_row", "seats") or (field.name == "load" and text.isdecimal()):
            if not text.isdecimal() or len(text) > 9:
                issues.append(Issue(field.name, found=text, expected="a whole number"))
            else:
                given[field.name] = int(text)
        else:
            given[field.name] = text
    for key, options in (("layout", LAYOUTS), ("scale", SCALES), ("decimal", DECIMALS)):
        if given.get(key, options[0]) not in options:
            issues.append(Issue(key, found=given[key], expected=" or ".join(options)))
    if issues:
        raise InvalidProblemError(issues)
    return ColumnMapping(**given)


def _read_source(
    store: Store, round_id: str, said: ColumnMapping
) -> tuple[Sheet, Table | None, ColumnMapping, tuple[Question, ...]]:
    files = read_back(store, round_id)
    name = _source(files)
    if name is None:
        raise RefusedError("There is no spreadsheet whose columns are to be understood; send one first.")
    sheet = read_sheet(files[name], name, said.header_row)
    other = next((one for one in files if one.startswith(f"{SEATS}.")), None)
    seats = None if other is None else read_sheet(files[other], other).table
    goods = () if seats is None else tuple(seats[capacity_columns(seats)[0]])
    return sheet, seats, *understand(sheet.table, said, goods)


def _columns(
    request: Asked,
    store: Store,
    round_id: str,
    said: ColumnMapping,
    status: int = 200,
    issues: Sequence[Issue] = (),
) -> Response[str]:
    try:
        sheet, seats, mapping, questions = _read_source(store, round_id, said)
    except InvalidProblemError as error:
        sheet, seats, mapping, questions = None, None, said, ()
        issues = (*issues, *(issue for issue in error.issues if issue not in issues))
        status = 422
    table = None if sheet is None else sheet.table
    rows = [] if table is None else list(zip(*(table[c] for c in table.columns), strict=True))
    return round_page(
        request,
        store,
        round_id,
        "columns",
        status,
        notes=() if sheet is None else sheet.notes,
        columns=() if table is None else table.columns,
        rows=rows[:5],
        n_rows=len(rows),
        with_goods=seats is not None,
        mapping=mapping,
        questions=questions,
        asked={question.key for question in questions},
        issues=issues[:_SHOWN],
        layouts=LAYOUTS,
        scales=SCALES,
        decimals=DECIMALS,
    )


def _take_columns(
    request: Asked, store: Store, round_id: str, said: ColumnMapping
) -> Redirect | Response[str]:
    try:
        sheet, seats, mapping, questions = _read_source(store, round_id, said)
        if questions:
            return _columns(request, store, round_id, said, 422)
        draft = spreadsheet_draft(sheet.table, mapping, seats, round_(store, round_id).title)
        files = draft.files()
    except InvalidProblemError as error:
        return _columns(request, store, round_id, said, 422, error.issues)
    upload(store, round_id, {**files, MAPPING: write_mapping(mapping)}, who(request))
    return go(f"/o/{round_id}/check")


file_routes = [
    show_files,
    send_files,
    send_spreadsheet,
    show_columns,
    take_columns,
    show_check,
    pass_check,
    correct_cells,
    show_text,
    save_text,
    discard_file,
    get_file,
    get_folder,
]
