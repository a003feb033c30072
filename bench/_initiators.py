"""Initiators that do nothing but their part, so that what is measured is the relayer: they read each block's events,
lock, and claim; there is no journal, no database and no state machine on their side.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from adapters.registry import ConnectedChain
from bench.swap_latency import Blocks
from core.model.facts import Claimed, Locked, hashlock_of
from core.model.identifiers import parse_asset
from core.model.ports import BlockSource, ChainAccess, ConsentSigner, Signer
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import ChainId, Hashlock, Height, LockId, LockTerms, Preimage, chain_of
from relayer.api import wire
from relayer.api.bodies import QuoteCall, SwapCall
from relayer.client import RelayerApi
from relayer.provider.desk import OpenSwap
from relayer.provider.holds import opening_of

EXPIRY_BLOCKS: Final = 50
CALLS_PER_S: Final = 45
E = TypeVar("E", Locked, Claimed)


@dataclass(slots=True)
class Watch(Blocks):
    """Blocks of one chain, and the locks and claims in them by their hashlock."""

    _seen: dict[tuple[type, Hashlock], asyncio.Future[tuple[int, Any]]] = field(default_factory=dict)

    async def read(self, source: BlockSource) -> None:
        """Read the events of every block that comes, for ever."""
        height = (await self._first(self.arrived, lambda _at, _height: True))[1]
        while True:
            await self.until(height + 1)
            last = self.arrived[-1][1]
            for block in await source.blocks(Height(height + 1), Height(last)):
                for logged in block.events:
                    hashlock = hashlock_of(logged)
                    if hashlock is not None:
                        waiting = self._future(type(logged.event), hashlock)
                        if not waiting.done():
                            waiting.set_result((block.header.height, logged.event))
            height = last

    async def seen(self, kind: type[E], hashlock: Hashlock) -> tuple[int, E]:
        """Return (height, event) of the first lock or claim under a hashlock; wait for it."""
        return await self._future(kind, hashlock)

    def _future(self, kind: type, hashlock: Hashlock) -> asyncio.Future[tuple[int, Any]]:
        return self._seen.setdefault((kind, hashlock), asyncio.get_running_loop().create_future())


class Wallet:
    """One account that signs in the order of its sequences."""

    def __init__(self, access: ChainAccess, signer: Signer, watch: Watch) -> None:
        self.access = access
        self.signer = signer
        self.watch = watch
        self._turn = asyncio.Lock()
        self._sequence: int | None = None
        self._places: set[LockId] = set()

    async def lock(self, terms: LockTerms) -> None:
        async with self._turn:
            place = await self.access.legs.lock_id(terms, tuple(self._places))
            self._places.add(place)
            await self._send(self.access.legs.lock(terms, place))

    async def claim(self, terms: LockTerms, place: LockId, preimage: Preimage) -> None:
        async with self._turn:
            await self._send(self.access.legs.claim(terms, place, preimage, self.signer.account))

    async def _send(self, unsigned: UnsignedTransaction) -> None:
        sender = self.access.transactions
        if self._sequence is None:
            self._sequence = (await sender.sequences(self.signer.account)).latest
        market = await sender.fee_market()
        bid = None if market is None else FeeBid(4 * market.base_fee + market.priority_fee, market.priority_fee)
        expiry = Height(self.watch.arrived[-1][1] + EXPIRY_BLOCKS)
        request = sender.assemble(unsigned, self._sequence, bid, expiry)
        await sender.submit(sender.attach(request, await self.signer.sign(request)))
        self._sequence += 1


@dataclass(frozen=True, slots=True)
class Swapped:
    """One swap that was completed. `started` and `done` are monotonic seconds: our lock about to be signed, and the
    block with the relayer's claim here."""

    id: str
    first: ChainId
    second: ChainId
    started: float
    done: float


class Initiator:
    """Somebody with an account on both chains who swaps with one relayer."""

    def __init__(self, api: RelayerApi, chains: dict[ChainId, ConnectedChain], keys: dict[ChainId, bytes]) -> None:
        self._api = api
        self._turn = asyncio.Lock()
        self.watches = {chain: Watch() for chain in chains}
        self._wallets = {
            chain: Wallet(one.access, one.signer(keys[chain]), self.watches[chain]) for chain, one in chains.items()
        }
        self._tasks = [
            asyncio.create_task(work)
            for chain, one in chains.items()
            for work in (self.watches[chain].watch(one.access.heads), self.watches[chain].read(one.access.blocks))
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def swap(self, give: str, get: str, amount: int) -> Swapped:
        """Swap once. Raise what the relayer or a chain refuses with."""
        first, second = chain_of(parse_asset(give)), chain_of(parse_asset(get))
        ours, theirs, preimage, name = await self._open(give, get, amount)
        started = asyncio.get_running_loop().time()
        await self._wallets[first].lock(ours)
        height, locked = await self.watches[second].seen(Locked, ours.hashlock)
        await self.watches[second].final_at(height)
        await self._wallets[second].claim(theirs, locked.lock_id, preimage)
        height, _ = await self.watches[first].seen(Claimed, ours.hashlock)
        return Swapped(name, first, second, started, await self.watches[first].until(height))

    async def _pace(self) -> None:
        """Keep to what the API allows one caller."""
        async with self._turn:
            await asyncio.sleep(1 / CALLS_PER_S)

    async def _open(self, give: str, get: str, amount: int) -> tuple[LockTerms, LockTerms, Preimage, str]:
        call = QuoteCall(
            initiator_asset=parse_asset(give), participant_asset=parse_asset(get), initiator_amount=str(amount)
        )
        await self._pace()
        quote = wire.quote_from(await self._api.quote(call))
        payer, payee = self._wallets[quote.initiator_chain], self._wallets[quote.participant_chain]
        preimage = Preimage.generate(secrets.token_bytes)
        sender, receiver = payer.signer.account, payee.signer.account
        asked = OpenSwap(quote, preimage.hashlock(), sender, receiver)
        proof = None
        if payer.access.openings is not None and isinstance(payer.signer, ConsentSigner):
            message = payer.access.openings.message(opening_of(asked, quote.key))
            proof = wire.hex_of(await payer.signer.consent(message))
        await self._pace()
        answer = await self._api.open_swap(
            SwapCall(
                quote=wire.quote_body(quote),
                hashlock=wire.hex_of(preimage.hashlock()),
                initiator_sender=sender,
                initiator_receiver=receiver,
                proof=proof,
            )
        )
        ours, theirs = wire.terms_from(answer.initiator.terms), wire.terms_from(answer.participant.terms)
        return ours, theirs, preimage, answer.id
