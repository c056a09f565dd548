"""A problem folder while it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlot.errors import Issue
from fairlot.io.keys import SETTINGS, Keys
from fairlot.io.tables import Table, decode, read_table


@dataclass(eq=False)
class Source:
    """Hands out its tables, collects faults, remembers what was read.

    Parameters
    ----------
    folder : Path
        The folder.
    issues : list of Issue
        Faults found so far.
    tables : dict
        Tables read so far, by their section of ``problem.toml``.
    """

    folder: Path
    issues: list[Issue] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)

    def settings(self) -> Mapping[str, Any] | None:
        """Parse ``problem.toml``; None if that is not possible."""
        try:
            data = (self.folder / SETTINGS).read_bytes()
        except OSError as error:
            expected = f"a folder with a {SETTINGS} (fairlot new makes one)"
            reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
            self.issues.append(Issue(reason, str(self.folder / SETTINGS), expected=expected))
            return None
        text = decode(data, SETTINGS, self.issues)
        if text is None:
            return None
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            self.issues.append(Issue(f"not TOML: {error}", SETTINGS))
            return None

    def table(self, section: str, keys: Keys) -> Table | None:
        """Read the table that the section's key ``file`` names."""
        file = keys.text("file")
        table = read_table(self.folder, file, self.issues) if file else None
        if table is not None:
            self.tables[section] = table
        return table
