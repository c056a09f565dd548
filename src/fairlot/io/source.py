"""A problem folder while it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlot.errors import Issue
from fairlot.io.keys import SETTINGS, Keys
from fairlot.io.tables import Table, decode, read_file, read_table


@dataclass(eq=False)
class Source:
    """Hands out its tables, collects faults, remembers what was read.

    Parameters
    ----------
    read : callable
        Gives the bytes of a file by its path inside the folder, or raises OSError.
    issues : list of Issue
        Faults found so far.
    tables : dict
        Tables read so far, by their section of ``problem.toml``.
    """

    read: Callable[[str], bytes]
    issues: list[Issue] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path) -> Source:
        """Read from a folder on disk."""
        return cls(lambda name: (folder / name).read_bytes())

    @classmethod
    def of_files(cls, files: Mapping[str, bytes]) -> Source:
        """Read from contents by name."""

        def read(name: str) -> bytes:
            if name not in files:
                raise FileNotFoundError(name)
            return files[name]

        return cls(read)

    def settings(self) -> Mapping[str, Any] | None:
        """Parse ``problem.toml``; None if that is not possible."""
        expected = f"a folder with a {SETTINGS} (fairlot new makes one)"
        data = read_file(self.read, SETTINGS, self.issues, expected)
        text = None if data is None else decode(data, SETTINGS, self.issues)
        if text is None:
            return None
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            self.issues.append(Issue(f"not TOML: {error}", SETTINGS))
            return None

    def table(self, section: str, keys: Keys) -> Table | None:
        """Read the table that the section's key ``file`` names."""
        file = keys.text("file")
        table = read_table(self.read, file, self.issues) if file else None
        if table is not None:
            self.tables[section] = table
        return table
