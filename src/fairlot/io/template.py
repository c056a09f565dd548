"""Commented problem folders to start from: what ``fairlot new`` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlot.errors import NotSupportedError
from fairlot.io.hospital import reallocation_template

_PSEUDOMARKET = """\
# A problem folder of fairlot: this file names the tables, and states the rules.
# Tables are .csv (UTF-8), .xlsx or .parquet, with a header row. Ids are text and must agree between tables.
# "fairlot check FOLDER" reports every fault with its file, row and column.

format = 1
kind = "pseudomarket"
title = "Electives"

[goods]                      # columns: good, capacity; optionally per_agent; and any attributes to use below
file = "goods.csv"

[agents]                     # columns: agent; optionally budget; and any attributes to use below
file = "agents.csv"
budget = 1.0                 # fiat money of each agent; used where agents.csv has no column "budget"

[values]                     # what a copy of a good is worth to an agent: 0 or more, on a scale of her own
file = "values.csv"
layout = "long"              # "long": agent,good,value - or "wide": agent, then one column per good
missing = "not acceptable"   # what a pair without a value is worth; or a number

# Quotas bound what ONE agent gets. Sets are "all", a list of ids, or attribute = value (or a list of values).
# For each agent, any two sets must be nested or disjoint.

[[quota]]
name = "course load"
goods = "all"
min = 0                      # a number, or the name of a numeric column of agents.csv
max = "load"

[[quota]]
name = "one section per course"
by = "course"                # one quota per distinct value of this column of goods.csv
max = 1

[[quota]]
name = "at most two philosophy courses for first-years"
goods = { department = "PHIL" }
agents = { year = 1 }
max = 2

# Tapers: the k-th copy taken from the set changes an agent's total by marginals[k-1]; the last one repeats.

[[taper]]
name = "a third course of one department is worth 1 less"
by = "department"
marginals = [0, 0, -1]

# Limits bound from above what ALL agents together get. There is no lower bound over all agents ("every paper
# gets exactly three reviews"): give each good the capacity it should reach, and look at what stays empty.

[[limit]]
name = "laboratory"
goods = { laboratory = "yes" }
max = 3
"""

_GOODS = """\
good,capacity,course,department,laboratory,title
LOGIC-1,2,LOGIC,PHIL,no,"Logic, Monday group"
LOGIC-2,2,LOGIC,PHIL,no,"Logic, Thursday group"
ETHICS,3,ETHICS,PHIL,no,Ethics
MIND,3,MIND,PHIL,no,Philosophy of mind
OPTICS,2,OPTICS,PHYS,yes,Optics
HEAT,2,HEAT,PHYS,yes,Heat
"""

_AGENTS = """\
agent,year,load
s1,1,2
s2,1,3
s3,2,2
s4,2,3
"""

_VALUES = """\
agent,good,value
s1,LOGIC-1,9
s1,LOGIC-2,7
s1,ETHICS,5
s1,OPTICS,6
s2,LOGIC-2,8
s2,ETHICS,8
s2,MIND,4
s2,HEAT,3
s3,LOGIC-1,6
s3,OPTICS,9
s3,HEAT,8
s4,MIND,7
s4,ETHICS,6
s4,OPTICS,8
s4,HEAT,5
"""


def _pseudomarket() -> dict[str, bytes]:
    tables = {"goods.csv": _GOODS, "agents.csv": _AGENTS, "values.csv": _VALUES}
    return {name: text.encode() for name, text in {"problem.toml": _PSEUDOMARKET, **tables}.items()}


_TEMPLATES: Mapping[str, Callable[[], dict[str, bytes]]] = {
    "pseudomarket": _pseudomarket,
    "reallocation": reallocation_template,
}

KINDS = tuple(_TEMPLATES)
"""Kinds of problem that there is a template for."""


def template_files(kind: str) -> dict[str, bytes]:
    """Return a commented problem folder with example rows.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.

    Examples
    --------
    >>> sorted(template_files("pseudomarket"))
    ['agents.csv', 'goods.csv', 'problem.toml', 'values.csv']
    """
    if kind not in _TEMPLATES:
        msg = f"there is no template of kind '{kind}' in this version; there is {', '.join(KINDS)}"
        raise NotSupportedError(msg)
    return _TEMPLATES[kind]()
