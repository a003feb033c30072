"""Histories as rules see them: what belongs to a joined swap crosses, everything else does not."""

from sqlalchemy.engine import Connection

from core.model.types import AccountId
from core.runtime.database import Database
from indexer.projections import report_agreement
from indexer.projections.moves import ledger_keeper
from regulator_api.knowledge.tags import Labels, Tag
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.history import IN, OUT, Kind, Seen
from regulator_api.rules.reading import Knowledge, Reader
from regulator_api.values import Rates, rate_of
from tests.indexer.test_swaps import make_world
from tests.indexer.world import COIN, GOLD, A, B, World

RATES = Rates([rate_of(COIN, 0, "3", 18, "test"), rate_of(GOLD, 0, "2", 2, "test")])


async def seen(world: World, *subjects: str, labels: Labels | None = None) -> dict[str, list[Seen]]:
    knowledge = Knowledge(RuleSet([]), labels or Labels(), RATES)

    def read(connection: Connection) -> dict[str, list[Seen]]:
        reader = Reader()
        reader.prepare(connection)
        return reader.load(connection, knowledge, subjects, 0)

    return await world.database.read(read)


async def test_claimed_swap_crosses_for_both_parties(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    ann, bob = world.initiator, world.participant
    before = (await seen(world, ann[A].account))[ann[A].account]
    assert [(one.kind, one.other) for one in before[1:]] == [(Kind.LOCKED, ledger_keeper(A))]
    await world.database.write(lambda c: report_agreement(c, deal.agreement(), 1))
    found = await seen(world, *(party[chain].account for party in (ann, bob) for chain in (A, B)))
    (locked,) = found[ann[A].account][1:]
    (claimed,) = found[ann[B].account]
    assert (locked.kind, locked.direction, locked.other, locked.via) == (
        Kind.CROSSING,
        OUT,
        ann[B].account,
        bob[A].account,
    )
    assert (claimed.direction, claimed.other, claimed.via) == (IN, ann[A].account, bob[B].account)
    assert locked.passage == claimed.passage == "swap/swap-1/initiator"
    assert (locked.value, claimed.value) == (300, 20_000)
    (theirs,) = found[bob[A].account]
    assert (theirs.direction, theirs.passage, theirs.other) == (IN, "swap/swap-1/participant", bob[B].account)


async def test_refund_is_not_a_payment(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    lock = await world.lock(deal.initiator)
    await world.database.write(lambda c: report_agreement(c, deal.agreement(), 1))
    await world.refund(deal.initiator, lock)
    await world.index()
    name = world.initiator[A].account
    assert [one.kind for one in (await seen(world, name))[name][1:]] == [Kind.CROSSING, Kind.REFUND]


async def test_accounts_of_one_entity_are_one_purse(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    lock = await world.lock(deal.participant)
    await world.claim(deal.participant, lock, deal.preimage)
    await world.index()
    await world.database.write(lambda c: report_agreement(c, deal.agreement(), 1))
    ours = [world.initiator[A].account, world.initiator[B].account]
    labels = Labels([_tag(account) for account in ours])
    found = await seen(world, "ann", labels=labels)
    # The crossing from one of the accounts to the other is left out; what the purse was filled with stays.
    assert [(one.account, one.other) for one in found["ann"]] == [(ours[0], "")]


async def test_last_move_is_one_that_rules_step_over(database: Database) -> None:
    world = await make_world(database)
    first = int(world.clock.now())
    await world.clock.advance(100)
    deal = world.deal()
    lock = await world.lock(deal.initiator)
    await world.refund(deal.initiator, lock)
    await world.clock.advance(100)
    crossed = world.deal(2)
    await world.lock(crossed.initiator)
    await world.index()
    await world.database.write(lambda c: report_agreement(c, crossed.agreement(), 1))
    ann, later = world.initiator[A].account, int(world.clock.now()) + 1
    refund_s = (await seen(world, ann))[ann][2].time_s

    async def last(name: str, labels: Labels, before_s: int) -> dict[str, int]:
        knowledge = Knowledge(RuleSet([]), labels, RATES)

        def read(connection: Connection) -> dict[str, int]:
            reader = Reader()
            reader.prepare(connection)
            return reader.last_before(connection, knowledge, [name], before_s)

        return await world.database.read(read)

    moves = (await seen(world, ann))[ann]
    assert [one.kind for one in moves] == [Kind.PLAIN, Kind.LOCKED, Kind.REFUND, Kind.CROSSING]
    assert await last(ann, Labels(), later) == {ann: moves[3].time_s}
    assert await last(ann, Labels(), refund_s + 1) == {ann: moves[1].time_s}
    # An entity's crossing from one of its accounts to another is none of its payments.
    labels = Labels([_tag(ann), _tag(world.initiator[B].account)])
    assert await last("ann", labels, later) == {"ann": moves[1].time_s}
    assert await last(ann, Labels(), first) == {}


def _tag(account: AccountId) -> Tag:
    return Tag(account, "Ann", "person", "test", 100, 0, None, None, "ann")
