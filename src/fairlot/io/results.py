"""Result folders: complete or absent, and sealed by the SHA-256 of every file.

A folder is written beside its final place and moved there in one step, so that whoever looks, or pulls
the plug, finds either nothing or all of it. Replacing swaps the two folders in one step where the system
can (Linux, macOS).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairlot.errors import FairlotError

MANIFEST = "manifest.json"


class ResultFolderError(FairlotError, ValueError):
    """A result folder is not there, is there already, or is not what its manifest says."""


def write_result(folder: str | Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a result folder in one step.

    Parameters
    ----------
    folder : str or Path
        Where to; its parent must exist.
    files : mapping
        Contents by name; names may hold folders (``input/goods.csv``). The manifest is added.
    force : bool
        Replace an existing result folder, in one step.

    Raises
    ------
    ResultFolderError
        If there is something at ``folder``, unless it is a result folder and ``force`` is set.
    """
    target = Path(os.path.abspath(folder))
    refuse(target, force)
    sealed = {**files, MANIFEST: manifest(files)}
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    draft.mkdir()
    try:
        for name, data in sealed.items():
            _write(draft, name, data)
        for path in (draft, *(p for p in draft.rglob("*") if p.is_dir())):
            _sync(path)
        refuse(target, force)
        if target.exists():
            _swap(draft, target)
        else:
            draft.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse(folder: str | Path, force: bool) -> None:
    """Refuse to touch what is at ``folder``, unless it is a result folder and ``force`` is set.

    Raises
    ------
    ResultFolderError
        Saying why, and what to do instead.
    """
    target = Path(os.path.abspath(folder))
    if not target.parent.is_dir():
        msg = f"{target.parent}: no such folder to write '{target.name}' in"
        raise ResultFolderError(msg)
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        msg = f"{target}: exists already; choose another name, or replace it with --force (force=True)"
        raise ResultFolderError(msg)
    if target.is_symlink() or not (target / MANIFEST).is_file():
        msg = f"{target}: is no result folder, so it is not replaced; choose another name"
        raise ResultFolderError(msg)


def read_result(folder: str | Path) -> dict[str, bytes]:
    """Read every file of a result folder, the manifest included; hidden files are passed over.

    Raises
    ------
    ResultFolderError
        If there is no result folder.
    """
    root = Path(folder)
    if not (root / MANIFEST).is_file():
        msg = f"{root}: no result folder (it has no {MANIFEST})"
        raise ResultFolderError(msg)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("[!.~]*"))
        if path.is_file()
    }


def add_to_result(folder: str | Path, files: Mapping[str, bytes], remove: Iterable[str] = ()) -> None:
    """Add files to a result folder, or replace or remove some, in one step.

    Parameters
    ----------
    folder : str or Path
        A result folder.
    files : mapping
        Contents by name.
    remove : iterable of str
        Names of files to leave out.

    Raises
    ------
    ResultFolderError
        If the folder is not what its manifest says: a change by hand must not get a fresh seal.
    """
    present = read_result(folder)
    faults = manifest_faults(present)
    if faults:
        msg = "\n".join(f"{folder}: {fault}" for fault in faults)
        raise ResultFolderError(msg)
    gone = {MANIFEST, *remove}
    kept = {name: data for name, data in present.items() if name not in gone}
    write_result(folder, {**kept, **files}, force=True)


def manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of some files, their SHA-256 by name, as canonical JSON."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != MANIFEST}
    document = {"format": 1, "files": hashes}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def manifest_faults(files: Mapping[str, bytes]) -> list[str]:
    """Say how the files of a result folder differ from its manifest; nothing if they do not."""
    try:
        listed = json.loads(files[MANIFEST])["files"]
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return [f"{MANIFEST} cannot be read"]
    found = json.loads(manifest(files))["files"]
    return [
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in {MANIFEST}" for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} has changed since it was written"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
    ]


def _write(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system has that notion."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(draft: Path, target: Path) -> None:
    """Put the draft in the target's place and the old target in the draft's."""
    library: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    here, there = os.fsencode(draft), os.fsencode(target)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        at_cwd, exchange = -100, 2
        done = library.renameat2(at_cwd, here, at_cwd, there, exchange) == 0
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        done = library.renamex_np(here, there, 2) == 0
    else:
        done = False
    if not done:
        # No exchange on this system: the old folder steps aside, complete under another name, first.
        aside = draft.with_suffix(".replaced")
        target.rename(aside)
        draft.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
