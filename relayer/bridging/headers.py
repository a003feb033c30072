"""Keeps a light client of the consortium chain, in a contract on another chain, able to prove answers.

    an answer waits for a header ──> the headers at which validators change, each with its new set ──┐
    two thirds of the trusting period are over ──> the newest header ────────────────────────────────┴──> transactions

An answer brings the header that it needs itself, so nothing is sent as long as the validators stay and answers come.
Whoever answers pays: the account that answers. What is sent here earns nothing, so it is bounded for each day, and the
gas of exits is never spent on it. One header serves all answers that wait for it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from core.model.errors import CausewayError, FatalError, RejectedError, RetryableError
from core.model.ports import HeadSource
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, ChainId, Height
from core.proofs.cometbft.clients import HeaderClient, NewestHeader, SignedHeaders
from core.proofs.cometbft.types import LightBlock
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from relayer.metrics import RelayerMetrics
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionStatus
from relayer.transactions.signing import Worth

LOOK_S: Final = 60.0
AGAIN_S: Final = 5.0
"""How soon a header that answers wait for is tried again."""
RENEWED_AT: Final = 1 / 3
"""The share of the trusting period that is left when the first account's turn comes to prove a header for the sake of
trust alone."""
TURNS: Final = 1 / 16
"""The share of the trusting period over which the turns of several accounts are spread, so that one of them pays."""
MAX_STEPS: Final = 16
"""Changes of validators that one look brings the client through; the next look goes on."""
MAX_TRIES: Final = 3
"""Transactions for one header, or one set, that come to nothing."""
INCLUDED_S: Final = 120.0
DAY_NS: Final = 24 * 3_600 * NS_PER_S
PREFIX: Final = "header/"

Keep = Callable[[], Awaitable[Mapping[AssetId, int]]]

log = get_logger("relayer.bridging.headers")


class HeadersSpentError(RetryableError):
    """Another transaction would cost more than a day's headers may."""

    code = "headers-spent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSetup:
    """The chain `home`, whose headers `headers` shows, and its light client `client` on another chain. `per_day`: the
    most that bringing it forward may cost in 24 hours, in base units of the asset `pays_in`."""

    home: ChainId
    headers: SignedHeaders
    client: HeaderClient
    per_day: int
    pays_in: AssetId


def renews_at(account: AccountId, newest: Height) -> float:
    """Return the share of the trusting period that is left when the turn of `account` comes to renew the trust in the
    header at `newest`: at most `RENEWED_AT`, more than `RENEWED_AT - TURNS`, in another order for each header."""
    digest = hashlib.sha256(f"{account} {newest}".encode()).digest()
    return RENEWED_AT - TURNS * int.from_bytes(digest[:6]) / 2**48


@dataclass(slots=True)
class HeaderWorker:
    """Brings the light client of `setup` forward with the account of `pipeline`: `run`. `heads` are those of its home
    chain."""

    database: Database
    setup: HeaderSetup
    heads: HeadSource
    pipeline: Pipeline
    keep: Keep
    clock: Clock
    metrics: RelayerMetrics
    _wake: Signal = field(default_factory=Signal)
    _needed: Height | None = None
    _worth_of_others: Worth | None = None

    def __post_init__(self) -> None:
        self._worth_of_others, self.pipeline.worth = self.pipeline.worth, self._worth

    @property
    def chain(self) -> ChainId:
        """The chain of the light client."""
        return self.pipeline.chain

    def need(self, height: Height) -> None:
        """An answer waits for this header."""
        if self._needed is None or height > self._needed:
            self._needed = height
        self._wake.notify()

    async def run(self) -> None:
        """Look for ever: every minute, and at once if an answer waits."""
        await self.pipeline.opened.wait_beyond(0)
        while True:
            seen, wait_s = self._wake.count, LOOK_S
            try:
                await self.step()
            except FatalError:
                raise
            except CausewayError as error:
                wait_s = AGAIN_S
                log.warning("a light client is not brought forward now", chain=self.chain, reason=error.message)
            if self._needed is not None:
                await self.clock.sleep(AGAIN_S)
            else:
                await self._wake.wait_beyond(seen, wait_s)

    async def step(self) -> None:
        """Look once, and send what is due. Raise `RetryableError`; what was sent is found again."""
        newest, period_s = await self.setup.client.newest(), await self.setup.client.trusting_period_s()
        left_s = self._left_s(newest, period_s)
        self.metrics.client_trust_s.labels(self.chain).set(0.0 if newest.frozen else left_s)
        self.metrics.client_trust_share.labels(self.chain).set(0.0 if newest.frozen else left_s / period_s)
        if newest.frozen:
            self._needed = None
            log.error("the light client is frozen", chain=self.chain)
            return
        if left_s <= 0:
            self._needed = None
            log.error("the light client's trust has ended", chain=self.chain, home=self.setup.home)
            return
        if (needed := self._needed) is not None:
            try:
                await self._bring_to(needed, "answer")
            except RejectedError:
                self._needed = None  # its answers ask again
                raise
            self._needed = None if self._needed == needed else self._needed
            newest = await self.setup.client.newest()
        due_s = period_s * renews_at(self.pipeline.account, newest.height)
        if self._left_s(newest, period_s) < due_s:
            target = Height((await self.heads.head()).finalized.height - 1)
            if target > newest.height:
                block = await self._bring_to(target, "trust")
                # Somebody else's turn may have come meanwhile, or an answer have brought a header.
                if self._left_s(await self.setup.client.newest(), period_s) < due_s:
                    await self._prove(block, "trust")

    def _left_s(self, newest: NewestHeader, period_s: int) -> float:
        """Return for how long trust lasts that rests on this header."""
        return newest.time_ns / NS_PER_S + period_s - self.clock.now()

    async def _bring_to(self, target: Height, cause: str) -> LightBlock:
        """Return the block at this height, once the client takes its header: every change of validators on the way is
        shown to it.

        Raise `RejectedError` for a header that no way leads to.
        """
        for _ in range(MAX_STEPS):
            block = await self.setup.headers.light_block(target)
            if await self.setup.client.trusts(block):
                return block
            last = await self._last_of_set((await self.setup.client.newest()).height, target)
            following = last.next_validators
            if following is None:
                raise RetryableError(f"header {last.header.height} of {self.setup.home} announces no other validators")
            if not await self.setup.client.introduced(last.header.next_validators_hash):
                name = f"set-{last.header.next_validators_hash.hex()[:16]}"
                await self._send(name, await self.setup.client.introduce(following, self.pipeline.account), cause)
            await self._prove(last, cause)
        raise RetryableError(f"the validators of {self.setup.home} change more often than {MAX_STEPS} times on the way")

    async def _last_of_set(self, newest: Height, target: Height) -> LightBlock:
        """Return the last block that the validators in force may sign: its header announces others.

        `newest` is the height of the newest proven header; the block after it can be proven, that at `target` cannot.
        """
        if target <= newest:
            raise RejectedError(
                f"header {target} of {self.setup.home} is of validators that were never trusted, and {newest} is "
                "proven: ask for a later one"
            )
        low, high = Height(newest + 1), target
        found = await self.setup.headers.light_block(low)
        while high - low > 1:
            middle = Height((low + high) // 2)
            block = await self.setup.headers.light_block(middle)
            if await self.setup.client.trusts(block):
                low, found = middle, block
            else:
                high = middle
        return found

    async def _prove(self, block: LightBlock, cause: str) -> None:
        if (await self.setup.client.newest()).height < block.header.height:
            update = await self.setup.client.update(block, self.pipeline.account)
            await self._send(str(block.header.height), update, cause)

    async def _send(self, name: str, transaction: UnsignedTransaction, cause: str) -> None:
        """Send once, and wait until a block has it. Raise `HeadersSpentError` if the day's allowance does not cover it,
        `RetryableError` if it takes too long or came to nothing too often."""
        key = await self._key(name)
        if await self.pipeline.transaction(key) is None:
            await self._require_allowed(await self.setup.client.cost(transaction))
            await self.pipeline.send(key, transaction, keep=await self.keep())
            self.metrics.header_updates.labels(self.chain, cause).inc()
            log.info("a light client is brought forward", chain=self.chain, what=transaction.summary, cause=cause)
        try:
            async with asyncio.timeout(INCLUDED_S):
                record = await self.pipeline.until(key, TransactionStatus.INCLUDED, TransactionStatus.FINAL)
        except TimeoutError as error:
            raise RetryableError(f"no block has {transaction.summary!r} yet") from error
        if not record.included or record.reverted:
            raise RetryableError(f"{transaction.summary!r} came to nothing: {record.reason or record.status}")

    async def _key(self, name: str) -> str:
        """Return the key of the transaction that is there, or of the next try."""
        for number in range(MAX_TRIES):
            key = f"{PREFIX}{self.chain}/{self.pipeline.account}:{name}:{number}"
            record = await self.pipeline.transaction(key)
            if record is None or record.under_way:
                return key
        raise RejectedError(f"{name} was sent {MAX_TRIES} times to the light client on {self.chain}, in vain")

    async def _require_allowed(self, cost: int) -> None:
        spent = await self._spent()
        self.metrics.header_spent.labels(self.chain).set(spent)
        if spent + cost > self.setup.per_day:
            raise HeadersSpentError(
                f"another header may cost {cost}, and {spent} of {self.setup.per_day} are spent in 24 hours: raise "
                "headers_per_day_wei, or wait"
            )

    async def _spent(self, but_for: str = "") -> int:
        read = partial(
            records.reserved_since,
            account=self.pipeline.account,
            prefix=PREFIX,
            asset=self.setup.pays_in,
            since_ns=self.clock.now_ns() - DAY_NS,
            but_for=but_for,
        )
        return await self.database.read(read)

    async def _worth(self, effect_keys: Sequence[str]) -> int | None:
        """Return what the day's other headers leave for this one, however dear gas becomes, as `Pipeline.worth`."""
        if not effect_keys[0].startswith(PREFIX):
            return None if self._worth_of_others is None else await self._worth_of_others(effect_keys)
        return self.setup.per_day - await self._spent(but_for=effect_keys[0])
