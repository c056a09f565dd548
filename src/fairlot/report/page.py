"""The page: what was decided, why it is right, pictures, look-up, and how to check the draw.

It needs nothing but itself: no network, no fonts, no scripts from elsewhere. The checker of the draw is the
same ``draw.js`` that the draw's specification names, and it runs on the files in the page or, in a private
report, on those that the reader opens.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib.resources import files as package_files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairlot.io.menus import MENUS
from fairlot.io.verification import Verification, verify_files
from fairlot.progress import NullReporter, Reporter
from fairlot.report.market import market_facts, market_lookup, market_pictures
from fairlot.report.pictures import Picture
from fairlot.report.tasks import task_facts, task_lookup, task_pictures
from fairlot.report.words import WORDS


def report_page(
    files: Mapping[str, bytes], *, private: bool = False, reporter: Reporter | None = None
) -> str:
    """Make the page of a result folder.

    Parameters
    ----------
    files : mapping
        The folder, contents by name, from :func:`fairlot.read_result`.
    private : bool
        Leave out all that tells of one agent, and embed no file that does: what stays is each agent's salted
        commitment, which she can open with her salt and row.
    reporter : Reporter, optional
        Told what is being made.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    MissingExtraError
        Without matplotlib (extra ``plot``).
    InvalidProblemError
        If the folder is not a result that can be read.
    """
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("checks")
    checked = verify_files(files)
    summary = json.loads(files["summary.json"])
    reporter.stage("pictures")
    reallocation = MENUS in files
    solved = reallocation or "prices.csv" in files
    facts: list[str] = []
    pictures: list[Picture] = []
    lookup: dict[str, Any] = {"header": [], "agents": {}}
    if reallocation:
        facts, pictures = task_facts(files, summary), task_pictures(files, private=private)
    elif solved:
        facts, pictures = market_facts(files, summary), market_pictures(files, private=private)
    else:
        facts = [f"No assignment respects every bound: {summary.get('infeasibility', '')}"]
    reporter.stage("explanations")
    if solved and not private:
        lookup = task_lookup(files) if reallocation else market_lookup(files)
    environment = Environment(
        loader=PackageLoader("fairlot.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    static = package_files("fairlot.report") / "static"
    drawn = "transcript.json" in files
    return environment.get_template("report.html.jinja").render(
        title=summary.get("title") or "Result",
        summary=summary,
        facts=facts,
        certified=checked.passed and summary.get("status") == "certified",
        passed=checked.passed,
        checks=_checks(checked, private),
        unseen=checked.unseen,
        statement=checked.statement,
        pictures=pictures,
        tables=_script_json(
            [{"name": one.name, "header": one.header, "rows": list(one.rows)} for one in pictures]
        ),
        lookup=_script_json(lookup),
        names=sorted(lookup["agents"]),
        private=private,
        commitments=_commitments(files),
        drawn=drawn,
        record=_record(files),
        files=_script_json(_embedded(files) if drawn and not private else {}),
        style=Markup((static / "report.css").read_text(encoding="utf-8")),
        script=Markup((static / "report.js").read_text(encoding="utf-8")),
        checker=Markup(_checker()),
    )


def _checker() -> str:
    script = package_files("fairlot.verify") / "static" / "draw.js"
    return script.read_text(encoding="utf-8").replace("</script", "<\\/script")


def _checks(checked: Verification, private: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": check.name,
            "words": WORDS.get(check.name, ""),
            "passed": check.passed,
            "size": f"{abs(check.residual):.1e} (at most {check.tolerance:.0e})"
            if check.tolerance
            else "exact",
            "witness": "" if check.passed or private else check.witness,  # it may name somebody
        }
        for check in checked.checks
    ]


def _commitments(files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return every agent's salted hash, as ``commitment.json`` publishes it."""
    if "commitment.json" not in files:
        return []
    frozen = json.loads(files["commitment.json"])["frozen"]
    return [(agent, digest) for agent, digest in frozen.get("agents", [])]


def _record(files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return what the transcript says of the draw, for people."""
    found = []
    if "commitment.json" in files:
        found.append(("Commitment", str(json.loads(files["commitment.json"])["commitment"])))
    if "transcript.json" in files:
        for key, value in json.loads(files["transcript.json"]).items():
            if isinstance(value, str | int):
                found.append((key.replace("_", " ").capitalize(), str(value)))
    return found


def _embedded(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return every file of the result as base64."""
    return {name: base64.b64encode(data).decode("ascii") for name, data in sorted(files.items())}


def _script_json(document: Any) -> Markup:
    """Write JSON that may stand inside a script element."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return Markup(text)
