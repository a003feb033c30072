"""Bank, htlc, records and bridge: every message, every way it is refused."""

import hashlib

import pytest

from core.model.consortium import (
    ASSETS,
    MAX_DOCUMENT_BYTES,
    AccessLeaf,
    AccessSet,
    Appoint,
    AssetCreated,
    AssetLeaf,
    AssetMoved,
    AttestHeader,
    AttestorAppointed,
    Burn,
    Claim,
    CreateAsset,
    HeaderAccepted,
    HeaderLeaf,
    HeaderVoted,
    Issue,
    Lock,
    LockClaimed,
    LockCreated,
    LockRefunded,
    Message,
    RecordLeaf,
    RecordStored,
    Refund,
    ResultCode,
    SetAccess,
    Transfer,
    WriteRecord,
    access_versions,
    asset_key,
    attested_header_key,
    attested_headers,
    attested_latest_key,
    decode_leaf,
    lock_key,
    locks_of,
    quantity,
    record_count_key,
    record_key,
    record_versions,
    records_in,
    value_of,
)
from core.model.consortium_members import Organisation, Propose, Vote
from local_chains.consortium.ledger.bank import MAX_ASSETS
from local_chains.consortium.ledger.bridge import MAX_OPEN_HEIGHTS
from local_chains.consortium.ledger.htlc import MAX_OPEN_LOCKS
from local_chains.consortium.ledger.leaves import OpenVotesLeaf, VotesLeaf, open_votes_key, votes_key
from local_chains.consortium.ledger.records import MAX_DOCUMENT_DEPTH, MAX_WRITERS, document_fault
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

PREIMAGE = b"p" * 32
HASHLOCK = hashlib.sha256(PREIMAGE).digest()
TIMELOCK = START_S + 100
MAX = 2**256 - 1


def supply(chain: Chain, symbol: str = "cnyd") -> int:
    return value_of(decode_leaf(chain.leaves[asset_key(symbol)], AssetLeaf).supply)


# --- bank ---


def test_issue_transfer_burn() -> None:
    chain = Chain()
    issued = chain.one(ISSUER, Issue("cnyd", ANN.address, quantity(500)))
    assert issued.events == (AssetMoved("cnyd", b"", ANN.address, 500),)
    moved = chain.one(ANN, Transfer("cnyd", BEN.address, quantity(1_500)))
    assert moved.events == (AssetMoved("cnyd", ANN.address, BEN.address, 1_500),)
    burnt = chain.one(BEN, Burn("cnyd", quantity(50)))
    assert burnt.events == (AssetMoved("cnyd", BEN.address, b"", 50),)
    assert (chain.balance(ANN.address), chain.balance(BEN.address), supply(chain)) == (0, 1_500, 1_500)


def test_a_transfer_to_oneself_changes_nothing() -> None:
    chain = Chain()
    assert chain.one(ANN, Transfer("cnyd", ANN.address, quantity(1_000))).code is ResultCode.OK
    assert chain.balance(ANN.address) == 1_000


@pytest.mark.parametrize(
    ("actor", "message", "code"),
    [
        (ANN, Issue("cnyd", ANN.address, quantity(1)), ResultCode.NOT_ISSUER),
        (ISSUER, Issue("none", ANN.address, quantity(1)), ResultCode.UNKNOWN_ASSET),
        (ISSUER, Issue("cnyd", b"short", quantity(1)), ResultCode.BAD_ADDRESS),
        (ISSUER, Issue("cnyd", ANN.address, quantity(MAX)), ResultCode.OVERFLOW),
        (ANN, Transfer("cnyd", BEN.address, b""), ResultCode.BAD_AMOUNT),
        (ANN, Transfer("cnyd", BEN.address, b"\0\1"), ResultCode.BAD_AMOUNT),
        (ANN, Transfer("cnyd", BEN.address, b"\1" * 33), ResultCode.BAD_AMOUNT),
        (ANN, Transfer("cnyd", BEN.address, quantity(1_001)), ResultCode.INSUFFICIENT_FUNDS),
        (ANN, Transfer("cnyd", b"", quantity(1)), ResultCode.BAD_ADDRESS),
        (ANN, Transfer("none", BEN.address, quantity(1)), ResultCode.UNKNOWN_ASSET),
        (ANN, Burn("cnyd", quantity(1_001)), ResultCode.INSUFFICIENT_FUNDS),
        (ANN, Burn("none", quantity(1)), ResultCode.UNKNOWN_ASSET),
        (ANN, Burn("cnyd", b""), ResultCode.BAD_AMOUNT),
        (ANN, CreateAsset("silver", 2), ResultCode.MISSING_ROLE),
        (OPERATORS[0], CreateAsset("silver", 2), ResultCode.MISSING_ROLE),
        (ISSUER, CreateAsset("Silver", 2), ResultCode.BAD_NAME),
        (ISSUER, CreateAsset("silver", 37), ResultCode.BAD_AMOUNT),
        (ISSUER, CreateAsset("silver", -1), ResultCode.BAD_AMOUNT),
        (ISSUER, CreateAsset("gold", 2), ResultCode.ASSET_EXISTS),
        (ANN, Lock("cnyd", b"", BEN.address, HASHLOCK, TIMELOCK), ResultCode.BAD_AMOUNT),
        (ANN, Lock("cnyd", quantity(1_001), BEN.address, HASHLOCK, TIMELOCK), ResultCode.INSUFFICIENT_FUNDS),
        (ANN, Lock("none", quantity(1), BEN.address, HASHLOCK, TIMELOCK), ResultCode.UNKNOWN_ASSET),
        (ANN, Lock("cnyd", quantity(1), b"", HASHLOCK, TIMELOCK), ResultCode.BAD_ADDRESS),
        (ANN, Lock("cnyd", quantity(1), BEN.address, HASHLOCK[1:], TIMELOCK), ResultCode.BAD_HASHLOCK),
        (ANN, Lock("cnyd", quantity(1), BEN.address, HASHLOCK, START_S), ResultCode.BAD_TIMELOCK),
        (ANN, Lock("cnyd", quantity(1), BEN.address, HASHLOCK, 0), ResultCode.BAD_TIMELOCK),
        (ANN, Lock("cnyd", quantity(1), BEN.address, HASHLOCK, 1 << 40), ResultCode.BAD_TIMELOCK),
        (ANN, Claim(ANN.address, PREIMAGE), ResultCode.UNKNOWN_LOCK),
        (ANN, Claim(ANN.address, PREIMAGE[1:]), ResultCode.BAD_HASHLOCK),
        (ANN, Claim(b"", PREIMAGE), ResultCode.BAD_ADDRESS),
        (ANN, Refund(ANN.address, HASHLOCK), ResultCode.UNKNOWN_LOCK),
        (ANN, Refund(ANN.address, b"x"), ResultCode.UNKNOWN_LOCK),
        (ANN, WriteRecord("UPPER", "key", b"{}"), ResultCode.BAD_NAME),
        (ANN, WriteRecord("names", "a/b", b"{}"), ResultCode.BAD_NAME),
        (ANN, WriteRecord("names", "key\n", b"{}"), ResultCode.BAD_NAME),
        (ANN, WriteRecord("names", "key", b"{"), ResultCode.BAD_DOCUMENT),
        (ANN, SetAccess("names", "key", ANN.address, ()), ResultCode.UNKNOWN_RECORD),
        (ANN, SetAccess("Names", "key", ANN.address, ()), ResultCode.BAD_NAME),
        (ANN, SetAccess("names", "", ANN.address, ()), ResultCode.BAD_NAME),
        (ANN, SetAccess("names", "key", b"", ()), ResultCode.BAD_ADDRESS),
        (ANN, SetAccess("names", "key", ANN.address, (b"short",)), ResultCode.BAD_ADDRESS),
        (ANN, SetAccess("names", "key", ANN.address, (BEN.address,) * 2), ResultCode.BAD_ACCESS),
        (ANN, SetAccess("names", "key", ANN.address, (ANN.address,)), ResultCode.BAD_ACCESS),
        (ANN, SetAccess("names", "key", ANN.address, (BEN.address,) * (MAX_WRITERS + 1)), ResultCode.BAD_ACCESS),
        (ANN, AttestHeader("eip155:1", 1, b"h" * 32, 1), ResultCode.NOT_OPERATOR),
        (ANN, Appoint(BEN.address), ResultCode.NOT_OPERATOR),
        (OPERATORS[0], Appoint(b"short"), ResultCode.BAD_ADDRESS),
        (OPERATORS[0], Appoint(OPERATORS[1].address), ResultCode.BAD_ADDRESS),
        (OPERATORS[0], Appoint(OPERATORS[0].address), ResultCode.BAD_ADDRESS),
        (OPERATORS[0], AttestHeader("ethereum", 1, b"h" * 32, 1), ResultCode.BAD_HEADER),
        (OPERATORS[0], AttestHeader("eip155:1", -1, b"h" * 32, 1), ResultCode.BAD_HEADER),
        (OPERATORS[0], AttestHeader("eip155:1", 1 << 63, b"h" * 32, 1), ResultCode.BAD_HEADER),
        (OPERATORS[0], AttestHeader("eip155:1", 1, b"h" * 31, 1), ResultCode.BAD_HEADER),
        (OPERATORS[0], AttestHeader("eip155:1", 1, b"h" * 32, -1), ResultCode.BAD_HEADER),
    ],
)
def test_refusals_leave_only_the_sequence(actor: Actor, message: Message, code: ResultCode) -> None:
    chain = Chain()
    chain.block()
    before = dict(chain.leaves)
    result = chain.one(actor, message)
    assert result.code is code
    assert result.events == ()
    changed = {key for key in chain.leaves if chain.leaves[key] != before.get(key)}
    assert changed == {b"clock", b"bank/account/" + actor.address}
    assert chain.account(actor.address).balances == Chain().account(actor.address).balances


def test_organisation_with_issuer_role_makes_its_own_assets() -> None:
    chain = Chain()
    made = chain.one(ISSUER, CreateAsset("silver", 3), Issue("silver", ANN.address, quantity(5)))
    assert made.events == (AssetCreated("silver", ISSUER.address, 3), AssetMoved("silver", b"", ANN.address, 5))
    assert chain.balance(ANN.address, "silver") == 5
    assert chain.sequence_at(ASSETS) == [b"cnyd", b"gold", b"silver"]
    for first in range(3, MAX_ASSETS, 64):
        names = [f"a{number}" for number in range(first, min(first + 64, MAX_ASSETS))]
        assert chain.one(ISSUER, *(CreateAsset(name, 0) for name in names)).code is ResultCode.OK
    assert chain.one(ISSUER, CreateAsset("one-more", 0)).code is ResultCode.OVERFLOW


# --- htlc ---


def locked_chain() -> Chain:
    chain = Chain()
    result = chain.one(ANN, Lock("cnyd", quantity(300), BEN.address, HASHLOCK, TIMELOCK))
    assert result.events == (LockCreated("cnyd", 300, ANN.address, BEN.address, HASHLOCK, TIMELOCK),)
    assert (chain.balance(ANN.address), chain.balance(BEN.address), supply(chain)) == (700, 50, 1_050)
    return chain


def test_a_claim_by_anyone_pays_the_receiver() -> None:
    chain = locked_chain()
    result = chain.one(ISSUER, Claim(ANN.address, PREIMAGE))
    assert result.events == (LockClaimed(ANN.address, HASHLOCK, PREIMAGE),)
    assert chain.balance(BEN.address) == 350
    lock = chain.lock(ANN.address, HASHLOCK)
    assert (lock.status, lock.preimage) == ("claimed", PREIMAGE)


def test_a_refund_by_anyone_pays_the_sender() -> None:
    chain = locked_chain()
    result = chain.one(BEN, Refund(ANN.address, HASHLOCK), after_s=200)
    assert result.events == (LockRefunded(ANN.address, HASHLOCK),)
    assert chain.balance(ANN.address) == 1_000
    assert chain.lock(ANN.address, HASHLOCK).status == "refunded"


@pytest.mark.parametrize(("before_s", "claims"), [(0.001, True), (0.0, False), (-0.001, False)])
def test_claim_and_refund_are_never_valid_at_one_moment(before_s: float, claims: bool) -> None:
    for message in (Claim(ANN.address, PREIMAGE), Refund(ANN.address, HASHLOCK)):
        chain = locked_chain()
        after_s = TIMELOCK - before_s - chain.time_ms / 1000
        result = chain.one(BEN, message, after_s=after_s)
        if isinstance(message, Claim):
            assert result.code is (ResultCode.OK if claims else ResultCode.TOO_LATE)
        else:
            assert result.code is (ResultCode.TOO_EARLY if claims else ResultCode.OK)


def test_a_lock_is_settled_once() -> None:
    chain = locked_chain()
    assert chain.one(BEN, Claim(ANN.address, PREIMAGE)).code is ResultCode.OK
    assert chain.one(BEN, Claim(ANN.address, PREIMAGE)).code is ResultCode.ALREADY_SETTLED
    assert chain.one(ANN, Refund(ANN.address, HASHLOCK), after_s=200).code is ResultCode.ALREADY_SETTLED
    assert chain.balance(BEN.address) == 350


def test_twice_in_one_transaction_is_twice_too_often() -> None:
    chain = locked_chain()
    result = chain.one(BEN, Claim(ANN.address, PREIMAGE), Claim(ANN.address, PREIMAGE))
    assert result.code is ResultCode.ALREADY_SETTLED
    assert chain.lock(ANN.address, HASHLOCK).status == "locked"
    assert chain.balance(BEN.address) == 50


def test_a_hashlock_is_used_once_per_sender_for_ever() -> None:
    chain = locked_chain()
    again = Lock("cnyd", quantity(1), BEN.address, HASHLOCK, TIMELOCK + 900)
    assert chain.one(ANN, again).code is ResultCode.HASHLOCK_USED
    assert chain.one(BEN, again).code is ResultCode.OK, "a copied hashlock blocks nobody else"
    assert chain.one(BEN, Refund(ANN.address, HASHLOCK), after_s=200).code is ResultCode.OK
    assert chain.one(ANN, again).code is ResultCode.HASHLOCK_USED
    assert lock_key(ANN.address, HASHLOCK) in chain.leaves


def test_a_sender_has_so_many_locks_open_and_no_more() -> None:
    chain = Chain()
    assert chain.one(ISSUER, Issue("cnyd", ANN.address, quantity(MAX_OPEN_LOCKS))).code is ResultCode.OK
    secrets = [number.to_bytes(32, "big") for number in range(MAX_OPEN_LOCKS + 1)]
    locks = [
        Lock("cnyd", quantity(1), BEN.address, hashlib.sha256(secret).digest(), START_S + 10**6) for secret in secrets
    ]
    for first in range(0, MAX_OPEN_LOCKS, 64):
        assert chain.one(ANN, *locks[first : first + 64]).code is ResultCode.OK
    assert chain.one(ANN, locks[-1]).code is ResultCode.TOO_MANY_LOCKS
    assert chain.one(BEN, locks[-1]).code is ResultCode.OK, "a quota is one's own"
    assert chain.one(BEN, Claim(ANN.address, secrets[7])).code is ResultCode.OK
    assert chain.one(ANN, locks[-1]).code is ResultCode.OK
    assert chain.sequence_at(locks_of(ANN.address)) == [lock.hashlock for lock in locks]


# --- records ---


def test_a_record_keeps_every_version() -> None:
    chain = Chain()
    for version, document in enumerate((b'{"a":1}', b"[]"), start=1):
        result = chain.one(ANN, WriteRecord("provenance", "crate-7", document))
        digest = hashlib.sha256(document).digest()
        assert result.events == (RecordStored("provenance", "crate-7", version, ANN.address, digest),)
        leaf = decode_leaf(chain.leaves[record_key("provenance", "crate-7", version)], RecordLeaf)
        assert leaf == RecordLeaf(document, ANN.address, version, chain.time_ms)
        assert chain.leaves[record_count_key("provenance", "crate-7")] == version.to_bytes(8, "big")


def test_only_the_first_author_writes_on() -> None:
    chain = Chain()
    assert chain.one(ANN, WriteRecord("provenance", "crate-7", b"1")).code is ResultCode.OK
    assert chain.one(BEN, WriteRecord("provenance", "crate-7", b"2")).code is ResultCode.NOT_OWNER
    assert chain.one(BEN, WriteRecord("provenance", "crate-8", b"2")).code is ResultCode.OK


def test_the_owner_says_who_else_writes_and_who_owns_next() -> None:
    chain = Chain()
    both = tuple(sorted((BEN.address, ISSUER.address)))
    assert chain.one(ANN, WriteRecord("provenance", "crate-7", b"1")).code is ResultCode.OK
    given = chain.one(ANN, SetAccess("provenance", "crate-7", ANN.address, both))
    digest = hashlib.sha256(b"".join(both)).digest()
    assert given.events == (AccessSet("provenance", "crate-7", 1, ANN.address, digest),)
    for actor in (BEN, ISSUER, ANN):
        assert chain.one(actor, WriteRecord("provenance", "crate-7", b"2")).code is ResultCode.OK
    assert chain.one(OPERATORS[0], WriteRecord("provenance", "crate-7", b"3")).code is ResultCode.NOT_OWNER
    assert chain.one(BEN, SetAccess("provenance", "crate-7", BEN.address, ())).code is ResultCode.NOT_OWNER
    assert chain.one(ANN, SetAccess("provenance", "crate-7", BEN.address, ())).code is ResultCode.OK
    assert chain.one(ANN, WriteRecord("provenance", "crate-7", b"4")).code is ResultCode.NOT_OWNER
    assert chain.one(BEN, WriteRecord("provenance", "crate-7", b"5")).code is ResultCode.OK
    versions = [decode_leaf(raw, RecordLeaf) for raw in chain.sequence_at(record_versions("provenance", "crate-7"))]
    assert [(leaf.document, leaf.author) for leaf in versions] == [
        (b"1", ANN.address),
        (b"2", BEN.address),
        (b"2", ISSUER.address),
        (b"2", ANN.address),
        (b"5", BEN.address),
    ]
    decisions = [decode_leaf(raw, AccessLeaf) for raw in chain.sequence_at(access_versions("provenance", "crate-7"))]
    assert decisions == [AccessLeaf(ANN.address, both), AccessLeaf(BEN.address, ())]


def test_a_namespace_lists_its_records() -> None:
    chain = Chain()
    for key in ("b", "a", "count", "1", "a"):
        assert chain.one(ANN, WriteRecord("provenance", key, b"1")).code is ResultCode.OK
    assert chain.sequence_at(records_in("provenance")) == [b"b", b"a", b"count", b"1"]


DEEP = MAX_DOCUMENT_DEPTH


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b' {"a": [1, 2.5e9, "x", null, true]} ',
        b"9" * 5_000,
        b"[" * DEEP + b"]" * DEEP,
        b'"' + b"[" * 100 + b'"',
        rb'"\"[[\\"',
        '{"ключ":"значение"}'.encode(),
        b'"' + b"x" * (MAX_DOCUMENT_BYTES - 2) + b'"',
    ],
)
def test_documents(document: bytes) -> None:
    assert document_fault(document) == ""


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"NaN",
        b"-Infinity",
        b"{'a':1}",
        b'{"a":1,"a":2}',
        b"\xff",
        b"1 2",
        b"[" * (DEEP + 1) + b"]" * (DEEP + 1),
        b"[" * MAX_DOCUMENT_BYTES,
        b'"\\' + b'\\"' * 4_000 + b"\\",
        b'"' + b"x" * (MAX_DOCUMENT_BYTES - 1) + b'"',
    ],
)
def test_what_is_no_document(document: bytes) -> None:
    assert document_fault(document)


# --- bridge ---

BLOCK, OTHER = b"b" * 32, b"o" * 32


def vote(height: int = 7, block_hash: bytes = BLOCK, time: int = 1_699_999_999) -> AttestHeader:
    return AttestHeader("eip155:31337", height, block_hash, time)


def voted(operator: Actor, height: int = 7) -> HeaderVoted:
    return HeaderVoted("eip155:31337", height, BLOCK, operator.address)


def test_more_than_two_thirds_make_a_header() -> None:
    chain = Chain()
    for operator in OPERATORS[:2]:
        assert chain.one(operator, vote()).events == (voted(operator),)
    assert attested_header_key("eip155:31337", 7) not in chain.leaves
    result = chain.one(OPERATORS[2], vote())
    assert result.events == (voted(OPERATORS[2]), HeaderAccepted("eip155:31337", 7, BLOCK))
    leaf = decode_leaf(chain.leaves[attested_header_key("eip155:31337", 7)], HeaderLeaf)
    assert leaf == HeaderLeaf(BLOCK, 1_699_999_999)
    assert chain.leaves[attested_latest_key("eip155:31337")] == (7).to_bytes(8, "big")
    assert votes_key("eip155:31337", 7) not in chain.leaves
    late = chain.one(OPERATORS[3], vote())
    assert (late.code, late.events) == (ResultCode.OK, ())


def test_exactly_two_thirds_are_not_enough() -> None:
    chain = Chain(app_state((20, 10, 10, 20)))
    for operator in (OPERATORS[0], OPERATORS[3]):
        chain.one(operator, vote())
    assert attested_header_key("eip155:31337", 7) not in chain.leaves
    assert len(chain.one(OPERATORS[1], vote()).events) == 2


def test_an_operator_votes_once() -> None:
    chain = Chain()
    assert chain.one(OPERATORS[0], vote()).code is ResultCode.OK
    assert chain.one(OPERATORS[0], vote()).code is ResultCode.DUPLICATE_VOTE
    assert chain.one(OPERATORS[0], vote(block_hash=OTHER)).code is ResultCode.CONFLICTING_VOTE
    assert chain.one(OPERATORS[0], vote(time=5)).code is ResultCode.CONFLICTING_VOTE
    assert chain.one(OPERATORS[0], vote(height=8)).code is ResultCode.OK


def test_votes_for_different_blocks_do_not_add_up() -> None:
    chain = Chain()
    for operator, block_hash in zip(OPERATORS, (BLOCK, OTHER, BLOCK, BLOCK), strict=True):
        assert chain.one(operator, vote(block_hash=block_hash)).code is ResultCode.OK
    leaf = decode_leaf(chain.leaves[attested_header_key("eip155:31337", 7)], HeaderLeaf)
    assert leaf.block_hash == BLOCK
    assert chain.one(OPERATORS[1], vote(block_hash=OTHER)).code is ResultCode.CONFLICTING_VOTE


def test_the_latest_height_never_falls() -> None:
    chain = Chain()
    for height in (9, 7, 0):
        for operator in OPERATORS[:3]:
            assert chain.one(operator, vote(height=height)).code is ResultCode.OK
    assert chain.leaves[attested_latest_key("eip155:31337")] == (9).to_bytes(8, "big")
    assert attested_header_key("eip155:31337", 0) in chain.leaves
    assert chain.sequence_at(attested_headers("eip155:31337")) == [height.to_bytes(8, "big") for height in (9, 7, 0)]


def test_operators_oldest_open_vote_gives_way_to_one_too_many() -> None:
    chain = Chain()
    heights = list(range(1, MAX_OPEN_HEIGHTS + 2))
    assert chain.one(OPERATORS[1], vote(height=1)).code is ResultCode.OK
    for height in heights:
        assert chain.one(OPERATORS[0], vote(height=height)).code is ResultCode.OK
    leaf = decode_own(chain.leaves[votes_key("eip155:31337", 1)], VotesLeaf)
    assert [voter for voter, _, _ in leaf.votes] == [OPERATORS[1].address]
    held = decode_own(chain.leaves[open_votes_key(OPERATORS[0].address)], OpenVotesLeaf)
    assert held.heights == tuple(("eip155:31337", height) for height in heights[1:])
    # What was taken back counts no more, and may be cast again.
    for operator, accepted in ((OPERATORS[2], False), (OPERATORS[0], True)):
        assert (len(chain.one(operator, vote(height=1)).events) == 2) is accepted
    assert votes_key("eip155:31337", 2) in chain.leaves
    assert open_votes_key(OPERATORS[1].address) not in chain.leaves


def test_height_that_nobody_votes_on_leaves_nothing_behind() -> None:
    chain = Chain()
    for height in range(1, MAX_OPEN_HEIGHTS + 2):
        chain.one(OPERATORS[0], vote(height=height))
    assert votes_key("eip155:31337", 1) not in chain.leaves
    assert len([key for key in chain.leaves if key.startswith(b"bridge/")]) == MAX_OPEN_HEIGHTS + 1


def test_attestor_votes_for_its_operator_who_votes_once() -> None:
    chain = Chain()
    result = chain.one(OPERATORS[0], Appoint(ANN.address))
    assert result.events == (AttestorAppointed(OPERATORS[0].address, ANN.address),)
    assert chain.one(ANN, vote()).events == (voted(OPERATORS[0]),)
    # Whoever of the two comes first has voted for both; neither uses up the other's sequence.
    assert chain.one(OPERATORS[0], vote()).code is ResultCode.DUPLICATE_VOTE
    assert chain.one(ANN, vote(block_hash=OTHER)).code is ResultCode.CONFLICTING_VOTE
    assert chain.one(OPERATORS[1], vote()).events == (voted(OPERATORS[1]),)
    assert len(chain.one(OPERATORS[2], vote()).events) == 2
    assert open_votes_key(OPERATORS[0].address) not in chain.leaves
    assert chain.one(ANN, Vote(1, True)).code is ResultCode.MISSING_ROLE


def test_attestor_that_is_replaced_votes_no_more() -> None:
    chain = Chain()
    before = dict(chain.leaves)
    assert chain.one(OPERATORS[0], Appoint(ANN.address)).code is ResultCode.OK
    assert chain.one(OPERATORS[1], Appoint(ANN.address)).code is ResultCode.BAD_ADDRESS
    assert chain.one(OPERATORS[0], Appoint(BEN.address)).code is ResultCode.OK
    assert chain.one(ANN, vote()).code is ResultCode.NOT_OPERATOR
    assert chain.one(OPERATORS[1], Appoint(ANN.address)).code is ResultCode.OK
    assert chain.one(ANN, vote()).events == (voted(OPERATORS[1]),)
    for operator in OPERATORS[:2]:
        assert chain.one(operator, Appoint(b"")).code is ResultCode.OK
    assert chain.one(BEN, vote()).code is ResultCode.NOT_OPERATOR
    assert {key for key in chain.leaves if key.startswith(b"bridge/attest")} == set()
    assert before.keys() - chain.leaves.keys() == set()


def test_attestor_of_a_former_operator_votes_no_more() -> None:
    chain = Chain()
    assert chain.one(OPERATORS[3], Appoint(ANN.address)).code is ResultCode.OK
    chain.one(OPERATORS[0], Propose(Organisation(NAMES[3], OPERATORS[3].address, ())))
    for operator in OPERATORS[1:3]:
        chain.one(operator, Vote(1, True))
    assert chain.one(ANN, vote()).code is ResultCode.NOT_OPERATOR
    # It may serve another one then, who does not lose it when the former one comes back.
    assert chain.one(OPERATORS[0], Appoint(ANN.address)).code is ResultCode.OK
    assert chain.one(ANN, vote()).events == (voted(OPERATORS[0]),)
    terms = Organisation(NAMES[3], OPERATORS[3].address, ("validator",), "ed25519", consensus_key(NAMES[3]), 10)
    chain.one(OPERATORS[0], Propose(terms))
    for operator in OPERATORS[1:3]:
        chain.one(operator, Vote(2, True))
    assert chain.one(OPERATORS[3], Appoint(BEN.address)).code is ResultCode.OK
    assert chain.one(ANN, vote(height=8)).events == (voted(OPERATORS[0], 8),)
    assert chain.one(BEN, vote(height=8)).events == (voted(OPERATORS[3], 8),)


def test_one_operator_with_all_the_power_needs_one_vote() -> None:
    chain = Chain(app_state((97, 1, 1, 1)))
    assert len(chain.one(OPERATORS[0], vote()).events) == 2
    assert {key for key in chain.leaves if key.startswith((b"bridge/votes", b"bridge/open"))} == set()
