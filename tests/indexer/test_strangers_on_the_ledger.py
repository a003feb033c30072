"""Members and strangers use the real ledger in any order: followers go on, and projections are what the chain is.

A failure names its seed; the environment variable `STRANGERS_SEEDS` asks for others, `make test-long` for more.
"""

import asyncio
import hashlib
import json
import os
import random
from collections import Counter
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final, Protocol, get_args

import pytest

from adapters.consortium import Ed25519Signer, unsigned
from core.model.consortium import (
    AnswerQuery,
    Appoint,
    AskQuery,
    AttestHeader,
    Burn,
    Claim,
    CreateAsset,
    ExpireQuery,
    Issue,
    Lock,
    Message,
    Refund,
    ReportEquivocation,
    SetAccess,
    Transfer,
    WriteRecord,
    caip_asset,
    quantity,
    raw_address,
)
from core.model.consortium_members import Admit, Organisation, Propose, Vote
from core.model.consortium_orders import ApproveLift, ApproveOrder, OrderTerms, PrepareLift, PrepareOrder
from core.model.errors import RejectedError
from core.model.facts import Block, HeaderAttested, RecordWritten
from core.model.ports import ChainAccess
from core.model.types import MAX_BASE_UNITS, MAX_TIMELOCK_S, ChainTime, Height
from core.model.uris import print_uri
from core.proofs.ethereum import header_hash
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from indexer.projections.balances import balance_at
from local_chains.consortium.node import load_operator_keys
from tests.adapters.consortium.harness import CHAIN, SYMBOLS, ConsortiumHarness, running
from tests.core.proofs.test_question_evidence import CHAIN as FOREIGN
from tests.core.proofs.test_question_evidence import STORAGE
from tests.indexer.recomputed import check_projections
from tests.indexer.truth import all_facts, replay
from tests.local_chains.consortium.support import Actor
from tests.local_chains.consortium.test_queries import REVIEWED, proof_of
from tests.support import LONG

BLOCKS = 400 if LONG else 100
SEEDS = tuple(map(int, os.environ.get("STRANGERS_SEEDS", "1,2,3" if LONG else "1").split(",")))
SECRETS: Final = tuple(bytes([number]) * 32 for number in range(12))
NAMES: Final = ("a", "z" * 64, "0.-_", "records")
"""As short, as long and as odd as names are."""
DOCUMENTS: Final = (b"{}", json.dumps({"\0": "\ud7ff\0\u202e", "deep": [[[]]]}).encode(), b'"' + b"x" * 16_000 + b'"')
OF_ISSUER: Final[tuple[type[Message], ...]] = (Issue, Issue, CreateAsset, Burn)
OF_OPERATORS: Final[tuple[type[Message], ...]] = (
    AttestHeader, Appoint, ReportEquivocation, Propose, Vote, Admit, WriteRecord, SetAccess,
)  # fmt: skip
OF_ACCOUNTS: Final[tuple[type[Message], ...]] = (
    *(Transfer, Lock, Lock, Lock, Claim, Claim, Claim, Refund, Refund, Burn),
    *(AskQuery, AskQuery, AnswerQuery, AnswerQuery, AnswerQuery, ExpireQuery, ExpireQuery),
)
OF_OFFICERS: Final[tuple[type[Message], ...]] = (
    *(PrepareOrder, ApproveOrder, ApproveOrder, PrepareLift, PrepareLift, ApproveLift, ApproveLift, ApproveLift),
)
OFFICERS: Final = 2
STORED: Final = proof_of(STORAGE)
KINDS: Final = tuple(dict.fromkeys((*OF_ISSUER, *OF_OPERATORS, *OF_ACCOUNTS, *OF_OFFICERS)))
assert set(KINDS) == set(get_args(Message)), "a message that the ledger knows is missing here"


class Place(Protocol):
    """The strangers' ledger: the one of a harness, or one at work."""

    @property
    def access(self) -> ChainAccess: ...

    @property
    def issuer(self) -> Ed25519Signer: ...

    async def advance(self) -> None: ...

    async def wait_until(self, time: ChainTime) -> None: ...


class LedgerStrangers:
    """Everybody on the ledger. `done` counts messages of transactions that succeeded, by kind."""

    def __init__(self, ledger: Place, rng: random.Random, everybody: list[Ed25519Signer]) -> None:
        self.ledger, self.rng, self.everybody = ledger, rng, everybody
        self.symbols = list(SYMBOLS)
        self.locks: list[tuple[bytes, bytes, int]] = []
        self.asked = 0
        self.officers: list[Ed25519Signer] = []
        self.orders: list[OrderTerms] = []
        self.lifting: list[int] = []
        self.done: Counter[type[Message]] = Counter()
        self.accusations: list[ReportEquivocation] = []

    @classmethod
    async def gather(cls, ledger: ConsortiumHarness, rng: random.Random, home: Path) -> "LedgerStrangers":
        operators = [Ed25519Signer(CHAIN, key.seed) for key in load_operator_keys(home)]
        for one in operators:
            ledger.chain.learn(one.public_key)
        accounts = [await ledger.account() for _ in range(3 + OFFICERS)]
        made = cls(ledger, rng, [ledger.issuer, *operators, *accounts])
        made.officers = accounts[-OFFICERS:]
        for number, officer in enumerate(made.officers, 1):
            terms = Organisation(f"officer-{number}", raw_address(officer.account), ("regulator",))
            await made._submit(operators[0], (Propose(terms),))
            await ledger.advance()
            for operator in operators[1:3]:
                await made._submit(operator, (Vote(number, True),))
            await ledger.advance()
        actors = [Actor(str(number), key.seed) for number, key in enumerate(load_operator_keys(home))]
        for actor, height in product(actors, range(4)):
            votes = [AttestHeader("eip155:1", height, bytes([name]) * 32, 7) for name in (1, 2)]
            first, second = (actor.signed(900, vote, chain=CHAIN.partition(":")[2]) for vote in votes)
            made.accusations.append(ReportEquivocation(first, second))
        return made

    async def act(self) -> None:
        """One block of what comes to their minds; time passes."""
        head = (await self.ledger.access.heads.head()).head
        sent: list[tuple[Ed25519Signer, bytes, tuple[Message, ...]]] = []
        for signer in self.everybody:
            count = self.rng.choice((0, 1, 1, 1, 1, 2, 5))
            messages = tuple(self._message(signer, head.time.seconds) for _ in range(count))
            if messages:
                sent.append((signer, await self._submit(signer, messages), messages))
        await self.ledger.advance()
        for signer, tx_hash, messages in sent:
            if tx_hash and (await self.ledger.access.transactions.outcome(tx_hash)).reason is None:
                self.done.update(map(type, messages))
                self.orders += [one.terms for one in messages if isinstance(one, PrepareOrder)]
                self.lifting += [one.order for one in messages if isinstance(one, PrepareLift)]
                self.asked += sum(isinstance(one, AskQuery) for one in messages)
                sender = raw_address(signer.account)
                self.locks += [(sender, one.hashlock, one.timelock) for one in messages if isinstance(one, Lock)]
        await self.ledger.wait_until(ChainTime(CHAIN, head.time.seconds + self.rng.randrange(3)))

    async def _submit(self, signer: Ed25519Signer, messages: tuple[Message, ...]) -> bytes:
        transactions = self.ledger.access.transactions
        sequence = (await transactions.sequences(signer.account)).latest
        call = unsigned(CHAIN, signer.account, messages, "a stranger's")
        request = transactions.assemble(call, sequence, None, None)
        signed = transactions.attach(request, await signer.sign(request))
        try:
            await transactions.submit(signed)
        except RejectedError:
            return b""
        return signed.hash

    def _kind(self, signer: Ed25519Signer) -> type[Message]:
        """Mostly what the account may do."""
        if self.rng.random() < 0.1:
            return self.rng.choice(KINDS)
        if signer is self.ledger.issuer:
            return self.rng.choice(OF_ISSUER)
        if signer in self.everybody[1:5]:
            return self.rng.choice(OF_OPERATORS)
        if signer in self.officers:
            return self.rng.choice(OF_OFFICERS)
        return self.rng.choice(OF_ACCOUNTS)

    def _message(self, signer: Ed25519Signer, now_s: int) -> Message:
        rng, kind = self.rng, self._kind(signer)
        symbol = rng.choice(SYMBOLS if rng.random() < 0.7 else self.symbols)
        party = raw_address(rng.choice(self.everybody).account)
        odd = rng.choice((party, party, bytes(20), b"\xff" * 20))
        amount = quantity(rng.choice((1, rng.randrange(1, 1_000), rng.choice((0, 2**255, MAX_BASE_UNITS)))))
        secret = rng.choice(SECRETS)
        match kind.__name__:
            case "Issue":
                return Issue(symbol, odd, amount)
            case "Transfer":
                return Transfer(symbol, odd, amount)
            case "Burn":
                return Burn(symbol, amount)
            case "CreateAsset":
                self.symbols.append(rng.choice((*NAMES, f"asset-{rng.randrange(100)}", "w" * 64)))
                return CreateAsset(self.symbols[-1], rng.choice((0, 18, 77)))
            case "Lock":
                hashlock = rng.choice((hashlib.sha256(secret).digest(), bytes(32), rng.randbytes(32)))
                timelock = rng.choice((now_s + rng.randrange(1, 5), now_s + 50, MAX_TIMELOCK_S))
                return Lock(symbol, rng.choice((amount, quantity(1))), odd, hashlock, timelock)
            case "Claim":
                owner, hashlock, _ = rng.choice((*self.locks[-9:], (party, b"", 0)))
                opening = [one for one in SECRETS if hashlib.sha256(one).digest() == hashlock]
                return Claim(owner, opening[0] if opening else secret)
            case "Refund":
                due = [one for one in self.locks if one[2] <= now_s]
                owner, hashlock, _ = rng.choice((*due[-9:], (party, hashlib.sha256(secret).digest(), 0)))
                return Refund(owner, hashlock)
            case "WriteRecord":
                return WriteRecord(rng.choice(NAMES), rng.choice(NAMES), rng.choice(DOCUMENTS))
            case "SetAccess":
                writers = {raw_address(one.account) for one in rng.sample(self.everybody, 2)} - {party}
                return SetAccess(rng.choice(NAMES), rng.choice(NAMES), party, tuple(sorted(writers)))
            case "AttestHeader":
                if rng.random() < 0.5:
                    header = REVIEWED.header
                    return AttestHeader(FOREIGN, header.number, header_hash(header), header.timestamp)
                return AttestHeader("eip155:1", rng.choice((0, 7, 2**63 - 1)), b"\xff" * 32, 7)
            case "AskQuery":
                uri = print_uri(STORAGE) if rng.random() < 0.9 else rng.choice(NAMES)
                fee = rng.choice((quantity(1), amount))
                return AskQuery(uri, 0, rng.choice((40, 2**63 - 1)), now_s + rng.choice((1, 3, 500)), symbol, fee)
            case "AnswerQuery":
                return AnswerQuery(
                    rng.randrange(max(0, self.asked - 6), self.asked + 2), rng.choice((STORED, STORED, STORED[:-1]))
                )
            case "ExpireQuery":
                return ExpireQuery(rng.randrange(self.asked + 2))
            case "ReportEquivocation":
                return rng.choice((ReportEquivocation(STORED, odd), *self.accusations))
            case "Appoint":
                return Appoint(odd if rng.random() < 0.7 else b"")
            case "Admit":
                return Admit(odd, rng.random() < 0.7)
            case "PrepareOrder":
                reason, until_s = rng.choice(("fraud", "\u8bc1" * 85)), now_s + rng.randrange(3, 20)
                return PrepareOrder(OrderTerms(odd, reason, bytes(32), until_s))
            case "ApproveLift" if self.lifting:
                number = rng.choice(self.lifting[-2:])
                return ApproveLift(number, self.orders[number - 1].address, "explained")
            case "ApproveOrder" | "PrepareLift" | "ApproveLift" if self.orders:
                number = rng.randrange(max(1, len(self.orders) - 2), len(self.orders) + 1)
                terms = self.orders[number - 1]
                if kind is ApproveOrder:
                    return ApproveOrder(number, terms)
                half = PrepareLift if kind is PrepareLift else ApproveLift
                return half(number, terms.address, "explained")
            case "Propose":
                roles = rng.choice((("issuer",), ("notary", "regulator"), ()))
                return Propose(Organisation(rng.choice(NAMES), party, roles))
            case _:
                return Vote(rng.randrange(1, 8), rng.random() < 0.8)


async def whole_chain(ledger: ConsortiumHarness, head: Height) -> list[Block]:
    blocks: list[Block] = []
    for first in range(1, head + 1, 50):
        blocks += await ledger.access.blocks.blocks(Height(first), Height(min(head, first + 49)))
    return blocks


@pytest.mark.endurance
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_use_of_the_ledger_stops_a_follower(database: Database, tmp_path: Path, seed: int) -> None:
    rng, home = random.Random(seed), tmp_path / "ledger"
    async with asyncio.timeout(60 + 4 * BLOCKS), running(home) as ledger:
        strangers, access = await LedgerStrangers.gather(ledger, rng, home), ledger.access
        following = Follower(
            access.parameters, access.heads, access.blocks, database, FactSignal(), SystemClock(), Height(1)
        )
        await following.open()
        for _ in range(BLOCKS):
            await strangers.act()
            if rng.random() < 0.3:
                await following.catch_up(await access.heads.head())
        head = await access.heads.head()
        await following.catch_up(head)
        assert following.status.state is FollowerState.LIVE
        blocks = await whole_chain(ledger, head.head.height)
        assert replay(await database.read(all_facts))[0][CHAIN] == blocks
        await check_projections(database, CHAIN, blocks)
        for symbol in sorted(set(strangers.symbols)):
            for one in strangers.everybody:
                asset, height = caip_asset(CHAIN, symbol), blocks[-1].header.height
                held = await database.read(partial(balance_at, account=one.account, asset=asset, height=height))
                assert held == await access.state.balance(one.account, asset)
    events = Counter(type(logged.event) for block in blocks for logged in block.events)
    assert {kind.__name__ for kind in set(KINDS) - set(strangers.done)} == set()
    assert events[RecordWritten] > 0
    assert events[HeaderAttested] > 0
