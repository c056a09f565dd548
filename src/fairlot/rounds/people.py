"""Who may come in: organisers and agents, one-time links, typed codes, sessions.

A link's secret has 256 random bits, a code to be typed 60; of both, and of sessions, only hashes are kept. To
look where a link leads changes nothing, so that a mail scanner may; to redeem it uses it up.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from fairlot.io.source import Source
from fairlot.io.tables import read_table
from fairlot.rounds.access import existing, in_state
from fairlot.rounds.records import Invitation, LinkTarget, RefusedError, UnknownError, Visitor
from fairlot.store import Account, Area, Role, RoundState, Store
from fairlot.store.reading import Reading
from fairlot.store.records import Pass

CONTACT_COLUMNS = ("name", "email", "language")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Digits and letters that nobody mistakes for each other (Crockford's base 32)."""
_CODE_LENGTH = 12
_LINK_DAYS = 45
_AGENT_DAYS = 120
_ORGANISER_DAYS = 7
_INVITABLE = (
    RoundState.OPEN,
    RoundState.FROZEN,
    RoundState.SOLVED,
    RoundState.DRAWN,
    RoundState.PUBLISHED,
)


def add_account(store: Store, name: str, *, admin: bool = False) -> Account:
    """Make an account of an organiser, or return the one of that name.

    Parameters
    ----------
    store : Store
        The database.
    name : str
        As the log will write it.
    admin : bool
        Whether she may create rounds and invite other organisers.

    Raises
    ------
    RefusedError
        If the name is blank, too long, or not one printable line.
    """
    plain = name.strip()
    if not plain or len(plain) > 200 or not plain.isprintable():
        msg = "an organiser's name is one line of 1 to 200 characters"
        raise RefusedError(msg)
    with store.writing() as tx:
        return tx.account_named(plain) or tx.add_account(plain, admin)


def accounts(store: Store) -> tuple[Account, ...]:
    """List all organisers."""
    with store.reading() as tx:
        return tx.accounts()


def sign_in_link(store: Store, account: Account, *, hours: float = 72) -> str:
    """Make a one-time secret with which an organiser signs in."""
    secret = secrets.token_urlsafe(32)
    with store.writing() as tx:
        target = Pass(None, None, account.id, tx.now() + timedelta(hours=hours))
        tx.add_link(_hash(secret), None, target)
    return secret


def set_role(store: Store, round_id: str, account: Account, role: Role | None, who: Account) -> None:
    """Give an organiser a role in a round, or take it away.

    Raises
    ------
    RefusedError
        If the round would be left without an owner.
    """
    with store.writing() as tx:
        existing(tx, round_id)
        owners = {name for name, held in tx.roles(round_id).items() if held is Role.OWNER}
        if role is not Role.OWNER and owners == {account.name}:
            msg = "a round needs an owner: make somebody else one first"
            raise RefusedError(msg)
        tx.set_role(round_id, account.id, role)
        tx.append(round_id, who.name, "role set", {"organiser": account.name, "role": role})


def roles(store: Store, round_id: str) -> Mapping[str, Role]:
    """Return the roles in a round by account name."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.roles(round_id)


def invite(
    store: Store,
    round_id: str,
    who: Account,
    agents: Sequence[str] | None = None,
    *,
    reminder: bool = False,
) -> tuple[Invitation, ...]:
    """Make a fresh link and code for agents; links made before stop working.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        A round that is open or later; after publication, a link leads to the outcome.
    who : Account
        For the log.
    agents : sequence of str, optional
        All by default.
    reminder : bool
        Whether this reminds those who were invited.

    Raises
    ------
    UnknownError
        If one of them is not an agent of the round.
    RefusedError
        Before the round is open, or after it is archived.
    """
    contacts = _contacts(store, round_id)
    with store.writing() as tx:
        in_state(tx, round_id, _INVITABLE, "inviting agents")
        known = [one.agent for one in tx.participants(round_id) if not one.erased]
        chosen = known if agents is None else list(dict.fromkeys(agents))
        if unknown := set(chosen) - set(known):
            msg = f"no such agent: {', '.join(sorted(unknown)[:5])}"
            raise UnknownError(msg)
        now = tx.now(round_id)
        expires = now + timedelta(days=_LINK_DAYS)
        tx.drop_links(round_id, chosen)
        made = []
        for agent in chosen:
            secret = secrets.token_urlsafe(32)
            code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
            tx.add_link(_hash(secret), _hash(code), Pass(round_id, agent, None, expires))
            if reminder:
                tx.set_participant(round_id, agent, reminded=now)
            else:
                tx.set_participant(round_id, agent, invited=now)
            shown = "-".join(code[k : k + 4] for k in range(0, _CODE_LENGTH, 4))
            made.append(Invitation(agent, secret, shown, expires, contacts.get(agent, {})))
        tx.append(round_id, who.name, "reminded" if reminder else "invited", {"agents": len(made)})
    return tuple(made)


def remind(store: Store, round_id: str, who: Account) -> tuple[Invitation, ...]:
    """Invite again all who have not chosen yet."""
    with store.reading() as tx:
        in_state(tx, round_id, (RoundState.OPEN,), "reminding agents")
        chose = {submission.agent for submission in tx.submissions(round_id)}
        missing = [p.agent for p in tx.participants(round_id) if p.agent not in chose and not p.erased]
    return invite(store, round_id, who, missing, reminder=True)


def redeem_look(store: Store, secret: str) -> LinkTarget | None:
    """Say where a link or code leads, changing nothing; None if nowhere."""
    with store.reading() as tx:
        found = tx.link(_hash(secret))
        if found is None or found.expires < store.clock():
            return None
        return _target(tx, found)


def redeem(store: Store, secret: str) -> str | None:
    """Consume a link or code and begin a session.

    Returns
    -------
    str or None
        The session's secret; None if the link is unknown, expired or used: nobody is told which.
    """
    session_secret = secrets.token_urlsafe(32)
    with store.writing() as tx:
        found = tx.take_link(_hash(secret))
        now = tx.now()
        if found is None or found.expires < now or _target(tx, found) is None:
            return None
        days = _AGENT_DAYS if found.agent is not None else _ORGANISER_DAYS
        expires = now + timedelta(days=days)
        tx.add_session(_hash(session_secret), Pass(found.round_id, found.agent, found.account_id, expires))
        if found.round_id is not None and found.agent is not None:
            tx.set_participant(found.round_id, found.agent, visited=now)
    return session_secret


def session(store: Store, secret: str) -> Visitor | None:
    """Return who holds a session; None if it is none, or has ended."""
    with store.reading() as tx:
        found = tx.session(_hash(secret))
        if found is None or found.expires < store.clock():
            return None
        account = None if found.account_id is None else tx.account(found.account_id)
        held = {} if account is None else tx.roles_of(account.id)
        return Visitor(found.round_id, found.agent, account, held, found.expires)


def end_session(store: Store, secret: str) -> None:
    """Sign out."""
    with store.writing() as tx:
        tx.drop_session(_hash(secret))


def _hash(secret: str) -> str:
    """Hash a secret; a code as it was meant, however it was typed."""
    typed = "".join(secret.split()).replace("-", "").upper()
    is_code = len(typed) == _CODE_LENGTH
    plain = typed.replace("O", "0").replace("I", "1").replace("L", "1") if is_code else secret
    return hashlib.sha256(plain.encode()).hexdigest()


def _target(tx: Reading, found: Pass) -> LinkTarget | None:
    if found.account_id is not None:
        account = tx.account(found.account_id)
        return None if account is None else LinkTarget(None, "", None, account.name)
    if found.round_id is None or found.agent is None:
        return None
    agent = tx.participant(found.round_id, found.agent)
    if agent is None or agent.erased:
        return None
    return LinkTarget(found.round_id, existing(tx, found.round_id).title, found.agent, None)


def _contacts(store: Store, round_id: str) -> dict[str, dict[str, str]]:
    """Read what the table of agents says for letters: those of its columns that are of use there."""
    with store.reading() as tx:
        source = Source.of_files(tx.files(round_id, Area.PROBLEM))
    settings = source.settings() or {}
    section = settings.get("agents")
    file = section.get("file") if isinstance(section, dict) else None
    if not isinstance(file, str):
        return {}
    table = read_table(source.read, file, source.issues)
    if table is None or "agent" not in table:
        return {}
    columns = [name for name in CONTACT_COLUMNS if name in table]
    return {
        agent: {name: table[name][k] for name in columns if table[name][k]}
        for k, agent in enumerate(table["agent"])
    }
