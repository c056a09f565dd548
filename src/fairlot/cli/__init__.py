"""The command line. Each verb reads, calls one function of the library, and says what came out."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlot.cli import (
    compare,
    demo,
    design,
    draw,
    exports,
    imports,
    market,
    problem,
    reallocation,
    report,
    result,
    serve,
    simulate,
)

app = typer.Typer(
    help="Allocate indivisible things without money: fair, efficient, and drawn in the open.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would triple the time to the first word
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from fairlot import __version__

        typer.echo(f"fairlot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# The order of the help is the order of the work.
app.command()(problem.new)
app.command("import")(imports.import_)
app.command()(demo.demo)
app.command()(problem.check)
app.command()(market.solve)
app.command()(reallocation.value)
app.command()(design.design)
app.command()(reallocation.reallocate)
app.command()(draw.commit)
app.command()(draw.draw)
app.command()(draw.ceremony)
app.command()(result.explain)
app.command()(result.verify)
app.command()(compare.compare)
app.command()(simulate.simulate)
app.command()(report.report)
app.command()(exports.export)
app.command()(serve.serve)


def main() -> None:
    """Run the command line."""
    app()
