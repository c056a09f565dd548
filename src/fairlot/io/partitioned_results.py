"""Results of partitioned markets: shares and input in parts, written and checked where the parts are.

As in any result folder there are ``prices.csv``, ``limits.csv``, ``certificate.json``, ``summary.json`` and
``manifest.json``; ``shares/NAME.parquet`` holds the columns ``agent, good, share`` of the part NAME, and
``input/`` the partitioned problem folder. None of the parts passes through the driver.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fairlot.certificate import Certificate, Check
from fairlot.errors import FairlotError, InvalidProblemError, Issue
from fairlot.io.equilibrium import INPUT, json_bytes, peak_memory_mb, price_files, read_prices
from fairlot.io.folders import drafted_folder
from fairlot.io.lookup import Lookup
from fairlot.io.partitions import Partition, read_part, read_partition
from fairlot.io.results import MANIFEST, hash_faults, manifest_of, refuse
from fairlot.io.tables import FINITE, Table, numbers, read_table
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.parallel import Engine, pmap
from fairlot.progress import Reporter
from fairlot.pseudomarket.sharded.part import id_hashes
from fairlot.verify.parts import PartFindings, combine_parts, examine_part

if TYPE_CHECKING:
    from fairlot.pseudomarket.sharded import ShardedEquilibrium

_SHARES = "shares"
_STATES = ".states"


def solve_partition(
    partition: Partition,
    out: str | Path,
    *,
    force: bool = False,
    engine: Engine = "joblib",
    n_jobs: int | None = None,
    tol: float = 1e-9,
    time_limit: float | None = None,
    reporter: Reporter | None = None,
) -> ShardedEquilibrium:
    """Solve a partitioned market and write the result folder, in one step at the end.

    Parameters
    ----------
    partition : Partition
        The problem; all workers see its folder, and that of the result.
    out : str or Path
        The result folder.
    force : bool
        Replace an existing result folder.
    engine, n_jobs, tol, time_limit, reporter
        As for :func:`~fairlot.pseudomarket.sharded.solve.solve_shards`.
    """
    from fairlot.pseudomarket.sharded import solve_shards

    refuse(out, force)
    target = Path(out).absolute()
    with drafted_folder(target, replace=force) as draft:
        states = draft / _STATES
        for folder in (_STATES, _SHARES, INPUT + partition.agents, INPUT + partition.values):
            (draft / folder).mkdir(parents=True, exist_ok=True)
        found = solve_shards(
            partition.loads(),
            engine=engine,
            n_jobs=n_jobs,
            tol=tol,
            time_limit=time_limit,
            keep=partial(_keep_part, partition, draft),
            scratch=states,
            reporter=reporter,
        )
        shutil.rmtree(states)
        files = {f"{INPUT}{name}": (partition.folder / name).read_bytes() for name in partition.shared}
        files |= price_files(found.supply, found.prices, found.row_prices)
        files["certificate.json"] = json_bytes(found.certificate.to_dict())
        files["summary.json"] = json_bytes(sharded_summary(found))
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        for written in found.kept:
            hashes |= written
        for name, data in {**files, MANIFEST: manifest_of(hashes)}.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(data)
    return found


def sharded_summary(found: ShardedEquilibrium) -> dict[str, Any]:
    """Return what ``summary.json`` says of an equilibrium in parts."""
    from fairlot import __version__

    def residual(name: str) -> float | None:
        value = found.certificate[name].residual
        return value if np.isfinite(value) else None

    return {
        "kind": "pseudomarket",
        "status": str(found.status),
        "method": found.stats.method,
        "seconds": round(found.stats.seconds, 3),
        "peak_memory_mb": peak_memory_mb(),
        "version": __version__,
        "title": found.supply.title,
        "n_agents": found.n_agents,
        "n_goods": found.supply.n_goods,
        "n_parts": len(found.kept),
        "workers_lost": found.stats.parameters["workers_lost"],
        "utility_gap": residual("utility gap"),
        "envy": residual("envy"),
        "clearing": residual("clearing"),
        "satiated": found.satiated,
        "max_price": float(np.max(found.prices)),
    }


def _keep_part(
    partition: Partition,
    draft: Path,
    number: int,
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
) -> dict[str, str]:
    """Write a part's shares, copy its input, and return the SHA-256 of both; on the worker."""
    import polars as pl

    name = partition.names[number]
    entries = shares.matrix.tocoo()
    agents, goods = np.array(market.agents, dtype=object), np.array(market.goods, dtype=object)
    frame = pl.DataFrame(
        {
            "agent": pl.Series(agents[entries.row].tolist(), dtype=pl.String),
            "good": pl.Series(goods[entries.col].tolist(), dtype=pl.String),
            "share": pl.Series(entries.data, dtype=pl.Float64),
        }
    )
    written = [_shares_file(name)]
    frame.write_parquet(draft / written[0])
    for folder in (partition.agents, partition.values):
        written.append(f"{INPUT}{folder}/{name}")
        shutil.copyfile(partition.folder / folder / name, draft / written[-1])
    return {file: _sha256(draft / file) for file in written}


def _shares_file(name: str) -> str:
    return f"{_SHARES}/{PurePath(name).stem}.parquet"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a worker found in a part of a result."""

    findings: PartFindings
    goods: tuple[str, ...]
    capacities: tuple[int, ...]
    limits: tuple[tuple[str, int], ...]
    n_agents: int
    money: float
    ids: npt.NDArray[np.uint64]


def partitioned_checks(
    folder: str | Path, *, tol: float = 1e-9, engine: Engine = "joblib", n_jobs: int | None = 1
) -> list[Check] | None:
    """Recompute what a result in parts claims, part by part; None if it is none.

    Parameters
    ----------
    folder : str or Path
        A result folder.
    tol : float
        Largest residual that passes.
    engine, n_jobs
        As for :func:`~fairlot.parallel.pmap`.

    Returns
    -------
    list of Check
        ``manifest``, ``input``, ``published``, ``equilibrium: ...`` and ``summary``, as
        :mod:`~fairlot.io.verification` names them.
    """
    root = Path(folder).absolute()
    try:
        partition = read_partition(root / INPUT) if (root / INPUT).is_dir() else None
    except FairlotError as error:
        return [_count("input", str(error).splitlines())]
    if partition is None:
        return None
    checks = [_count("manifest", _manifest_faults(root))]
    try:
        files = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
        first = read_part(partition.folder, partition.names[0])
        issues: list[Issue] = []
        prices, row_prices = read_prices(files, first, issues)
        if issues:
            raise InvalidProblemError(issues)
        look = partial(_examine, root, partition, prices, row_prices)
        seen = pmap(look, partition.names, engine=engine, n_jobs=n_jobs)
    except FairlotError as error:
        return [*checks, _count("published", str(error).splitlines())]
    checks += [_count("input", _input_faults(seen)), _count("published", [])]
    money = sum(one.money for one in seen) / sum(one.n_agents for one in seen)
    findings = [one.findings for one in seen]
    found = combine_parts(first, prices, findings, money=money, row_prices=row_prices, tol=tol)
    checks += [
        Check(f"equilibrium: {check.name}", check.residual, check.tolerance, check.witness)
        for check in found.checks
    ]
    return [*checks, _count("summary", _claims(files, found))]


def _examine(
    root: Path, partition: Partition, prices: FloatArray, row_prices: FloatArray, name: str
) -> _Seen:
    market = read_part(partition.folder, name)
    issues: list[Issue] = []
    file = _shares_file(name)
    table = read_table(lambda path: (root / path).read_bytes(), file, issues)
    if table is None or not table.require(("agent", "good", "share"), issues):
        raise InvalidProblemError(issues)
    place = []
    for column, ids in (("agent", market.agents), ("good", market.goods)):
        whole = Table(f"{INPUT}{column}s", (column,), (ids,), range(len(ids)))
        place.append(Lookup(column, whole, ids).positions(table[column], table, table.rows, column, issues))
    shares = numbers(table, "share", FINITE, issues)
    if len(set(zip(place[0].tolist(), place[1].tolist(), strict=True))) < len(shares):
        issues.append(Issue("a pair is there twice", file))
    if issues:
        raise InvalidProblemError(issues)
    matrix = sp.csr_array((shares, (place[0], place[1])), shape=market.values.shape)
    claim = RandomAllocation(market.agents, market.goods, matrix)
    return _Seen(
        examine_part(market, prices, claim, row_prices=row_prices),
        market.goods,
        tuple(market.capacities.tolist()),
        tuple((limit.label, limit.max) for limit in market.limits),
        market.n_agents,
        float(market.budgets.sum()),
        id_hashes(market.agents),
    )


def _input_faults(seen: list[_Seen]) -> list[str]:
    first = seen[0]
    faults = [
        f"part {k} has other goods, capacities or limits than part 0"
        for k, one in enumerate(seen)
        if (one.goods, one.capacities, one.limits) != (first.goods, first.capacities, first.limits)
    ]
    ids = np.concatenate([one.ids for one in seen])
    twice = len(ids) - len(np.unique(ids))
    return [*faults, *([f"{twice} agents are in several parts"] if twice else [])]


def _manifest_faults(root: Path) -> list[str]:
    try:
        listed = json.loads((root / MANIFEST).read_bytes())["files"]
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, KeyError, ValueError, TypeError, AttributeError):
        return [f"{MANIFEST} cannot be read"]
    names = {path.relative_to(root): path for path in sorted(root.rglob("*")) if path.is_file()}
    found = {
        name.as_posix(): _sha256(path)
        for name, path in names.items()
        if name.as_posix() != MANIFEST and not any(part.startswith((".", "~$")) for part in name.parts)
    }
    return hash_faults(expected, found)


def _claims(files: Mapping[str, bytes], found: Certificate) -> list[str]:
    """Compare what the folder claims of itself with what was found."""
    try:
        claimed = json.loads(files["certificate.json"])["passed"]
        status = json.loads(files["summary.json"])["status"]
    except (KeyError, ValueError, TypeError):
        return ["certificate.json or summary.json cannot be read"]
    faults = ["certificate.json claims that all passed"] if claimed is not False and not found.passed else []
    if (status == "certified") != (claimed is True):
        faults.append(f"summary.json says {status}, certificate.json says passed = {claimed}")
    return faults


def _count(name: str, faults: list[str]) -> Check:
    return Check(name, float(len(faults)), 0.0, faults[0] if faults else "")
