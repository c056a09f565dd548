"""What is read can be written, and what is written reads the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import PROBLEM, folder

from fairlot.errors import InvalidProblemError
from fairlot.io.demo import demo_pseudomarket
from fairlot.io.keys import write_toml
from fairlot.io.problem import (
    parse_problem_files,
    problem_files,
    read_problem,
    read_problem_files,
    write_problem,
)
from fairlot.io.tables import escape, read_table, unescape, write_csv
from fairlot.io.template import template_files
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
MARKETS = ["agh-2003", "ariel", "glasgow-1", "glasgow-2", "glasgow-3", "umass-courses", "umass-slots"]


def assert_same(one: PseudoMarket, other: PseudoMarket) -> None:
    assert (one.agents, one.goods, one.title) == (other.agents, other.goods, other.title)
    for name in ("capacities", "budgets", "per_agent"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for part in ("indptr", "indices", "data"):
        assert getattr(one.values, part).tolist() == getattr(other.values, part).tolist()
    assert len(one.bound_sets) == len(other.bound_sets)
    for left, right in zip(one.bound_sets, other.bound_sets, strict=True):
        for part in ("goods", "lower", "upper", "marginals"):
            assert getattr(left, part).tolist() == getattr(right, part).tolist()
    assert [(goods.tolist(), bound) for goods, bound in one.limit_sets] == [
        (goods.tolist(), bound) for goods, bound in other.limit_sets
    ]


def assert_survives(files: dict[str, bytes]) -> None:
    """The canonical copy reads the same and is its own copy; so does what the market alone gives."""
    read = parse_problem_files(files)
    again = parse_problem_files(read.files)
    assert_same(read.problem, again.problem)
    assert again.files == read.files
    assert_same(read.problem, parse_problem_files(problem_files(read.problem)).problem)


def test_template_and_demo_survive() -> None:
    assert_survives(template_files("pseudomarket"))
    assert_survives(demo_pseudomarket())


@pytest.mark.parametrize("name", MARKETS)
def test_real_problems_survive(name: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"no public data at {DATA}")
    assert_survives({path.name: path.read_bytes() for path in (DATA / name).iterdir()})


def test_attributes_stay_in_the_copy(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        problem=PROBLEM.replace("values.csv", "opinions.csv").replace('"goods.csv"', '"things.csv"')
        + '[[quota]]\nname = "q"\nby = "department"\nmax = 1\n',
    )
    (path / "goods.csv").rename(path / "things.csv")
    (path / "values.csv").rename(path / "opinions.csv")
    read = read_problem_files(path)
    assert sorted(read.files) == ["agents.csv", "goods.csv", "problem.toml", "values.csv"]
    assert read.files["goods.csv"].decode().splitlines()[0] == "good,capacity,course,department"
    assert b'by = "department"' in read.files["problem.toml"]


IDS = st.text(min_size=1, max_size=6).filter(lambda t: t == t.strip() and t.isprintable())
RUNNABLE = st.sampled_from(["=1+1", "'=x", "''@a", "-5", "+1", "@x", "'", "'x", '"q"', "a,b", "Ω", "#REF!"])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_market_survives(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = st.one_of(IDS, RUNNABLE)
    agents = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    goods = data.draw(st.lists(names, min_size=1, max_size=5, unique=True))
    number = st.one_of(st.just(0.0), st.floats(1e-15, 1e15))
    cells = st.one_of(st.just(float("nan")), number)
    values = np.array(
        data.draw(
            st.lists(
                st.lists(cells, min_size=len(goods), max_size=len(goods)),
                min_size=len(agents),
                max_size=len(agents),
            )
        )
    )
    count = st.integers(0, 9)
    someone = st.one_of(st.just("all"), st.lists(st.sampled_from(agents), unique=True).map(tuple))
    something = st.one_of(st.just("all"), st.lists(st.sampled_from(goods), unique=True).map(tuple))
    quotas = data.draw(
        st.lists(
            st.builds(
                Quota,
                name=names,
                goods=something,
                min=st.just(0),
                max=st.one_of(
                    st.none(), count, st.lists(count, min_size=len(agents), max_size=len(agents)).map(tuple)
                ),
                agents=someone,
                group=st.sampled_from(["", "course = A"]),
            ),
            max_size=3,
        )
    )
    tapers = data.draw(
        st.lists(
            st.builds(Taper, name=names, marginals=st.just((0.5, -1.0)), goods=something, agents=someone),
            max_size=2,
        )
    )
    limits = data.draw(st.lists(st.builds(Limit, name=names, max=count, goods=something), max_size=1))
    market = PseudoMarket.from_arrays(
        values,
        capacities=data.draw(st.lists(count, min_size=len(goods), max_size=len(goods))),
        budgets=data.draw(st.lists(st.floats(1e-15, 1e15), min_size=len(agents), max_size=len(agents))),
        agents=agents,
        goods=goods,
        per_agent=data.draw(st.lists(st.integers(1, 3), min_size=len(goods), max_size=len(goods))),
        quotas=quotas,
        tapers=tapers,
        limits=limits,
    )
    target = tmp_path_factory.mktemp("problem")
    write_problem(market, target)
    assert_same(market, read_problem(target))


def test_ids_that_no_table_can_hold() -> None:
    market = PseudoMarket.from_arrays([[1.0, 2.0]], 1, agents=[" a"], goods=["b\n", "c"])
    with pytest.raises(InvalidProblemError) as caught:
        problem_files(market)
    assert [issue.found for issue in caught.value.issues] == [" a", "b\n"]


def test_a_problem_is_not_written_over_something(tmp_path: Path) -> None:
    market = PseudoMarket.from_arrays([[1.0]], 1)
    write_problem(market, tmp_path / "new" / "folder")
    with pytest.raises(InvalidProblemError, match="exists already"):
        write_problem(market, tmp_path / "new" / "folder")


@given(st.one_of(st.text(), RUNNABLE))
def test_escaping_is_undone(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not escape(text).startswith(("=", "+", "-", "@"))


@given(st.lists(st.lists(st.one_of(IDS, RUNNABLE, st.just("")), min_size=2, max_size=2), max_size=4))
def test_csv_survives_and_others_read_it(records: list[list[str]]) -> None:
    records = [record for record in records if any(record)]
    data = write_csv(("one", "two"), records)
    table = read_table({"t.csv": data}.__getitem__, "t.csv", issues := [])
    assert table is not None
    assert issues == []
    assert [list(record) for record in zip(*table.cells, strict=True)] == records
    assert list(csv.reader(io.StringIO(data.decode(), newline="")))[1:] == [
        [escape(cell) for cell in record] for record in records
    ]


@given(
    st.dictionaries(
        st.text(max_size=4),
        st.recursive(
            st.one_of(
                st.text(max_size=8),
                st.integers(-(2**63), 2**63 - 1),
                st.booleans(),
                st.floats(allow_nan=False),
            ),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_toml_survives(table: dict[str, object]) -> None:
    import tomllib

    document = {"format": 1, "section": table, "entry": [table, table]}
    text = write_toml(document).decode("utf-8", "surrogatepass")
    assert tomllib.loads(text) == document
