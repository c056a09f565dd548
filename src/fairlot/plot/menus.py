"""A menu as arrows, with who would take which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.plot.style import COLOURS, DASHES, MARKERS, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_menu(
    problem: ReallocationProblem,
    menus: Menus,
    agent: str,
    tasks: tuple[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw one agent's menu in the plane of two tasks, and which types pick which ray.

    A type picks a ray if it lowers her load, :math:`c \cdot \kappa < 0`. At the tip of each ray stands the
    probability of that under the designer's belief.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        Its menus.
    agent : str
        Whose.
    tasks : (str, str), optional
        The plane; default the task that her rays take most of, and the one they add most to.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    j = problem.agents.index(agent)
    own = np.flatnonzero(menus.ray_agents == j)
    endowment = problem.endowment[j]
    if tasks is None:
        given = np.maximum(-menus.changes[own], 0).sum(axis=0)
        taken = np.maximum(menus.changes[own], 0).sum(axis=0)
        first = int(given.argmax())
        taken[first] = -1.0
        plane = np.array([first, int(taken.argmax())])
    else:
        plane = np.array([problem.tasks.index(task) for task in tasks])
    here = endowment[plane]
    draws = np.random.default_rng(0).random((4096, problem.n_tasks))
    types = problem.beliefs.of(np.full(4096, j, dtype=np.int64)).types(draws)
    for k, r in enumerate(own):
        tip = here + menus.changes[r, plane]
        share = float((types @ menus.changes[r] < 0).mean())
        colour = COLOURS[k % len(COLOURS)]
        ax.plot(
            [here[0], tip[0]],
            [here[1], tip[1]],
            color=colour,
            linestyle=DASHES[k % len(DASHES)],
            marker=MARKERS[k % len(MARKERS)],
            markevery=[1],
            label=f"ray {menus.ray_names[r]}: taken by {100 * share:.0f}% of types",
        )
    ax.plot(*here, marker="o", color=COLOURS[2], markersize=7, linestyle="", label="what she has")
    ax.set_xlabel(f"{problem.tasks[plane[0]]} (instances per period)")
    ax.set_ylabel(f"{problem.tasks[plane[1]]} (instances per period)")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.margins(0.15)
    ax.set_title(f"menu of {agent}: any point on a line, or stay", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return ax
