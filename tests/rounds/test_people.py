from datetime import UTC, datetime, timedelta

import pytest
from small_rounds import drawn_market, open_market, organiser

from fairlot import rounds
from fairlot.rounds import RefusedError, Role, UnknownError
from fairlot.store import Store, open_store


def test_looking_keeps_a_link_and_redeeming_uses_it_up(store: Store) -> None:
    round_id = open_market(store)
    (invitation,) = rounds.invite(store, round_id, organiser(store), ["ann"])
    for _ in range(5):
        target = rounds.redeem_look(store, invitation.secret)
        assert target is not None
        assert (target.round_id, target.agent, target.title) == (round_id, "ann", "Small")
    secret = rounds.redeem(store, invitation.secret)
    assert secret is not None
    visitor = rounds.session(store, secret)
    assert visitor is not None
    assert (visitor.agent, visitor.round_id, visitor.account) == ("ann", round_id, None)
    assert rounds.redeem(store, invitation.secret) is None
    assert rounds.redeem_look(store, invitation.secret) is None
    assert rounds.redeem(store, invitation.code) is None  # the same way in
    rounds.end_session(store, secret)
    assert rounds.session(store, secret) is None


def test_a_code_works_however_it_is_typed(store: Store) -> None:
    round_id = open_market(store)
    (invitation,) = rounds.invite(store, round_id, organiser(store), ["bob"])
    typed = f"  {invitation.code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
    assert rounds.redeem(store, typed) is not None
    assert rounds.redeem_look(store, invitation.secret) is None


def test_inviting_again_makes_earlier_links_useless(store: Store) -> None:
    who, round_id = organiser(store), open_market(store)
    first = {one.agent: one for one in rounds.invite(store, round_id, who)}
    assert first["ann"].contact == {"email": "ann@example.edu", "name": "Ann"}
    assert first["dee"].contact == {}
    rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "k", 0)
    second = {one.agent: one for one in rounds.remind(store, round_id, who)}
    assert set(second) == {"bob", "cyd", "dee"}
    assert rounds.redeem(store, first["bob"].secret) is None
    assert rounds.redeem(store, second["bob"].secret) is not None
    assert rounds.redeem(store, first["ann"].secret) is not None
    with pytest.raises(UnknownError):
        rounds.invite(store, round_id, who, ["eve"])
    times = {one.agent: one for one in rounds.participants(store, round_id)}
    assert times["bob"].reminded is not None
    assert times["ann"].reminded is None
    assert times["ann"].visited is not None


def test_links_expire(database_url: str) -> None:
    at = [datetime(2026, 9, 1, tzinfo=UTC)]
    store = open_store(database_url, lambda: at[0])
    round_id = open_market(store)
    (invitation,) = rounds.invite(store, round_id, organiser(store), ["ann"])
    sign_in = rounds.sign_in_link(store, organiser(store), hours=1)
    at[0] += timedelta(days=60)
    for secret in (invitation.secret, invitation.code, sign_in, "", "nothing", "é" * 12):
        assert rounds.redeem_look(store, secret) is None
        assert rounds.redeem(store, secret) is None
    store.close()


def test_sessions_end(database_url: str) -> None:
    at = [datetime(2026, 9, 1, tzinfo=UTC)]
    store = open_store(database_url, lambda: at[0])
    secret = rounds.redeem(store, rounds.sign_in_link(store, organiser(store)))
    assert secret is not None
    assert rounds.session(store, secret) is not None
    at[0] += timedelta(days=8)
    assert rounds.session(store, secret) is None
    rounds.sweep(store)
    store.close()


def test_only_hashes_of_secrets_are_stored(database_url: str, store: Store) -> None:
    import sqlalchemy as sa

    from fairlot.store.schema import Base

    round_id = open_market(store)
    (invitation,) = rounds.invite(store, round_id, organiser(store), ["ann"])
    session = rounds.redeem(store, invitation.secret) or ""
    (again,) = rounds.invite(store, round_id, organiser(store), ["bob"])
    with store.reading() as tx:
        everything = "".join(
            str(tuple(row)) for table in Base.metadata.sorted_tables for row in tx.execute(sa.select(table))
        )
    for secret in (session, again.secret, again.code, again.code.replace("-", "")):
        assert secret not in everything


def test_organisers_and_their_roles(store: Store) -> None:
    ada, round_id = organiser(store), open_market(store)
    bea = rounds.add_account(store, "Bea")
    assert rounds.add_account(store, " Bea ") == bea
    assert rounds.rounds(store, bea) == ()
    rounds.set_role(store, round_id, bea, Role.AUDITOR, ada)
    assert rounds.roles(store, round_id) == {"Ada": Role.OWNER, "Bea": Role.AUDITOR}
    secret = rounds.redeem(store, rounds.sign_in_link(store, bea)) or ""
    visitor = rounds.session(store, secret)
    assert visitor is not None
    assert visitor.roles == {round_id: Role.AUDITOR}
    assert [one.id for one in rounds.rounds(store, bea)] == [round_id]
    with pytest.raises(RefusedError, match="owner"):
        rounds.set_role(store, round_id, ada, None, ada)
    rounds.set_role(store, round_id, bea, None, ada)
    visitor = rounds.session(store, secret)
    assert visitor is not None
    assert visitor.roles == {}
    for name in ("", "x" * 300, "a\nb"):
        with pytest.raises(RefusedError):
            rounds.add_account(store, name)


def test_after_publication_a_link_leads_to_the_outcome(store: Store) -> None:
    who, round_id = organiser(store), drawn_market(store)
    rounds.publish(store, round_id, who)
    assert len(rounds.invite(store, round_id, who)) == 4
    rounds.archive(store, round_id, who)
    with pytest.raises(RefusedError):
        rounds.invite(store, round_id, who)
