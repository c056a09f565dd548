"""Result folders: complete or absent, and sealed by the SHA-256 of every file.

See :mod:`fairlot.io.folders` for the one step in which a folder appears, or replaces another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairlot.errors import FairlotError
from fairlot.io.folders import one_at_a_time, place_folder

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
    place_folder(target, {**files, MANIFEST: manifest(files)}, replace=force)


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
    names = {path: path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for path, name in names.items()
        if not any(part.startswith((".", "~$")) for part in name.parts)
    }


def add_to_result(
    folder: str | Path,
    files: Mapping[str, bytes],
    remove: Iterable[str] = (),
    *,
    since: Mapping[str, bytes] | None = None,
) -> None:
    """Add files to a result folder, or replace or remove some, in one step.

    Parameters
    ----------
    folder : str or Path
        A result folder.
    files : mapping
        Contents by name.
    remove : iterable of str
        Names of files to leave out.
    since : mapping, optional
        The files that this change was worked out from, as :func:`read_result` gave them.

    Raises
    ------
    ResultFolderError
        If the folder is not what its manifest says: a change by hand must not get a fresh seal. Or if
        it is not ``since`` any more: another command was faster.
    """
    with one_at_a_time(Path(os.path.abspath(folder)).parent):
        present = read_result(folder)
        faults = manifest_faults(present)
        if faults:
            msg = "\n".join(f"{folder}: {fault}" for fault in faults)
            raise ResultFolderError(msg)
        if since is not None and dict(since) != present:
            msg = f"{folder}: another command has changed it meanwhile; look at it and try again"
            raise ResultFolderError(msg)
        gone = {MANIFEST, *remove}
        kept = {name: data for name, data in present.items() if name not in gone}
        write_result(folder, {**kept, **files}, force=True)


def manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of some files, their SHA-256 by name, as canonical JSON."""
    return manifest_of(
        {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != MANIFEST}
    )


def manifest_of(hashes: Mapping[str, str]) -> bytes:
    """Return the manifest of files of which the SHA-256 is known."""
    document = {"format": 1, "files": dict(hashes)}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def manifest_faults(files: Mapping[str, bytes]) -> list[str]:
    """Say how the files of a result folder differ from its manifest; nothing if they do not."""
    try:
        listed = json.loads(files[MANIFEST])["files"]
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return [f"{MANIFEST} cannot be read"]
    return hash_faults(expected, json.loads(manifest(files))["files"])


def hash_faults(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say how the SHA-256 of files differ from those that a manifest lists."""
    return [
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in {MANIFEST}" for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} has changed since it was written"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
    ]
