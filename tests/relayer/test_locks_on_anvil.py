"""Locks that are ready at once, on a real node: one transaction, one that the contract refuses, one that is over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
from sqlalchemy.engine import Connection

from adapters.conformance.harness import make_terms
from adapters.evm.calls import body_of
from adapters.memory import MemoryChain, MemoryRules
from core.model.types import AccountId, Asset, BaseUnits, ChainTime, Hashlock, Preimage, PublicPreimage, SwapId
from htlc import events
from htlc.model import Agreement, AttemptStatus, LegStatus, Phase, Role, swap_id
from htlc.timelocks import PRODUCTION_POLICY
from relayer.pump import places, swaps
from relayer.pump.locks import ReadyLock, SharedLocks
from relayer.transactions.records import TransactionRecord
from relayer.transactions.signing import Asked
from tests.adapters.evm.harness import CHAIN
from tests.relayer.house import COIN, TIMING, B
from tests.relayer.test_together import left_out
from tests.relayer.test_together_on_anvil import Watch, watch
from tests.support import eventually

__all__ = ["watch"]

FUND = "fund-initiator"


@dataclass
class Locking:
    """An initiator whose swaps begin together; the other chain is a memory chain."""

    watch: Watch
    preimages: dict[SwapId, Preimage]

    async def begin(self, count: int, kind: int = 0) -> list[SwapId]:
        """In one transaction, so that all are due at one look."""
        evm, pipeline, clock = self.watch.evm, self.watch.pipeline, self.watch.clock
        signer, agreements = pipeline._signer, list[Agreement]()
        for _ in range(count):
            preimage = Preimage.generate()
            terms = await make_terms(evm, signer, await evm.account(), preimage, evm.assets[kind])
            now_s = round(clock.now())
            first = replace(terms, timelock=ChainTime(CHAIN, now_s + 40_000))
            second = replace(
                terms,
                asset=COIN[B],
                amount=BaseUnits(5),
                sender=AccountId(f"{B}:{'1' * 40}"),
                receiver=AccountId(f"{B}:{'2' * 40}"),
                timelock=ChainTime(B, now_s + 20_000),
            )
            one = Agreement(
                swap_id=swap_id(first, second),
                role=Role.INITIATOR,
                initiator_leg=first,
                participant_leg=second,
                initiator_timing=evm.access.parameters.timing,
                participant_timing=TIMING,
                policy=PRODUCTION_POLICY,
                lock_deadline_s=now_s + 100,
            )
            self.preimages[one.swap_id] = preimage
            agreements.append(one)

        def store(connection: Connection) -> None:
            for one in agreements:
                swaps.begin(connection, one, None, now_s=round(clock.now()), now_ns=clock.now_ns())

        for shared in self.watch.executor._acts._locks.values():
            shared._asked = partial(_once_all_are_ready, shared, shared._asked, count)  # type: ignore[method-assign]
        await self.watch.database.write(store)
        self.watch.updates.changed([one.swap_id for one in agreements])
        return [one.swap_id for one in agreements]

    async def locked(self, swap: SwapId) -> bool:
        """True if the contract holds the lock, at the place that was written down for it."""
        state = await self.watch.state(swap)
        place = await self.watch.database.read(partial(places.lock_place, swap_id=swap))
        assert place is not None
        await self.watch.evm.advance(3)
        seen = await self.watch.evm.access.locks.lock(place, state.agreement.initiator_leg)
        return seen.terms_match and str(seen.status) == str(LegStatus.LOCKED)

    async def signed_again(self, swaps_: list[SwapId], forms: int) -> TransactionRecord:
        async def there() -> bool:
            await self.watch.pipeline.step()
            [record] = await self.watch.transactions(swaps_, 1)
            return len(record.attempts) >= forms

        await eventually(there)
        [record] = await self.watch.transactions(swaps_, 1)
        return record


async def _once_all_are_ready(
    shared: SharedLocks, ask: Callable[[ReadyLock], Awaitable[Asked | None]], count: int, ready: ReadyLock
) -> Asked | None:
    """The chain's answer, which comes only now: a real node may be faster than the checks of the other locks."""
    room = shared._rooms[ready.asset]
    await eventually(lambda: len(room.ready) >= count)
    return await ask(ready)


@pytest.fixture
def locking(watch: Watch) -> Locking:
    """The other chain answers, and its clock is ours."""
    chain = MemoryChain(B, watch.clock, {COIN[B]: Asset(COIN[B], "B", 0)}, MemoryRules(TIMING))
    chain.signer("initiator", {COIN[B]: 10**9})
    chain.mine()
    checks = watch.executor._acts._checks
    checks._chains = {**checks._chains, B: chain.access()}
    return Locking(watch, {})


@pytest.mark.parametrize("kind", [0, 1], ids=["ether", "token"])
async def test_locks_of_several_swaps_are_one_transaction(locking: Locking, kind: int) -> None:
    watch_ = locking.watch
    if kind == 1:
        terms = await make_terms(
            watch_.evm, watch_.pipeline._signer, await watch_.evm.account(), Preimage.generate(), watch_.evm.assets[1]
        )
        allowance = await watch_.evm.access.legs.prepare(terms)
        assert allowance is not None
        await watch_.pipeline.send("allowance", allowance)
        await watch_.block()
    begun = await locking.begin(4, kind)
    found = await watch_.transactions(begun, 1)
    assert {item.effect_key.split(":")[0] for item in found[0].items} == set(begun)
    await watch_.block()
    assert await watch_.transactions_in_head() == 1
    for swap in begun:
        attempt = await watch_.attempt(swap, FUND)
        assert (attempt.status, attempt.tx_hash) == (AttemptStatus.SENT, found[0].newest.hash)
        assert await locking.locked(swap)
    receipt = await watch_.evm.rpc("eth_getTransactionReceipt", "0x" + found[0].newest.hash.hex())
    alone = 46_700 if kind == 0 else 66_700  # a lock in a lane that was never used
    assert int(receipt["gasUsed"], 16) < 4 * alone * 3 // 4


async def test_a_lock_that_the_contract_refuses_hurts_no_other(locking: Locking) -> None:
    """Somebody with our key locks in the lane of one of them first: its swap ends, the others are locked."""
    watch_, evm = locking.watch, locking.watch.evm
    await evm.rpc("evm_setAutomine", False)
    begun = await locking.begin(3)
    [record] = await watch_.transactions(begun, 1)
    spoiled = begun[1]
    place = await watch_.database.read(partial(places.lock_place, swap_id=spoiled))
    assert place is not None
    await evm.rpc("anvil_dropAllTransactions")
    terms = replace((await watch_.state(spoiled)).agreement.initiator_leg, hashlock=Hashlock(bytes(32)))
    first = evm.access.legs.lock(terms, place)
    body = body_of(first)
    await evm.rpc("anvil_impersonateAccount", body.sender)
    nonce = int(await evm.rpc("eth_getTransactionCount", body.sender, "latest"), 16)
    call = {"from": body.sender, "to": body.to, "value": body.value, "data": body.data, "gas": body.gas}
    await evm.rpc("eth_sendTransaction", call)
    await evm.advance()
    await evm.rpc("anvil_setNonce", body.sender, hex(nonce))  # as if it had been another chain's branch
    await watch_.pipeline.step()
    await watch_.block()
    [record] = await watch_.transactions(begun, 1)
    assert left_out(record) == {spoiled: "WrongGeneration(1, 2)"}
    for swap in begun:
        assert await locking.locked(swap) is (swap != spoiled)
    await watch_.block()
    assert (await watch_.attempt(spoiled, FUND)).status is AttemptStatus.VOID
    assert (await watch_.state(spoiled)).phase is Phase.ABANDONED
    assert record.sequence == nonce


async def test_a_batch_in_the_pool_is_outbid_without_what_is_over(locking: Locking) -> None:
    watch_, evm = locking.watch, locking.watch.evm
    await evm.rpc("evm_setAutomine", False)
    begun = await locking.begin(3)
    [first] = await watch_.transactions(begun, 1)
    spoiled = begun[2]
    preimage = PublicPreimage(locking.preimages[spoiled].expose())
    await watch_.tell({spoiled: events.PreimageSeen(preimage, "x")})
    record = await locking.signed_again(begun, 2)
    number = next(n for n, item in enumerate(record.items) if item.effect_key.startswith(spoiled))
    assert (record.sequence, record.newest.without) == (first.sequence, frozenset({number}))
    await watch_.block()
    for swap in begun:
        assert await locking.locked(swap) is (swap != spoiled)
    await watch_.block()
    assert (await watch_.attempt(spoiled, FUND)).status is AttemptStatus.VOID
    [record] = await watch_.transactions(begun, 1)
    assert [item.left_out is not None for item in record.items] == [n == number for n in range(3)]
    assert record.tx_hash == record.newest.hash
