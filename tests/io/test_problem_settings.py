"""``problem.toml``: strict keys, and rules by attributes."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_problem import PROBLEM, faults, folder

from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.io.problem import parse_problem_files, parse_reallocation_files, read_problem
from fairlot.io.template import KINDS, template_files
from fairlot.model.hierarchy import UNBOUNDED
from fairlot.model.market import PseudoMarket

COUNT = "expected a whole number from 0 to 1000000000"


def rules(tmp_path: Path, text: str, **changed: str) -> PseudoMarket:
    return read_problem(folder(tmp_path, rules=text, **changed))


def test_quota_forms(tmp_path: Path) -> None:
    market = rules(
        tmp_path,
        """
        [[quota]]
        name = "load"
        max = "load"
        [[quota]]
        name = "sections"
        by = "course"
        max = 1
        [[quota]]
        name = "physics for first-years"
        goods = { department = ["PHYS"] }
        agents = { year = 1 }
        min = 1
        max = 2
        [[quota]]
        name = "listed"
        goods = ["a1", "a2"]
        agents = ["s3"]
        max = 1.0
        """,
    )
    found = [
        (q.label, s.goods.tolist(), None if s.agents is None else s.agents.tolist())
        for q, s in zip(market.quotas, market.bound_sets, strict=True)
    ]
    assert found == [
        ("quota 'load'", [0, 1, 2, 3], None),
        ("quota 'sections' [course = A]", [0, 1], None),
        ("quota 'sections' [course = B]", [2], None),
        ("quota 'physics for first-years'", [2, 3], [0, 1]),
        ("quota 'listed'", [0, 1], [2]),
    ]
    assert market.bound_sets[0].upper.tolist() == [2, 1, 3]
    assert market.bound_sets[3].lower.tolist() == [1, 1, 0]
    assert market.bound_sets[3].upper.tolist() == [2, 2, UNBOUNDED]
    assert market.bound_sets[4].upper.tolist() == [UNBOUNDED, UNBOUNDED, 1]


def test_filters_by_several_attributes_and_by_within_goods(tmp_path: Path) -> None:
    market = rules(
        tmp_path,
        """
        [[quota]]
        name = "both"
        goods = { department = "PHYS", course = "B" }
        max = 1
        [[limit]]
        name = "physics courses"
        goods = { department = "PHYS" }
        by = "course"
        max = 9
        [[taper]]
        name = "more of the same"
        by = "department"
        marginals = [0, -1, -2.5]
        """,
    )
    assert market.quotas[0].goods == ("b",)
    assert [(limit.label, limit.goods) for limit in market.limits] == [
        ("limit 'physics courses' [course = B]", ("b",))
    ]
    assert [taper.goods for taper in market.tapers] == [("a1", "a2"), ("b", "c")]
    assert market.tapers[1].marginals == (0, -1, -2.5)


def test_a_bound_column_is_only_read_for_agents_who_are_bound(tmp_path: Path) -> None:
    agents = "agent,year,most\ns1,1,2\ns2,1,3\ns3,2,\n"
    quota = '[[quota]]\nname = "q"\nmax = "most"\n'
    market = rules(tmp_path, quota + "agents = { year = 1 }\n", agents=agents)
    assert market.bound_sets[0].upper.tolist() == [2, 3, UNBOUNDED]
    assert faults(folder(tmp_path, rules=quota, agents=agents)) == [
        f"agents.csv, row 4, column most: blank: found '', {COUNT}"
    ]


def test_budgets(tmp_path: Path) -> None:
    rich = "agent,money\ns1,1\ns2,2.5\ns3,1e6\n"
    by_column = PROBLEM.replace('"agents.csv"', '"agents.csv"\nbudget = "money"')
    assert read_problem(folder(tmp_path, problem=by_column, agents=rich)).budgets.tolist() == [1, 2.5, 1e6]
    number = PROBLEM.replace('"agents.csv"', '"agents.csv"\nbudget = 3')
    assert read_problem(folder(tmp_path, problem=number)).budgets.tolist() == [3, 3, 3]
    both = read_problem(folder(tmp_path, problem=number, agents=rich.replace("money", "budget")))
    assert both.budgets.tolist() == [1, 2.5, 1e6]
    assert faults(folder(tmp_path, problem=by_column)) == [
        "agents.csv, row 1: no column 'money': found 'agent, year, load', expected a column 'money'"
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            'naem = "x"\nmax = 1\nname = "q"',
            ["problem.toml, column [[quota]] 1 (q) naem: unknown key: found 'naem', expected 'name'?"],
        ),
        (
            'name = "q"\nmax = 1\nzzz = 2',
            [
                "problem.toml, column [[quota]] 1 (q) zzz: unknown key: found 'zzz', "
                "expected one of goods, agents, name, min, max, by"
            ],
        ),
        (
            "max = 1",
            [
                "problem.toml, column [[quota]] 1 (without a name) name: missing: expected a text in quotes",
            ],
        ),
        (
            'name = "q"',
            ["problem.toml, column [[quota]] 1 (q) max: missing: expected min, max or both"],
        ),
        (
            'name = "q"\nmax = -1',
            [f"problem.toml, column [[quota]] 1 (q) max: negative: found '-1', {COUNT}"],
        ),
        (
            'name = "q"\nmax = true',
            [f"problem.toml, column [[quota]] 1 (q) max: not a number: found 'True', {COUNT}"],
        ),
        (
            f'name = "q"\nmax = {10**400}',
            [f"problem.toml, column [[quota]] 1 (q) max: too large: found '1{'0' * 79}', {COUNT}"],
        ),
        (
            'name = "q"\nmin = nan',
            [f"problem.toml, column [[quota]] 1 (q) min: not a finite number: found 'nan', {COUNT}"],
        ),
        (
            'name = "q"\nmax = "laod"',
            [
                "problem.toml, column [[quota]] 1 (q) max: no column 'laod': found 'laod', "
                "expected a column of agents.csv: year, load"
            ],
        ),
        (
            'name = "q"\nmax = 1\nby = "curse"',
            [
                "problem.toml, column [[quota]] 1 (q) by: no column 'curse': found 'curse', "
                "expected a column of goods.csv: capacity, course, department"
            ],
        ),
        (
            'name = "q"\nmax = 1\ngoods = { department = "PHYL" }',
            [
                "problem.toml, column [[quota]] 1 (q) goods: no good has department = PHYL: found 'PHYL', "
                "expected a value such as PHIL, PHYS",
                "problem.toml, column [[quota]] 1 (q) goods: no good meets all of it: "
                "found \"{'department': 'PHYL'}\", expected at least one good",
            ],
        ),
        (
            'name = "q"\nmax = 1\ngoods = ["a1", "zz", 7]',
            [
                f"problem.toml, column [[quota]] 1 (q) goods: unknown good: found '{found}', "
                "expected a good of goods.csv"
                for found in ("zz", "7")
            ],
        ),
        (
            'name = "q"\nmax = 1\nagents = "s1"',
            [
                "problem.toml, column [[quota]] 1 (q) agents: not understood: found 's1', "
                'expected "all", a list of ids, or a table such as { column = "value" }'
            ],
        ),
        (
            'name = "q"\nmax = 1\n[[quota]]\nname = "q"\nmax = 2',
            [
                "problem.toml, column [[quota]] 2 (q) name: another quota has this name: found 'q', "
                "expected a name of its own"
            ],
        ),
        (
            'name = "q"\nmin = 3\nmax = 2',
            [
                "problem.toml: quota 'q': min is above max for 3 agents, first for 's1': "
                "found 'min 3, max 2', expected min at most max"
            ],
        ),
    ],
)
def test_faults_of_a_quota(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert faults(folder(tmp_path, rules=f"[[quota]]\n{text}\n")) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            '[[limit]]\nname = "three reviews"\nmin = 3\nmax = 3\n',
            [
                "problem.toml, column [[limit]] 1 (three reviews) min: not possible: found '3', expected max "
                "only: there is no lower bound over all agents (a quota's min binds each agent)"
            ],
        ),
        (
            '[[limit]]\nname = "l"\nmax = 2.5\n',
            [f"problem.toml, column [[limit]] 1 (l) max: not a whole number: found '2.5', {COUNT}"],
        ),
        (
            '[[limit]]\nname = "l"\nmax = 2\ngoods = ["a1", "b"]\n'
            '[[limit]]\nname = "m"\nmax = 2\ngoods = ["b", "c"]\n',
            [
                "problem.toml: limit 'l' and limit 'm' cross: 'b' is in both, 'a1' only in the first, "
                "'c' only in the second: expected sets that are nested or disjoint; narrow one of the two, "
                "or drop it"
            ],
        ),
        (
            '[[taper]]\nname = "t"\nmarginals = [0, -1, 0]\n',
            [
                "problem.toml, column [[taper]] 1 (t) marginals: rising: found '-1, then 0', "
                "expected numbers that never rise, such as [0, 0, -1]"
            ],
        ),
        (
            '[[taper]]\nname = "t"\nmarginals = 3\n',
            [
                "problem.toml, column [[taper]] 1 (t) marginals: missing or no list: found '3', "
                "expected a list of non-increasing numbers"
            ],
        ),
        (
            '[[taper]]\nname = "t"\nmarginals = [0, "x", -1e300]\n',
            [
                f"problem.toml, column [[taper]] 1 (t) marginals: {message}: found '{found}', "
                "expected a number from -1e15 to 1e15"
                for message, found in (("not a number", "x"), ("too small", "-1e+300"))
            ],
        ),
        (
            '[quota]\nname = "q"\nmax = 1\n',
            [
                "problem.toml, column quota: not an array of tables: "
                "found \"{'name': 'q', 'max': 1}\", expected [[quota]] in double brackets"
            ],
        ),
    ],
)
def test_faults_of_other_rules(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert faults(folder(tmp_path, rules=text)) == lines


@pytest.mark.parametrize(
    ("problem", "lines"),
    [
        (
            PROBLEM.replace("format = 1", "format = 2"),
            ["problem.toml, column format: missing or unknown: found '2', expected format = 1"],
        ),
        (
            PROBLEM.replace("format = 1\n", ""),
            ["problem.toml, column format: missing or unknown: expected format = 1"],
        ),
        (
            PROBLEM.replace('kind = "pseudomarket"', 'kind = "market"'),
            [
                "problem.toml, column kind: not known: found 'market', "
                'expected "pseudomarket" or "reallocation"'
            ],
        ),
        (
            PROBLEM.replace('[goods]\nfile = "goods.csv"\n', ""),
            ["problem.toml, column goods: missing: expected a table [goods]"],
        ),
        (
            PROBLEM.replace('[goods]\nfile = "goods.csv"', "goods = 3").replace("\ngoods = 3", "")
            + 'layout = "tall"\n',
            [
                "problem.toml, column goods: missing: expected a table [goods]",
                'problem.toml, column [values] layout: not known: found \'tall\', expected "long" or "wide"',
            ],
        ),
        (
            PROBLEM + 'missing = "zero"\n',
            [
                "problem.toml, column [values] missing: not known: found 'zero', "
                'expected "not acceptable" or a number of at least 0'
            ],
        ),
        (
            PROBLEM.replace('title = "Small"', "title = 7"),
            ["problem.toml, column title: not one line of text: found '7', expected a text in quotes"],
        ),
        (
            PROBLEM.replace('file = "goods.csv"', 'fil = "goods.csv"'),
            [
                "problem.toml, column [goods] file: missing: expected a text in quotes",
                "problem.toml, column [goods] fil: unknown key: found 'fil', expected 'file'?",
            ],
        ),
        (
            PROBLEM + "[values]\n",
            ["problem.toml: not TOML: Cannot declare ('values',) twice (at line 10, column 8)"],
        ),
    ],
)
def test_faults_of_settings(tmp_path: Path, problem: str, lines: list[str]) -> None:
    assert faults(folder(tmp_path, problem=problem)) == lines


def test_settings_in_another_encoding_or_absent(tmp_path: Path) -> None:
    (line,) = faults(folder(tmp_path, problem=PROBLEM.encode("utf-16")))
    assert line.startswith("problem.toml: wrong encoding: found 'UTF-16'")
    (line,) = faults(folder(tmp_path, problem=b'title = "\xe9"'))
    assert line.startswith("problem.toml, row 1: wrong encoding")
    (tmp_path / "problem.toml").unlink()
    assert faults(tmp_path) == [
        "problem.toml: no such file: expected a folder with a problem.toml (fairlot new makes one)"
    ]
    assert faults(tmp_path / "nowhere") == [
        f"{tmp_path}/nowhere: no such folder: expected a problem folder (fairlot new makes one)"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_reads(kind: str) -> None:
    parse = {"pseudomarket": parse_problem_files, "reallocation": parse_reallocation_files}[kind]
    assert parse(template_files(kind)).problem.title


def test_a_template_of_no_kind() -> None:
    with pytest.raises(NotSupportedError, match="no template of kind 'x'"):
        template_files("x")


def test_error_types() -> None:
    with pytest.raises(InvalidProblemError, match="no such file"):
        parse_problem_files({})
