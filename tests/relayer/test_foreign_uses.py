"""Somebody else uses our account, or our database is empty or old: exits go on, funding and revealing wait."""

from typing import Any

import pytest

from core.model.errors import RetryableError
from core.model.transactions import Outcome, OutcomeStatus
from core.model.types import AccountId
from core.runtime.database import InlineDatabase, create_schema
from relayer.transactions import accounts, sequences
from relayer.transactions.records import TransactionStatus
from relayer.transactions.tracking import LOOKS
from tests.relayer.test_transactions import CHAIN, House, _nothing, replace_submit


async def stranger_sends(house: House, amount: int = 9) -> None:
    """A transaction with our key that our journal does not know, in the next block."""
    sender = house.chain.access().transactions
    sequence = (await sender.sequences(house.signer.account)).latest
    request = sender.assemble(house.pay(amount), sequence, None, None)
    await sender.submit(sender.attach(request, await house.signer.sign(request)))
    house.chain.mine()


async def waiting(house: House) -> list[tuple[int, int]]:
    return [(use.first, use.end) for use in await house.database.read(accounts.unacknowledged)]


async def acknowledge(house: House) -> int:
    uses = await house.database.read(accounts.unacknowledged)
    return await house.database.write(lambda c: accounts.acknowledge(c, uses, house.clock.now_ns()))


async def fund(house: House, key: str, amount: int = 1) -> None:
    await house.pipeline.send(key, house.pay(amount), guarded=True)


@pytest.mark.parametrize("finalized", [True, False])
async def test_a_stranger_stops_funding_and_no_exit(finalized: bool) -> None:
    house = House()
    pipeline = await house.start()
    if not finalized:
        hide_finalized(house)
    await stranger_sends(house)
    with pytest.raises(RetryableError, match="more than this journal knows"):
        await fund(house, "a:1:fund-participant")
    claim = await pipeline.send("b:1:claim-initiator", house.pay(4), simulate=False)
    assert claim.sequence == 1
    assert await waiting(house) == [(0, 1)]
    with pytest.raises(RetryableError, match="acknowledged"):
        await fund(house, "a:1:fund-participant")
    await house.beat(2)
    assert await house.received() == 9 + 4
    assert await acknowledge(house) == 1
    await fund(house, "a:1:fund-participant", 2)
    await house.beat(2)
    assert await house.received() == 9 + 4 + 2


def hide_finalized(house: House) -> None:
    """As a node that no longer has the state of its finalized block."""
    sender: Any = house.access.transactions
    real = sender.sequences

    async def latest_only(account: AccountId) -> Any:
        return type(await real(account))((await real(account)).latest, None)

    sender.sequences = latest_only


async def test_one_look_is_not_enough_to_alarm() -> None:
    house = House()
    await house.start()
    sender: Any = house.access.transactions
    real = sender.sequences

    async def too_many(account: AccountId) -> Any:
        return type(await real(account))(7, 0)

    sender.sequences = too_many
    for _ in range(LOOKS - 1):
        await house.beat()
    assert await waiting(house) == []
    sender.sequences = real
    await house.beat()
    await fund(house, "a:1:fund-participant")
    await house.beat(2)
    assert await house.received() == 1


async def test_a_use_that_stays_is_believed_without_an_exit() -> None:
    house = House()
    await house.start()
    await stranger_sends(house)
    await house.beat(LOOKS)
    assert await waiting(house) == [(0, 1)]
    await stranger_sends(house)
    await house.beat(LOOKS)
    assert await waiting(house) == [(0, 2)]


@pytest.mark.parametrize("kind", ["claim-initiator", "fund-participant"])
async def test_a_sequence_that_a_stranger_took_is_superseded(kind: str) -> None:
    """An exit as soon as that is likely; what funds only once the stranger's transaction is final."""
    house = House(finality_depth=8)
    pipeline = await house.start()
    replace_submit(house, _nothing)
    key = f"a:1:{kind}"
    await pipeline.send(key, house.pay(3), simulate=kind != "claim-initiator")
    await stranger_sends(house)
    await house.beat(3)
    early = await pipeline.transaction(key)
    assert early is not None
    assert (early.status is TransactionStatus.SUPERSEDED) == (kind == "claim-initiator")
    await house.beat(8)
    late = await pipeline.transaction(key)
    assert late is not None
    assert late.status is TransactionStatus.SUPERSEDED
    assert await waiting(house) == [(0, 1)]
    assert (await pipeline.send("b:1:claim-initiator", house.pay(), simulate=False)).sequence == 1


@pytest.mark.parametrize("adopt", [False, True])
async def test_a_used_account_needs_a_deliberate_first_start(adopt: bool) -> None:
    house = House()
    await house.start()
    await house.pipeline.send("a:1:fund-participant", house.pay())
    await house.beat(4)
    house.database = InlineDatabase()
    pipeline = await house.start(adopt=adopt)
    assert await waiting(house) == ([] if adopt else [(0, 1)])
    if not adopt:
        with pytest.raises(RetryableError, match="causeway relayer adopt"):
            await fund(house, "b:1:fund-participant")
        assert (await pipeline.send("c:1:claim-initiator", house.pay(), simulate=False)).sequence == 1
        assert await acknowledge(house) == 1
    await fund(house, "b:1:fund-participant")
    await house.beat(2)
    assert await house.received() == (2 if adopt else 3)


async def test_an_old_copy_of_the_database_funds_nothing() -> None:
    house = House()
    await house.start()
    old = InlineDatabase()
    await old.write(create_schema)
    await old.write(lambda c: accounts.open_account(c, CHAIN, house.signer.account, 0, False, 1))
    await house.pipeline.send("a:1:fund-participant", house.pay())
    await house.beat(4)
    house.database = old
    pipeline = await house.start()
    with pytest.raises(RetryableError, match="more than this journal knows"):
        await fund(house, "a:1:fund-participant")
    assert (await pipeline.send("c:1:claim-initiator", house.pay(), simulate=False)).sequence == 1
    await house.beat(2)
    assert await waiting(house) == [(0, 1)]


async def test_start_asks_a_known_account_s_chain_for_nothing() -> None:
    house = House()
    pipeline = await house.start()
    house.endpoint.down = True
    restarted = await house.start()
    with pytest.raises(RetryableError):
        await restarted.step()
    house.endpoint.down = False
    await restarted.send("a:1:claim-initiator", house.pay(), simulate=False)
    await house.beat(2)
    assert await house.received() == 1
    assert pipeline is not restarted


async def test_a_shared_account_takes_foreign_uses_for_granted() -> None:
    house = House()
    await house.start(shared=True)
    await stranger_sends(house)
    await fund(house, "a:1:fund-initiator")
    await house.beat(2)
    await stranger_sends(house)
    await house.beat(LOOKS + 2)
    assert await waiting(house) == []
    assert await house.received() == 9 + 1 + 9


async def test_acknowledging_covers_what_was_shown_only() -> None:
    house = House()
    await house.start()
    await stranger_sends(house)
    await house.beat(LOOKS)
    shown = await house.database.read(accounts.unacknowledged)
    await stranger_sends(house)
    await house.beat(LOOKS)
    assert await house.database.write(lambda c: accounts.acknowledge(c, shown, 1)) == 0
    assert await waiting(house) == [(0, 2)]
    assert await acknowledge(house) == 1
    await stranger_sends(house)
    await house.beat(LOOKS)
    assert await waiting(house) == [(2, 3)]


async def test_an_outcome_that_lags_behind_the_count_is_no_stranger() -> None:
    """The count shows our own transaction a block before its receipt does."""
    house = House()
    pipeline = await house.start()
    await pipeline.send("a:1:claim-initiator", house.pay(), simulate=False)
    sender: Any = house.access.transactions
    real = sender.outcome

    async def nothing_yet(_: object) -> Outcome:
        return Outcome(OutcomeStatus.DROPPED)

    sender.outcome = nothing_yet
    await house.beat(1)
    sender.outcome = real
    await house.beat(4)
    final = await pipeline.transaction("a:1:claim-initiator")
    assert final is not None
    assert final.status is TransactionStatus.FINAL
    assert await waiting(house) == []
    assert await house.database.read(lambda c: sequences.gaps(c, CHAIN, house.signer.account, 0, 1)) == []


async def test_a_use_that_a_reorg_took_out_leaves_no_gap() -> None:
    """It was final, and was believed; the chain does not count it any more, and an exit stands behind it."""
    house = House()
    pipeline = await house.start()
    before = house.chain.height
    await stranger_sends(house)
    await house.beat(house.chain.rules.finality_depth)
    replace_submit(house, _nothing)
    claim = await pipeline.send("b:1:claim-initiator", house.pay(4), simulate=False)
    assert (claim.sequence, await waiting(house)) == (1, [(0, 1)])
    house.access = house.chain.access(house.endpoint)
    pipeline = await house.start()
    house.chain.reorg(house.chain.height - before, keep=lambda _: False, deep=True)
    await house.beat(LOOKS + 4)
    assert await house.received() == 4
    assert (await house.chain.access().transactions.sequences(house.signer.account)).latest == 2
