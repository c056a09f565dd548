"""The certificate of a draw: every check of :mod:`fairlot.verify.draw`, and two that need more.

``draw.py`` runs on Python's standard library alone, without the organiser's salts and without curve
arithmetic. Here the personal tables are opened where the salts are given, and the signature of a drand round
is checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from fairlot.certificate import Certificate, Check
from fairlot.errors import MissingExtraError
from fairlot.verify import beacon
from fairlot.verify.draw import CHECKS, Fault, attempts, need
from fairlot.verify.draw import verify as verify_standalone
from fairlot.verify.personal import check_personal

REQUIRED = (*CHECKS, "personal tables", "beacon")
BEFORE = ("manifest", "lottery", "commitment", "frozen files", "personal tables")
"""The checks that can be made of a result that is committed and not yet drawn."""


def verify_draw(
    files: Mapping[str, bytes], *, commitment: str | None = None, salts: bytes | None = None
) -> Certificate:
    """Check the draws of a result from its files alone.

    Parameters
    ----------
    files : mapping of str to bytes
        Every file of a result folder, by path with ``/``.
    commitment : str, optional
        The hash that was published before the draw, 64 hexadecimal digits.
    salts : bytes, optional
        The organiser's private file of salts, which opens the personal tables.

    Returns
    -------
    Certificate
        Residuals are 0 where a check passes, 1 where it fails and NaN where it could not be made. The
        witness says what is wrong, or, of a check that passes, what it could not see.

    Examples
    --------
    >>> verify_draw({}).passed
    False
    """
    checks = [
        _check(name, passed, note) for name, (passed, note) in verify_standalone(files, commitment).items()
    ]
    checks.append(_run("personal tables", lambda: check_personal(files, salts)))
    checks.append(_run("beacon", lambda: _check_beacon(files)))
    return Certificate(REQUIRED, tuple(checks))


def verify_commitment(
    files: Mapping[str, bytes], *, commitment: str | None = None, salts: bytes | None = None
) -> Certificate:
    """Check what a result froze, before it is drawn; see :func:`verify_draw`.

    Examples
    --------
    >>> verify_commitment({}).required
    ('manifest', 'lottery', 'commitment', 'frozen files', 'personal tables')
    """
    checks = verify_draw(files, commitment=commitment, salts=salts).checks
    return Certificate(BEFORE, tuple(check for check in checks if check.name in BEFORE))


def _check_beacon(files: Mapping[str, bytes]) -> str:
    for folder, _, transcript in attempts(files):
        origin = transcript["origin"]
        if origin["kind"] == "drand":
            genuine = beacon.is_genuine(origin["round"], bytes.fromhex(origin["signature"]))
            need(genuine, f"{folder}transcript.json: drand did not sign round {origin['round']} so")
    return ""


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return _check(name, True, check())
    except Fault as fault:
        return _check(name, False, str(fault))
    except MissingExtraError as missing:
        return Check(name, math.nan, 0.0, f"not checked: {missing}")


def _check(name: str, passed: bool, note: str) -> Check:
    return Check(name, 0.0 if passed else 1.0, 0.0, note)
