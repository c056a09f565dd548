"""The bundled examples: synthetic, made from a fixed seed, so that everybody sees the same numbers.

Nothing in them is real. The pseudo-market example imitates the choice of electives at a small
university: 200 students, 30 courses in six departments (some in two sections), a course load per
student, one section per course, a cap on courses of one department for first-years, a laboratory shared
by the sciences, diminishing returns for more than two courses of one department, and a larger budget
for students in their last year.
"""

from __future__ import annotations

import csv
from io import StringIO
from random import Random

SEED = 2026
DEPARTMENTS = ("ART", "BIO", "CHEM", "ECON", "HIST", "PHYS")
_SUBJECTS = {
    "ART": ("Drawing", "Film", "Architecture", "Colour"),
    "BIO": ("Genetics", "Ecology", "Microbiology", "Physiology"),
    "CHEM": ("Organic chemistry", "Polymers", "Analysis", "Catalysis"),
    "ECON": ("Game theory", "Public finance", "Labour", "Auctions"),
    "HIST": ("Antiquity", "Trade routes", "Revolutions", "Archives"),
    "PHYS": ("Optics", "Mechanics", "Astrophysics", "Fluids"),
}

_PROBLEM = """\
# A synthetic example: 200 invented students choose among 30 course sections.
format = 1
kind = "pseudomarket"
title = "Electives at an invented university"

[goods]
file = "goods.csv"

[agents]
file = "agents.csv"
budget = "budget"          # 1.25 for students in their last year, 1 for the others

[values]                   # points a student gave to the courses she would take
file = "values.csv"
layout = "long"
missing = "not acceptable"

[[quota]]
name = "course load"
goods = "all"
max = "load"

[[quota]]
name = "one section per course"
by = "course"
max = 1

[[quota]]
name = "at most two courses of a department for first-years"
by = "department"
agents = { year = 1 }
max = 2

[[taper]]
name = "a third course of one department is worth 15 points less"
by = "department"
agents = { year = [2, 3] }
marginals = [0, 0, -15]

[[limit]]
name = "science laboratory"
goods = { laboratory = "yes" }
max = 180
"""


def demo_pseudomarket() -> dict[str, bytes]:
    """Make the pseudo-market example.

    Returns
    -------
    dict of str to bytes
        File name to content, a problem folder.

    Examples
    --------
    >>> sorted(demo_pseudomarket())
    ['agents.csv', 'goods.csv', 'problem.toml', 'values.csv']
    """
    random = Random(SEED)  # only random() is used: its stream is promised to stay
    goods, appeal = _sections(random)
    agents, values = _students(random, goods, appeal)
    return {
        "problem.toml": _PROBLEM.encode(),
        "goods.csv": _csv(["good", "capacity", "course", "department", "laboratory", "title"], goods),
        "agents.csv": _csv(["agent", "year", "load", "budget"], agents),
        "values.csv": _csv(["agent", "good", "value"], values),
    }


def _sections(random: Random) -> tuple[list[list[object]], dict[str, float]]:
    goods: list[list[object]] = []
    appeal: dict[str, float] = {}
    for department in DEPARTMENTS:
        for number, subject in enumerate(_SUBJECTS[department]):
            course = f"{department}-{101 + number}"
            popularity = random.random()
            for section in ("A", "B") if number == 0 else ("A",):
                good = f"{course}-{section}"
                laboratory = "yes" if department in ("BIO", "CHEM", "PHYS") and number < 3 else "no"
                seats = 17 + int(16 * random.random())
                goods.append([good, seats, course, department, laboratory, f"{subject}, section {section}"])
                appeal[good] = popularity
    return goods, appeal


def _students(
    random: Random, goods: list[list[object]], appeal: dict[str, float]
) -> tuple[list[list[object]], list[list[object]]]:
    agents: list[list[object]] = []
    values: list[list[object]] = []
    for number in range(200):
        agent, year = f"s{number + 1:03d}", 1 + int(3 * random.random())
        load = 3 + int(2 * random.random())
        agents.append([agent, year, load, 1.25 if year == 3 else 1])
        taste = {department: random.random() for department in DEPARTMENTS}
        for good, _, _, department, _, _ in goods:
            joy = 45 * appeal[str(good)] + 35 * taste[str(department)] + 20 * random.random()
            if joy > 45:
                values.append([agent, good, round(joy)])
    return agents, values


def _csv(header: list[str], rows: list[list[object]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
