"""Personal tables: what each agent entered, committed to so that only she and the auditor can open it.

The tables of ``input/`` that have a column ``agent`` say who wants what. A published hash of such a table, or
of one agent's rows, could be reversed by trying every likely content; so what is published is

    SHA-256(salt ‖ bytes),

with a salt of 32 random bytes for each table and for each agent. The bytes of an agent are the canonical
JSON of ``{"agent": id, "tables": {name: [header, row, ...]}}``, her rows in file order, cells as they
stand in the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping

from fairlot.verify.draw import HASHES, Fault, canonical, commitments, need, read

SALTS = {"format": 1, "draw": str, "agents": HASHES, "files": HASHES}
"""Shape of the private file of salts: of each agent and of each table, in hexadecimal."""


def is_personal(name: str, data: bytes) -> bool:
    """Tell whether a file of a result is a table of input with a column ``agent``."""
    if not name.startswith("input/") or not name.endswith(".csv"):
        return False
    try:
        return "agent" in next(csv.reader(io.StringIO(data.decode(errors="replace"), newline="")), ())
    except csv.Error:
        return True  # rather hidden than published; whoever reads its rows will refuse it


def salted(salt: str, data: bytes) -> str:
    """Return the SHA-256 of a salt, in hexadecimal, and the data it hides."""
    return hashlib.sha256(bytes.fromhex(salt) + data).hexdigest()


def agent_rows(tables: Mapping[str, bytes]) -> dict[str, bytes]:
    r"""Gather each agent's rows of the personal tables as canonical bytes.

    Parameters
    ----------
    tables : mapping of str to bytes
        CSV tables by name, each with a column ``agent``.

    Returns
    -------
    dict of str to bytes
        By agent, in ascending order.

    Raises
    ------
    fairlot.verify.draw.Fault
        If a table cannot be read.

    Examples
    --------
    >>> agent_rows({"input/values.csv": b"agent,good,value\nann,art,2\n"})
    {'ann': b'{"agent":"ann","tables":{"input/values.csv":[["agent","good","value"],["ann","art","2"]]}}\n'}
    """
    rows: dict[str, dict[str, list[list[str]]]] = {}
    for name in sorted(tables):
        try:
            header, *records = csv.reader(io.StringIO(tables[name].decode(), newline=""), strict=True)
            column = header.index("agent")
        except (ValueError, csv.Error):
            raise Fault(f"{name} is not a CSV table with a column agent") from None
        for record in records:
            need(len(record) == len(header), f"{name}: a row of another length than the header")
            agent = re.sub(r"^'(?='*[=+\-@])", "", record[column])  # as fairlot.io.tables.unescape
            rows.setdefault(agent, {}).setdefault(name, [header]).append(record)
    return {agent: canonical({"agent": agent, "tables": rows[agent]}) for agent in sorted(rows)}


def check_personal(files: Mapping[str, bytes], salts: bytes | None) -> str:
    """Open the personal tables with their salts, and the agents' rows in them.

    Parameters
    ----------
    files : mapping of str to bytes
        The files of a result.
    salts : bytes, optional
        The organiser's private file.

    Returns
    -------
    str
        What could not be opened; empty if there was nothing left to open.

    Raises
    ------
    fairlot.verify.draw.Fault
        If something does not open.
    """
    notes: set[str] = set()
    for _, document in commitments(files):
        frozen = document["frozen"]
        tables = {name: files[name] for name, _ in frozen["personal"] if name in files}
        if salts is None:
            notes.update(name for name, _ in frozen["personal"])
            continue
        opened = read({"salts.json": salts}, "salts.json", SALTS)
        need(opened["draw"] == frozen["draw"], "the salts are of another draw")
        of_table, of_agent = dict(opened["files"]), dict(opened["agents"])
        for name, digest in frozen["personal"]:
            if name in tables:
                need(name in of_table, f"no salt for {name}")
                need(salted(of_table[name], tables[name]) == digest, f"{name} has changed")
            else:
                notes.add(name)
        if len(tables) < len(frozen["personal"]):
            continue
        rows = agent_rows(tables)
        need(list(rows) == [agent for agent, _ in frozen["agents"]], "rows of other agents than were frozen")
        for agent, digest in frozen["agents"]:
            need(agent in of_agent, f"no salt for agent {agent}")
            need(
                salted(of_agent[agent], rows[agent]) == digest, f"agent {agent}: other rows than were frozen"
            )
    return f"not opened: {', '.join(sorted(notes))}" if notes else ""
