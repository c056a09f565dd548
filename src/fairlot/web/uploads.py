"""What an organiser sends: files, workbooks and archives, none of which may fill the memory or the disk.

How large a part of an archive says it is does not count; it is unpacked, and no further than the limit.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from litestar.datastructures import UploadFile

from fairlot.errors import InvalidProblemError, Issue

LARGEST_BODY = 64 << 20
"""Bytes of a request that carries files."""
LARGEST = 256 << 20
"""Bytes that one upload may hold once unpacked."""
MOST_FILES = 500
_CHUNK = 1 << 20
_NAME = re.compile(r"[\w .()+,&#@=~-]{1,120}")
_ARCHIVES = (".zip",)
_WORKBOOKS = (".xlsx", ".xlsm", ".ods")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, OSError, RuntimeError, ValueError)


def received(files: Iterable[UploadFile]) -> dict[str, bytes]:
    """Read what a form sent.

    Parameters
    ----------
    files : iterable of UploadFile
        Files; one that was left out has no name.

    Returns
    -------
    dict of str to bytes
        Contents by name; archives are unpacked.

    Raises
    ------
    InvalidProblemError
        Listing what cannot be taken.
    """
    return unpacked([(file.filename, file.file.read()) for file in files if file.filename])


def unpacked(files: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Take archives apart and check workbooks; each name once.

    Parameters
    ----------
    files : iterable of (str, bytes)
        Names and contents.

    Raises
    ------
    InvalidProblemError
        Listing what cannot be taken.
    """
    issues: list[Issue] = []
    found: list[tuple[str, bytes]] = []
    left = LARGEST
    for name, data in files:
        plain = PurePosixPath(name.replace("\\", "/")).name
        if plain.lower().endswith(_ARCHIVES):
            parts = _parts(plain, data, left, issues)
            found += [(part, content) for part, content in parts.items()]
            left -= sum(map(len, parts.values()))
        else:
            found.append((plain, data))
    for name, data in found:
        if not all(_NAME.fullmatch(part) and part[0] != "." for part in name.split("/")):
            expected = "letters, digits and usual signs, at most 120"
            issues.append(Issue("name of a file", found=name, expected=expected))
        if name.lower().endswith(_WORKBOOKS):
            _parts(name, data, left, issues)
    named: dict[str, bytes] = {}
    for name, data in found:
        if name in named:
            issues.append(Issue("sent twice", name, expected="each file once"))
        named[name] = data
    if not named and not issues:
        issues.append(Issue("no file was sent", expected="at least one file"))
    if issues:
        raise InvalidProblemError(issues)
    return named


def packed(files: Mapping[str, bytes]) -> bytes:
    """Write files as an archive; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _parts(name: str, data: bytes, limit: int, issues: list[Issue]) -> dict[str, bytes]:
    """Unpack an archive of plain files."""
    workbook = name.lower().endswith(_WORKBOOKS)
    parts: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) > MOST_FILES:
                raise ValueError(f"{len(members)} files, more than {MOST_FILES}")
            for member in members:
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if not workbook and (path.parts[:1] == ("__MACOSX",) or path.name.startswith(".")):
                    continue  # what a file manager adds
                kind = stat.S_IFMT(member.external_attr >> 16)
                if path.is_absolute() or ".." in path.parts or kind not in (0, stat.S_IFREG):
                    raise ValueError(f"{member.filename!r} is not a plain file of this folder")
                if str(path) in parts:
                    raise ValueError(f"{str(path)!r} is in it twice")
                content = _unpack(archive, member, limit)
                limit -= len(content)
                parts[str(path)] = content
    except _BROKEN as error:
        issues.append(Issue(f"cannot be unpacked: {error}", name, expected="an undamaged file"))
    return parts if workbook else _within(parts)


def _within(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the folder that everything is in, if there is one."""
    tops = {name.partition("/")[0] for name in parts}
    if len(tops) == 1 and all("/" in name for name in parts):
        return _within({name.partition("/")[2]: content for name, content in parts.items()})
    return parts


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    said, member.file_size = member.file_size, limit + 1  # read on to the end, whatever it says of itself
    content = bytearray()
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK):
            content += chunk
            if len(content) > limit:
                raise ValueError(f"more than {LARGEST} bytes unpacked")
    if len(content) != said:
        raise ValueError(f"{member.filename!r} is not as large as it says")
    return bytes(content)
