"""The bundled reallocation example: an invented hospital, and a template to start from.

Nothing in it is real. Sixteen doctors of an invented emergency department share five types of cases; how
many each has now, how many minutes she takes, what is believed about the types she would rather not
have, and who has no licence for children are all made up from a fixed seed, so that everybody sees the
same numbers.
"""

from __future__ import annotations

from random import Random

from fairlot.io.tables import write_csv

_SEED = 2026
_CASES = {"chest pain": 42.0, "fracture": 35.0, "infection": 24.0, "children": 30.0, "elderly falls": 50.0}

_PROBLEM = """\
# A synthetic example: every number is invented. 16 doctors share five types of cases.
format = 1
kind = "reallocation"
title = "Emergency department of an invented hospital"

[tasks]
file = "tasks.csv"

[agents]
file = "agents.csv"

[status_quo]               # cases per month, as they are divided now
file = "status_quo.csv"

[cost]                     # minutes that the doctor takes per case
file = "cost.csv"

[preferences]              # what is believed about how much she minds a case, one infection = about 1
file = "preferences.csv"

[cap]
load_growth = 0.2          # nobody gets more than a fifth more cases in all

[forbidden]                # no licence
file = "forbidden.csv"
"""

_TEMPLATE = """\
# A problem folder of fairlot: this file names the tables.
# Tables are .csv (UTF-8), .xlsx or .parquet, with a header row. Ids are text and must agree between tables.
# "fairlot check FOLDER" reports every fault with its file, row and column.

format = 1
kind = "reallocation"
title = "Case work"

[tasks]                      # columns: task; optionally count (instances per period; default: as many as now)
file = "tasks.csv"

[agents]                     # columns: agent; optionally size (a group of that many exchangeable people)
file = "agents.csv"

[status_quo]                 # what each may insist on: agent,task,amount; pairs without a row have 0
file = "status_quo.csv"
layout = "long"              # or "wide": agent, then one column per task

[cost]                       # what an instance costs the organisation: minutes, errors, money
file = "cost.csv"
layout = "long"

[preferences]                # what is believed about how much people mind an instance, in any unit
file = "preferences.csv"     # agent,task,low,high,family,parameters; "*" stands for all
# families: uniform; triangular (mode=..); beta (a=..;b=..); lognormal (median=..;sigma=..);
# normal (mean=..;sd=..), cut to low and high; degenerate. Or samples: sample,agent,task,cost.

[participation]
beta = 1.0                   # slack in what each may insist on, where nobody is asked; 1 or more

[cap]                        # optional: how far anybody's work may grow
load_growth = 0.2            # of the sum of her amounts
# task_growth = 0.25         # of each amount

# [forbidden]                # optional: tasks an agent may not do: agent,task
# file = "forbidden.csv"
"""

_TEMPLATE_TABLES = {
    "tasks.csv": "task\nabuse\nneglect\ntruancy\n",
    "agents.csv": "agent\nann\nbob\neve\n",
    "status_quo.csv": "agent,task,amount\n"
    "ann,abuse,8\nann,neglect,6\nann,truancy,6\n"
    "bob,abuse,7\nbob,neglect,8\nbob,truancy,5\n"
    "eve,abuse,5\neve,neglect,6\neve,truancy,9\n",
    "cost.csv": "agent,task,cost\n"
    "ann,abuse,3.5\nann,neglect,5\nann,truancy,2.5\n"
    "bob,abuse,5\nbob,neglect,3.5\nbob,truancy,2\n"
    "eve,abuse,6\neve,neglect,4.5\neve,truancy,1.5\n",
    "preferences.csv": "agent,task,low,high,family,parameters\n"
    "*,*,0.5,1.5,uniform,\n"
    "*,abuse,1,3,triangular,mode=1.5\n",
}


def reallocation_template() -> dict[str, bytes]:
    """Return a commented problem folder with example rows.

    Examples
    --------
    >>> sorted(reallocation_template())
    ['agents.csv', 'cost.csv', 'preferences.csv', 'problem.toml', 'status_quo.csv', 'tasks.csv']
    """
    return {name: text.encode() for name, text in {"problem.toml": _TEMPLATE, **_TEMPLATE_TABLES}.items()}


def demo_reallocation() -> dict[str, bytes]:
    """Make the reallocation example.

    Returns
    -------
    dict of str to bytes
        File name to content, a problem folder.
    """
    random = Random(_SEED)  # only random() is used: its stream is promised to stay
    doctors = [f"dr{number + 1:02d}" for number in range(16)]
    unlicensed = {doctors[4], doctors[11]}
    amounts, minutes = [], []
    for doctor in doctors:
        pace = 0.85 + 0.3 * random.random()
        for case, usual in _CASES.items():
            skill = 0.6 + 0.8 * random.random()
            number = 4 + int(10 * random.random())
            if not (case == "children" and doctor in unlicensed):
                amounts.append((doctor, case, str(number)))
            minutes.append((doctor, case, f"{usual * pace * skill:.1f}"))
    beliefs = [
        ("*", case, "", "", "lognormal", f"median={usual / _CASES['infection']:.2f};sigma=0.45")
        for case, usual in _CASES.items()
    ]
    return {
        "problem.toml": _PROBLEM.encode(),
        "tasks.csv": write_csv(("task",), [(case,) for case in _CASES]),
        "agents.csv": write_csv(("agent",), [(doctor,) for doctor in doctors]),
        "status_quo.csv": write_csv(("agent", "task", "amount"), amounts),
        "cost.csv": write_csv(("agent", "task", "cost"), minutes),
        "preferences.csv": write_csv(("agent", "task", "low", "high", "family", "parameters"), beliefs),
        "forbidden.csv": write_csv(("agent", "task"), [(d, "children") for d in sorted(unlicensed)]),
    }
