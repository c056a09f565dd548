r"""Follow the path of smoothed equilibria in price space, from a large barrier parameter to a tiny one.

The solutions of G(q, μ) = 0 form curves in (q, log μ) that may turn back in μ, so the curve is followed
by its arclength: a step along the tangent, then Newton steps on G within the plane across it. The
determinant of ∂G over such a plane's normal keeps its sign along one curve, which orients the tangent
and shows a jump to another curve.

Steps are measured by the largest relative change of any variable, agents' included. A step is as long
as makes the first Newton step after it about ``_ERROR``, and a point counts as on the curve when what
is left to correct is small beside the step: near a sharp turn both shrink together. Where nothing but μ
moves, the plane across the curve would leave μ to the last digits of prices; a level plane, of fixed μ,
serves there, and whenever the first choice of plane fails. When both fail for shorter and shorter
steps, the point itself is doubtful, and the path resumes from the one before.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.pricepath.clearing import Bordered, Clearing, Position, least_step
from fairlot.pseudomarket.pricepath.newton import State
from fairlot.pseudomarket.trace import pass_point

_ERROR = 0.15
_FIRST_STEP, _LONGEST_STEP = 0.3, 3.0
_LONGEST_PRICE_STEP = 0.98
_ON_CURVE, _ON_CURVE_SHARE = 0.06, 0.2
_SETTLED, _SETTLED_SHARE, _SETTLED_AT_END = 1e-3, 0.02, 1e-8
_LEVEL = 0.5
_MOST_CENTRINGS, _CORRECTIONS = 60, 6
_CONTRACTION = 0.5
_TOO_FAR = 5.0
_MOST_TRIES = 5
_TRAIL = 3
_RESUME = 0.25
_MOST_TURNS_REFUSED = 5
_HIGHEST = 1e3
_HIGHEST_MONEY_VALUE = 1e7


@dataclass(frozen=True)
class Progress:
    """Where a path got to.

    Parameters
    ----------
    position : Position
        The end, or the position of the smallest μ met.
    factorizations : int
        Of the market's Jacobian.
    note : str
        Why it stopped; empty at the end of the path.
    """

    position: Position
    factorizations: int
    note: str


@dataclass(frozen=True)
class _Anchor:
    """A position on the curve, the tangent there, and the correction still to be made.

    Parameters
    ----------
    position : Position
        Settled.
    q_tangent, log_mu_tangent, tangent : FloatArray, float, State
        Unit tangent by the metric, and the agents' response to it.
    q_correction, log_mu_correction, correction : FloatArray, float, State
        Newton step towards the curve.
    q_normal : FloatArray
        Normal of the plane across the curve, with ``log_mu_tangent``.
    reach, price_reach : float
        Lengths along the tangent at which the first variable, and the first price or μ, would be 0.
    """

    position: Position
    q_tangent: FloatArray
    log_mu_tangent: float
    tangent: State
    q_correction: FloatArray
    log_mu_correction: float
    correction: State
    q_normal: FloatArray
    reach: float
    price_reach: float

    def normal(self, alternative: bool) -> tuple[FloatArray, float]:
        """Return the normal of the plane to correct in: level where little but μ moves, or else."""
        if (abs(self.log_mu_tangent) * self.reach > _LEVEL) != alternative:
            return np.zeros_like(self.q_normal), float(np.sign(self.log_mu_tangent))
        return self.q_normal, self.log_mu_tangent


def follow(
    clearing: Clearing,
    start: Position,
    *,
    tol: float,
    most: int,
    deadline: float | None = None,
    reporter: Reporter | None = None,
) -> Progress:
    """Follow the path from a position until μ < tol.

    Parameters
    ----------
    clearing : Clearing
        The market.
    start : Position
        Anything in the interior; it is moved.
    tol : float
        Final μ.
    most : int
        Factorizations to spend.
    deadline : float, optional
        ``time.monotonic`` value at which to stop.
    reporter : Reporter, optional
        Told μ.
    """
    return _Path(clearing, tol, most, deadline, reporter or NullReporter()).run(start)


class _Path:
    def __init__(
        self, clearing: Clearing, tol: float, most: int, deadline: float | None, reporter: Reporter
    ) -> None:
        self.clearing, self.tol, self.most = clearing, tol, most
        self.deadline, self.reporter = deadline, reporter
        self.factorizations = 0
        self.sign = 0.0  # of the bordered determinant; 0 until the first tangent

    def run(self, start: Position) -> Progress:
        anchor = self._centre(start)
        if anchor is None:
            note = self._obstacle(start, np.inf) or "no smoothed equilibrium found to start from"
            return Progress(start, self.factorizations, note)
        self._passed(anchor)
        best, highest = start, _HIGHEST * start.mu
        fraction, tries, refused = _FIRST_STEP, 0, 0
        trail: deque[tuple[_Anchor, float]] = deque(maxlen=_TRAIL)
        while True:
            if note := self._obstacle(anchor.position, highest):
                return Progress(best, self.factorizations, note)
            error, following, turned = self._step(anchor, fraction, tries % 2 == 1)
            if following is not None and turned and refused < _MOST_TURNS_REFUSED:
                refused += 1
                following = None
            ratio = float(np.sqrt(_ERROR / max(error, 1e-9)))  # 0 if there was no first correction
            if following is None:
                tries += 1
                fraction *= min(max(ratio, 0.1), 0.5)
                if tries == _MOST_TRIES:
                    if not trail:
                        return Progress(best, self.factorizations, "no step forward")
                    anchor, fraction = trail.pop()
                    self._passed(anchor)
                    fraction, tries = _RESUME * fraction, 1
                continue
            trail.append((anchor, fraction))
            fraction = min(fraction * min(max(ratio, 0.3), 1.0 if tries else 3.0), _LONGEST_STEP)
            if tries == 0:
                refused = 0
            tries = 0
            anchor = following
            self._passed(anchor)
            if anchor.position.mu < best.mu:
                best = anchor.position
            if best.mu < self.tol:
                return Progress(self._finished(best), self.factorizations, "")

    def _passed(self, anchor: _Anchor) -> None:
        pass_point(self.reporter, anchor.position.mu, anchor.position.q, self.clearing.layout.supply_row)

    def _obstacle(self, position: Position, highest: float) -> str:
        """Say why to stop here, if there is a reason."""
        if self.factorizations >= self.most:
            return "step limit"
        if self.deadline is not None and time.monotonic() > self.deadline:
            return "time limit"
        if position.mu > highest:
            return "the path turned back"
        if self.clearing.largest_money_value(position) > _HIGHEST_MONEY_VALUE:
            return "an agent can hardly afford what her bounds ask"
        return ""

    def _centre(self, position: Position) -> _Anchor | None:
        """Find the smoothed equilibrium at the position's μ by Newton's method, in place."""
        step = self.clearing.new_step()
        level = np.zeros_like(position.q)
        for _ in range(_MOST_CENTRINGS):
            if self._obstacle(position, np.inf) or not self.clearing.settle(position, _SETTLED):
                return None
            system = self._system(position, level, 1.0)
            q_step, _ = system.solve(-self.clearing.surplus(position), 0.0)
            decline = self.clearing.respond(position, q_step, 0.0, step)
            size = _size(position, q_step, 0.0, decline)
            if size < _ON_CURVE:
                return self._anchor(position, system, q_step, 0.0, step)[0]
            self.clearing.advance(position, q_step, 0.0, step, min(1.0, 0.9 / size))
        return None

    def _finished(self, position: Position) -> Position:
        """Newton's method on G at the last μ until rounding stops it.

        Where a continuum of equilibria leaves the Jacobian singular to rounding, prices stay in place
        along it.
        """
        step = self.clearing.new_step()
        best, trial, least = position, position.copy(), np.inf
        for _ in range(_CORRECTIONS):
            self.clearing.settle(trial, _SETTLED_AT_END)
            surplus = self.clearing.surplus(trial)
            size = float(np.abs(surplus).max())
            if not size < 0.5 * least:
                break
            best, least, trial = trial, size, trial.copy()
            jacobian, _ = self.clearing.differentiate(trial)
            self.factorizations += 1
            q_step = least_step(jacobian, -surplus)
            decline = self.clearing.respond(trial, q_step, 0.0, step)
            self.clearing.advance(trial, q_step, 0.0, step, min(1.0, 0.9 / max(decline, 0.9)))
        return best

    def _system(self, position: Position, q_normal: FloatArray, log_mu_normal: float) -> Bordered:
        self.factorizations += 1
        return Bordered(*self.clearing.differentiate(position), q_normal, log_mu_normal)

    def _step(
        self, anchor: _Anchor, fraction: float, alternative: bool
    ) -> tuple[float, _Anchor | None, bool]:
        """Step along the tangent and correct.

        Returns
        -------
        error : float
            Size of the first correction.
        following : _Anchor or None
            None if the corrections do not shrink fast enough.
        turned : bool
            Whether the point seems to lie on another curve, or beyond a turn.
        """
        length = min(fraction * anchor.reach, _LONGEST_PRICE_STEP * anchor.price_reach)
        if anchor.log_mu_tangent < 0:
            length = min(length, (1.0 - 0.5 * self.tol / anchor.position.mu) / -anchor.log_mu_tangent)
        trial = anchor.position.copy()
        step = State(*(c + length * t for c, t in zip(anchor.correction, anchor.tangent, strict=True)))
        q_step = anchor.q_correction + length * anchor.q_tangent
        log_mu_step = anchor.log_mu_correction + length * anchor.log_mu_tangent
        self.clearing.advance(trial, q_step, log_mu_step, step, 1.0)
        on_curve = max(min(_ON_CURVE, _ON_CURVE_SHARE * fraction), 1e-5)
        settled = min(_SETTLED, _SETTLED_SHARE * on_curve)
        normal = anchor.normal(alternative)
        error = before = np.inf
        for correction in range(_CORRECTIONS):
            if not self.clearing.settle(trial, settled):
                break
            system = self._system(trial, *normal)
            q_step, log_mu_step = system.solve(-self.clearing.surplus(trial), 0.0)
            decline = self.clearing.respond(trial, q_step, log_mu_step, step)
            size = _size(trial, q_step, log_mu_step, decline)
            if not np.isfinite(size):
                break
            if correction == 0:
                error = size
            if size <= on_curve:
                return error, *self._anchor(trial, system, q_step, log_mu_step, step)
            if size > min(_CONTRACTION * before, _TOO_FAR):
                break
            length = min(1.0, 0.7 / size)
            before = size if length == 1.0 else np.inf
            self.clearing.advance(trial, q_step, log_mu_step, step, length)
        return error, None, False

    def _anchor(
        self, position: Position, system: Bordered, q_step: FloatArray, log_mu_step: float, step: State
    ) -> tuple[_Anchor, bool]:
        """Find the tangent, oriented; say whether its orientation differs from the last one's."""
        q_tangent, log_mu_tangent = system.solve(np.zeros_like(position.q), 1.0)
        if self.sign == 0.0:
            self.sign = -system.sign  # the first normal points towards larger μ
        turned = system.sign != self.sign
        if turned:
            q_tangent, log_mu_tangent = -q_tangent, -log_mu_tangent
        metric = self.clearing.metric(position)
        norm = float(np.sqrt((metric * q_tangent**2).sum() + log_mu_tangent**2))
        q_tangent, log_mu_tangent = q_tangent / norm, log_mu_tangent / norm
        tangent = self.clearing.new_step()
        decline = self.clearing.respond(position, q_tangent, log_mu_tangent, tangent)
        anchor = _Anchor(
            position,
            q_tangent,
            log_mu_tangent,
            tangent,
            q_step,
            log_mu_step,
            step,
            q_tangent * metric,
            1.0 / decline,
            1.0 / float(np.max([(-q_tangent / position.q).max(), -log_mu_tangent])),
        )
        return anchor, bool(turned)


def _size(position: Position, q_step: FloatArray, log_mu_step: float, decline: float) -> float:
    """Return the largest relative change that a step makes."""
    return float(np.max([decline, np.abs(q_step / position.q).max(), abs(log_mu_step)]))
