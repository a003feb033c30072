"""Acts that the relayer must not do, and what it says instead. Nothing is ever locked for nothing."""

from dataclasses import replace

import pytest

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.facts import Claimed, Locked, Refunded
from core.model.types import AccountId, AssetId, BaseUnits, ChainTime, Preimage, Seconds, SwapId
from htlc.model import Leg, Phase
from htlc.timelocks import ClockSkewError
from relayer.policy import ExposureLimit, RelayerPolicy
from relayer.provider.desk import OpenSwap, SwapFilter
from relayer.provider.quoting import QuoteRequest
from tests.relayer.house import COIN, A, B, House, told

OTHER_PREIMAGE = Preimage(bytes(range(32)))


@pytest.mark.parametrize("wrong", ["amount", "receiver", "timelock", "hashlock"])
def test_a_lock_that_differs_is_never_funded(wrong: str) -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        terms = view.initiator.terms
        other = {
            "amount": replace(terms, amount=BaseUnits(terms.amount - 1)),
            "receiver": replace(terms, receiver=AccountId(f"{A}:{'00' * 20}")),
            "timelock": replace(terms, timelock=ChainTime(A, terms.timelock.seconds - 5)),
            "hashlock": replace(terms, hashlock=OTHER_PREIMAGE.hashlock()),
        }[wrong]
        place = await house.lock(other)
        await house.clock.sleep(12)
        await house.service.pump.expire_quotes()
        await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        assert (await house.gains())["relayer"] == (0, 0)
        await house.clock.sleep(60)
        await house.refund(other, place)
        await house.clock.sleep(2)
        assert (await house.gains())["initiator"] == (0, 0)

    told(story)


def test_a_lock_that_comes_too_late_is_not_funded() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        await house.clock.sleep(9)
        await house.lock(view.initiator.terms)
        view = await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        assert view.reason_code in ("gate-closed", "quote-expired")

    told(story)


def test_the_gate_is_asked_again_right_before_the_lock() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        await house.until(lambda: seen(house, view.id))
        house.endpoints[B].hang()
        await house.clock.sleep(14)
        house.endpoints[B].wake()
        await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []

    told(story)


async def seen(house: House, swap_id: SwapId) -> bool:
    return (await house.look(swap_id)).initiator.lock is not None


def test_a_hashlock_opens_one_swap_for_ever() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        with pytest.raises(ConflictError, match="hashlock was used before"):
            await house.open(A, preimage=house.preimage)
        with pytest.raises(ConflictError, match="hashlock was used before"):
            await house.open(B, preimage=house.preimage)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        with pytest.raises(ConflictError, match="hashlock was used before"):
            await house.open(A, preimage=house.preimage)

    told(story)


def test_a_hashlock_that_any_chain_has_seen_opens_no_swap() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        strange = replace(view.initiator.terms, hashlock=OTHER_PREIMAGE.hashlock())
        await house.lock(strange)
        await house.clock.sleep(2)
        with pytest.raises(ConflictError, match="hashlock was used before"):
            await house.open(A, preimage=OTHER_PREIMAGE)

    told(story)


def test_the_same_request_opens_the_same_swap() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        desk = service.desk
        quote = await desk.quote(QuoteRequest(COIN[A], COIN[B], participant_amount=BaseUnits(500)))
        assert (quote.initiator_amount, quote.participant_amount) == (250, 500)
        one = OpenSwap(quote, OTHER_PREIMAGE.hashlock(), house.initiator[A].account, house.initiator[B].account)
        first = await desk.open_swap(one)
        await house.clock.sleep(40)  # the quote has expired by now
        assert (await desk.open_swap(one)).id == first.id
        with pytest.raises(ConflictError, match="another swap"):
            await desk.open_swap(replace(one, hashlock=Preimage(bytes(32)).hashlock()))
        assert [view.id for view in await desk.swaps(SwapFilter())] == [first.id]

    told(story)


def test_bad_quotes_and_requests() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        desk = service.desk
        with pytest.raises(NotFoundError, match="no such pair"):
            await desk.quote(QuoteRequest(COIN[A], AssetId("memory:b/slip44:9"), BaseUnits(100)))
        with pytest.raises(RejectedError, match="this pair takes 10 to"):
            await desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(9)))
        quote = await desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(100)))
        mine, theirs = house.initiator[A].account, house.initiator[B].account
        good = OpenSwap(quote, OTHER_PREIMAGE.hashlock(), mine, theirs)
        bad = [
            (replace(good, quote=replace(quote, participant_amount=BaseUnits(10**6))), "signature"),
            (replace(good, quote=replace(quote, key=bytes(32))), "another key"),
            (replace(good, initiator_sender=theirs), "locks on"),
            (replace(good, initiator_receiver=mine), "is paid on"),
            (replace(good, initiator_sender=house.relayer[A].account), "with itself"),
            (replace(good, hashlock=b"short"), "32 bytes"),  # type: ignore[arg-type]
        ]
        for request, words in bad:
            with pytest.raises(RejectedError, match=words):
                await desk.open_swap(request)
        await house.clock.sleep(31)
        with pytest.raises(RejectedError, match="expired"):
            await desk.open_swap(good)
        assert await desk.swaps(SwapFilter()) == []

    told(story)


def test_inventory_and_exposure_bound_what_is_promised() -> None:
    async def story(house: House) -> None:
        limit = ExposureLimit(BaseUnits(5000), BaseUnits(3000), BaseUnits(10**9))
        house.policy = RelayerPolicy(swap=house.policy.swap, exposure={COIN[B]: limit})
        await house.start()
        await house.open(A, 1000)
        await house.clock.sleep(1)
        with pytest.raises(ConflictError, match="to one counterparty"):
            await house.open(A, 600)
        with pytest.raises(ConflictError, match="in all"):
            await house.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1501)))

    told(story)


def test_inventory_that_is_short_is_not_quoted() -> None:
    async def story(house: House) -> None:
        # As much is kept for its own lock.
        house.policy = RelayerPolicy(swap=house.policy.swap, gas_per_exit={COIN[B]: BaseUnits((10**9 - 1000) // 2)})
        await house.start()
        assert (
            await house.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(500)))
        ).participant_amount == 1000
        with pytest.raises(ConflictError, match="inventory"):
            await house.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(501)))

    told(story)


def test_a_chain_that_stands_still_is_not_quoted() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(100)))
        house.endpoints[A].dead_heads = True
        await house.clock.sleep(10)
        with pytest.raises(ClockSkewError, match="behind our clock"):
            await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(100)))

    told(story)


def test_a_contract_that_is_not_the_one_we_know_is_not_funded() -> None:
    async def story(house: House) -> None:
        house.chains[A].rules = replace(house.chains[A].rules, deployed_code_hash=bytes(32))
        await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        assert "other code" in (view.reason or "")

    told(story)


def test_endpoint_that_lies_about_the_lock_gets_nothing_funded() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A)
        house.endpoints[A].rates = replace(house.endpoints[A].rates, lie_lock=1.0)
        await house.lock(view.initiator.terms)
        view = await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []

    told(story)


def test_lock_taken_by_a_reorg_is_funded_only_when_it_is_back() -> None:
    async def story(house: House) -> None:
        await house.start()
        gone = await house.open(A, 1000)
        await house.lock(gone.initiator.terms)
        await house.until(lambda: seen(house, gone.id))
        house.chains[A].reorg(1, keep=lambda _: False)
        await house.clock.sleep(10)
        await house.service.pump.expire_quotes()
        await house.phase(gone.id, Phase.ABANDONED)
        assert house.made(B, Locked, gone.hashlock) == []

        back = await house.open(A, 1000)
        await house.lock(back.initiator.terms)
        await house.until(lambda: seen(house, back.id))
        house.chains[A].reorg(1)
        view = await house.locked(back.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(back.id, Phase.COMPLETED)

    told(story)


def test_endpoints_that_are_down_delay_and_lose_nothing() -> None:
    async def story(house: House) -> None:
        house.policy = RelayerPolicy(
            swap=type(house.policy.swap)(
                lock_s=Seconds(60),
                claim_s=Seconds(60),
                initiator_outage_s=Seconds(60),
                participant_outage_s=Seconds(60),
            )
        )
        await house.start()
        view = await house.open(A, 1000)
        for endpoint in house.endpoints.values():
            endpoint.down = True
        await house.lock(view.initiator.terms)
        await house.clock.sleep(15)
        for endpoint in house.endpoints.values():
            endpoint.down = False
        view = await house.locked(view.id, Leg.PARTICIPANT)
        house.endpoints[A].down = True
        await house.claim(view)
        await house.clock.sleep(20)
        house.endpoints[A].down = False
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1000, -2000)

    told(story)


def test_it_starts_while_a_chain_is_down() -> None:
    async def story(house: House) -> None:
        house.endpoints[A].down = True
        await house.start()
        await house.clock.sleep(5)
        house.endpoints[A].down = False
        await house.clock.sleep(15)
        view = await house.open(A, 1000)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1000, -2000)

    told(story)


def test_preimage_public_before_our_lock_is_never_funded() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await house.open(A, 1000)
        stray = replace(
            view.participant.terms,
            sender=house.initiator[B].account,
            receiver=house.initiator[B].account,
            amount=BaseUnits(1),
        )
        place = await house.lock(stray)
        await house.clock.sleep(1)
        legs = house.chains[B].access().legs
        await house.send(B, legs.claim(stray, place, house.preimage, house.initiator[B].account))
        await house.lock(view.initiator.terms)
        await house.phase(view.id, Phase.ABANDONED)
        assert [lock.terms for lock in house.made(B, Locked, view.hashlock)] == [stray]
        assert len(house.made(B, Claimed, view.hashlock)) == 1
        assert house.made(A, Refunded, view.hashlock) == []

    told(story)
