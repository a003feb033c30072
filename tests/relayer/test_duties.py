"""One duty's failure ends no other duty's exits: whatever a worker, an effect or a chain meets, claims go out."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.memory.transactions import transfer
from core.model.errors import FatalError, FencedError, RetryableError
from core.model.facts import Claimed, Locked
from core.model.transactions import FeeMarket
from core.model.types import BaseUnits, PublicPreimage, SwapId
from core.runtime import journal
from htlc import events
from htlc.model import Leg, Phase
from htlc.timelocks import DEVNET_POLICY
from relayer.policy import RelayerPolicy
from relayer.pump import swaps
from relayer.transactions import accounts, records
from relayer.transactions.fees import FeePolicy
from relayer.transactions.pipeline import PipelinePolicy
from tests.relayer.house import COIN, A, B, House, told

ERRORS = [FatalError("an invariant is broken"), KeyError("a bug"), RetryableError("later")]


def raising(error: Exception) -> Any:
    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


async def complete(house: House, view: Any) -> None:
    view = await house.locked(view.id, Leg.PARTICIPANT)
    await house.claim(view)
    await house.phase(view.id, Phase.COMPLETED)
    assert len(house.made(A, Claimed, view.hashlock)) == 1


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("duty", ["housekeeping", "measuring", "heads", "transactions", "allowances"])
def test_a_failing_duty_ends_no_claim(error: Exception, duty: str) -> None:
    """The other chain's heads and transactions, the gauges, the allowances."""

    async def story(house: House) -> None:
        service: Any = await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        fail = raising(error)
        match duty:
            case "housekeeping":
                service.pump.expire_quotes = fail
            case "measuring":
                service.pump.checks.balance = fail
            case "heads":
                service.pump.heads[B]._source.heads = lambda: (_ for _ in ()).throw(error)
            case "transactions":
                service.pump.pipelines[B].step = fail
            case "allowances":
                service._setup.chains[B].legs.prepare = fail
        service.housekeeping.due.notify()
        await house.clock.sleep(3)
        await complete(house, view)
        assert not house.running.done()

    told(story)


def test_another_process_on_our_account_ends_this_one() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        for pipeline in service.pump.pipelines.values():
            pipeline._hand.epoch += 7
        await house.claim(view)
        with pytest.raises(FencedError, match="taken over"):
            await house.running

    told(story)


@pytest.mark.parametrize("error", ERRORS)
def test_one_effect_s_error_is_its_own_business(error: Exception) -> None:
    async def story(house: House) -> None:
        service: Any = await house.start()
        verified = service.pump.checks.verified
        broken: list[SwapId] = []

        async def some(asked: Any) -> Any:
            if asked.swap_id in broken:
                raise error
            return await verified(asked)

        service.pump.checks.verified = some
        first = await house.open(A)
        broken.append(first.id)
        await house.lock(first.initiator.terms)
        second = await house.open(A, 500)
        await house.lock(second.initiator.terms)
        await complete(house, second)
        stored = await house.database.read(lambda c: journal.stream_effects(c, first.id))
        assert [effect.kind for effect in stored if effect.attempts > 0] == ["verify-initiator"]

    told(story)


def test_a_lock_that_waits_for_the_operator_ends_with_its_gate() -> None:
    """A use of our account that nobody acknowledges: what is too late is called off, and reserves nothing any more."""

    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)
        account, now_ns = service.pump.pipelines[B].account, house.clock.now_ns()
        await house.database.write(lambda c: accounts.note_foreign_use(c, B, account, 0, 1, now_ns))
        await house.lock(view.initiator.terms)
        await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        assert len(await house.database.read(accounts.unacknowledged)) == 1

    told(story)


@pytest.mark.parametrize("error", [None, *ERRORS[1:]])
def test_a_claim_waits_for_no_estimate(error: Exception | None) -> None:
    """None: the endpoint says nothing at all."""

    async def story(house: House) -> None:
        service: Any = await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)

        async def silent(*_: object) -> None:
            await house.clock.sleep(3_600)

        service._setup.chains[A].transactions.fitted = silent if error is None else raising(error)
        await complete(house, view)
        assert (await house.gains())["relayer"] == (1000, -2000)

    told(story)


def test_effects_and_outcomes_that_cannot_be_read_stop_nothing() -> None:
    """Rows that no version of ours wrote."""

    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)

        def spoil(connection: Any) -> None:
            row = {
                "key": "x:1:claim-initiator",
                "stream": "x",
                "sequence": 1,
                "kind": "claim-initiator",
                "body": b"no effect",
                "status": "pending",
                "attempts": 0,
                "due_ns": 0,
            }
            connection.execute(sa.insert(journal.outbox).values(row))

        await house.database.write(spoil)
        pay = transfer(A, house.relayer[A].account, house.initiator[A].account, COIN[A], BaseUnits(1))
        await service.pump.pipelines[A].send("nobody:1:claim-initiator", pay, watched=True)
        await service.pump.pipelines[A].send("odd key", pay, watched=True)
        await house.lock(view.initiator.terms)
        await complete(house, view)
        assert await house.database.read(lambda c: records.unreported(c, 10)) == []

    told(story)


@pytest.mark.parametrize("error", [FatalError("an invariant is broken"), KeyError("a bug")])
def test_a_swap_that_cannot_take_an_outcome_stops_no_other(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state refuses what its effects and transactions came to."""

    async def story(house: House) -> None:
        await house.start()
        broken: list[SwapId] = []
        real = swaps.take

        def take(connection: Any, swap_id: SwapId, happened: Any, **more: Any) -> bool:
            told = list(happened)
            if swap_id in broken and not any(isinstance(one, events.TimeAdvanced) for one in told):
                raise error
            return real(connection, swap_id, told, **more)

        first = await house.open(A)
        await house.lock(first.initiator.terms)
        monkeypatch.setattr("relayer.pump.outcomes.swaps.take", take)
        broken.append(first.id)
        second = await house.open(A, 500)
        await house.lock(second.initiator.terms)
        await complete(house, second)
        assert not house.running.done()
        broken.clear()

    told(story)


def test_dead_exits_of_one_chain_take_no_place_from_another_s() -> None:
    async def story(house: House) -> None:
        service: Any = await house.start()
        executor = service.pump._executor
        executor._running = {(f"s{n}", "participant"): (str(B), True) for n in range(1_000)}
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.phase(view.id, Phase.FUNDING, Phase.BOTH_LOCKED)
        await complete(house, view)
        assert (await house.gains())["relayer"] == (1000, -2000)

    told(story)


def test_a_lock_needs_as_many_transactions_before_it_as_it_says() -> None:
    async def story(house: House) -> None:
        service: Any = await house.start()
        legs = service._setup.chains[B].legs
        needed = [3, 2]

        async def prepare(_: object) -> Any:
            if not needed:
                return None
            account = house.relayer[B].account
            return transfer(B, account, account, COIN[B], BaseUnits(needed[0]))

        sent = service.pump.pipelines[B].send

        async def send(key: str, *rest: Any, **more: Any) -> Any:
            if ":prepare" in key and needed:
                needed.pop(0)
            return await sent(key, *rest, **more)

        legs.prepare, service.pump.pipelines[B].send = prepare, send
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        await complete(house, view)
        assert needed == []
        before = await house.database.read(lambda c: records.of_effect_prefix(c, view.id))
        assert [one.effect_key.rpartition(":")[2] for one in before if one.chain == B] == [
            "prepare1",
            "prepare2",
            "fund-participant",
        ]

    told(story)


@pytest.mark.parametrize("why", ["preimage", "too late"])
def test_a_lock_that_waits_is_cancelled_when_its_gate_closes(why: str) -> None:
    async def story(house: House) -> None:
        house.policy = RelayerPolicy(
            swap=DEVNET_POLICY, pipeline=PipelinePolicy(fees=FeePolicy(ceiling=10**12, patience_s=2.0))
        )
        house.chains[A].fees = None
        service: Any = await house.start()
        view = await house.open(A)
        chain = house.chains[B]
        chain.rules = replace(chain.rules, block_transactions=0)
        await house.lock(view.initiator.terms)

        async def signed() -> bool:
            return bool(await house.database.read(lambda c: records.of_effect_prefix(c, view.id)))

        await house.until(signed)
        if why == "preimage":
            seen = events.PreimageSeen(PublicPreimage(house.preimage.expose()), "elsewhere")
            await swaps.write(house.database, lambda c: swaps.take(c, view.id, [seen], now_ns=house.clock.now_ns()))
            service.pump.updates.changed([view.id])
        await house.clock.sleep(3 if why == "preimage" else 60)
        chain.rules = replace(chain.rules, block_transactions=1_000)
        await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        signed_for = await house.database.read(lambda c: records.of_effect_prefix(c, view.id))
        [lock] = [one for one in signed_for if one.effect_key.endswith("fund-participant")]
        assert lock.cancelling

    told(story, market=FeeMarket(1, 1))
