"""Hostile input, made from good input by choices: hypothesis, atheris or a generator makes the choices.

The list is that of the quality page: byte-order marks, UTF-16, duplicate headers, ragged rows, duplicate and
unknown ids, empty files, NaN, infinity, 1e300, negative capacities, ten thousand columns, formulas; and bytes
from nowhere.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Choose = Callable[[int], int]
"""Gives a number from 0 up to, not including, its argument."""
T = TypeVar("T")

TOKENS = (
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "1e300",
    "1e309",
    "-1",
    "0",
    "1.5",
    "1,5",
    "1_000",
    "٣",
    "1e15",
    "2147483648",
    "9" * 40,
    "999999999",
    "=1+1",
    "=HYPERLINK(1)",
    "'=x",
    "'",
    "+1",
    "@x",
    '"',
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\ufeff",
    "é" * 3,
    "x" * 5000,
    "*",
    "all",
    "true",
    "null",
    "[]",
    "{}",
    "MWF",
    "25:61",
    "a=1;b",
    "low",
    "<script>",
)
ODD_BYTES = (
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\r",
    b"\n\n",
    b'"',
    b"'",
    b",",
    b";",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"{",
    b"[",
    b"9" * 30,
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 10**30, -(10**18), 1e300, float("nan"), float("inf"), "", " ", "x",
    "all", "nan", "\x00", "\ud7ff", [], [[]], [None], ["x", "x"], {}, {"": 0}, {"x": {"x": []}}, [[1, 2, 3]],
    "9" * 50,
)  # fmt: skip


def pick(choose: Choose, options: Sequence[T]) -> T:
    """Choose one of the options."""
    return options[choose(len(options))]


def mangled_bytes(choose: Choose, data: bytes) -> bytes:
    """Put something else in the place of a few bytes, or change how the whole is encoded."""
    match choose(9):
        case 0:
            return b""
        case 1:
            return data[: choose(len(data) + 1)]
        case 2:
            return b"\xef\xbb\xbf" + data
        case 3:
            return data.decode("latin-1").encode("utf-16")
        case 4:
            return data.replace(b"\n", b"\r\n")
        case 5:
            return bytes(choose(256) for _ in range(choose(40)))
        case _:
            for _ in range(1 + choose(3)):
                start = choose(len(data) + 1)
                end = min(len(data), start + choose(8))
                put = pick(choose, ODD_BYTES) if choose(2) else bytes([choose(256)])
                data = data[:start] + put + data[end:]
            return data


def decodable(data: bytes) -> bool:
    """Say whether bytes are text still: what was mangled once may be mangled again."""
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def records(data: bytes) -> list[list[str]] | None:
    """Cut CSV into rows; None of what is none any more."""
    try:
        return list(csv.reader(io.StringIO(data.decode(), newline="")))
    except (UnicodeDecodeError, csv.Error):
        return None


def mangled_rows(choose: Choose, rows: list[list[str]]) -> list[list[str]]:
    """Change cells, rows or columns of a table."""
    rows = [list(row) for row in rows] or [[""]]
    for _ in range(1 + choose(3)):
        r = choose(len(rows))
        row = rows[r] = rows[r] or [""]
        c = choose(len(row))
        match choose(13):
            case 0:
                rows.insert(choose(len(rows) + 1), list(row))
            case 1 if len(rows) > 1:
                del rows[r]
            case 2:
                row.append(pick(choose, TOKENS))
            case 3:
                del row[c]
            case 4:
                rows[0] = rows[0] + rows[0][:1]
                rows[1:] = [line + line[:1] for line in rows[1:]]
            case 5:
                width = pick(choose, (20, 200, 10_000))
                rows[0] = rows[0] + [f"c{k}" for k in range(width)]
            case 6:
                rows.insert(0, [pick(choose, TOKENS)])
            case 7:
                rows = [line[::-1] for line in rows]
            case _:
                other = pick(choose, rows)
                row[c] = pick(choose, other) if other and choose(2) else pick(choose, TOKENS)
    return rows


def hostile_csv(choose: Choose, data: bytes) -> bytes:
    """Mangle a CSV file as a table or as bytes."""
    rows = records(data)
    if choose(4) == 0 or rows is None:
        return mangled_bytes(choose, data)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=pick(choose, ",,,,;\t|"), lineterminator=pick(choose, ("\n", "\r\n")))
    writer.writerows(mangled_rows(choose, rows))
    text = out.getvalue()
    return text.encode("utf-8-sig" if choose(8) == 0 else "utf-8", errors="replace")


def hostile_text(choose: Choose, data: bytes) -> bytes:
    """Mangle a file of lines (TOML, PrefLib): words become others, lines move, bytes change."""
    if choose(4) == 0 or not decodable(data):
        return mangled_bytes(choose, data)
    lines = data.decode().split("\n")
    for _ in range(1 + choose(3)):
        k = choose(len(lines))
        match choose(5):
            case 0:
                lines.insert(choose(len(lines) + 1), lines[k])
            case 1 if len(lines) > 1:
                del lines[k]
            case _:
                words = re.split(r"(\W+)", lines[k])
                words[choose(len(words))] = pick(choose, TOKENS)
                lines[k] = "".join(words)
    return "\n".join(lines).encode(errors="replace")


def hostile_json(choose: Choose, data: bytes) -> bytes:
    """Mangle a JSON document: values of another kind, keys gone or new, bytes changed."""
    if choose(4) == 0:
        return mangled_bytes(choose, data)
    try:
        document = json.loads(data)
    except ValueError:  # mangled before
        return mangled_bytes(choose, data)
    for _ in range(1 + choose(2)):
        document = _changed(choose, document)
    text = json.dumps(document, ensure_ascii=bool(choose(2)), sort_keys=True, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"


def _changed(choose: Choose, value: Any) -> Any:
    """Change something within a document: go down now and then, else here."""
    if isinstance(value, dict) and value and choose(5):
        key = pick(choose, sorted(value))
        match choose(6):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {**value, pick(choose, TOKENS): value[key]}
            case _:
                return {**value, key: _changed(choose, value[key])}
    if isinstance(value, list) and value and choose(5):
        k = choose(len(value))
        match choose(6):
            case 0:
                return value[:k] + value[k + 1 :]
            case 1:
                return [*value, value[k]]
            case _:
                return [*value[:k], _changed(choose, value[k]), *value[k + 1 :]]
    return pick(choose, VALUES)


def hostile_xlsx(choose: Choose, data: bytes) -> bytes:
    """Mangle a workbook: the archive, a part of it, or the place and kind of cells."""
    if choose(4) == 0 or not zipfile.is_zipfile(io.BytesIO(data)):
        return mangled_bytes(choose, data)
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = pick(choose, sorted(parts))
    sheet = "xl/worksheets/sheet1.xml"
    match choose(6):
        case 0:
            del parts[name]
        case 1:
            parts[name] = mangled_bytes(choose, parts[name])
        case 2:
            place = pick(
                choose, (b'"XFD1048576"', b'"A99999999"', b'"ZZZ1"', b'"A0"', b'""', b'"1A"', b'"B2"')
            )
            parts[sheet] = re.sub(
                rb'(?<= r=)"[A-Z]+[0-9]+"', lambda _: place, parts[sheet], count=1 + choose(3)
            )
        case 3:
            kind = pick(choose, (b"e", b"b", b"d", b"s", b"n", b"str", b"x"))
            parts[sheet] = parts[sheet].replace(b't="inlineStr"', b't="' + kind + b'"')
        case 4:
            parts[sheet] = parts[sheet].replace(b"<v>", b"<v>" + pick(choose, TOKENS).encode(), 1 + choose(3))
        case _:
            entity = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
            parts[name] = entity + parts[name].replace(b"</t>", b"&b;</t>", 1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", pick(choose, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as book:
        for part, content in parts.items():
            book.writestr(part, content)
    return out.getvalue()


def hostile_file(choose: Choose, name: str, data: bytes) -> bytes:
    """Mangle a file as its ending says."""
    mangle = {
        ".csv": hostile_csv,
        ".toml": hostile_text,
        ".json": hostile_json,
        ".xlsx": hostile_xlsx,
        ".parquet": mangled_bytes,
    }.get(f".{name.rpartition('.')[2]}", hostile_text)
    return mangle(choose, data)


def hostile_files(choose: Choose, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Mangle one or two files of a folder, or take one away."""
    changed = dict(files)
    for _ in range(1 + choose(2)):
        name = pick(choose, sorted(changed))
        if choose(12) == 0 and len(changed) > 1:
            del changed[name]
        else:
            changed[name] = hostile_file(choose, name, changed[name])
    return changed
