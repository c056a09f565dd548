"""Pseudo-markets: ``solve``, and what ``demo`` does of it."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import (
    FolderArgument,
    ForceOption,
    JsonOption,
    OutOption,
    Output,
    QuietOption,
    verb,
)

if TYPE_CHECKING:
    from fairlot.certificate import Certificate, Status
    from fairlot.io.partitions import Partition
    from fairlot.io.problem import ProblemFiles
    from fairlot.model.lotteries import Lottery
    from fairlot.pseudomarket.equilibrium import Equilibrium
    from fairlot.pseudomarket.sharded import ShardedEquilibrium


class Method(StrEnum):
    """Roads to an equilibrium."""

    AUTO = "auto"
    JOINT = "joint"
    PATH = "path"
    NASH = "nash"
    BUNDLES = "bundles"
    EXACT = "exact"


class Engine(StrEnum):
    """Where workers are."""

    SERIAL = "serial"
    JOBLIB = "joblib"
    DASK = "dask"
    RAY = "ray"


MethodOption = Annotated[Method, typer.Option("--method", help="Which road; auto tries them in turn.")]
LimitOption = Annotated[
    float | None, typer.Option("--time-limit", metavar="SECONDS", min=0, help="Stop after so long.")
]
TolOption = Annotated[float, typer.Option("--tol", min=0, help="Largest residual that passes.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="For what is random in the search.")]
SeatsOption = Annotated[
    int,
    typer.Option(
        "--extra-seats",
        metavar="N",
        min=0,
        help="Timetables without an exact lottery: how many goods may get a seat more.",
    ),
]
ShardsOption = Annotated[
    int | None,
    typer.Option("--shards", metavar="N", min=1, help="Cut the agents into N parts, each with a worker."),
]
EngineOption = Annotated[Engine, typer.Option("--engine", help="Where the workers of parts are.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Workers for parts; default one per processor.")
]


def solve(
    folder: FolderArgument,
    out: OutOption,
    method: MethodOption = Method.AUTO,
    time_limit: LimitOption = None,
    tol: TolOption = 1e-9,
    seed: SeedOption = 0,
    extra_seats: SeatsOption = 0,
    shards: ShardsOption = None,
    engine: EngineOption = Engine.JOBLIB,
    jobs: JobsOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find prices and shares, certify them, and write them with their lottery."""
    with verb(as_json, quiet) as output:
        from fairlot.certificate import Status
        from fairlot.io.equilibrium import equilibrium_summary
        from fairlot.io.partitions import read_partition
        from fairlot.io.problem import read_problem_files

        partition = read_partition(folder)
        if partition is not None or shards is not None:
            _refuse_roads(method, seed, extra_seats)
        if partition is not None:
            _solve_partition(output, partition, out, tol, time_limit, engine, jobs, force)
            return
        read = read_problem_files(folder)
        if shards is not None:
            _solve_shards(output, read, out, shards, tol, time_limit, engine, jobs, force)
            return
        equilibrium = solve_into(
            output,
            read,
            out,
            method=method,
            time_limit=time_limit,
            tol=tol,
            seed=seed,
            extra_seats=extra_seats,
            force=force,
        )
        output.say(f"Wrote {out}; next: fairlot verify {out}")
        output.data({"result": str(out), **equilibrium_summary(equilibrium)})
        if equilibrium.status is not Status.CERTIFIED:
            output.fail()


def _refuse_roads(method: Method, seed: int, extra_seats: int) -> None:
    """Refuse options that mean nothing where agents are in parts."""
    from fairlot.errors import InvalidProblemError, Issue

    given = (
        ("--method", method not in (Method.AUTO, Method.JOINT), method.value),
        ("--seed", seed != 0, str(seed)),
        ("--extra-seats", extra_seats != 0, str(extra_seats)),
    )
    issues = [
        Issue(f"{name}: not with parts", found=found, expected="the joint road, over shards")
        for name, there, found in given
        if there
    ]
    if issues:
        raise InvalidProblemError(issues)


def _solve_partition(
    output: Output,
    partition: Partition,
    out: Path,
    tol: float,
    time_limit: float | None,
    engine: Engine,
    jobs: int | None,
    force: bool,
) -> None:
    """Solve where the parts are, and say what came out."""
    from fairlot.io.partitioned_results import sharded_summary, solve_partition
    from fairlot.progress import NullReporter, RichReporter

    silent = output.quiet or output.as_json
    with nullcontext(NullReporter()) if silent else RichReporter() as reporter:
        found = solve_partition(
            partition,
            out,
            force=force,
            engine=engine.value,
            n_jobs=jobs,
            tol=tol,
            time_limit=time_limit,
            reporter=reporter,
        )
    _tell_shards(output, found)
    output.say(f"Wrote {out}, shares in {len(partition.names)} parts; next: fairlot verify {out}")
    output.data({"result": str(out), **sharded_summary(found)})
    if not found.certificate.passed:
        output.fail()


def _solve_shards(
    output: Output,
    read: ProblemFiles,
    out: Path,
    shards: int,
    tol: float,
    time_limit: float | None,
    engine: Engine,
    jobs: int | None,
    force: bool,
) -> None:
    """Cut an ordinary market into parts, solve, and write an ordinary result."""
    from fairlot.io.equilibrium import equilibrium_files, equilibrium_summary
    from fairlot.io.results import refuse, write_result
    from fairlot.progress import NullReporter, RichReporter
    from fairlot.pseudomarket.sharded import joined_equilibrium, solve_shards, split_market

    refuse(out, force)
    silent = output.quiet or output.as_json
    market = read.problem
    with nullcontext(NullReporter()) if silent else RichReporter() as reporter:
        found = solve_shards(
            split_market(market, min(shards, market.n_agents)),
            engine=engine.value,
            n_jobs=jobs,
            tol=tol,
            time_limit=time_limit,
            reporter=reporter,
        )
        equilibrium = joined_equilibrium(market, found)
    write_result(out, equilibrium_files(equilibrium, _lottery(equilibrium), read.files), force=force)
    _tell(output, equilibrium)
    output.say(f"Wrote {out}; next: fairlot verify {out}")
    output.data({"result": str(out), **equilibrium_summary(equilibrium)})
    if not equilibrium.certificate.passed:
        output.fail()


def _tell_shards(output: Output, found: ShardedEquilibrium) -> None:
    """Say in a few lines what came of a market in parts."""
    lost = found.stats.parameters["workers_lost"]
    output.say(
        f"{found.supply.title or 'Pseudo-market'}: {found.n_agents} agents in {len(found.kept)} parts, "
        f"{found.supply.n_goods} goods; {found.stats.iterations} iterations, {found.stats.seconds:.1f} s"
        + (f"; {lost} workers were lost and replaced" if lost else "")
    )
    _tell_certificate(output, found.certificate, found.status)
    priced = int((found.prices > 0).sum())
    output.say(f"{priced} of {found.supply.n_goods} goods have a price")
    output.say(f"{found.satiated} of {found.n_agents} agents can afford the best they can ask for")


def solve_into(
    output: Output,
    read: ProblemFiles,
    out: Path,
    *,
    method: Method = Method.AUTO,
    time_limit: float | None = None,
    tol: float = 1e-9,
    seed: int = 0,
    extra_seats: int = 0,
    force: bool = False,
) -> Equilibrium:
    """Solve, write the result folder, and say what came out."""
    from fairlot.io.equilibrium import equilibrium_files
    from fairlot.io.problem import problem_files
    from fairlot.io.results import refuse, write_result
    from fairlot.progress import NullReporter, RichReporter
    from fairlot.pseudomarket.solve import solve_equilibrium

    refuse(out, force)  # before the work, not after it
    silent = output.quiet or output.as_json
    with nullcontext(NullReporter()) if silent else RichReporter() as reporter:
        if extra_seats and method is Method.AUTO and read.problem.crossings:
            from fairlot.pseudomarket.timetable.solve import solve_timetable

            equilibrium: Equilibrium = solve_timetable(
                read.problem,
                tol=tol,
                time_limit=time_limit,
                seed=seed,
                reporter=reporter,
                extra_seats=extra_seats,
            )
        else:
            equilibrium = solve_equilibrium(
                read.problem,
                method=method.value,
                tol=tol,
                time_limit=time_limit,
                seed=seed,
                reporter=reporter,
            )
        reporter.stage("lottery")
        lottery = _lottery(equilibrium)
    # With seats added it is another problem that was solved: that one is published as the input.
    inputs = read.files if equilibrium.market is read.problem else problem_files(equilibrium.market)
    write_result(out, equilibrium_files(equilibrium, lottery, inputs), force=force)
    _tell(output, equilibrium)
    return equilibrium


def _lottery(equilibrium: Equilibrium) -> Lottery | None:
    """Make the lottery; a point that is not certified may break bounds, and then there is none."""
    from fairlot.certificate import Status

    if equilibrium.shares is None:
        return None
    try:
        return equilibrium.lottery()
    except ValueError:
        if equilibrium.status is Status.CERTIFIED:
            raise
        return None


def _tell(output: Output, equilibrium: Equilibrium) -> None:
    """Say in a few lines what came out."""
    market, stats, certificate = equilibrium.market, equilibrium.stats, equilibrium.certificate
    output.say(
        f"{market.title or 'Pseudo-market'}: {market.n_agents} agents, {market.n_goods} goods; "
        f"{stats.method}, {stats.iterations} iterations, {stats.seconds:.1f} s"
    )
    _tell_certificate(output, certificate, equilibrium.status)
    if equilibrium.prices is None:
        output.say(f"No assignment exists: {equilibrium.infeasibility}")
    else:
        priced = int((equilibrium.prices > 0).sum())
        dearest = int(equilibrium.prices.argmax())
        most = f"; dearest '{market.goods[dearest]}' at {equilibrium.prices[dearest]:.4g}" if priced else ""
        output.say(f"{priced} of {market.n_goods} goods have a price{most}")
        _tell_timetable(output, equilibrium)
        satiated = int(equilibrium.satiated.sum())
        output.say(f"{satiated} of {market.n_agents} agents can afford the best they can ask for")


def _tell_certificate(output: Output, certificate: Certificate, status: Status) -> None:
    """Say what is certified, or what is not."""
    if certificate.passed:
        largest = max(check.residual for check in certificate.checks)
        output.say(
            f"Certified: all {len(certificate.checks)} conditions of a strong equilibrium hold; "
            f"largest residual {largest:.1e}"
        )
        return
    output.say(f"NOT certified ({status.replace('_', ' ')}):")
    for check in certificate.failed:
        output.say(f"  {check.name}: {check.residual:.1e} (at most {check.tolerance:.0e})  {check.witness}")


def _tell_timetable(output: Output, equilibrium: Equilibrium) -> None:
    """Say what came of the lottery where quotas cross."""
    from fairlot.pseudomarket.timetable.result import Outcome, TimetableEquilibrium

    if not isinstance(equilibrium, TimetableEquilibrium) or equilibrium.outcome is None:
        return
    lottery, proof = equilibrium.drawn_from, equilibrium.impossibility
    terms = 0 if lottery is None or lottery.terms is None else lottery.terms.n_terms
    words = {
        Outcome.EXACT: "every term gives every student one of her best bundles",
        Outcome.CLOSE: f"the shares are those of the draw, up to {equilibrium.deviation:.1e} off equilibrium",
        Outcome.IMPOSSIBLE: "no lottery over assignments is an equilibrium at these prices",
    }
    output.say(
        f"Lottery {equilibrium.outcome}: {terms} terms, {equilibrium.programs} linear and "
        f"{equilibrium.integer_programs} integer programs; {words[equilibrium.outcome]}"
    )
    if proof is not None:
        why = (
            f"Proved by a direction that no assignment reaches by {proof.beyond:.2g} of a mean budget"
            if proof.direction.any()
            else "Proved by an integer program: no assignment of best bundles sells all that has a price"
        )
        output.say(
            f"{why}. Instead everybody gets at least {proof.guarantee:.4f} of her equilibrium utility; at "
            f"most {proof.guarantee_bound:.4f} is possible"
        )
    for good, seats in equilibrium.extra_seats:
        output.say(f"Added, as allowed: {seats} seat in '{good}'")
    if lottery is not None:
        output.say(equilibrium.statement())
