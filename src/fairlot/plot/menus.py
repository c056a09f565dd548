r"""A menu as arrows in the planes of two tasks, with who would take which.

A type with private costs c takes an exchange :math:`\kappa` if it lowers her load,
:math:`c \cdot \kappa < 0`. In the plane of two tasks that is a half-plane through what she has, whose edge
depends on c: the acceptance region of everybody who may be her is shaded by how likely her type is in it.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import LESS, Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.plot.style import SHADES, axes, ink, legend, line, new_figure, say, shade_bar, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_LOG_TYPES = 12
_PIXELS = 160
_MOST_PLANES = 6


def plot_menu(
    problem: ReallocationProblem,
    menus: Menus,
    agent: str,
    tasks: tuple[str, str] | None = None,
    ax: Axes | None = None,
    *,
    key: bool = True,
) -> Axes:
    r"""Draw one agent's menu in the plane of two tasks, and which types pick which ray.

    The shade of a point is the probability, under the designer's belief, that she would rather have it than
    what she has, all other tasks as they are. Beside each ray stands the probability that she takes it, all
    tasks that it moves counted.

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
    key : bool
        Whether to explain rays and shades beside the plane.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> from fairlot.model.menus import Menu, Ray
    >>> problem = ReallocationProblem.from_arrays(
    ...     [[4, 4], [4, 4]], [[1, 3], [3, 1]], Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
    ... )
    >>> menus = Menus.of(problem.agents, problem.tasks, [Menu("agent1", (Ray("a", np.array([-4.0, 3.0])),))])
    >>> plot_menu(problem, menus, "agent1").get_xlabel()
    'task1 (instances per period)'
    """
    j = problem.agents.index(agent)
    own = np.flatnonzero(menus.ray_agents == j)
    plane = (
        _busiest(menus.changes[own]) if tasks is None else np.array([problem.tasks.index(t) for t in tasks])
    )
    types = _types(problem, j)
    ax = axes(ax)
    here = problem.endowment[j][plane]
    tips = here + menus.changes[np.ix_(own, plane)]
    reach = 1.1 * np.maximum(np.vstack([tips, here]).max(axis=0, initial=0.0), 1e-9)
    reach = np.maximum(reach, 0.15 * reach.max())
    image = _shade(ax, types[:, plane], here, reach)
    for k, r in enumerate(own):
        if menus.ray_names[r] == LESS:
            ax.fill([0, here[0], here[0], 0], [0, 0, here[1], here[1]], fill=False, hatch="//", label=LESS)
            continue
        share = 100 * float((types @ menus.changes[r] < 0).mean())
        ax.plot(
            [here[0], tips[k, 0]],
            [here[1], tips[k, 1]],
            **line(k) | {"color": ink(), "linewidth": 2, "markersize": 7},
            markevery=[1],
            label=f"{shortened(menus.ray_names[r])}: {share:.0f}% take it",
        )
    ax.plot(
        *here, marker="o", color="white", markeredgecolor=ink(), markersize=9, linestyle="", label="has now"
    )
    ax.set_xlim(0, reach[0])
    ax.set_ylim(0, reach[1])
    say(ax, x=f"{shortened(problem.tasks[plane[0]])} (instances per period)")
    say(ax, y=f"{shortened(problem.tasks[plane[1]])} (instances per period)")
    if key:
        legend(ax, f"menu of {shortened(agent)}: any point on a line, or stay")
        shade_bar(ax, image, "types who would rather be there (%)")
    return ax


def plot_menu_planes(problem: ReallocationProblem, menus: Menus, agent: str) -> list[Axes]:
    """Draw one agent's menu in the plane of every two tasks that it moves, up to six.

    Parameters
    ----------
    problem, menus, agent
        As in :func:`plot_menu`.

    Returns
    -------
    list of matplotlib.axes.Axes
        One per plane, in a new figure; those first in which most is moved.
    """
    j = problem.agents.index(agent)
    changes = menus.changes[menus.ray_agents == j]
    moved = np.abs(changes).sum(axis=0)
    touched = np.flatnonzero(moved > 0)
    if len(touched) < 2:
        return [plot_menu(problem, menus, agent)]
    planes = sorted(combinations(touched.tolist(), 2), key=lambda plane: -moved[list(plane)].min())
    planes = planes[:_MOST_PLANES]
    figure = new_figure()
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    figure.set_size_inches(3.2 * columns + 1.0, 3.0 * rows + 0.8)
    drawn = []
    for k, (a, b) in enumerate(planes):
        ax = figure.add_subplot(rows, columns, k + 1)
        pair = (problem.tasks[a], problem.tasks[b])
        drawn.append(plot_menu(problem, menus, agent, pair, ax, key=False))
    image = drawn[0].images[0]
    figure.colorbar(image, ax=drawn, label="types who would rather be there (%)", shrink=0.8)
    handles, labels = drawn[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=columns, loc="outside lower center", fontsize="small")
    figure.suptitle(f"menu of {shortened(agent)}, plane by plane of two tasks", fontsize="medium")
    return drawn


def _busiest(changes: FloatArray) -> IntArray:
    """Choose the task that rays take most of, and the one that they add most to."""
    given, taken = np.maximum(-changes, 0).sum(axis=0), np.maximum(changes, 0).sum(axis=0)
    first = int(given.argmax())
    taken[first] = -1.0
    return np.array([first, int(taken.argmax())])


def _types(problem: ReallocationProblem, j: int) -> FloatArray:
    from scipy.stats import qmc

    draws = qmc.Sobol(problem.n_tasks, seed=0).random_base2(_LOG_TYPES)
    return problem.beliefs.of(np.full(len(draws), j, dtype=np.int64)).types(draws)


def _shade(ax: Axes, costs: FloatArray, here: FloatArray, reach: FloatArray) -> AxesImage:
    """Shade each point by the share of types that would rather be there: a matter of its direction only."""
    x, y = ((np.arange(_PIXELS) + 0.5) / _PIXELS * most for most in reach)
    away = np.stack(np.meshgrid(x - here[0], y - here[1]), axis=-1)
    angles = np.linspace(-np.pi, np.pi, 721)
    rays = np.stack([np.cos(angles), np.sin(angles)])
    better = 100 * (costs @ rays < 0).mean(axis=0)
    share = np.interp(np.arctan2(away[..., 1], away[..., 0]), angles, better)
    return ax.imshow(
        share,
        extent=(0, reach[0], 0, reach[1]),
        origin="lower",
        aspect="auto",
        cmap=SHADES,
        vmin=0,
        vmax=100,
        alpha=0.55,
    )
