"""Random transactions: nothing raises out of the ledger, and the invariants hold after every block."""

import hashlib
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium import (
    AnswerQuery,
    Appoint,
    AskQuery,
    AssetMoved,
    AttestHeader,
    Burn,
    Claim,
    CreateAsset,
    ExpireQuery,
    Issue,
    Lock,
    LockCreated,
    Message,
    Refund,
    ReportEquivocation,
    ResultCode,
    SetAccess,
    Transfer,
    WriteRecord,
    quantity,
)
from core.model.consortium_members import Organisation, Propose, Vote
from core.model.consortium_orders import (
    AddressHeld,
    AddressReleased,
    ApproveLift,
    ApproveOrder,
    OrderTerms,
    PrepareLift,
    PrepareOrder,
)
from core.proofs.cometbft.types import ValidatorSet
from local_chains.consortium.engine.rotation import first_turn, next_turn
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.ledger.genesis import GenesisMember, validators_of
from local_chains.consortium.ledger.leaves import read_operators
from local_chains.consortium.ledger.members import read_validators
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
)
from tests.support import LONG

OFFICERS = (Actor("officer 1"), Actor("officer 2"))
ACTORS = (ANN, BEN, ISSUER, *OPERATORS, *OFFICERS)
T = TypeVar("T")

PREIMAGES = tuple(bytes([number]) * 32 for number in range(4))


def mostly(good: st.SearchStrategy[T], *bad: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Good values nine times in ten, so that whole transactions succeed often enough to change something."""
    return st.integers(0, 9).flatmap(lambda chance: st.one_of(bad) if chance == 9 else good)


addresses = mostly(st.sampled_from([actor.address for actor in ACTORS]), st.binary(max_size=33))
symbols = mostly(st.sampled_from(["cnyd", "gold"]), st.text(max_size=8))
amounts = mostly(
    st.integers(1, 60).map(quantity),
    st.sampled_from([quantity(2**256 - 1), b"", b"\0", b"\0\1"]),
    st.binary(max_size=34),
)
hashlocks = mostly(
    st.sampled_from([hashlib.sha256(preimage).digest() for preimage in PREIMAGES]), st.binary(max_size=33)
)
preimages = mostly(st.sampled_from(PREIMAGES), st.binary(max_size=33))
integers = mostly(st.integers(START_S + 1, START_S + 300), st.integers(-(2**63), 2**64 - 1))
heights = mostly(st.integers(0, 2), integers)
times = mostly(st.just(5), integers)
names = mostly(st.sampled_from(["a", "b.c"]), st.text(max_size=70))
documents = mostly(st.sampled_from([b"{}", b'{"a":[1]}']), st.just(b"[" * 999), st.binary(max_size=40))
chains = mostly(st.just("eip155:1"), st.text(max_size=12))
hashes = mostly(st.just(b"x" * 32), st.just(b"y" * 32), st.binary(max_size=33))

uris = mostly(st.sampled_from(["eip155:1/slip44:60/balanceOf/0x" + "ab" * 20]), st.text(max_size=60))
decimals = mostly(st.integers(0, 36), integers)
writers = mostly(
    st.lists(st.sampled_from([actor.address for actor in ACTORS]), max_size=3, unique=True).map(
        lambda some: tuple(sorted(some))
    ),
    st.lists(st.binary(max_size=33), max_size=70).map(tuple),
)
proposals = mostly(st.integers(1, 4), integers)
ballots = mostly(st.just(True), st.just(False))
any_terms = st.builds(
    Organisation,
    mostly(st.sampled_from(["fifth", *NAMES]), st.text(max_size=70)),
    addresses,
    mostly(
        st.sampled_from([(), ("validator",), ("issuer", "validator"), ("notary",)]),
        st.lists(st.text(max_size=10), max_size=5).map(tuple),
    ),
    mostly(st.just("ed25519"), st.sampled_from(["", "secp256k1eth"]), st.text(max_size=12)),
    mostly(st.sampled_from([consensus_key(name) for name in ("fifth", *NAMES)]), st.binary(max_size=34)),
    mostly(st.integers(1, 40), integers),
)
# Terms that are likely to be good, so that validators do change.
leaving = st.sampled_from([Organisation(name, who.address, ()) for name, who in zip(NAMES, OPERATORS, strict=True)])
staying = st.builds(
    lambda place, power: Organisation(
        NAMES[place], OPERATORS[place].address, ("validator",), "ed25519", consensus_key(NAMES[place]), power
    ),
    st.integers(0, 3),
    st.integers(1, 40),
)
coming = st.just(Organisation("fifth", BEN.address, ("validator",), "ed25519", consensus_key("fifth"), 10))
organisations = st.one_of(any_terms, leaving, staying, coming)

parties = st.sampled_from([ANN.address, BEN.address])
# Few distinct terms, so that what is approved is often what was prepared.
order_terms = st.builds(
    OrderTerms,
    mostly(st.sampled_from([ANN.address, BEN.address, OPERATORS[0].address]), st.binary(max_size=33)),
    mostly(st.just("fraud"), st.text(max_size=300)),
    mostly(st.just(bytes(32)), st.binary(max_size=33)),
    mostly(st.sampled_from([START_S + 60, START_S + 100_000]), integers),
)
reasons = mostly(st.just("explained"), st.text(max_size=5))

accusations = mostly(
    st.builds(
        lambda actor, block_hash: actor.signed(0, AttestHeader("eip155:1", 7, block_hash, 7)),
        st.sampled_from(OPERATORS[:2]),
        st.sampled_from([bytes(32), b"\1" * 32]),
    ),
    st.binary(max_size=80),
)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Issue, symbols, addresses, amounts),
    st.builds(Transfer, symbols, addresses, amounts),
    st.builds(Burn, symbols, amounts),
    st.builds(Lock, symbols, amounts, addresses, hashlocks, integers),
    st.builds(Lock, symbols, amounts, addresses, hashlocks, integers),
    st.builds(Claim, addresses, preimages),
    st.builds(Refund, addresses, hashlocks),
    st.builds(WriteRecord, names, names, documents),
    st.builds(AttestHeader, chains, heights, hashes, times),
    st.builds(Appoint, st.just(b"") | addresses),
    st.builds(ReportEquivocation, accusations, accusations),
    st.builds(AskQuery, uris, heights, heights, integers, mostly(symbols, st.just("")), amounts),
    st.builds(AnswerQuery, proposals, st.binary(max_size=80)),
    st.builds(ExpireQuery, proposals),
    st.builds(CreateAsset, symbols, decimals),
    st.builds(SetAccess, names, names, addresses, writers),
    st.builds(Propose, organisations),
    st.builds(Vote, proposals, ballots),
    st.builds(Vote, proposals, ballots),
    st.builds(PrepareOrder, order_terms),
    st.builds(ApproveOrder, proposals, order_terms),
    st.builds(PrepareLift, proposals, addresses, reasons),
    st.builds(ApproveLift, proposals, addresses, reasons),
)
any_steps = st.tuples(st.sampled_from(ACTORS), st.lists(messages, min_size=1, max_size=2))
good_proposals = st.tuples(
    st.just(OPERATORS[0]), st.builds(Propose, st.one_of(leaving, staying, coming)).map(lambda one: [one])
)
orders: st.SearchStrategy[Message] = st.one_of(
    st.builds(PrepareOrder, order_terms),
    st.builds(ApproveOrder, st.integers(1, 2), order_terms),
    st.builds(PrepareLift, st.integers(1, 2), parties, st.just("explained")),
    st.builds(ApproveLift, st.integers(1, 2), parties, st.just("explained")),
)
officers_steps = st.tuples(st.sampled_from(OFFICERS), orders.map(lambda one: [one]))
steps = st.one_of(any_steps, any_steps, any_steps, good_proposals, officers_steps)
Steps = list[tuple[Actor, list[Message]]]


def held_at_once(place: int, terms: OrderTerms, others: Steps) -> Steps:
    """Both halves of what is mostly the first order, and what others do then."""
    return [(OFFICERS[place], [PrepareOrder(terms)]), (OFFICERS[1 - place], [ApproveOrder(1, terms)]), *others]


held_terms = st.builds(
    OrderTerms, st.sampled_from([ANN.address, BEN.address]), st.just("fraud"), st.just(bytes(32)), st.just(START_S + 60)
)
good_moves = st.one_of(
    st.builds(Transfer, st.just("cnyd"), parties, st.just(quantity(1))),
    st.builds(
        Lock,
        st.just("cnyd"),
        st.just(quantity(1)),
        parties,
        st.binary(min_size=32, max_size=32),
        st.just(START_S + 9_999),
    ),
    messages,
)
moving = st.tuples(st.sampled_from((ANN, BEN)), good_moves.map(lambda one: [one]))
some_steps = st.lists(steps, max_size=5)
blocks_of_steps = st.one_of(
    some_steps,
    some_steps,
    st.builds(held_at_once, st.integers(0, 1), held_terms, st.lists(moving, min_size=1, max_size=3)),
)
MOVING = (Issue, Transfer, Burn, Lock, AskQuery)


class Holds:
    """Who is held, by the events alone; and what that forbids, said a second time."""

    def __init__(self) -> None:
        self.until: dict[bytes, int] = {}
        self.refused = 0

    def take(self, time_ms: int, sender: bytes, some: list[Message], result: Result) -> None:
        if result.code is ResultCode.HELD:
            self.refused += 1
            assert any(isinstance(message, MOVING) for message in some), "claims and refunds are never held up"
        for event in result.events:
            match event:
                case AddressHeld():
                    self.until[event.address] = event.expires
                case AddressReleased():
                    del self.until[event.address]
                case AssetMoved() if event.sender in (sender, b""):
                    assert not self._is_held(sender, time_ms)
                case LockCreated():
                    assert not self._is_held(event.sender, time_ms)
                    assert not self._is_held(event.receiver, time_ms)
                case _:
                    pass

    def _is_held(self, address: bytes, time_ms: int) -> bool:
        return time_ms < self.until.get(address, 0) * 1_000


# With the second, one operator's proposals pass at once.
powers = st.sampled_from([(10, 10, 10, 10), (100, 10, 10, 10)])


@pytest.mark.endurance
def test_no_messages_break_the_ledger() -> None:
    tried = changes = held = 0

    @settings(max_examples=5_000 if LONG else 100)
    @given(st.lists(blocks_of_steps, min_size=1, max_size=12), st.integers(1, 30), powers)
    def check(blocks: list[Steps], pace_s: int, shares: tuple[int, ...]) -> None:
        nonlocal tried, changes, held
        genesis = app_state(shares)
        officers = [GenesisMember(f"officer-{n}", one.address.hex(), ("regulator",)) for n, one in enumerate(OFFICERS)]
        genesis = msgspec.structs.replace(genesis, members=(*genesis.members, *officers))
        holds = Holds()
        chain = Chain(genesis)
        wealth = [Issue(symbol, actor.address, quantity(1_000)) for symbol in ("cnyd", "gold") for actor in ACTORS]
        assert chain.one(ISSUER, *wealth).code is ResultCode.OK
        turn = first_turn(ValidatorSet.of(list(validators_of(genesis))))
        for steps in blocks:
            sequences = {actor.address: chain.sequence(actor) for actor in ACTORS}
            transactions = []
            for actor, some in steps:
                transactions.append(actor.signed(sequences[actor.address], *some))
                sequences[actor.address] += 1
            results = chain.block(*transactions, after_s=pace_s)
            assert len(results) == len(transactions)
            assert all((result.code is ResultCode.OK) == (result.log == "") for result in results)
            for (actor, some), result in zip(steps, results, strict=True):
                holds.take(chain.time_ms, actor.address, some, result)
            assert {actor.address: chain.sequence(actor) for actor in ACTORS} == sequences
            tried += len(transactions)
            # What the ledger asks of an engine can be done, and leads to the validators that the ledger writes down.
            turn = next_turn(turn.validators, chain.updates)
            changes += len(chain.updates)
            members = [(member.public_key, member.power) for member in turn.validators.validators]
            assert {(key.kind.value, key.data): power for key, power in members} == read_validators(chain.leaves)
            assert sum(read_operators(chain.leaves).values()) == turn.validators.total_power
        held += holds.refused

    check()
    assert tried >= (50_000 if LONG else 500)
    assert changes > 0, "validators change, too"
    assert held > 0, "and addresses are held"


@pytest.mark.endurance
@settings(max_examples=10_000 if LONG else 100)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_break_the_ledger(entries: list[bytes]) -> None:
    assert all(result.code for result in Chain().block(*entries))


@pytest.mark.endurance
@settings(max_examples=10_000 if LONG else 100)
@given(st.data(), st.lists(messages, min_size=1, max_size=3))
def test_no_damage_to_a_transaction_breaks_the_ledger(data: st.DataObject, some: list[Message]) -> None:
    raw = bytearray(ANN.signed(0, *some))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if bytes(raw) != ANN.signed(0, *some):
        assert Chain().block(bytes(raw))[0].code is not ResultCode.OK
