"""Swapping as the initiator, from a quote to an outcome.

    async with SwapClient(RelayerApi(url), chains, signers, SwapStore.file(path), ClientPolicy(swap=…)) as client:
        quote = await client.quote(ether, yuan, initiator_amount=10**17)
        swap = await client.open(quote)             # agreed and checked; nothing is locked yet
        outcome = await client.run(swap, print)     # locks, verifies, reveals and claims, or refunds

The relayer is asked for a price and an agreement and for nothing else: everything that counts is read from the chains.
While the client is open, swaps that were begun go on by themselves, also those of an earlier process with this store.
One client per account at a time; it may run many swaps side by side.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.engine import Connection

from core.model.effect_keys import EffectKey
from core.model.errors import ConflictError, FatalError, NotFoundError, RejectedError, RetryableError
from core.model.identifiers import parse_account, parse_asset
from core.model.ports import ChainAccess, ConsentSigner, Signer
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Preimage, SwapId, chain_of
from core.runtime import journal, retry
from core.runtime.clock import Clock, SecretSource, SystemClock, SystemSecrets, true_seconds
from core.runtime.metrics import Metrics
from htlc import effects, events
from htlc.model import AttemptStatus, Leg, SwapState
from indexer.store import acknowledge_alarms, open_alarms
from relayer.api import wire
from relayer.api.bodies import QuoteBody, QuoteCall, RelayerBody, SwapBody, SwapCall
from relayer.client.agreement import ClientPolicy, agreed, check_quote_answer
from relayer.client.hooks import Hook
from relayer.client.process import ClientProcess
from relayer.client.progress import SwapOutcome, SwapProgress, SwapStep, outcome_of, replayed
from relayer.client.store import ClientSwap, Preimages, SwapStore
from relayer.policy import RelayerPolicy
from relayer.provider.desk import OpenSwap
from relayer.provider.holds import opening_of
from relayer.provider.quoting import Quote, QuoteRequest, verify_quote
from relayer.pump import swaps
from relayer.pump.past import past_events
from relayer.transactions import accounts, records

T = TypeVar("T")

MAX_ENTRIES: Final = 10_000
"""Journalled events of one swap; a swap has some dozens."""

FOLLOW_TIMEOUT_S: Final = 30.0
READ_UP_S: Final = 0.25
"""How often a swap that is to begin looks if the chains have been read up to their newest blocks."""

OnProgress = Callable[[SwapProgress], None]


class Relayer(Protocol):
    """The answers that a swap needs from a relayer: `RelayerApi` (HTTP), or `relayer.api.answers.Answers`
    in-process."""

    async def relayer(self) -> RelayerBody: ...

    async def quote(self, call: QuoteCall) -> QuoteBody: ...

    async def open_swap(self, call: SwapCall) -> SwapBody: ...


class SwapClient:
    """The initiator's client: quotes, opens and runs swaps. The caller gives `chains`, and `signers` one for each."""

    def __init__(
        self,
        api: Relayer,
        chains: Mapping[ChainId, ChainAccess],
        signers: Mapping[ChainId, Signer],
        store: SwapStore,
        policy: ClientPolicy,
        clock: Clock | None = None,
        secrets: SecretSource | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        for chain, signer in signers.items():
            if chain not in chains or chain_of(signer.account) != chain:
                raise RejectedError(f"the account {signer.account} is not on the configured chain {chain}")
        self._api = api
        self._chains = chains
        self._parameters = {chain: access.parameters for chain, access in chains.items()}
        self._signers = signers
        self._store = store
        self._policy = policy
        self._clock = clock or SystemClock()
        self._secrets = secrets or SystemSecrets()
        self._metrics = metrics or Metrics()
        self._preimages = Preimages()
        self._key = policy.relayer_key
        self._process: ClientProcess | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SwapClient":
        """Open the store and take up every swap that was begun.

        Raise `FatalError` if the store cannot be used, `ConflictError` if another process works on it,
        `RejectedError` if its open swaps need another account.
        """
        try:
            await self._begin()
        except BaseException:
            self._store.release()
            raise
        return self

    async def _begin(self) -> None:
        await self._store.prepare()
        await self._store.check_accounts([signer.account for signer in self._signers.values()])
        self._preimages.add(*(await self._store.preimages()).values())
        policy = RelayerPolicy(
            swap=self._policy.swap, gas_per_exit=self._policy.gas_per_exit, pipeline=self._policy.pipeline
        )
        now_s = self._clock.now()
        inherited = [one for one in await self._store.swaps() if one.agreement.initiator_leg.timelock.seconds > now_s]
        self._process = ClientProcess(
            self._store.database,
            self._chains,
            self._signers,
            policy,
            self._clock,
            self._metrics,
            self._preimages,
            min((float(one.quote.issued_at) for one in inherited), default=None),
            [one.id for one in inherited],
        )
        self._running = asyncio.create_task(self._process.run(), name="swap client")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once, as a crash would: whatever was begun goes on when the store is opened again."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError, FatalError):
                await self._running
        if self._process is not None:
            self._process.hooks.close()
        self._running = self._process = None
        self._store.release()

    async def ended(self) -> None:
        """Return, or raise what ended them, once the client's workers have stopped: at `__aexit__`, or by themselves
        with a `FatalError`."""
        if self._running is not None:
            await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.result()

    # --- agreeing ---

    async def quote(
        self,
        initiator_asset: AssetId,
        participant_asset: AssetId,
        *,
        initiator_amount: BaseUnits | int | None = None,
        participant_amount: BaseUnits | int | None = None,
    ) -> Quote:
        """A price that was checked: signed by the relayer's key, for what was asked. One of the two amounts.

        Raise `RejectedError` if it is not, or if the relayer refuses; `RetryableError` without an answer.
        """
        initiator_asset, participant_asset = parse_asset(initiator_asset), parse_asset(participant_asset)
        request = QuoteRequest(
            initiator_asset,
            participant_asset,
            None if initiator_amount is None else BaseUnits(initiator_amount),
            None if participant_amount is None else BaseUnits(participant_amount),
        )
        call = QuoteCall(
            initiator_asset=initiator_asset,
            participant_asset=participant_asset,
            initiator_amount=None if initiator_amount is None else str(initiator_amount),
            participant_amount=None if participant_amount is None else str(participant_amount),
        )
        quote = wire.quote_from(await self._api.quote(call))
        check_quote_answer(request, quote, await self._relayer_key(), self._policy, self._clock.now())
        return quote

    async def _relayer_key(self) -> bytes:
        if self._key is None:
            self._key = wire.bytes_from((await self._api.relayer()).quote_key, 32, "quote_key")
        return self._key

    async def open(self, quote: Quote, receiver: AccountId | None = None) -> ClientSwap:
        """Agree on a swap: a fresh preimage is stored first, the relayer's answer is checked, nothing is locked.

        Our account signs the opening, so that the relayer keeps its part until our lock if the account holds what it
        gives. `receiver` is paid on the participant's chain, our own account there by default. The same quote again
        gives the same swap. Raise `RejectedError` if the answer is not as quoted, `ConflictError` if nothing is kept
        for us and the policy insists on it, `GateClosedError` if the timelocks leave too little time,
        `RetryableError` without an answer.
        """
        verify_quote(quote, await self._relayer_key(), self._clock.now())
        sender = self._account(quote.initiator_chain)
        receiver = self._account(quote.participant_chain) if receiver is None else parse_account(receiver)
        for asset in (quote.initiator_asset, quote.participant_asset):
            wire.asset_named(self._parameters.values(), asset)
        fresh = Preimage.generate(self._secrets.token_bytes)
        preimage = await self._store.remember(quote, fresh, self._clock.now_ns())
        self._preimages.add(preimage)
        call = SwapCall(
            quote=wire.quote_body(quote),
            hashlock=wire.hex_of(preimage.hashlock()),
            initiator_sender=sender,
            initiator_receiver=receiver,
            proof=await self._proof(OpenSwap(quote, preimage.hashlock(), sender, receiver)),
        )
        answer = await retry.retrying(lambda: self._api.open_swap(call), retry.CALL, self._clock)
        now_s = true_seconds(self._clock.now_ns())
        agreement = agreed(quote, preimage.hashlock(), sender, receiver, answer, self._parameters, self._policy, now_s)
        if self._policy.reserved_only and not answer.reserved:
            raise ConflictError(f"the relayer keeps nothing for this swap: {answer.reservation}", swap_id=answer.id)
        return await self._store.agree(quote, agreement)

    async def _proof(self, request: OpenSwap) -> str | None:
        """Our account's signature over the opening, None on a chain that knows none."""
        chain = request.quote.initiator_chain
        openings, signer = self._chains[chain].openings, self._signers[chain]
        if openings is None or not isinstance(signer, ConsentSigner):
            return None
        return wire.hex_of(await signer.consent(openings.message(opening_of(request, request.quote.key))))

    def _account(self, chain: ChainId) -> AccountId:
        if chain not in self._signers:
            raise RejectedError(f"this client has no account on {chain}: give it a signer")
        return self._signers[chain].account

    # --- swapping ---

    async def lock(
        self, swap: ClientSwap | SwapId, before_lock: Hook | None = None, before_reveal: Hook | None = None
    ) -> None:
        """Begin: our lock is asked for, durably, and everything after it follows by itself. Again is harmless.

        The hooks are awaited right before our lock and right before the reveal; then the gates are checked once more.
        A hook that raises calls the swap off: what is locked by then comes back after its timelock. A hook that waits
        too long finds the gate closed, with the same end.
        """
        found = await self._found(swap)
        process = self._started()
        process.hooks.set(found.id, before_lock, before_reveal)
        try:
            async with asyncio.timeout(FOLLOW_TIMEOUT_S):
                await self._or_end(self._read_up(process))
        except TimeoutError:
            raise RetryableError("a chain does not answer, so that nothing can be locked safely: try again") from None
        now_ns = self._clock.now_ns()

        def begin(connection: Connection) -> bool:
            if journal.load(connection, found.id) is not None:
                return False
            # The store may be a copy: what another process did with this agreement is on the chains, and is taken in
            # as of when it was made, before any gate that has closed since.
            past = past_events(connection, found.agreement)
            now_s = found.quote.issued_at if past else true_seconds(now_ns)
            swaps.begin(connection, found.agreement, found.quote.id, now_s=now_s, now_ns=now_ns)
            swaps.take(connection, found.id, past, now_ns=now_ns)
            return True

        with process.updates.unsure_if_unheard():
            if await self._store.database.write(begin):
                process.updates.changed([found.id])

    async def _read_up(self, process: ClientProcess) -> None:
        """Return once the facts reach up to what the chains showed when the client was opened."""
        await process.followed()
        while True:
            with suppress(RetryableError):
                await process.caught_up()
                return
            await self._clock.sleep(READ_UP_S)

    async def run(
        self,
        swap: ClientSwap | SwapId,
        on_progress: OnProgress | None = None,
        *,
        before_lock: Hook | None = None,
        before_reveal: Hook | None = None,
    ) -> SwapOutcome:
        """Carry the swap from its present state to its end; return the outcome. `on_progress` gets each step once, in
        order, from the beginning. Cancelling this stops the waiting, not the swap."""
        found = await self._found(swap)
        await self.lock(found, before_lock, before_reveal)
        async for made in self.progress(found.id):
            if on_progress is not None:
                on_progress(made)
        self._started().hooks.forget(found.id)
        return outcome_of(await self.state(found.id))

    async def resume(
        self, swap_id: SwapId, on_progress: OnProgress | None = None, *, before_reveal: Hook | None = None
    ) -> SwapOutcome:
        """As `run`, for a swap of an earlier process with the same store; one that was never begun is begun now.

        Raise `NotFoundError` for a swap that is not in the store.
        """
        return await self.run(swap_id, on_progress, before_reveal=before_reveal)

    async def cancel(self, swap: ClientSwap | SwapId, reason: str = "cancelled by its owner") -> None:
        """From now on neither lock nor reveal; what is locked comes back after its timelock. Once a claim with the
        preimage is signed, this changes nothing."""
        found, now_ns = await self._found(swap), self._clock.now_ns()

        def call_off(connection: Connection) -> None:
            accounts.hold_all(connection)
            swaps.take(connection, found.id, [events.QuoteCancelled(reason)], now_ns=now_ns)
            if (intended := _unsigned_reveal(connection, found.id)) is not None:
                journal.fail_effect(connection, str(intended), reason, now_ns=now_ns)
                refused = events.EffectRefused(intended.kind, intended.sequence, "cancelled", reason)
                swaps.take(connection, found.id, [refused], now_ns=now_ns)

        try:
            with self._started().updates.unsure_if_unheard():
                await swaps.write(self._store.database, call_off)
        except NotFoundError:
            raise ConflictError("this swap was never begun: there is nothing to cancel") from None
        self._started().updates.changed([found.id])

    async def alarms(self) -> list[ChainId]:
        """The chains of which a finalized block was seen to be replaced. Until that is acknowledged, nothing is locked
        or revealed in a swap with one of them; claims and refunds go on."""

        def look(connection: Connection) -> list[ChainId]:
            return [chain for chain in sorted(self._chains) if open_alarms(connection, chain)]

        return await self._store.database.read(look)

    async def acknowledge(self, chain: ChainId) -> bool:
        """The caller has looked into what was replaced on this chain. Return false if nothing was open."""
        now_ns = self._clock.now_ns()
        return bool(await self._store.database.write(lambda c: acknowledge_alarms(c, chain, now_ns)))

    # --- watching ---

    async def progress(self, swap: ClientSwap | SwapId) -> AsyncIterator[SwapProgress]:
        """Every step of a swap once, in order, from the beginning until it has ended."""
        name = (await self._found(swap)).id
        subscription = self._started().updates.subscribe(name)
        try:
            state: SwapState | None = None
            while state is None or not state.phase.terminal:
                after = 0 if state is None else state.sequence
                for raw in await self._entries(name, after):
                    state, steps = replayed(state, raw)
                    for one in steps:
                        yield one
                if state is None or not state.phase.terminal:
                    await self._or_end(subscription.next())
        finally:
            subscription.close()

    async def until(self, swap: ClientSwap | SwapId, step: SwapStep) -> SwapProgress:
        """The first time that this step was made. Raise `ConflictError` if the swap ends without it."""
        name = (await self._found(swap)).id
        async for made in self.progress(name):
            if made.step is step:
                return made
        raise ConflictError(f"the swap ended without {step}", swap_id=name)

    async def locked(self, swap: ClientSwap | SwapId) -> SwapProgress:
        """Our lock, once it is in a block."""
        return await self.until(swap, SwapStep.LOCKED)

    async def participant_locked(self, swap: ClientSwap | SwapId) -> SwapProgress:
        """The participant's lock, once a quorum shows it at a finalized block with exactly the agreed terms."""
        return await self.until(swap, SwapStep.PARTICIPANT_VERIFIED)

    async def claimed(self, swap: ClientSwap | SwapId) -> SwapProgress:
        """Our claim, once it is in a block."""
        return await self.until(swap, SwapStep.CLAIMED)

    async def refunded(self, swap: ClientSwap | SwapId) -> SwapProgress:
        """Our refund, once it is in a block."""
        return await self.until(swap, SwapStep.REFUNDED)

    async def state(self, swap: ClientSwap | SwapId) -> SwapState:
        """The state machine's present state. Raise `NotFoundError` for a swap that was never begun."""
        name = swap.id if isinstance(swap, ClientSwap) else swap
        return await self._store.database.read(lambda c: swaps.load(c, name))

    async def swaps(self) -> list[ClientSwap]:
        """Every agreement in the store, the oldest first."""
        return await self._store.swaps()

    async def unfinished(self) -> list[ClientSwap]:
        """Agreements that were begun and have not ended."""

        def is_open(connection: Connection, swap_id: SwapId) -> bool:
            try:
                return not swaps.load(connection, swap_id).phase.terminal
            except NotFoundError:
                return False

        every = await self._store.swaps()
        return await self._store.database.read(lambda c: [swap for swap in every if is_open(c, swap.id)])

    # --- small ---

    async def _entries(self, swap_id: SwapId, after: int) -> list[bytes]:
        def read(connection: Connection) -> list[bytes]:
            found = [entry.event for entry in journal.replay(connection, swap_id, after)]
            if len(found) > MAX_ENTRIES:
                raise FatalError(f"swap {swap_id} has more than {MAX_ENTRIES} events")
            return found

        return await self._store.database.read(read)

    async def _found(self, swap: ClientSwap | SwapId) -> ClientSwap:
        return swap if isinstance(swap, ClientSwap) else await self._store.swap(swap)

    def _started(self) -> ClientProcess:
        if self._process is None:
            raise RejectedError("the client is closed: use it inside `async with`")
        return self._process

    async def _or_end(self, wait: Any) -> Any:
        """Await, but not beyond the end of our own workers; raises what ended them."""
        waiting, running = asyncio.ensure_future(wait), self._running
        try:
            if running is not None:
                await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if running is None or running.cancelled():
                raise RejectedError("the client is closed: use it inside `async with`")
            running.result()
            raise FatalError("the client's workers have ended")
        finally:
            waiting.cancel()


def _unsigned_reveal(connection: Connection, swap_id: SwapId) -> EffectKey | None:
    """The first reveal that this swap asked for, if nothing was signed for it: whoever signs it looks again, in the
    transaction that stores it, if it is still wanted."""
    kind = effects.leg_kind(effects.RevealAndClaim, Leg.PARTICIPANT)
    attempt = swaps.load(connection, swap_id).attempt(kind)
    if attempt is None or not attempt.first or attempt.status is not AttemptStatus.ASKED:
        return None
    key = EffectKey(swap_id, attempt.sequence, kind)
    return key if records.by_effect(connection, str(key)) is None else None
