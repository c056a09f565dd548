"""Partitioned problem folders: the agents of a pseudo-market in many files, each read where it is needed.

In ``problem.toml`` the ``file`` of ``[agents]`` and of ``[values]`` is a folder instead of a table. Both
hold files of the same names, a *part* each, in the order of the names: ``agents/0007.parquet`` lists some of
the agents, ``values/0007.parquet`` what these accept. A part is read like a folder of its own. Rules that
name agents, by ids or attributes, bind those of them who are in the part; in other parts there may be more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.folders import drafted_folder
from fairlot.io.keys import SETTINGS, as_text, write_toml
from fairlot.io.problem import parse_problem
from fairlot.io.source import Source
from fairlot.io.tables import Table, read_table
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.sharded.part import Load

_CUT = ("agents", "values")
"""Sections whose table may be a folder of parts."""


@dataclass(frozen=True)
class Partition:
    """A problem folder whose agents are in parts.

    Parameters
    ----------
    folder : Path
        The problem folder.
    agents, values : str
        Folders of the parts, inside it.
    names : tuple of str
        Files of the parts, ascending; in either folder.
    shared : tuple of str
        The other files of the problem: ``problem.toml`` and the table of goods.
    """

    folder: Path
    agents: str
    values: str
    names: tuple[str, ...]
    shared: tuple[str, ...]

    def loads(self) -> list[Load]:
        """Return what loads each part, on whatever worker sees the folder."""
        return [partial(read_part, self.folder, name) for name in self.names]


def read_partition(folder: str | Path) -> Partition | None:
    """Tell the parts of a problem folder; None if it is an ordinary one, or none that can be read.

    Parameters
    ----------
    folder : str or Path
        A problem folder.

    Raises
    ------
    InvalidProblemError
        If the parts of agents and values do not have the same names.
    """
    root = Path(folder).absolute()
    settings = Source.of_folder(root).settings() if (root / SETTINGS).is_file() else None
    files = {section: _file(settings, section) for section in (*_CUT, "goods")}
    cut = [section for section in _CUT if files[section] and (root / files[section]).is_dir()]
    if not cut or settings is None:
        return None
    issues = []
    if settings.get("kind") != "pseudomarket":
        found = str(settings.get("kind"))
        issues.append(Issue("parts of agents", SETTINGS, None, "kind", found, '"pseudomarket" for this'))
    issues += [
        Issue("no folder of parts", SETTINGS, None, "file", files[section], f"a folder, as for {cut[0]}")
        for section in _CUT
        if section not in cut
    ]
    names = {section: _names(root / files[section]) for section in cut}
    for section in cut:
        expected = "a part of this name for agents and for values"
        for other in set().union(*names.values()) - names[section]:
            issues.append(Issue("no such part", f"{files[section]}/{other}", expected=expected))
        if not names[section]:
            issues.append(Issue("no parts", files[section], expected="at least one table"))
    if issues:
        raise InvalidProblemError(sorted(issues, key=str))
    shared = (SETTINGS, *([files["goods"]] if files["goods"] else []))
    return Partition(root, files["agents"], files["values"], tuple(sorted(names["agents"])), shared)


def read_part(folder: Path, name: str) -> PseudoMarket:
    """Read one part: its agents, and everything of the market that is no agent's.

    Parameters
    ----------
    folder : Path
        A partitioned problem folder.
    name : str
        File of the part.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.
    """
    market, _ = parse_problem(_PartSource(folder, name))
    if not isinstance(market, PseudoMarket):
        raise TypeError(market)
    return market


def partition_problem(folder: str | Path, out: str | Path, n_parts: int) -> Partition:
    """Cut an ordinary problem folder into parts of consecutive agents, as Parquet files.

    Parameters
    ----------
    folder : str or Path
        The problem folder of a pseudo-market; values in long layout.
    out : str or Path
        Folder to write.
    n_parts : int
        How many parts, at least 1 and at most one per agent.

    Raises
    ------
    InvalidProblemError
        If the folder cannot be read or cut, or ``out`` exists.
    """
    source = Source.of_folder(Path(folder))
    _, settings = parse_problem(source)
    agents, values = (source.tables.get(section) for section in _CUT)
    if agents is None or values is None or settings["values"].get("layout", "long") != "long":
        expected = "a pseudo-market with values in long layout"
        raise InvalidProblemError([Issue("cannot be cut", SETTINGS, expected=expected)])
    if not 1 <= n_parts <= len(agents.rows):
        expected = f"1 to {len(agents.rows)}, the number of agents"
        raise InvalidProblemError([Issue("number of parts", found=str(n_parts), expected=expected)])
    target = Path(out).absolute()
    if target.exists():
        raise InvalidProblemError([Issue("exists already", str(out), expected="a new folder")])
    part_of = {
        agent: k * n_parts // len(agents.rows) for k, agent in enumerate(agents["agent"])
    }  # consecutive, about equally many
    cut = {**settings, **{section: {**settings[section], "file": section} for section in _CUT}}
    goods = settings["goods"]["file"]
    with drafted_folder(target) as draft:
        (draft / SETTINGS).write_bytes(write_toml(cut))
        (draft / goods).parent.mkdir(parents=True, exist_ok=True)
        (draft / goods).write_bytes((Path(folder) / goods).read_bytes())
        for section, table in (("agents", agents), ("values", values)):
            (draft / section).mkdir()
            home = np.array([part_of[agent] for agent in table["agent"]])
            for k in range(n_parts):
                rows = np.flatnonzero(home == k).tolist()
                columns = {name: [table[name][row] for row in rows] for name in table.columns}
                _write_parquet(columns, draft / section / f"{k:05d}.parquet")
    found = read_partition(target)
    if found is None:
        raise TypeError(target)
    return found


def _write_parquet(columns: Mapping[str, list[str]], path: Path) -> None:
    import polars as pl

    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(path)


def _file(settings: Mapping[str, Any] | None, section: str) -> str:
    """Return the ``file`` of a section, if it is a name inside the folder; "" otherwise."""
    keys = None if settings is None else settings.get(section)
    name = keys.get("file") if isinstance(keys, Mapping) else None
    if not isinstance(name, str) or not name.strip():
        return ""
    path = Path(name.strip())
    return "" if path.is_absolute() or ".." in path.parts else path.as_posix()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}


class _PartSource(Source):
    """A partitioned folder as if one part were all of it."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(lambda file: (folder / file).read_bytes())
        self._name = name

    def settings(self) -> Mapping[str, Any] | None:
        """Parse ``problem.toml``, and narrow it to the part."""
        whole = super().settings()
        if whole is None:
            return None
        settings = dict(whole)
        for section in _CUT:
            settings[section] = {**settings[section], "file": f"{_file(whole, section)}/{self._name}"}
        # Faults of the table are told when it is read as the part's.
        agents = read_table(self.read, settings["agents"]["file"], [])
        if agents is not None and "agent" in agents:
            for key in ("quota", "taper"):
                entries = settings.get(key)
                if isinstance(entries, list):
                    narrowed = [_narrowed(entry, agents) for entry in entries]
                    settings[key] = [entry for entry in narrowed if entry is not None]
        return settings


def _narrowed(rule: Any, agents: Table) -> Any:
    """Narrow a rule to the agents of a part; None if it binds none of them. Faults stay as they are."""
    chosen = rule.get("agents") if isinstance(rule, Mapping) else None
    if isinstance(chosen, list):
        here = set(agents["agent"])
        mine = [agent for agent in chosen if as_text(agent) in here]
        return {**rule, "agents": mine} if mine else None
    if not isinstance(chosen, Mapping) or not all(attribute in agents for attribute in chosen):
        return rule
    binds = np.ones(len(agents.rows), dtype=bool)
    narrow = {}
    for attribute, wanted in chosen.items():
        wanted = wanted if isinstance(wanted, list) else [wanted]
        cells = set(agents[attribute])
        narrow[attribute] = [one for one in wanted if as_text(one) in cells]
        texts = {as_text(one) for one in wanted}
        binds &= np.array([cell in texts for cell in agents[attribute]], dtype=bool)
    return {**rule, "agents": narrow} if binds.any() else None
