"""The engine at each block says what a cold run over the same histories says: late blocks, reorgs, reports and all."""

from functools import partial
from random import Random

import pytest
from sqlalchemy.engine import Connection

from bench.traffic import Plan, Traffic, generate
from core.runtime.clock import ManualClock
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer.projections import report_agreement
from regulator_api.knowledge.store import state_own
from regulator_api.knowledge.tags import Labels, Tag, parsed_statement
from regulator_api.rules import store as rules_store
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.engine import RulesEngine
from regulator_api.rules.observation import Alert, encode_alerts
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.tables import alerts
from regulator_api.rules.versions import load_rules, store_rates
from regulator_api.values import Rates
from tests.indexer.test_swaps import make_world
from tests.indexer.world import A, B
from tests.regulator_api.rules.cold import cold_run
from tests.regulator_api.rules.feeding import Feed, agreements_of, events_of, labels_of, rates_of_traffic
from tests.regulator_api.rules.test_reading import RATES

SLICES = 12


def _stored(connection: Connection) -> list[Alert]:
    rows = connection.execute(alerts.select().where(~alerts.c.withdrawn))
    found = [rules_store.alert_of(row) for row in rows]
    return sorted(found, key=lambda one: (one.rule, one.subject, one.first, one.alert_id))


def _cold(labels: Labels, connection: Connection) -> list[Alert]:
    return _cold_with(rates_of_traffic(), labels, connection)


def _cold_with(rates: Rates, labels: Labels, connection: Connection) -> list[Alert]:
    return cold_run(connection, Knowledge(RuleSet(load_rules(connection)), labels, rates))


async def _prepared(labels: Labels) -> tuple[InlineDatabase, RulesEngine, Feed]:
    database = InlineDatabase()
    await database.write(create_schema)
    feed = await database.write(Feed)
    await database.write(lambda connection: store_rates(connection, list(rates_of_traffic())))
    await database.write(partial(_state, labels))
    return database, RulesEngine(database, ManualClock(), max_runs=300), feed


def _state(labels: Labels, connection: Connection) -> None:
    for account in sorted(labels.subjects()):
        for tag in labels.all_tags(account):
            statement = parsed_statement(
                subject=account,
                label=tag.label,
                category=tag.category,
                source=tag.source,
                confidence=tag.confidence,
                valid_from_s=tag.valid_from_s,
                entity=tag.entity,
            )
            state_own(connection, statement, sha256=bytes(32), who="test", now_ns=1)


def _slices(traffic: Traffic) -> list[list[tuple[int, int]]]:
    """Return (chain, event) places in as many slices, chain 2 always one slice behind the others."""
    events = events_of(traffic)
    plan: list[list[tuple[int, int]]] = [[] for _ in range(SLICES + 1)]
    for chain, made in events.items():
        for place in range(len(made)):
            late = 1 if chain == 2 else 0
            plan[place * SLICES // len(made) + late].append((chain, place))
    return plan


@pytest.mark.parametrize("seed", [1, 2])
async def test_engine_under_late_blocks_and_reorgs_equals_a_cold_run(seed: int) -> None:
    traffic = generate(Plan(seed=seed, transfers=1_500, cases=3))
    labels, rnd = labels_of(traffic), Random(seed)
    database, engine, feed = await _prepared(labels)
    events, reports = events_of(traffic), agreements_of(traffic)
    rnd.shuffle(reports)
    for number, part in enumerate(_slices(traffic)):

        def work(connection: Connection, part: list[tuple[int, int]] = part, number: int = number) -> None:
            feed.connection = connection
            for chain in range(3):
                made = [events[chain][place] for of_chain, place in part if of_chain == chain]
                if rnd.random() < 0.5:
                    feed.reorg(chain, rnd.randint(1, 30))
                feed.push(chain, made)
            for report in reports[number :: SLICES + 1]:
                report_agreement(connection, report, 10**9 * (number + 1))

        await database.write(work)
        await engine.step()
    said = await database.read(_stored)
    wanted = await database.read(partial(_cold, labels))
    assert {alert.rule.rpartition("-")[0] for alert in wanted} >= {
        "structuring", "pass_through", "peel_chain", "chain_hopping", "round_trip", "sanctions", "sanctions_indirect",
        "velocity", "accumulation", "dispersal", "dormant", "new_account", "mixer",
    }  # fmt: skip
    assert encode_alerts(said) == encode_alerts(wanted)
    await database.close()


async def test_engine_that_begins_late_says_the_same_as_from_the_start() -> None:
    traffic = generate(Plan(seed=3, transfers=1_000, cases=2))
    labels = labels_of(traffic)
    database, engine, feed = await _prepared(labels)

    def work(connection: Connection) -> None:
        feed.connection = connection
        for report in agreements_of(traffic):
            report_agreement(connection, report, 1)
        for chain, made in events_of(traffic).items():
            feed.push(chain, made)

    await database.write(work)
    await engine.step()
    said = await database.read(_stored)
    assert encode_alerts(said) == encode_alerts(await database.read(partial(_cold, labels)))
    # A second engine, with nothing in memory, finds nothing left to do.
    assert not (await RulesEngine(database, ManualClock()).advance()).more
    await database.close()


async def test_list_that_comes_later_is_applied_to_the_past() -> None:
    traffic = generate(Plan(seed=4, transfers=1_000, cases=3))
    labels = labels_of(traffic)
    database, engine, feed = await _prepared(Labels())

    def work(connection: Connection) -> None:
        feed.connection = connection
        for chain, made in events_of(traffic).items():
            feed.push(chain, made)

    await database.write(work)
    await engine.step()
    without = await database.read(_stored)
    assert not any(alert.rule.startswith("sanctions") for alert in without)
    await database.write(partial(_state, labels))
    await engine.step()
    said = await database.read(_stored)
    assert encode_alerts(said) == encode_alerts(await database.read(partial(_cold, labels)))
    assert any(alert.rule.startswith("sanctions-") for alert in said)
    # What was said before, and is not true any more, is kept as withdrawn.
    gone = await database.read(lambda c: c.execute(alerts.select().where(alerts.c.withdrawn)).all())
    assert {row.alert_id for row in gone} == {one.alert_id for one in without} - {one.alert_id for one in said}
    await database.close()


async def test_list_that_comes_later_is_applied_to_swaps(database: Database) -> None:
    world = await make_world(database)
    await world.database.write(lambda connection: store_rates(connection, list(RATES)))
    deal = world.deal()
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    await world.database.write(lambda connection: report_agreement(connection, deal.agreement(), 1))
    engine = RulesEngine(database, ManualClock())
    await engine.step()
    assert await database.read(_stored) == []
    bob = world.participant[A].account
    labels = Labels([Tag(bob, "Bob", "sanctioned", "test", 100, 0, None, None, None)])
    await database.write(partial(_state, labels))
    await engine.step()
    said = await database.read(_stored)
    assert encode_alerts(said) == encode_alerts(await database.read(partial(_cold_with, RATES, labels)))
    parties = (world.initiator[A].account, bob, world.participant[B].account)
    assert {one.subject for one in said if one.rule == "sanctions-1"} == set(parties)


async def test_engine_works_on_both_databases(database: Database) -> None:
    traffic = generate(Plan(seed=5, transfers=600, cases=1))
    labels = labels_of(traffic)
    feed = await database.write(Feed)
    await database.write(lambda connection: store_rates(connection, list(rates_of_traffic())))
    await database.write(partial(_state, labels))
    engine = RulesEngine(database, ManualClock())

    def work(connection: Connection) -> None:
        feed.connection = connection
        for chain, made in events_of(traffic).items():
            feed.push(chain, made)

    await database.write(work)
    await engine.step()
    said = await database.read(_stored)
    assert said
    assert encode_alerts(said) == encode_alerts(await database.read(partial(_cold, labels)))
