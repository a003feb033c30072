"""Hold orders: four eyes, what a held address cannot do, what goes on all the same, and how an order ends."""

import hashlib
from typing import Any

import msgspec
import pytest

from core.model.consortium import (
    AskQuery,
    Burn,
    Claim,
    CreateAsset,
    ExpireQuery,
    Issue,
    Lock,
    Message,
    Refund,
    ResultCode,
    Transfer,
    WriteRecord,
    decode_leaf,
    quantity,
    sequence_key,
    value_of,
)
from core.model.consortium_members import Admit, Organisation, Propose, Vote
from core.model.consortium_orders import (
    MAX_ORDER_S,
    MAX_PREPARED,
    MAX_REASON_BYTES,
    ORDERS,
    PREPARED_LIFETIME_MS,
    AddressHeld,
    AddressReleased,
    ApproveLift,
    ApproveOrder,
    HeldLeaf,
    LiftPrepared,
    OrderLeaf,
    OrderPrepared,
    OrderStatus,
    OrderTerms,
    PrepareLift,
    PrepareOrder,
    Step,
    held_key,
    order_status,
    reason_fault,
)
from local_chains.consortium.ledger.genesis import GenesisMember
from local_chains.consortium.ledger.leaves import PreparedLeaf, prepared_key
from local_chains.consortium.ledger.queries import FEES
from tests.local_chains.consortium.support import (
    ANN,
    BEN,
    ISSUER,
    NAMES,
    OPERATORS,
    START_S,
    Actor,
    Chain,
    app_state,
    consensus_key,
    decode_own,
)

LI, WANG = Actor("officer li"), Actor("officer wang")
OFFICERS = (
    GenesisMember("officer-li", LI.address.hex(), ("regulator",)),
    GenesisMember("officer-wang", WANG.address.hex(), ("regulator",)),
)
CASE = hashlib.sha256(b"2026/17").digest()
UNTIL = START_S + 1_000
PREIMAGE = bytes(32)
HASHLOCK = hashlib.sha256(PREIMAGE).digest()
DAY_S = 24 * 3_600


def begun() -> Chain:
    genesis = app_state()
    return Chain(msgspec.structs.replace(genesis, members=(*genesis.members, *OFFICERS)))


def terms(who: Actor = ANN, **changes: Any) -> OrderTerms:
    return msgspec.structs.replace(OrderTerms(who.address, "proceeds of fraud", CASE, UNTIL), **changes)


def hold(chain: Chain, wanted: OrderTerms | None = None) -> int:
    """Both officers hold an address; the order's number."""
    wanted = wanted or terms()
    assert chain.one(LI, PrepareOrder(wanted)).code is ResultCode.OK
    number = len(chain.sequence_at(ORDERS))
    result = chain.one(WANG, ApproveOrder(number, wanted))
    assert result.code is ResultCode.OK, result.log
    return number


def order(chain: Chain, number: int = 1) -> OrderLeaf:
    return decode_leaf(chain.leaves[sequence_key(ORDERS, number)], OrderLeaf)


def lock(receiver: Actor, amount: int = 10, timelock: int = UNTIL + 500, hashlock: bytes = HASHLOCK) -> Lock:
    return Lock("cnyd", quantity(amount), receiver.address, hashlock, timelock)


def ask(fee: int) -> AskQuery:
    uri = "eip155:1/slip44:60/balanceOf/0x" + "ab" * 20
    return AskQuery(uri, 1, 9, UNTIL, "cnyd" if fee else "", quantity(fee))


def test_orders_bytes_are_as_the_page_says() -> None:
    written = [ANN.address, "proceeds of fraud", CASE, UNTIL]
    halves: list[tuple[Any, list[Any]]] = [
        (PrepareOrder(terms()), ["supervision/prepare", written]),
        (ApproveOrder(7, terms()), ["supervision/approve", 7, written]),
        (PrepareLift(7, ANN.address, "why"), ["supervision/prepare-lift", 7, ANN.address, "why"]),
        (ApproveLift(7, ANN.address, "why"), ["supervision/approve-lift", 7, ANN.address, "why"]),
        (HeldLeaf(7, UNTIL), [7, UNTIL]),
        (
            OrderLeaf(terms(), "prepared", Step(LI.address, 5)),
            [written, "prepared", [LI.address, 5], None, "", None, None, 0],
        ),
    ]
    for made, array in halves:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(made)) == array


# --- four eyes ---------------------------------------------------------------------------------------------------


def test_order_of_one_officer_holds_nobody() -> None:
    chain = begun()
    result = chain.one(LI, PrepareOrder(terms()))
    assert result.events == (OrderPrepared(1, ANN.address, LI.address, "proceeds of fraud", CASE, UNTIL),)
    assert held_key(ANN.address) not in chain.leaves
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1))).code is ResultCode.OK


def test_order_of_two_officers_holds_and_is_written_down() -> None:
    chain = begun()
    chain.one(LI, PrepareOrder(terms()))
    result = chain.one(WANG, ApproveOrder(1, terms()))
    assert result.events == (AddressHeld(1, ANN.address, WANG.address, UNTIL, 0),)
    assert decode_leaf(chain.leaves[held_key(ANN.address)], HeldLeaf) == HeldLeaf(1, UNTIL)
    at = START_S * 1_000
    assert order(chain) == OrderLeaf(terms(), "in-force", Step(LI.address, at + 1_000), Step(WANG.address, at + 2_000))
    assert prepared_key(LI.address) not in chain.leaves


@pytest.mark.parametrize("lifting", [False, True], ids=["hold", "lift"])
def test_same_officer_cannot_approve_what_they_prepared(lifting: bool) -> None:
    chain = begun()
    if lifting:
        hold(chain)
        chain.one(LI, PrepareLift(1, ANN.address, "explained"))
        result = chain.one(LI, ApproveLift(1, ANN.address, "explained"))
    else:
        chain.one(LI, PrepareOrder(terms()))
        result = chain.one(LI, ApproveOrder(1, terms()))
    assert result.code is ResultCode.SAME_OFFICER
    assert (held_key(ANN.address) in chain.leaves) is lifting


def test_both_halves_in_one_transaction_are_one_officers() -> None:
    chain = begun()
    assert chain.one(LI, PrepareOrder(terms()), ApproveOrder(1, terms())).code is ResultCode.SAME_OFFICER
    assert not chain.sequence_at(ORDERS)


@pytest.mark.parametrize("who", [ANN, ISSUER, OPERATORS[0]], ids=["account", "issuer", "validator"])
def test_orders_take_the_role_regulator(who: Actor) -> None:
    chain = begun()
    hold(chain)
    chain.one(LI, PrepareOrder(terms(BEN)), PrepareLift(1, ANN.address, "explained"))
    tried: tuple[Message, ...] = (
        PrepareOrder(terms()),
        ApproveOrder(2, terms(BEN)),
        PrepareLift(1, ANN.address, "explained"),
        ApproveLift(1, ANN.address, "explained"),
    )
    assert {chain.one(who, message).code for message in tried} == {ResultCode.MISSING_ROLE}
    assert held_key(ANN.address) in chain.leaves
    assert held_key(BEN.address) not in chain.leaves


def leave(chain: Chain, name: str, who: Actor, account: Actor | None = None) -> None:
    """Members vote an officer out, or give it another account."""
    roles = ("regulator",) if account else ()
    assert chain.one(OPERATORS[0], Propose(Organisation(name, (account or who).address, roles))).code is ResultCode.OK
    for operator in OPERATORS[1:3]:
        assert chain.one(operator, Vote(1, True)).code is ResultCode.OK


def test_former_officers_half_is_worth_nothing() -> None:
    chain = begun()
    chain.one(LI, PrepareOrder(terms()))
    leave(chain, "officer-li", LI)
    assert chain.one(WANG, ApproveOrder(1, terms())).code is ResultCode.MISSING_ROLE
    assert held_key(ANN.address) not in chain.leaves


def test_new_key_of_the_same_officer_is_no_second_officer() -> None:
    chain, new_key = begun(), Actor("li's new key")
    chain.one(LI, PrepareOrder(terms()))
    leave(chain, "officer-li", LI, new_key)
    assert chain.one(new_key, ApproveOrder(1, terms())).code is ResultCode.MISSING_ROLE


def test_officer_admitted_by_vote_may_approve() -> None:
    chain, third = begun(), Actor("officer third")
    assert chain.one(OPERATORS[0], Propose(Organisation("third", third.address, ("regulator",)))).code is ResultCode.OK
    chain.one(LI, PrepareOrder(terms()))
    assert chain.one(third, ApproveOrder(1, terms())).code is ResultCode.MISSING_ROLE
    for operator in OPERATORS[1:3]:
        chain.one(operator, Vote(1, True))
    assert chain.one(third, ApproveOrder(1, terms())).code is ResultCode.OK


@pytest.mark.parametrize(
    "changed",
    [
        {"address": BEN.address},
        {"reason": "another reason"},
        {"case": bytes(32)},
        {"expires": UNTIL + 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_second_officer_signs_exactly_what_was_prepared(changed: dict[str, Any]) -> None:
    chain = begun()
    chain.one(LI, PrepareOrder(terms()))
    assert chain.one(WANG, ApproveOrder(1, terms(**changed))).code is ResultCode.BAD_ORDER
    assert chain.one(WANG, ApproveOrder(1, terms())).code is ResultCode.OK


# --- what a held address cannot do -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Transfer("cnyd", BEN.address, quantity(1)),
        Transfer("cnyd", ANN.address, quantity(1)),
        Burn("cnyd", quantity(1)),
        lock(BEN),
        lock(ANN),
        ask(fee=3),
    ],
    ids=["transfer", "to-itself", "burn", "lock", "lock-for-itself", "fee"],
)
def test_held_address_sends_and_locks_nothing(message: Message) -> None:
    chain = begun()
    hold(chain)
    result = chain.one(ANN, message)
    assert result.code is ResultCode.HELD, result.log
    assert result.log.startswith("held: order 1 holds ")
    assert not result.events
    assert chain.balance(ANN.address) == 1_000


def test_held_issuer_issues_nothing() -> None:
    chain = begun()
    hold(chain, terms(ISSUER))
    assert chain.one(ISSUER, Issue("cnyd", BEN.address, quantity(5))).code is ResultCode.HELD
    assert chain.one(ISSUER, CreateAsset("other", 2)).code is ResultCode.OK


def test_new_locks_for_a_held_receiver_are_refused() -> None:
    chain = begun()
    hold(chain)
    result = chain.one(BEN, lock(ANN))
    assert result.code is ResultCode.HELD
    assert "holds the receiver" in result.log
    assert chain.balance(BEN.address) == 50


def test_held_address_receives_and_stays_held() -> None:
    chain = begun()
    hold(chain)
    assert chain.one(BEN, Transfer("cnyd", ANN.address, quantity(7))).code is ResultCode.OK
    assert chain.one(ISSUER, Issue("cnyd", ANN.address, quantity(8))).code is ResultCode.OK
    assert chain.balance(ANN.address) == 1_015
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1))).code is ResultCode.HELD


def test_transaction_with_one_forbidden_message_does_nothing() -> None:
    chain = begun()
    hold(chain)
    result = chain.one(ANN, WriteRecord("n", "k", b"{}"), Transfer("cnyd", BEN.address, quantity(1)))
    assert result.code is ResultCode.HELD
    assert chain.one(ANN, WriteRecord("n", "k", b"{}")).code is ResultCode.OK


# --- what goes on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_by", [ANN, BEN, OPERATORS[0]], ids=["receiver", "sender", "stranger"])
def test_claim_of_an_open_lock_pays_a_held_receiver(sent_by: Actor) -> None:
    chain = begun()
    assert chain.one(BEN, lock(ANN)).code is ResultCode.OK
    hold(chain)
    assert chain.one(sent_by, Claim(BEN.address, PREIMAGE)).code is ResultCode.OK
    assert (chain.balance(ANN.address), chain.balance(BEN.address)) == (1_010, 40)
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(10))).code is ResultCode.HELD


def test_claim_of_a_held_senders_lock_pays_its_receiver() -> None:
    chain = begun()
    chain.one(ANN, lock(BEN))
    hold(chain)
    assert chain.one(BEN, Claim(ANN.address, PREIMAGE)).code is ResultCode.OK
    assert chain.balance(BEN.address) == 60


@pytest.mark.parametrize("sent_by", [ANN, BEN], ids=["sender", "other"])
def test_refund_of_an_open_lock_pays_a_held_sender(sent_by: Actor) -> None:
    chain = begun()
    chain.one(ANN, lock(BEN, timelock=START_S + 100))
    hold(chain)
    assert chain.one(sent_by, Refund(ANN.address, HASHLOCK), after_s=200).code is ResultCode.OK
    assert chain.balance(ANN.address) == 1_000
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1))).code is ResultCode.HELD


def test_open_question_of_a_held_asker_ends_as_agreed() -> None:
    chain = begun()
    assert chain.one(ANN, ask(fee=7)).code is ResultCode.OK
    hold(chain, terms(expires=UNTIL + DAY_S))
    assert chain.balance(FEES) == 7
    assert chain.one(BEN, ExpireQuery(1), after_s=2_000).code is ResultCode.OK
    assert (chain.balance(ANN.address), chain.balance(FEES)) == (1_000, 0)
    assert chain.one(ANN, ask(fee=0)).code is not ResultCode.HELD


def test_held_validator_keeps_its_duties() -> None:
    chain = begun()
    hold(chain, terms(OPERATORS[1]))
    newcomer = Organisation("registry", BEN.address, ("notary",))
    assert chain.one(OPERATORS[0], Propose(newcomer)).code is ResultCode.OK
    assert chain.one(OPERATORS[1], Vote(1, True), Admit(Actor("customer").address, True)).code is ResultCode.OK
    power_of = standing(1)
    assert chain.one(OPERATORS[1], Propose(power_of)).code is ResultCode.OK


def standing(index: int) -> Organisation:
    key = consensus_key(NAMES[index])
    return Organisation(NAMES[index], OPERATORS[index].address, ("validator",), "ed25519", key, 10)


def test_held_officer_still_approves() -> None:
    chain = begun()
    hold(chain, terms(WANG))
    assert hold(chain) == 2


# --- ends --------------------------------------------------------------------------------------------------------


def test_order_ends_by_itself_at_its_expiry() -> None:
    chain = begun()
    hold(chain)
    left_s = UNTIL - chain.time_ms / 1_000
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1)), after_s=left_s - 0.001).code is ResultCode.HELD
    assert order_status(order(chain), chain.time_ms) is OrderStatus.IN_FORCE
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1)), after_s=0.001).code is ResultCode.OK
    assert order_status(order(chain), chain.time_ms) is OrderStatus.EXPIRED
    assert chain.one(LI, PrepareLift(1, ANN.address, "explained")).code is ResultCode.ORDER_CLOSED


def test_lift_of_two_officers_frees_at_once() -> None:
    chain = begun()
    hold(chain)
    result = chain.one(WANG, PrepareLift(1, ANN.address, "explained"))
    assert result.events == (LiftPrepared(1, ANN.address, WANG.address, "explained"),)
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1))).code is ResultCode.HELD
    assert chain.one(LI, ApproveLift(1, ANN.address, "another reason")).code is ResultCode.BAD_ORDER
    assert chain.one(LI, ApproveLift(1, BEN.address, "explained")).code is ResultCode.BAD_ORDER
    assert chain.one(LI, PrepareLift(1, BEN.address, "explained")).code is ResultCode.BAD_ORDER
    result = chain.one(LI, ApproveLift(1, ANN.address, "explained"))
    assert result.events == (AddressReleased(1, ANN.address, LI.address),)
    assert held_key(ANN.address) not in chain.leaves
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1))).code is ResultCode.OK
    held = order(chain)
    assert (held.status, held.lift_reason) == ("lifted", "explained")
    assert (held.lift_prepared and held.lift_prepared.officer, held.lift_approved and held.lift_approved.officer) == (
        WANG.address,
        LI.address,
    )


def test_lift_without_a_preparation_is_refused() -> None:
    chain = begun()
    hold(chain)
    assert chain.one(LI, ApproveLift(1, ANN.address, "explained")).code is ResultCode.ORDER_CLOSED


def test_old_preparation_of_a_lift_cannot_be_approved() -> None:
    chain = begun()
    hold(chain, terms(expires=START_S + 30 * DAY_S))
    chain.one(LI, PrepareLift(1, ANN.address, "explained"))
    late_s = PREPARED_LIFETIME_MS / 1_000
    assert chain.one(WANG, ApproveLift(1, ANN.address, "explained"), after_s=late_s).code is ResultCode.ORDER_CLOSED
    assert chain.one(WANG, PrepareLift(1, ANN.address, "explained")).code is ResultCode.OK
    assert chain.one(LI, ApproveLift(1, ANN.address, "explained")).code is ResultCode.OK


@pytest.mark.parametrize("after_s", [PREPARED_LIFETIME_MS / 1_000, 40 * DAY_S], ids=["lifetime", "expiry"])
def test_old_preparation_of_an_order_lapses(after_s: float) -> None:
    chain = begun()
    wanted = terms(expires=START_S + 30 * DAY_S)
    chain.one(LI, PrepareOrder(wanted))
    assert chain.one(WANG, ApproveOrder(1, wanted), after_s=after_s).code is ResultCode.ORDER_CLOSED
    assert order_status(order(chain), chain.time_ms) is OrderStatus.LAPSED


def test_new_order_renews_without_a_gap() -> None:
    chain = begun()
    hold(chain)
    later = terms(expires=UNTIL + 5_000)
    chain.one(WANG, PrepareOrder(later))
    result = chain.one(LI, ApproveOrder(2, later))
    assert result.events == (AddressHeld(2, ANN.address, LI.address, UNTIL + 5_000, 1),)
    assert (order(chain, 1).status, order(chain, 1).renewed_by) == ("renewed", 2)
    assert decode_leaf(chain.leaves[held_key(ANN.address)], HeldLeaf) == HeldLeaf(2, UNTIL + 5_000)
    assert chain.one(LI, PrepareLift(1, ANN.address, "explained")).code is ResultCode.ORDER_CLOSED
    late_s = UNTIL - chain.time_ms / 1_000
    assert chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1)), after_s=late_s).code is ResultCode.HELD


def test_order_after_an_expired_one_renews_nothing() -> None:
    chain = begun()
    hold(chain)
    later = terms(expires=UNTIL + 5_000)
    chain.one(LI, PrepareOrder(later), after_s=2_000)
    result = chain.one(WANG, ApproveOrder(2, later))
    assert result.events == (AddressHeld(2, ANN.address, WANG.address, UNTIL + 5_000, 0),)
    assert order(chain, 1).status == "in-force", "an expired order stays as it was"


def test_approved_order_is_not_approved_again() -> None:
    chain = begun()
    hold(chain)
    assert chain.one(WANG, ApproveOrder(1, terms())).code is ResultCode.ORDER_CLOSED
    chain.one(LI, PrepareLift(1, ANN.address, "explained"))
    chain.one(WANG, ApproveLift(1, ANN.address, "explained"))
    assert chain.one(WANG, ApproveOrder(1, terms())).code is ResultCode.ORDER_CLOSED
    assert held_key(ANN.address) not in chain.leaves


# --- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"address": bytes(19)}, ResultCode.BAD_ADDRESS),
        ({"reason": ""}, ResultCode.BAD_ORDER),
        ({"reason": "x" * (MAX_REASON_BYTES + 1)}, ResultCode.BAD_ORDER),
        ({"reason": "two\nlines"}, ResultCode.BAD_ORDER),
        ({"reason": "turned \u202eround"}, ResultCode.BAD_ORDER),
        ({"case": bytes(31)}, ResultCode.BAD_ORDER),
        ({"expires": START_S}, ResultCode.BAD_ORDER),
        ({"expires": START_S + 1}, ResultCode.BAD_ORDER),
        ({"expires": -1}, ResultCode.BAD_ORDER),
        ({"expires": 2**63 - 1}, ResultCode.BAD_ORDER),
        ({"expires": START_S + MAX_ORDER_S + 2}, ResultCode.BAD_ORDER),
    ],
)
def test_terms_beyond_their_bounds_are_refused(changed: dict[str, Any], code: ResultCode) -> None:
    chain = begun()
    assert chain.one(LI, PrepareOrder(terms(**changed))).code is code
    assert not chain.sequence_at(ORDERS)


def test_longest_order_and_reason_are_taken() -> None:
    chain = begun()
    longest = terms(reason="证" * (MAX_REASON_BYTES // 3), expires=START_S + MAX_ORDER_S + 1)
    hold(chain, longest)
    assert (order(chain).status, order(chain).terms) == ("in-force", longest)
    assert decode_leaf(chain.leaves[held_key(ANN.address)], HeldLeaf).until == START_S + MAX_ORDER_S + 1


def test_unknown_orders_are_refused() -> None:
    chain = begun()
    hold(chain)
    for number in (0, -1, 2, 2**63 - 1):
        assert chain.one(WANG, ApproveOrder(number, terms())).code is ResultCode.UNKNOWN_ORDER
        assert chain.one(WANG, PrepareLift(number, ANN.address, "explained")).code is ResultCode.UNKNOWN_ORDER
        assert chain.one(WANG, ApproveLift(number, ANN.address, "explained")).code is ResultCode.UNKNOWN_ORDER


def test_waiting_orders_of_an_officer_are_bounded() -> None:
    chain = begun()
    some = [PrepareOrder(terms()) for _ in range(MAX_PREPARED)]
    assert chain.one(LI, *some[:32]).code is ResultCode.OK
    assert chain.one(LI, *some[32:]).code is ResultCode.OK
    assert chain.one(LI, PrepareOrder(terms())).code is ResultCode.TOO_MANY_ORDERS
    assert chain.one(WANG, PrepareOrder(terms())).code is ResultCode.OK
    assert chain.one(WANG, ApproveOrder(5, terms())).code is ResultCode.OK
    assert decode_own(chain.leaves[prepared_key(LI.address)], PreparedLeaf).orders == (
        1, 2, 3, 4, *range(6, MAX_PREPARED + 1),
    )  # fmt: skip
    assert chain.one(LI, PrepareOrder(terms())).code is ResultCode.OK
    later = terms(expires=UNTIL + 10 * DAY_S)
    assert chain.one(LI, PrepareOrder(later), after_s=2_000).code is ResultCode.OK, "what lapsed waits no more"
    assert decode_own(chain.leaves[prepared_key(LI.address)], PreparedLeaf).orders == (MAX_PREPARED + 3,)


@pytest.mark.parametrize(
    ("reason", "good"),
    [
        ("fraud", True),
        ("反洗钱 17", True),
        (" fraud", False),
        ("fraud\u200b", False),
        ("fraud\u061c", False),
        ("fraud\u034f", False),
        ("\u3164", False),
        ("fraud\U0001d173", False),
        ("\x7f", False),
        ("\ud800", False),
    ],
)
def test_reason_is_what_it_shows(reason: str, good: bool) -> None:
    assert (reason_fault(reason) == "") is good


def test_nobody_takes_what_is_held() -> None:
    chain = begun()
    hold(chain)
    for who in (LI, WANG, ISSUER, *OPERATORS):
        assert chain.one(who, Transfer("cnyd", who.address, quantity(1))).code is ResultCode.INSUFFICIENT_FUNDS
    assert value_of(dict(chain.account(ANN.address).balances)["cnyd"]) == 1_000
