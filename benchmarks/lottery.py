"""How long draws and decompositions of lotteries take, beside others' in the same run.

``python -m benchmarks.lottery`` (``--full`` adds the sizes that take minutes, ``--limit 120`` changes the
seconds that each peer gets)

Instances: ``dense``, doubly stochastic with all cells positive; ``mixture``, of 20 permutations; ``sparse``,
n x n with about 2 n cells left to chance; ``courses``, a mixture of 8 assignments of 5 courses per
student, with sets student > category and faculty > department > course; ``counts``, 50 copies per agent.

Seconds are of the processor, on one thread, so that a busy machine does not count; kernels have been
compiled before. Draws: building the lottery from floating-point shares, the binding draw, and one of many
samples; the largest residual of the draw's certificate.

Decompositions: terms; seconds; the largest error of the mixture of terms, in copies; how many times our
seconds. The peers:

``birkhoff``     the package of that name (0.0.5), if it is installed. It needs a shim: ``numpy.float`` and
                 ``networkx.from_numpy_matrix`` are gone, and an index must be a tuple. Square matrices only.
``any matching`` Birkhoff's algorithm on SciPy's maximum bipartite matching. Square matrices only.
``vertices``     a vertex of the remaining shares by HiGHS (warm-started, most likely cells first) and the
                 largest step along it, on the same graph and in the same integers as ours.

A peer that has not finished at its limit is stopped; ``>`` marks its seconds and what it had found by then.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import maximum_bipartite_matching

from fairlot.lottery import CellSet, Lottery, decompose, draw_walk, lottery_from_shares, sample
from fairlot.lottery.decomposition import excess_of
from fairlot.lottery.graph import circulation
from fairlot.verify.lottery import verify_assignment, verify_decomposition

Shares = np.ndarray
Instance = tuple[Any, dict[str, Any]]  # shares, and the options of lottery_from_shares
Terms = Iterator[tuple[float, np.ndarray]]  # weight, and what it puts on each cell of the fractional part


def balanced(matrix: Shares, rows: np.ndarray, columns: np.ndarray) -> Shares:
    """Scale rows and columns to their sums (Sinkhorn)."""
    for _ in range(3000):
        matrix = matrix * (rows / matrix.sum(axis=1))[:, None]
        matrix = matrix * (columns / matrix.sum(axis=0))
        if np.abs(matrix.sum(axis=1) - rows).max() < 1e-14 * rows.max():
            break
    return matrix


def dense(n: int) -> Instance:
    """Return a doubly stochastic matrix with all cells positive."""
    weights = np.random.default_rng(n).random((n, n)) ** 2 + 1e-3
    return balanced(weights, np.ones(n), np.ones(n)), {}


def mixture(n: int, n_terms: int = 20) -> Instance:
    """Return a mixture of random permutations."""
    rng = np.random.default_rng(n)
    shares = np.zeros((n, n))
    for weight in rng.dirichlet(np.ones(n_terms)):
        shares[np.arange(n), rng.permutation(n)] += weight
    return sp.csr_array(shares), {}


def sparse(n: int, length: int = 50) -> Instance:
    """Return a mixture of permutations that move few."""
    rng = np.random.default_rng(n)
    shares = np.zeros((n, n))
    for weight in rng.dirichlet(np.ones(n // 25)):
        permutation = np.arange(n)
        moved = rng.choice(n, length, replace=False)
        permutation[moved] = np.roll(moved, 1)
        shares[np.arange(n), permutation] += weight
    return sp.csr_array(shares), {}


def courses(n_students: int, n_courses: int, load: int = 5, n_terms: int = 8) -> Instance:
    """Return a course market with sets of two levels and more on both sides."""
    rng = np.random.default_rng(n_students)
    capacity = -(-n_students * load // n_courses) + 2
    shares = np.zeros((n_students, n_courses))
    for weight in rng.dirichlet(np.ones(n_terms)):
        left = np.full(n_courses, capacity)
        for student in range(n_students):
            score = np.where(left > 0, rng.random(n_courses) + left / capacity, -1.0)
            taken = np.argpartition(-score, load)[:load]
            shares[student, taken] += weight
            left[taken] -= 1
    students = [f"s{i:04}" for i in range(n_students)]
    names = [f"c{j:03}" for j in range(n_courses)]
    categories = [names[k::6] for k in range(6)]
    departments = [list(part) for part in np.array_split(names, 30)]
    faculties = [[name for part in departments[k::6] for name in part] for k in range(6)]
    return sp.csr_array(shares), {
        "agents": students,
        "goods": names,
        "agent_sets": [
            CellSet(f"category {k} of {student}", (student,), goods)
            for student in students
            for k, goods in enumerate(categories)
        ],
        "good_sets": [
            *(CellSet(f"faculty {k}", goods=goods) for k, goods in enumerate(faculties)),
            *(CellSet(f"department {k}", goods=goods) for k, goods in enumerate(departments)),
            *(CellSet(f"seats of {name}", goods=(name,), upper=capacity) for name in names),
        ],
    }


def counts(n_agents: int, n_tasks: int = 10) -> Instance:
    """Return tasks handed out by the dozen."""
    work = np.random.default_rng(n_agents).gamma(1.5, 3.0, (n_agents, n_tasks))
    shares = balanced(work, np.full(n_agents, 50.0), np.full(n_tasks, 50.0 * n_agents / n_tasks))
    tasks = [f"t{j}" for j in range(n_tasks)]
    pool = CellSet("half of the tasks", goods=tasks[: n_tasks // 2])
    return shares, {"goods": tasks, "good_sets": [pool], "kind": "reallocation"}


def package_birkhoff(lottery: Lottery) -> Terms:
    """Decompose by the package ``birkhoff``, shimmed for current NumPy and NetworkX."""
    import networkx

    np.float = float  # type: ignore[attr-defined]  # noqa: NPY001
    networkx.from_numpy_matrix = networkx.from_numpy_array
    import birkhoff

    def to_permutation_matrix(matches: dict[int, int]) -> np.ndarray:
        permutation = np.zeros((len(matches), len(matches)))
        permutation[tuple(zip(*matches.items(), strict=True))] = 1
        return permutation

    birkhoff.to_permutation_matrix = to_permutation_matrix
    shares = lottery.expectations().to_array()
    for weight, permutation in birkhoff.birkhoff_von_neumann_decomposition(shares):
        yield weight, permutation[lottery.cell_agent, lottery.cell_good]


def any_matching(lottery: Lottery) -> Terms:
    """Decompose by Birkhoff's algorithm, a maximum matching of the positive cells at a time."""
    left = lottery.expectations().to_array()
    rows = np.arange(len(left))
    while left.max() > 1e-12:
        match = maximum_bipartite_matching(sp.csr_array(left > 1e-12), perm_type="column")
        if (match < 0).any():
            return  # rounding errors have left a matrix without a perfect matching
        weight = left[rows, match].min()
        left[rows, match] -= weight
        permutation = sp.csr_array((np.ones(len(rows)), (rows, match)), shape=left.shape)
        yield weight, np.asarray(permutation[lottery.cell_agent, lottery.cell_good]).ravel()


def vertices(lottery: Lottery) -> Terms:
    """Decompose by vertices of what remains, found by HiGHS, and the largest step along each."""
    kept, graph = circulation(lottery).fractional()
    n_free = int(np.searchsorted(kept, lottery.n_cells))
    n, d = len(kept), lottery.denominator
    left, rest = graph.flow.copy(), d
    zero = np.zeros(n, dtype=np.uint8)
    net = -excess_of(graph.n_nodes, graph.tail, graph.head, graph.flow, zero, d).astype(float)
    edges = np.arange(n)
    incidence = sp.csc_array(
        (
            np.concatenate([np.ones(n), -np.ones(n)]),
            (np.concatenate([graph.head, graph.tail]), np.concatenate([edges, edges])),
        ),
        shape=(graph.n_nodes, n),
    )
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n, graph.n_nodes
    model.col_cost_, model.col_lower_, model.col_upper_ = np.zeros(n), np.zeros(n), np.ones(n)
    model.row_lower_ = model.row_upper_ = net
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_ = incidence.indptr, incidence.indices
    model.a_matrix_.value_ = incidence.data
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.passModel(model)
    while rest:
        solver.changeColsCost(n, edges.astype(np.int32), 1 - 2 * left / rest)
        lower, upper = (left == rest).astype(float), (left > 0).astype(float)
        solver.changeColsBounds(n, edges.astype(np.int32), lower, upper)
        solver.run()
        z = np.rint(solver.getSolution().col_value).astype(np.int64)
        weight = int(np.where(z == 1, left, rest - left).min(initial=rest))
        left -= weight * z
        rest -= weight
        copies = lottery.whole.copy()
        copies[kept[:n_free]] += z[:n_free]
        yield weight / d, copies


PEERS: dict[str, Callable[[Lottery], Terms]] = {
    "birkhoff": package_birkhoff,
    "any matching": any_matching,
    "vertices": vertices,
}


def _peer(name: str, lottery: bytes, results: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Run a peer in a process of its own, telling what it has every now and then."""
    read = Lottery.from_json(lottery)
    expected = read.whole + read.fraction / read.denominator
    made = np.zeros(read.n_cells)
    began = told = time.process_time()
    n_terms = 0
    try:
        for n_terms, (weight, copies) in enumerate(PEERS[name](read), start=1):
            made += weight * copies
            if time.process_time() - told > 1:
                told = time.process_time()
                results.put((False, n_terms, told - began, float(np.abs(made - expected).max())))
    except ImportError:
        results.put((True, -1, 0.0, 0.0))
        return
    results.put((True, n_terms, time.process_time() - began, float(np.abs(made - expected).max())))


def run_peer(name: str, lottery: Lottery, limit: float) -> tuple[bool, int, float, float]:
    """Return whether a peer finished, its terms (-1: not installed, -2: failed), seconds and error so far."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_peer, args=(name, lottery.to_json(), results))
    process.start()
    last = (False, 0, limit, 1.0)
    stop = time.monotonic() + limit + 10  # it has to import first
    while not last[0] and time.monotonic() < stop:
        try:
            last = results.get(timeout=1)
        except queue.Empty:
            if not process.is_alive():
                last = (True, -2, 0.0, 0.0)
    process.terminate()
    process.join()
    return last if last[0] else (False, last[1], limit, last[3])


def exponent(sizes: list[int], seconds: list[float]) -> str:
    """Fit seconds ~ size^k on logarithms; at least four sizes, else nothing is claimed."""
    if len(sizes) < 4:
        return "n/a (fewer than four sizes)"
    return f"{np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-6)), 1)[0]:.2f}"


def best_of(n: int, work: Callable[[], object]) -> float:
    """Return the least seconds of a few runs."""
    seconds = []
    for _ in range(n):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def draws() -> None:
    """Print the table of draws and its exponents."""
    head = f"{'draws':<20} {'cells':>8} {'chance':>8} {'build s':>8} {'draw s':>8}"
    print(f"{head} {'sample s':>8} {'residual':>8}")
    families: dict[str, tuple[Callable[..., Instance], list[tuple[int, ...]]]] = {
        "dense": (dense, [(100,), (200,), (400,), (1000,)]),
        "sparse": (sparse, [(250,), (500,), (1000,), (2000,)]),
        "courses": (courses, [(250, 60), (500, 100), (1000, 200), (2000, 300)]),
        "counts": (counts, [(1250,), (2500,), (5000,), (10000,)]),
    }
    for family, (make, sizes) in families.items():
        cells, seconds = [], []
        for size in sizes:
            shares, options = make(*size)
            began = time.process_time()
            lottery = lottery_from_shares(shares, **options)
            build = time.process_time() - began
            draw = best_of(3, lambda lottery=lottery: draw_walk(lottery, bytes(32)))
            each = best_of(2, lambda lottery=lottery: sample(lottery, 3, 1)) / 3
            residual = verify_assignment(lottery, draw_walk(lottery, bytes(32))).worst
            chance = int((lottery.fraction > 0).sum())
            name = f"{family} {'x'.join(map(str, size))}"
            print(
                f"{name:<20} {lottery.n_cells:>8} {chance:>8} {build:>8.2f} {draw:>8.4f} {each:>8.4f} "
                f"{residual:>8.0f}",
                flush=True,
            )
            cells.append(chance)
            seconds.append(draw)
        print(f"{family}: exponent of seconds per draw in cells left to chance {exponent(cells, seconds)}")
    print()


def decompositions(full: bool, limit: float) -> None:
    """Print the table of decompositions and its exponents."""
    head = f"{'decompositions':<20} {'chance':>8} {'method':<13}"
    print(f"{head} {'terms':>7} {'seconds':>9} {'error':>8} {'ratio':>9}")
    families: dict[str, tuple[Callable[..., Instance], list[tuple[int, ...]], list[tuple[int, ...]]]] = {
        "mixture": (mixture, [(100,), (200,), (400,), (800,)], [(100,), (200,)]),
        "dense": (dense, [(25,), (50,), (75,), (100,)], [(50,), (100,)]),
        "sparse": (sparse, [(250,), (500,), (1000,), (2000,)], [(500,), (1000,)]),
        "courses": (courses, [(250, 60), (500, 100), (1000, 200), (2000, 300)], [(250, 60), (2000, 300)]),
    }
    for family, (make, sizes, compared) in families.items():
        cells, seconds = [], []
        for size in sizes:
            shares, options = make(*size)
            lottery = lottery_from_shares(shares, **options)
            chance = int((lottery.fraction > 0).sum())
            began = time.process_time()
            terms = decompose(lottery)
            ours = time.process_time() - began
            certificate = verify_decomposition(lottery, terms)
            error = 0.0 if certificate.passed else certificate.worst
            name = f"{family} {'x'.join(map(str, size))}"
            line = f"{name:<20} {chance:>8}"
            print(f"{line} {'fairlot':<13} {terms.n_terms:>7} {ours:>9.4f} {error:>8.1e} {1:>9}", flush=True)
            cells.append(chance)
            seconds.append(ours)
            square = len(size) == 1
            for peer in [p for p in PEERS if (full or size in compared) and (square or p == "vertices")]:
                done, n_terms, taken, off = run_peer(peer, lottery, limit)
                if n_terms < 0:
                    reason = "not installed" if n_terms == -1 else "failed"
                    print(f"{line} {peer:<13} {reason}", flush=True)
                    continue
                mark = " " if done else ">"
                apart = f"{off:.1e}" if n_terms else ""  # a peer that tells nothing until it is done
                found = f"{mark}{n_terms:>6} {mark}{taken:>8.2f} {apart:>8} {mark}{taken / ours:>8.1f}"
                print(f"{line} {peer:<13} {found}", flush=True)
        print(f"{family}: exponent of seconds in cells left to chance {exponent(cells, seconds)}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=float, default=60.0, help="seconds per peer and instance")
    parser.add_argument("--full", action="store_true", help="peers at every size")
    parser.add_argument("--only", choices=["draws", "decompositions"])
    options = parser.parse_args()
    small = lottery_from_shares(dense(4)[0])
    draw_walk(small, bytes(32))
    sample(small, 1, 0)
    decompose(small)
    if options.only != "decompositions":
        draws()
    if options.only != "draws":
        decompositions(options.full, options.limit)


if __name__ == "__main__":
    main()
