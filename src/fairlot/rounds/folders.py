"""Rounds as folders, and back; backups.

An exported round is a folder of folders: ``problem`` (what solve read), ``design`` and ``result`` (as the
command line writes them, byte for byte), ``public`` (the result without personal tables, once published),
``private`` (salts), and beside them ``log.jsonl``, ``frozen.json`` and ``round.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.equilibrium import INPUT, json_bytes
from fairlot.io.folders import write_folder
from fairlot.io.keys import SETTINGS
from fairlot.io.menus import MENUS, PICKS
from fairlot.io.results import MANIFEST, read_result
from fairlot.io.verification import verify_files
from fairlot.lottery.protocol import Salts, Transcript
from fairlot.lottery.protocol.record import COMMITMENT_FILE, TRANSCRIPT_FILE
from fairlot.rounds.access import existing
from fairlot.rounds.drawing import SALTS
from fairlot.rounds.journal import LOG, log_lines
from fairlot.rounds.life import FROZEN_FILE, create_round, enrol, upload
from fairlot.rounds.outcomes import public_files
from fairlot.rounds.records import RefusedError
from fairlot.store import Account, Area, Kind, Round, RoundState, Store, open_store
from fairlot.store.chain import chain_faults, moment
from fairlot.store.copying import copy_all

ROUND_FILE = "round.json"
_ENDED = (RoundState.PUBLISHED, RoundState.ARCHIVED)


def export_round(store: Store, round_id: str, folder: str | Path) -> tuple[Path, ...]:
    """Write a round as a folder, in one step.

    Parameters
    ----------
    store, round_id
        The database and the round.
    folder : str or Path
        New, or empty.

    Returns
    -------
    tuple of Path
        The folders in it that ``fairlot verify`` takes.
    """
    files = export_files(store, round_id)
    write_folder(folder, files)
    names = [name for name in ("design", "result", "public") if f"{name}/{MANIFEST}" in files]
    return tuple(Path(folder) / name for name in names)


def export_files(store: Store, round_id: str) -> dict[str, bytes]:
    """Return an exported round as contents by name."""
    with store.reading() as tx:
        found = existing(tx, round_id)
        problem = tx.files(round_id, Area.FROZEN) or tx.files(round_id, Area.PROBLEM)
        parts = {
            "problem": problem,
            "design": tx.files(round_id, Area.DESIGN),
            "result": tx.files(round_id, Area.RESULT),
            "private": tx.files(round_id, Area.PRIVATE),
        }
        frozen = tx.file(round_id, Area.REPORT, FROZEN_FILE)
        log = tx.log(round_id)
    if found.state in _ENDED and COMMITMENT_FILE in parts["result"]:
        parts["public"] = public_files(parts["result"])
    files = {f"{part}/{name}": data for part, of_part in parts.items() for name, data in of_part.items()}
    files[LOG] = log_lines(log)
    files[ROUND_FILE] = json_bytes(_about(found))
    if frozen is not None:
        files[FROZEN_FILE] = frozen
    return files


def import_round(store: Store, folder: str | Path, who: Account, *, title: str = "") -> Round:
    """Make a round of a folder: a problem folder, a result folder, or an exported round.

    Parameters
    ----------
    store : Store
        The database.
    folder : str or Path
        Where from. A result must pass ``fairlot verify``.
    who : Account
        The owner of the new round, whose log begins with where it came from.
    title : str
        By default that of the problem.

    Returns
    -------
    Round
        A draft from a problem; from a design, checked; from a result, solved or drawn.

    Raises
    ------
    InvalidProblemError
        If the folder is none of these, or does not verify.
    """
    path = Path(folder)
    if (path / ROUND_FILE).is_file():
        return _import_exported(store, path, who, title)
    if (path / MANIFEST).is_file():
        files = read_result(path)
        beside = path.resolve().with_name(f"{path.resolve().name}-salts.json")
        private = {SALTS: beside.read_bytes()} if beside.is_file() else {}
        if "shares.csv" in files:
            return _import_result(store, files, {}, private, who, title)
        return _import_result(store, {}, files, private, who, title)
    return _import_problem(store, _plain_files(path), who, title)


def backup(store: Store, path: str | Path) -> None:
    """Write a copy of the database, whole while rounds go on: a file of SQLite, whatever the database is.

    Parameters
    ----------
    store : Store
        The database.
    path : str or Path
        A file that is not there yet; it holds personal data, and only its owner may read it.

    Raises
    ------
    RefusedError
        If there is something at ``path``.
    """
    target = Path(os.path.abspath(path))
    if target.exists():
        msg = f"{target} exists already: choose another name for the backup"
        raise RefusedError(msg)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place:
        draft = Path(place) / "backup.db"
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copy = open_store(f"sqlite:///{draft}")
        try:
            copy_all(store, copy)
            copy.settle()
        finally:
            copy.close()
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(target)


def restore(path: str | Path, url: str) -> Store:
    """Put a backup into an empty database, SQLite or PostgreSQL, and check every log in it.

    Parameters
    ----------
    path : str or Path
        What :func:`backup` wrote, by this version of fairlot or an earlier one.
    url : str
        Of a database that is not there yet, or empty.

    Raises
    ------
    RefusedError
        If there is no such backup, or a log in it is not whole.
    StoreError
        If the database is not empty.
    """
    source = Path(path)
    if not source.is_file():
        msg = f"{source}: no such backup"
        raise RefusedError(msg)
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place) / "backup.db"
        shutil.copyfile(source, copied)  # an older schema is brought up to date in the copy
        old = open_store(f"sqlite:///{copied}")
        try:
            with old.reading() as tx:
                for found in tx.rounds():
                    if faults := chain_faults(tx.log(found.id), found.head):
                        msg = f"the log of '{found.title}' is not whole: {faults[0]}"
                        raise RefusedError(msg)
            store = open_store(url)
            copy_all(old, store)
        finally:
            old.close()
    return store


def _about(found: Round) -> dict[str, Any]:
    return {
        "format": 1,
        "id": found.id,
        "title": found.title,
        "kind": found.kind,
        "state": found.state,
        "created": moment(found.created),
        "deadline": None if found.deadline is None else moment(found.deadline),
        "settings": dict(found.settings),
        "head": found.head,
        "entries": found.entries,
    }


def _import_exported(store: Store, path: Path, who: Account, title: str) -> Round:
    try:
        about = json.loads((path / ROUND_FILE).read_bytes())
        title = title or str(about["title"])
    except (ValueError, KeyError, TypeError):
        raise InvalidProblemError([Issue("cannot be read", ROUND_FILE)]) from None
    result = read_result(path / "result") if (path / "result" / MANIFEST).is_file() else {}
    design = read_result(path / "design") if (path / "design" / MANIFEST).is_file() else {}
    if not result and not design:
        return _import_problem(store, _plain_files(path / "problem"), who, title)
    private = _plain_files(path / "private") if (path / "private").is_dir() else {}
    return _import_result(store, result, design, private, who, title)


def _import_problem(store: Store, files: Mapping[str, bytes], who: Account, title: str) -> Round:
    made = create_round(store, title or _named(files) or "Imported round", _kind(files), who)
    upload(store, made.id, files, who)
    with store.reading() as tx:
        return existing(tx, made.id)


def _import_result(
    store: Store,
    result: Mapping[str, bytes],
    design: Mapping[str, bytes],
    private: Mapping[str, bytes],
    who: Account,
    title: str,
) -> Round:
    main = result or design
    salts = private.get(SALTS)
    if not (checked := verify_files(main, salts=salts)).passed:
        raise InvalidProblemError(
            Issue(f"does not verify: {check.name}", found=check.witness or f"{check.residual:g}")
            for check in checked.failed
        )
    inputs = {name.removeprefix(INPUT): data for name, data in main.items() if name.startswith(INPUT)}
    kind = _kind(inputs)
    made = create_round(store, title or _named(inputs) or "Imported round", kind, who)
    with store.writing() as tx:
        tx.put_files(made.id, Area.PROBLEM, inputs)
        if design:
            tx.put_files(made.id, Area.DESIGN, design)
        if result:
            chosen = {name: result[name] for name in (MENUS, PICKS) if name in result}
            tx.put_files(made.id, Area.FROZEN, {**inputs, **chosen})
            tx.put_files(made.id, Area.RESULT, result)
            enrol(tx, made.id, inputs, kind)
        if result and salts is not None:
            Salts.from_json(salts)
            tx.put_files(made.id, Area.PRIVATE, {SALTS: salts})
        state = _state(result)
        tx.set_round(made.id, state=state)
        detail = {"state": state, "sha256": tx.fingerprint(made.id, Area.RESULT if result else Area.DESIGN)}
        tx.append(made.id, who.name, "imported", detail)
        return existing(tx, made.id)


def _state(result: Mapping[str, bytes]) -> RoundState:
    if not result:
        return RoundState.CHECKED
    drawn = TRANSCRIPT_FILE in result and Transcript.from_json(result[TRANSCRIPT_FILE]).drawn
    return RoundState.DRAWN if drawn else RoundState.SOLVED


def _plain_files(path: Path) -> dict[str, bytes]:
    if not (path / SETTINGS).is_file() and path.name != "private":
        expected = "a problem folder, a result folder, or an exported round"
        raise InvalidProblemError([Issue("not a folder of fairlot", str(path), expected=expected)])
    return {
        file.name: file.read_bytes()
        for file in sorted(path.iterdir())
        if file.is_file() and not file.name.startswith((".", "~$"))
    }


def _settings(files: Mapping[str, bytes]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(files[SETTINGS].decode("utf-8-sig"))
    except (KeyError, ValueError, RecursionError):
        return {}


def _named(files: Mapping[str, bytes]) -> str:
    title = _settings(files).get("title", "")
    return title.strip() if isinstance(title, str) else ""


def _kind(files: Mapping[str, bytes]) -> Kind:
    try:
        return Kind(str(_settings(files).get("kind")))
    except ValueError:
        expected = " or ".join(Kind)
        raise InvalidProblemError([Issue("kind", SETTINGS, expected=expected)]) from None
