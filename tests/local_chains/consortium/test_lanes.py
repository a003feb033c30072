"""Exits first, and everybody's share of a block."""

import hashlib

import pytest

from core.model.consortium import Claim, Lock, Refund, ResultCode, Transfer, WriteRecord, decode_transaction, quantity
from core.model.consortium_members import MAX_ADMITTED, Admit, Organisation, Propose, Vote, admission_key
from local_chains.consortium.engine.lanes import (
    OF_ACCOUNT,
    OF_OWNER,
    ORDINARY,
    STRANGERS,
    Candidate,
    Classifier,
    Room,
    chosen,
)
from local_chains.consortium.ledger.admission import Standing, standing
from local_chains.consortium.ledger.leaves import read_account, write_count
from local_chains.consortium.ledger.view import Overlay
from tests.local_chains.consortium.support import (
    ANN,
    BEN,
    ISSUER,
    NAMES,
    NOTARY,
    OPERATORS,
    START_S,
    Actor,
    Chain,
)

MALLORY = Actor("mallory")
FAR_S = START_S + 9_999
PREIMAGES = tuple(bytes([number]) * 32 for number in range(1, 100))


def hashlock(preimage: bytes) -> bytes:
    return hashlib.sha256(preimage).digest()


def pay(amount: int = 1, to: Actor = BEN) -> Transfer:
    return Transfer("cnyd", to.address, quantity(amount))


def lock(preimage: bytes, receiver: Actor = BEN, timelock: int = FAR_S) -> Lock:
    return Lock("cnyd", quantity(1), receiver.address, hashlock(preimage), timelock)


def seen(chain: Chain, *transactions: bytes) -> list[Candidate]:
    classifier = Classifier(chain.leaves)
    return [classifier.candidate(raw, decode_transaction(raw)) for raw in transactions]


def picked(chain: Chain, *transactions: bytes, max_bytes: int = 1 << 22) -> list[bytes]:
    return chosen(seen(chain, *transactions), lambda who: read_account(chain.leaves, who).sequence, max_bytes)


# --- who may do what ---------------------------------------------------------------------------------------------


def test_stranger_is_admitted_and_dismissed_by_an_organisation() -> None:
    chain = Chain()
    note = WriteRecord("notes", "one", b"{}")
    assert chain.one(NOTARY, note).code is ResultCode.NOT_ADMITTED
    assert standing(chain.leaves, NOTARY.address) is Standing.STRANGER
    assert chain.one(ANN, Admit(NOTARY.address, True)).code is ResultCode.MISSING_ROLE
    result = chain.one(ISSUER, Admit(NOTARY.address, True))
    assert [event.organisation for event in result.events] == ["mint"]  # type: ignore[union-attr]
    assert standing(chain.leaves, NOTARY.address) is Standing.ADMITTED
    assert chain.one(NOTARY, note).code is ResultCode.OK
    assert chain.one(OPERATORS[0], Admit(NOTARY.address, True)).code is ResultCode.BAD_ORGANISATION
    assert chain.one(OPERATORS[0], Admit(NOTARY.address, False)).code is ResultCode.BAD_ORGANISATION
    assert chain.one(ISSUER, Admit(NOTARY.address, False)).code is ResultCode.OK
    assert chain.one(NOTARY, note).code is ResultCode.NOT_ADMITTED
    assert chain.one(ISSUER, Admit(NOTARY.address, False)).code is ResultCode.NOT_ADMITTED


def test_organisation_that_has_left_answers_for_nobody() -> None:
    chain = Chain()
    assert chain.one(ISSUER, Admit(NOTARY.address, True)).code is ResultCode.OK
    left = Organisation("mint", ISSUER.address, ())
    assert chain.one(OPERATORS[0], Propose(left)).code is ResultCode.OK
    for operator in OPERATORS[1:3]:
        assert chain.one(operator, Vote(1, True)).code is ResultCode.OK
    assert standing(chain.leaves, NOTARY.address) is Standing.STRANGER
    assert chain.one(OPERATORS[1], Admit(NOTARY.address, True)).code is ResultCode.OK
    assert standing(chain.leaves, NOTARY.address) is Standing.ADMITTED


def test_account_of_the_genesis_is_dismissed_by_operators_only() -> None:
    chain = Chain()
    assert standing(chain.leaves, ANN.address) is Standing.ADMITTED
    assert chain.one(ISSUER, Admit(ANN.address, False)).code is ResultCode.BAD_ORGANISATION
    assert chain.one(OPERATORS[3], Admit(ANN.address, False)).code is ResultCode.OK
    assert admission_key(ANN.address) not in chain.leaves
    assert chain.one(ANN, WriteRecord("notes", "one", b"{}")).code is ResultCode.NOT_ADMITTED
    assert chain.one(ANN, pay()).code is ResultCode.OK


def test_organisation_answers_for_so_many_accounts_at_a_time() -> None:
    chain = Chain()
    full = Overlay(chain.leaves)
    write_count(full, b"members/admissions/mint", MAX_ADMITTED - 1)
    chain.leaves.update({key: leaf for key, leaf in full.writes.items() if leaf is not None})
    assert chain.one(ISSUER, Admit(NOTARY.address, True)).code is ResultCode.OK
    assert chain.one(ISSUER, Admit(MALLORY.address, True)).code is ResultCode.TOO_MANY_ADMITTED
    assert chain.one(ISSUER, Admit(NOTARY.address, False)).code is ResultCode.OK
    assert chain.one(ISSUER, Admit(MALLORY.address, True)).code is ResultCode.OK


# --- exits first -------------------------------------------------------------------------------------------------


def test_exits_go_before_everything_that_waited_longer() -> None:
    chain = Chain()
    assert chain.one(ANN, lock(PREIMAGES[0]), lock(PREIMAGES[1], timelock=START_S + 2)).code is ResultCode.OK
    spam = [BEN.signed(place, pay(1, ANN)) for place in range(5)]
    claim = MALLORY.signed(0, Claim(ANN.address, PREIMAGES[0]))
    refund = NOTARY.signed(0, Refund(ANN.address, hashlock(PREIMAGES[1])))
    assert picked(chain, *spam, claim, refund) == [claim, refund, *spam]
    assert picked(chain, *spam, claim, max_bytes=len(claim) + 4) == [claim]


def test_what_an_account_sent_before_its_exit_goes_with_it() -> None:
    chain = Chain()
    assert chain.one(ANN, lock(PREIMAGES[0])).code is ResultCode.OK
    others = [ANN.signed(1, pay()), ANN.signed(2, pay())]
    before, claim, after = (
        BEN.signed(0, pay(1, ANN)),
        BEN.signed(1, Claim(ANN.address, PREIMAGES[0])),
        BEN.signed(2, pay()),
    )
    entries = picked(chain, *others, before, claim, after)
    assert entries == [before, claim, *others, after]
    assert [result.code for result in chain.block(*entries)] == [ResultCode.OK] * 5


def test_claim_of_a_lock_that_waits_itself_stays_behind_it() -> None:
    chain = Chain()
    making, claim = ANN.signed(0, lock(PREIMAGES[0])), BEN.signed(0, Claim(ANN.address, PREIMAGES[0]))
    entries = picked(chain, making, claim)
    assert entries == [making, claim]
    assert [result.code for result in chain.block(*entries)] == [ResultCode.OK] * 2


def test_owners_take_turns_and_unprotected_exits_come_last() -> None:
    chain = Chain()
    assert chain.one(ANN, *[lock(preimage) for preimage in PREIMAGES[:8]]).code is ResultCode.OK
    assert chain.one(BEN, lock(PREIMAGES[9], ANN), pay(5, MALLORY)).code is ResultCode.OK
    assert chain.one(MALLORY, lock(PREIMAGES[10], NOTARY)).code is ResultCode.OK
    of_strangers = Actor("x").signed(0, Claim(MALLORY.address, PREIMAGES[10]))
    many = [Actor(f"{place}").signed(0, Claim(ANN.address, PREIMAGES[place])) for place in range(8)]
    one = Actor("y").signed(0, Claim(BEN.address, PREIMAGES[9]))
    assert picked(chain, of_strangers, *many, one) == [many[0], one, *many[1:], of_strangers]


def test_sequences_that_cannot_be_next_are_left_for_later() -> None:
    chain = Chain()
    chain.block(ANN.signed(0, pay()))
    old, gap, good = ANN.signed(0, pay()), ANN.signed(2, pay()), BEN.signed(0, pay(1, ANN))
    assert picked(chain, old, gap, good) == [good]


# --- shares ------------------------------------------------------------------------------------------------------


def taken(room: Room, actor_of: str, standing_: Standing, most: int = 100_000) -> int:
    """How many equal transactions of new accounts find room."""
    for place in range(most):
        if room.take(Candidate(bytes(200), b"%s%d" % (actor_of.encode(), place), 0, 3_000, standing_)):
            return place
    return most


def test_accounts_that_nobody_answers_for_have_one_small_share() -> None:
    room = Room()
    strangers = taken(room, "s", Standing.STRANGER)
    assert strangers == min(STRANGERS.cost // 3_000, STRANGERS.bytes // 203)
    assert taken(room, "a", Standing.ADMITTED) > 8 * strangers
    assert room.take(exit_of(b"e", b"locker")) == "", "a quarter of a block is the exits' alone"


def test_one_account_has_a_quota_by_its_standing() -> None:
    found = {}
    for kind in Standing:
        room, count = Room(), 0
        while not room.take(Candidate(bytes(200), b"one", count, 3_000, kind)):
            count += 1
        assert count == min(OF_ACCOUNT[kind].cost // 3_000, OF_ACCOUNT[kind].bytes // 203)
        found[kind] = count
    assert found[Standing.MEMBER] > found[Standing.ADMITTED] > found[Standing.STRANGER] > 0


def exit_of(sender: bytes, *owners: bytes, kind: Standing = Standing.ADMITTED) -> Candidate:
    return Candidate(bytes(200), sender, 0, 3_000, Standing.STRANGER, True, tuple((owner, kind) for owner in owners))


@pytest.mark.parametrize("waiting", [False, True])
def test_accounts_that_find_no_room_are_not_remembered(waiting: bool) -> None:
    room = Room(waiting=waiting)
    taken(room, "s", Standing.STRANGER)
    taken(room, "a", Standing.ADMITTED)
    while not room.take(exit_of(b"e")) or not room.take(exit_of(b"e", b"locker")):
        pass
    before = len(room._accounts), len(room._owners)
    for number in range(100):
        assert room.take(Candidate(bytes(200), b"other %d" % number, 0, 3_000, Standing.STRANGER))
        assert room.take(Candidate(bytes(200), b"another %d" % number, 0, ORDINARY.cost, Standing.ADMITTED))
        assert room.take(exit_of(b"x%d" % number)), "the strangers' share of exits is full"
    assert (len(room._accounts), len(room._owners)) == before


def test_room_that_is_given_back_is_there_again() -> None:
    room = Room(waiting=True)
    ones = [exit_of(b"l%d" % place, b"x") for place in range(10_000)]
    kept = [one for one in ones if not room.take(one)]
    share = OF_OWNER[Standing.ADMITTED]
    assert len(kept) == min(share.cost // 3_000, share.bytes // 203)
    assert room.take(exit_of(b"z", b"other")) == ""
    for one in kept:
        room.give_back(one)
    assert [one for one in ones if not room.take(one)] == kept


def test_exits_of_others_cannot_fill_an_accounts_share() -> None:
    """Fewer than sixteen admitted accounts, however many strangers help them, leave room for another one's exits."""
    room = Room(waiting=True)
    for number in range(15):
        while not room.take(exit_of(b"%d" % room._count, b"attacker %d" % number)):
            pass
    while not room.take(exit_of(b"%d" % room._count)):
        pass
    mine = 0
    while not room.take(exit_of(b"own %d" % mine, b"mine")):
        mine += 1
    share = OF_OWNER[Standing.ADMITTED]
    assert mine == min(share.cost // 3_000, share.bytes // 203) > 50


def test_exit_is_in_its_admitted_senders_share_or_its_lockers() -> None:
    chain = Chain()
    assert chain.one(ANN, lock(PREIMAGES[0])).code is ResultCode.OK
    assert chain.one(ANN, pay(5, MALLORY)).code is ResultCode.OK
    assert chain.one(MALLORY, lock(PREIMAGES[1])).code is ResultCode.OK
    by_stranger, by_ben, by_operator = seen(
        chain,
        *[who.signed(0, Claim(ANN.address, PREIMAGES[0])) for who in (NOTARY, BEN, OPERATORS[0])],
    )
    assert by_stranger.owners == ((ANN.address, Standing.ADMITTED),)
    assert by_ben.owners == ((BEN.address, Standing.ADMITTED),)
    assert by_operator.owners == ((OPERATORS[0].address, Standing.MEMBER),)
    of_stranger, own = seen(chain, *[who.signed(0, Claim(MALLORY.address, PREIMAGES[1])) for who in (NOTARY, BEN)])
    assert (of_stranger.is_exit, of_stranger.is_protected) == (True, False)
    assert own.owners == ((BEN.address, Standing.ADMITTED),), "a receiver's own claim is safe from its locker, too"
    both = NOTARY.signed(0, Claim(ANN.address, PREIMAGES[0]), Claim(MALLORY.address, PREIMAGES[1]))
    assert not seen(chain, both)[0].is_protected


def test_members_account_that_left_is_a_stranger() -> None:
    chain = Chain()
    assert standing(chain.leaves, OPERATORS[3].address) is Standing.MEMBER
    gone = Organisation(NAMES[3], OPERATORS[3].address, ())
    chain.one(OPERATORS[0], Propose(gone))
    for operator in OPERATORS[1:3]:
        assert chain.one(operator, Vote(1, True)).code is ResultCode.OK
    assert standing(chain.leaves, OPERATORS[3].address) is Standing.STRANGER
