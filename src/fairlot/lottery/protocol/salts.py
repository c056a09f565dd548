"""The salts that keep published hashes of preferences from being reversed (:mod:`fairlot.verify.personal`).

The organiser keeps them in a private file, and gives each agent hers, with which she can open her own row of
the commitment and nobody else's.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from fairlot.lottery.protocol.canonical import canonical_json
from fairlot.lottery.protocol.seeds import DrawRefusedError
from fairlot.verify.draw import Fault, read
from fairlot.verify.personal import SALTS, agent_rows, is_personal

SALT_BYTES = 32


def personal_tables(files: Mapping[str, bytes]) -> dict[str, bytes]:
    r"""Return the tables of a result's input that say who wants what.

    Examples
    --------
    >>> list(personal_tables({"input/values.csv": b"agent,good\n", "prices.csv": b"good,price\n"}))
    ['input/values.csv']
    """
    return {name: files[name] for name in sorted(files) if is_personal(name, files[name])}


def rows_of_agents(tables: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what each agent's row of the commitment hashes, after her salt.

    Raises
    ------
    DrawRefusedError
        If a table cannot be read.
    """
    try:
        return agent_rows(tables)
    except Fault as fault:
        raise DrawRefusedError(str(fault)) from None


@dataclass(frozen=True)
class Salts:
    """A salt for each agent and for each personal table, in hexadecimal.

    Parameters
    ----------
    draw : str
        The draw they belong to.
    agents, files : mapping of str to str
        Salts by agent and by name of table.
    """

    draw: str
    agents: Mapping[str, str]
    files: Mapping[str, str]

    def to_json(self) -> bytes:
        """Write the private file."""
        lists = {key: [list(pair) for pair in sorted(value.items())] for key, value in self._parts().items()}
        return canonical_json({"format": 1, "draw": self.draw, **lists})

    @classmethod
    def from_json(cls, data: bytes) -> Salts:
        """Read the private file.

        Raises
        ------
        DrawRefusedError
            If it is none.
        """
        try:
            document = read({"the file of salts": data}, "the file of salts", SALTS)
        except Fault as fault:
            raise DrawRefusedError(str(fault)) from None
        return cls(document["draw"], dict(document["agents"]), dict(document["files"]))

    def _parts(self) -> dict[str, Mapping[str, str]]:
        return {"agents": self.agents, "files": self.files}


def new_salts(draw_id: str, files: Mapping[str, bytes]) -> Salts:
    """Draw salts from the operating system for the personal tables of a result.

    Parameters
    ----------
    draw_id : str
        The name of the draw.
    files : mapping of str to bytes
        The files of a result by name.
    """
    tables = personal_tables(files)
    rows = rows_of_agents(tables)
    return Salts(
        draw_id,
        {agent: secrets.token_hex(SALT_BYTES) for agent in rows},
        {name: secrets.token_hex(SALT_BYTES) for name in tables},
    )
