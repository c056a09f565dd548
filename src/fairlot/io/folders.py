"""Folders that appear in one step.

A folder is written beside its final place and moved there in one step, so that whoever looks, or pulls
the plug, finds either nothing or all of it. Replacing swaps the two folders in one step where the system
can (Linux, macOS).
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairlot.errors import InvalidProblemError, Issue

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file in one step, in the place of one that is there.

    Parameters
    ----------
    path : str or Path
        Where to; its folder must exist.
    data : bytes
        Contents.
    """
    target = Path(os.path.abspath(path))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        draft.write_bytes(data)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def write_folder(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files as a folder that is new, or empty so far.

    Parameters
    ----------
    folder : str or Path
        Where to; parents are made.
    files : mapping
        Contents by name.

    Raises
    ------
    InvalidProblemError
        If the folder holds something already.
    """
    target = Path(os.path.abspath(folder))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidProblemError([Issue("exists already", str(folder), expected="a new or empty folder")])
    target.parent.mkdir(parents=True, exist_ok=True)
    place_folder(target, files)


def place_folder(target: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Write a folder and move it to its place in one step.

    Parameters
    ----------
    target : Path
        Absolute; its parent exists.
    files : mapping
        Contents by name; names may hold folders (``input/goods.csv``).
    replace : bool
        Take the place of a folder that is there. Without it only an empty one gives way.

    Raises
    ------
    OSError
        If that is not possible; nothing has changed then.
    """
    with drafted_folder(target, replace=replace) as draft:
        for name, data in files.items():
            _write(draft / name, data)


@contextmanager
def drafted_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder to write in, and move it to its place in one step when all is written.

    Parameters
    ----------
    target, replace
        As for :func:`place_folder`.
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    draft.mkdir()
    try:
        yield draft
        for path in (draft, *(p for p in draft.rglob("*") if p.is_dir())):
            _sync(path)
        if replace and target.exists():
            _swap(draft, target)
        else:
            draft.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out, where the system locks files."""
    if fcntl is None or not folder.is_dir():
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, data: bytes) -> None:
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
