"""Blocks that cost as much as the ledger lets a block cost, one for each kind of work, made to be as dear as they can.

`python -m tests.local_chains.consortium.dear_blocks` measures them: what a block takes, by itself, on this machine, and
how often this machine does a fixed piece of other work in that time.
"""

import gc
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Final

import msgspec
from nacl.signing import SigningKey

from core.model.consortium import (
    MAX_MESSAGES,
    MAX_TRANSACTION_BYTES,
    AccountLeaf,
    AnswerQuery,
    Appoint,
    AskQuery,
    AttestHeader,
    Claim,
    CreateAsset,
    Lock,
    LockLeaf,
    Message,
    ReportEquivocation,
    SetAccess,
    Transaction,
    TransactionBody,
    Transfer,
    WriteRecord,
    account_key,
    decode_transaction,
    encode_clock,
    encode_leaf,
    encode_transaction,
    lock_key,
    open_locks_key,
    quantity,
)
from core.model.consortium_members import (
    MAX_VALIDATORS,
    Admit,
    Organisation,
    Propose,
    Vote,
    organisation_key,
    organisation_of_key,
)
from core.model.consortium_orders import MAX_REASON_BYTES, ApproveOrder, OrderTerms, PrepareOrder
from core.proofs.ethereum import EthereumHeader, Log, Receipt, encode_header, encode_receipt, index_key
from core.proofs.evidence.bare import BareLog, BareState
from core.proofs.keccak import keccak256
from core.runtime.garbage import collect_seldom
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES
from local_chains.consortium.ledger.bank import MAX_ASSETS
from local_chains.consortium.ledger.equivocations import MAX_RECORDED
from local_chains.consortium.ledger.execution import BlockResult, execute_block
from local_chains.consortium.ledger.genesis import (
    AppState,
    GenesisAsset,
    GenesisMember,
    GenesisOperator,
    genesis_writes,
)
from local_chains.consortium.ledger.prices import MAX_BLOCK_COST, MAX_TRANSACTION_COST, Tariff
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.state.tree import Node, build, update
from tests.core.proofs.tries import Trie
from tests.local_chains.consortium.support import CHAIN, FAR, START_MS, START_S, Actor, consensus_key

AMOUNT: Final = quantity(2**255)
NEXT_MS: Final = START_MS + 1_000
"""The first block's clock."""


class World:
    """A state with `assets` assets, `operators` operators, and accounts that hold some of everything."""

    def __init__(self, assets: int = 1, operators: int = 4, holders: int = 0, senders: int = 64) -> None:
        self.symbols = [f"a{number:063}" for number in range(assets)]
        self.operators = [Actor(f"operator {number}") for number in range(operators)]
        self.issuer = Actor("issuer")
        genesis = AppState(
            tuple(
                GenesisOperator(
                    f"o{number}", one.public_key.hex(), 10, "ed25519", consensus_key(f"o{number}").hex(), ("issuer",)
                )
                for number, one in enumerate(self.operators)
            ),
            tuple(GenesisAsset(symbol, self.issuer.address.hex(), 2) for symbol in self.symbols),
            (),
            (GenesisMember("mint", self.issuer.address.hex(), ("issuer",)),),
        )
        self.leaves = {key: leaf for key, leaf in genesis_writes(genesis, START_MS).items() if leaf is not None}
        self.senders = [Actor(f"sender {number}") for number in range(senders)]
        wealth = encode_leaf(AccountLeaf(0, tuple((symbol, AMOUNT) for symbol in self.symbols)))
        for one in self.senders:
            self.leaves[account_key(one.address)] = wealth
        self.holders = [hashlib.sha256(b"holder %d" % number).digest()[:20] for number in range(holders)]
        for holder in self.holders:
            self.leaves[account_key(holder)] = wealth
        self.sequences = dict.fromkeys([one.address for one in (*self.senders, *self.operators)], 0)

    def signed(self, actor: Actor, messages: Sequence[Message]) -> bytes:
        sequence = self.sequences[actor.address]
        self.sequences[actor.address] += 1
        return actor.signed(sequence, *messages)


@dataclass(frozen=True)
class Measured:
    """One block's share of this process's time, and how many of its transactions did what they said.

    `yardsticks` is the same time in pieces of other work, done by the same process just before and after: a machine
    that is half as fast, or shared, takes twice the seconds for both.
    """

    name: str
    seconds: float
    yardsticks: float
    cost: int
    entries: int
    succeeded: int


def filled(world: World, senders: Sequence[Actor], some: Iterator[Message], most: int = MAX_MESSAGES) -> list[bytes]:
    """Transactions of the messages, as many in each as it may have, until a block is full."""
    tariff = Tariff(world.leaves)
    entries: list[bytes] = []
    left, size, place = MAX_BLOCK_COST, MAX_BLOCK_BYTES, 0
    ahead: Message | None = None
    while True:
        messages: list[Message] = []
        actor = senders[place % len(senders)]
        for message in chain([] if ahead is None else [ahead], some):
            raw = _unsigned(actor, [*messages, message])
            if len(raw) > MAX_TRANSACTION_BYTES or _price(tariff, raw) > MAX_TRANSACTION_COST:
                ahead = message
                break
            messages.append(message)
            ahead = None
            if len(messages) >= most:
                break
        if not messages:
            return entries
        raw = world.signed(actor, messages)
        left -= _price(tariff, raw)
        size -= len(raw) + 4
        if left < 0 or size < 0:
            return entries
        entries.append(raw)
        place += 1


def _unsigned(actor: Actor, messages: Sequence[Message]) -> bytes:
    return encode_transaction(Transaction(TransactionBody(CHAIN, actor.public_key, 0, FAR, tuple(messages)), bytes(64)))


def _price(tariff: Tariff, raw: bytes) -> int:
    return tariff.of(raw, decode_transaction(raw))


def nested(size: int) -> bytes:
    """JSON that takes long for its size: objects in lists, to the depth that is allowed."""
    unit = b'{"":[[[{"":0}]]]},'
    body = unit * ((size - 8) // len(unit))
    return b"[" + body + b"0]"


def transfers_between_rich_accounts() -> tuple[World, list[bytes]]:
    world = World(assets=MAX_ASSETS, holders=4_000)
    some = (Transfer(world.symbols[n % MAX_ASSETS], world.holders[n % len(world.holders)], b"\1") for n in count())
    return world, filled(world, world.senders, some)


def transfers_to_new_accounts() -> tuple[World, list[bytes]]:
    world = World()
    some = (Transfer(world.symbols[0], hashlib.sha256(b"%d" % n).digest()[:20], b"\1") for n in count())
    return world, filled(world, world.senders, some)


def single_transfers() -> tuple[World, list[bytes]]:
    world = World(senders=4_000)
    some = (Transfer(world.symbols[0], hashlib.sha256(b"%d" % n).digest()[:20], b"\1") for n in count())
    return world, filled(world, world.senders, some, most=1)


def single_transfers_of_rich_senders() -> tuple[World, list[bytes]]:
    """Each of another account to yet another, all of which hold some of everything."""
    world = World(assets=MAX_ASSETS, senders=4_000, holders=4_000)
    some = (Transfer(world.symbols[n % MAX_ASSETS], world.holders[n % len(world.holders)], b"\1") for n in count())
    return world, filled(world, world.senders, some, most=1)


def single_locks_of_rich_senders() -> tuple[World, list[bytes]]:
    world = World(assets=MAX_ASSETS, senders=4_000)
    some = (
        Lock(world.symbols[-1], b"\1", bytes(20), hashlib.sha256(b"%d" % n).digest(), START_S + 9_999) for n in count()
    )
    return world, filled(world, world.senders, some, most=1)


def locks() -> tuple[World, list[bytes]]:
    world = World()
    some = (
        Lock(world.symbols[0], b"\1", bytes(20), hashlib.sha256(b"%d" % n).digest(), START_S + 9_999) for n in count()
    )
    return world, filled(world, world.senders, some)


def claims() -> tuple[World, list[bytes]]:
    """Of open locks, each for another account that holds some of everything."""
    world = World(assets=MAX_ASSETS, holders=6_400)
    preimages = [n.to_bytes(32, "big") for n in range(len(world.holders))]
    locker = world.senders[0].address
    for preimage, holder in zip(preimages, world.holders, strict=True):
        hashlock = hashlib.sha256(preimage).digest()
        terms = (world.symbols[0], b"\1", locker, holder, hashlock, START_S + 9_999)
        world.leaves[lock_key(locker, hashlock)] = encode_leaf(LockLeaf(*terms, "locked", b""))
    world.leaves[open_locks_key(locker)] = len(preimages).to_bytes(8, "big")
    return world, filled(world, world.senders, (Claim(locker, preimage) for preimage in preimages))


def documents() -> tuple[World, list[bytes]]:
    world = World()
    document = nested(16 * 1024)
    some = (WriteRecord(f"n{n % 7}", f"k{n}", document) for n in count())
    return world, filled(world, world.operators, some)


def small_documents() -> tuple[World, list[bytes]]:
    world = World()
    some = (WriteRecord(f"n{n % 7}", f"k{n}", b"{}") for n in count())
    return world, filled(world, world.operators, some)


def access_lists() -> tuple[World, list[bytes]]:
    world = World()
    run(world, [world.signed(world.operators[0], [WriteRecord("n", "k", nested(16 * 1024))])])
    writers = tuple(sorted(hashlib.sha256(b"%d" % n).digest()[:20] for n in range(64)))
    some = (SetAccess("n", "k", world.operators[0].address, writers) for _ in count())
    return world, filled(world, world.operators[:1], some)


def attestations() -> tuple[World, list[bytes]]:
    """By so many operators that each vote is the one that wins a height."""
    world = World(operators=MAX_VALIDATORS)
    need = 2 * MAX_VALIDATORS // 3
    votes = [AttestHeader("eip155:1", height, bytes(32), 5) for height in range(64)]
    for one in world.operators[:need]:
        for start in range(0, 64, 8):
            run(world, [world.signed(one, votes[start : start + 8])])
    return world, filled(world, world.operators[need:], iter(votes))


def proposals() -> tuple[World, list[bytes]]:
    world = World(operators=MAX_VALIDATORS)
    some = (Propose(Organisation(f"new{n}", hashlib.sha256(b"%d" % n).digest()[:20], ("notary",))) for n in count())
    return world, filled(world, world.operators, some, most=16)


def votes() -> tuple[World, list[bytes]]:
    world = World(operators=MAX_VALIDATORS)
    for place in range(40):
        terms = Organisation(f"new{place}", hashlib.sha256(b"%d" % place).digest()[:20], ("notary",))
        run(world, [world.signed(world.operators[place], [Propose(terms)])])
    some = (Vote(1 + n % 40, True) for n in count())
    return world, filled(world, world.operators, some, most=40)


def new_assets() -> tuple[World, list[bytes]]:
    world = World()
    some = (CreateAsset(f"new{n}", 2) for n in count())
    return world, filled(world, world.operators, some)


def admissions() -> tuple[World, list[bytes]]:
    world = World()
    some = (Admit(hashlib.sha256(b"%d" % n).digest()[:20], True) for n in count())
    return world, filled(world, world.operators, some)


def questions() -> tuple[World, list[bytes]]:
    """As long as they may be."""
    world = World(assets=MAX_ASSETS)
    lock = f"0x{'ab' * 20}/4294967295/65535?amount={2**256 - 1}&asset=erc20:0x{'cd' * 20}&hashlock={'ef' * 32}"
    uri = f"eip155:{'9' * 32}/htlc/0x{'01' * 20}/{lock}&receiver=0x{'23' * 20}&timelock={2**40 - 1}"
    some = (AskQuery(uri, 0, 2**63 - 1, FAR - 1, world.symbols[n % MAX_ASSETS], AMOUNT[:1]) for n in count())
    admitted = [Admit(one.address, True) for one in world.senders[:32]]
    run(world, [world.signed(world.operators[0], admitted)])
    return world, filled(world, world.senders[:32], some, most=1)


def answers() -> tuple[World, list[bytes]]:
    """A receipt of as many logs as fit, proven, of a height that was not asked for, which shows last."""
    world = World()
    receipt = encode_receipt(Receipt(2, 1, 1, bytes(256), (Log(b"\1" * 20, (), b""),) * 1_700))
    key, transaction = index_key(0), b"\2transaction"
    transactions, receipts = Trie({key: transaction}), Trie({key: receipt})
    header = EthereumHeader(
        bytes(32), bytes(32), bytes(20), bytes(32), transactions.root, receipts.root, bytes(256), 0, 40,
        30_000_000, 0, START_S, b"", bytes(32), bytes(8), 7, bytes(32), 0, 0, bytes(32), bytes(32),
    )  # fmt: skip
    raw = encode_header(header)
    proof = msgspec.msgpack.encode(BareLog(raw, (), 0, tuple(transactions.prove(key)), tuple(receipts.prove(key))))
    return world, filled(world, world.senders, _answers_to(world, keccak256(transaction), keccak256(raw), proof))


def answers_under_nonsense() -> tuple[World, list[bytes]]:
    """Headers of as many items as fit."""
    world = World()
    proof = msgspec.msgpack.encode(BareState(b"\xf9\x03\xfd" + b"\1" * 1021, (), ()))
    return world, filled(world, world.senders, _answers_to(world, bytes(32), bytes(32), proof), most=1)


def _answers_to(world: World, transaction: bytes, block_hash: bytes, proof: bytes) -> Iterator[Message]:
    vote = AttestHeader("eip155:1", 40, block_hash, START_S)
    for one in world.operators[:3]:
        run(world, [world.signed(one, [vote])])
    question = AskQuery(f"eip155:1/tx/0x{transaction.hex()}/log/0", 41, 2**63 - 1, FAR - 1, "", b"")
    run(world, [world.signed(world.operators[0], [question])])
    return (AnswerQuery(1, proof) for _ in count())


def appointments() -> tuple[World, list[bytes]]:
    """Each replaces the one before."""
    world = World(operators=MAX_VALIDATORS)
    some = (Appoint(hashlib.sha256(b"%d" % n).digest()[:20]) for n in count())
    return world, filled(world, world.operators, some)


def orders() -> tuple[World, list[bytes]]:
    """Each by an officer who has as many waiting as possible, of which all are looked at."""
    world = World(operators=MAX_VALIDATORS)
    officers = _officers(world, 64)
    terms = OrderTerms(bytes(20), "x" * MAX_REASON_BYTES, bytes(32), START_S + 9_999)
    for one in officers:
        for _ in range(2):
            run(world, [world.signed(one, [PrepareOrder(terms)] * 31)])
    return world, filled(world, officers, (PrepareOrder(terms) for _ in count()), most=1)


def approvals() -> tuple[World, list[bytes]]:
    """Each renews the order before it."""
    world = World()
    officers = _officers(world, 65)
    terms = OrderTerms(bytes(20), "x" * MAX_REASON_BYTES, bytes(32), START_S + 9_999)
    for one in officers[1:]:
        for _ in range(2):
            run(world, [world.signed(one, [PrepareOrder(terms)] * 32)])
    some = (ApproveOrder(1 + n, terms) for n in range(64 * 64))
    return world, filled(world, officers[:1], some)


def _officers(world: World, number: int) -> list[Actor]:
    found = [Actor(f"officer {n}") for n in range(number)]
    for n, one in enumerate(found):
        terms = Organisation(f"officer{n}", one.address, ("regulator",))
        world.leaves[organisation_key(terms.name)] = encode_leaf(terms)
        world.leaves[organisation_of_key(one.address)] = terms.name.encode()
        world.sequences[one.address] = 0
    return found


def accusations() -> tuple[World, list[bytes]]:
    """Every operator attested twice at as many heights as are recorded; the transactions are as full as they may be."""
    world = World(operators=MAX_VALIDATORS)

    def reports() -> Iterator[Message]:
        for height in range(MAX_RECORDED):
            for operator in world.operators:
                votes = [AttestHeader("eip155:1", height, bytes([one]) * 32, START_S) for one in (1, 2)]
                first, second = (operator.signed(one, vote) for one, vote in enumerate(votes))
                yield ReportEquivocation(first, second)
        yield from _accusations_that_do_not_end(world)

    return world, filled(world, world.senders, reports())


def _accusations_that_do_not_end(world: World) -> Iterator[Message]:
    """Refused at the very end: the two attest the same."""
    votes = [AttestHeader("eip155:1", height, bytes(32), START_S) for height in range(64)]
    for number in count():
        operator = world.operators[number % len(world.operators)]
        yield ReportEquivocation(operator.signed(number, *votes), operator.signed(number + 1, *votes))


def nonsense() -> tuple[World, list[bytes]]:
    """As many entries as CometBFT carries, which are nothing at all."""
    return World(), [b""] * (MAX_BLOCK_BYTES // 2)


def long_nonsense() -> tuple[World, list[bytes]]:
    """Transactions that are not in their canonical form, which shows last."""
    world = World()
    some = (Transfer(world.symbols[0], bytes(20), b"\1") for _ in count())
    raw = filled(world, world.senders, some)[0]
    return world, [raw + b"\0"] * (MAX_BLOCK_BYTES // (len(raw) + 5))


def forged() -> tuple[World, list[bytes]]:
    """Transactions of all senders with another's signature: each is decoded, looked up and verified."""
    world, entries = single_transfers()
    return world, [raw[:-1] + bytes([raw[-1] ^ 1]) for raw in entries]


KINDS: Final[tuple[Callable[[], tuple[World, list[bytes]]], ...]] = (
    transfers_between_rich_accounts,
    transfers_to_new_accounts,
    single_transfers,
    single_transfers_of_rich_senders,
    single_locks_of_rich_senders,
    locks,
    claims,
    documents,
    small_documents,
    access_lists,
    attestations,
    questions,
    answers,
    answers_under_nonsense,
    appointments,
    accusations,
    proposals,
    votes,
    new_assets,
    admissions,
    orders,
    approvals,
    nonsense,
    long_nonsense,
    forged,
)


def run(world: World, entries: Sequence[bytes]) -> BlockResult:
    """Execute a block and keep what it wrote."""
    outcome = _executed(world, entries)
    for key, leaf in outcome.writes.items():
        if leaf is None:
            world.leaves.pop(key, None)
        else:
            world.leaves[key] = leaf
    assert all(not result.code for result in outcome.results[1:]), [r.log for r in outcome.results if r.code][:1]
    return outcome


def _executed(world: World, entries: Sequence[bytes]) -> BlockResult:
    return execute_block(world.leaves, CHAIN, 1, (encode_clock(NEXT_MS), *entries), SignatureChecker())


def yardstick() -> float:
    """Process time, in seconds, of a piece of work that is of the ledger's sorts and none of its code.

    Signatures by libsodium, hashes of small things, JSON, and objects of the interpreter.
    """
    key = SigningKey(bytes(32))
    signed, verify = bytes(key.sign(bytes(200))), key.verify_key.verify
    begun = time.process_time()
    seen: dict[bytes, object] = {}
    for number in range(400):
        verify(signed)
        for place in range(20):
            seen[hashlib.sha256(b"%d/%d" % (number, place)).digest()] = (number, place)
        json.loads(json.dumps([[number, {"": place}] for place in range(20)]))
    sorted(seen)
    return time.process_time() - begun


def measure(kind: Callable[[], tuple[World, list[bytes]]]) -> Measured:
    """Execute a block of this kind, with no signature known, and make the tree after it.

    Garbage is collected as in a daemon, and none of it is what the process held before.
    """
    world, entries = kind()
    root: Node = build(world.leaves)
    thresholds = gc.get_threshold()
    collect_seldom()
    try:
        return _measure(kind.__name__, world, entries, root)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _measure(name: str, world: World, entries: Sequence[bytes], root: Node) -> Measured:
    before = yardstick()
    begun = time.process_time()
    outcome = _executed(world, entries)
    update(root, outcome.writes)
    seconds = time.process_time() - begun
    yardsticks = seconds / ((before + yardstick()) / 2)
    cost = sum(result.cost for result in outcome.results)
    succeeded = sum(not result.code for result in outcome.results[1:])
    return Measured(name, seconds, yardsticks, cost, len(entries), succeeded)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for one in KINDS:
        if not wanted or one.__name__ in wanted:
            found = measure(one)
            share = found.seconds / (found.cost / MAX_BLOCK_COST)
            print(
                f"{found.name:34} {found.seconds:6.3f} s, {found.yardsticks:5.1f} yardsticks, {found.cost:9} units,"
                f" {share:6.3f} s a full block; {found.succeeded} of {found.entries} succeed",
                flush=True,
            )
