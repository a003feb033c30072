"""A claim's chances of paying: a quorum's word decides."""

import pytest

from core.model.errors import DisagreementError, PayoutBlockedError
from core.model.types import LockTerms
from tests.adapters.endpoints.test_quorum import World, play
from tests.adapters.memory.harness import GOLD


async def terms_of(w: World) -> LockTerms:
    terms, _, _ = await w.signed_lock()
    return terms


@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize("paused", [True, False])
def test_a_lying_minority_decides_no_payout(liar: int, paused: bool) -> None:
    async def scenario(w: World) -> None:
        terms = await terms_of(w)
        w.endpoints[liar].lying = True
        if not paused:
            await w.access.locks.check_payout(terms)
            return
        w.chain.tokens.paused.add(GOLD)
        with pytest.raises(PayoutBlockedError, match="paused"):
            await w.access.locks.check_payout(terms)

    play(scenario)


def test_a_payout_without_a_quorum_is_no_ground() -> None:
    async def scenario(w: World) -> None:
        terms = await terms_of(w)
        w.endpoints[0].down = w.endpoints[1].down = True
        with pytest.raises(DisagreementError):
            await w.access.locks.check_payout(terms)

    play(scenario)


def test_a_blocked_payout_is_no_failure_of_an_endpoint() -> None:
    """The one that says so first is still asked first."""

    async def scenario(w: World) -> None:
        terms = await terms_of(w)
        w.chain.tokens.refused.add((GOLD, terms.receiver))
        for _ in range(3):
            with pytest.raises(PayoutBlockedError, match="receiver is refused"):
                await w.access.locks.check_payout(terms)
        asked = [endpoint.counts["lie_head"] for endpoint in w.endpoints]
        w.endpoints[1].down = w.endpoints[2].down = True
        await w.access.legs.lock_id(terms, ())
        assert asked == [0, 0, 0]

    play(scenario)
