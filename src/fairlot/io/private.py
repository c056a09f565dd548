"""Files that only their owner may read: the salts of a draw."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def write_private(path: str | Path, data: bytes) -> None:
    """Write a new file, readable by its owner alone, complete or not at all.

    Raises
    ------
    FileExistsError
        If there is something at ``path``.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
