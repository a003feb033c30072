"""A light client on anvil is brought forward: when an answer needs it, before its trust ends, and at a bounded cost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from adapters.evm.calls import unsigned_call
from adapters.evm.light_client_state import LightClientState, Newest
from adapters.evm.query_board import EvmQueryBoard
from core.model.errors import RejectedError, RetryableError
from core.model.facts import HeadUpdate
from core.model.ports import HeadSource
from core.model.types import AccountId, AssetId, Height, address_of
from core.proofs.cometbft.clients import HeaderClient, NewestHeader
from core.proofs.cometbft.types import KeyKind, LightBlock
from core.runtime.retry import EFFECT
from gateway.doctor import Level, client_findings
from relayer.bridging import headers
from relayer.bridging.headers import RENEWED_AT, TURNS, HeadersSpentError, HeaderWorker, renews_at
from relayer.bridging.watching import AGAIN_S
from relayer.transactions import records
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.local_chains.consortium.test_validator_changes import add_key, decide, fifth
from tests.relayer.questions import KEY, PERIOD_S, Stage, asking
from tests.relayer.test_question_lives import make_dear

ETHER = AssetId(f"{ETHEREUM}/slip44:60")
KIND = KeyKind.SECP256K1_ETH


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with asking(tmp_path / "chain") as made:
        yield made


async def sent(stage: Stage) -> int:
    """Transactions of the account that answers."""
    return await sent_by(stage, stage.pipeline.account)


async def sent_by(stage: Stage, account: AccountId) -> int:
    return int(await stage.both.evm.rpc("eth_getTransactionCount", address_of(account), "latest"), 16)


async def change_validators(stage: Stage, home: Path) -> None:
    """A fifth validator comes, so that the client does not know who signs any more."""
    add_key(home, KIND)
    decide(stage.both.ledger.node.engine, home, 1, fifth(KIND))
    await stage.both.ledger.advance(8)


def updates(stage: Stage, cause: str) -> float:
    return stage.counted("header_updates_total", cause=cause)


async def until_turn(stage: Stage) -> float:
    """Seconds of the trusting period after which the account's turn comes."""
    newest = await stage.board.client.newest()
    return PERIOD_S * (1 - renews_at(stage.pipeline.account, newest.height))


async def test_client_is_brought_through_a_change_for_answers(stage: Stage, tmp_path: Path) -> None:
    await change_validators(stage, tmp_path / "chain")
    for _ in range(2):
        await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 0, "its header is signed by others"
    assert await sent(stage) == 0
    await stage.mined(stage.headers.step())
    assert updates(stage, "answer") == 2, "the set is introduced, and its announcement proven: once for both"
    await stage.clock.advance(EFFECT.delays_s[0])
    assert await stage.answerer.answer_open() == 2
    assert (await stage.heard())[0] == 2
    assert await sent(stage) == 3
    await stage.headers.step()
    assert await sent(stage) == 3, "nothing waits any more"


async def test_answers_alone_keep_the_client(stage: Stage) -> None:
    await stage.headers.step()
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1
    await stage.block()
    await stage.headers.step()
    assert await sent(stage) == 1


async def test_trust_is_renewed_before_it_ends(stage: Stage) -> None:
    await stage.both.ledger.advance(5)
    after_s = await until_turn(stage)
    await stage.clock.advance(after_s - 1_000)
    await stage.headers.step()
    assert await sent(stage) == 0, "it is not our turn yet"
    await stage.clock.advance(2_000)
    await stage.mined(stage.headers.step())
    assert (await sent(stage), updates(stage, "trust")) == (1, 1)
    newest = await stage.board.client.newest()
    assert newest.height == stage.both.ledger.node.engine.tip.height - 1
    left_s = stage.metrics.value("relayer_light_client_trust_seconds", chain=ETHEREUM)
    assert left_s == pytest.approx(PERIOD_S - after_s - 1_000, abs=60)
    await stage.headers.step()
    assert await sent(stage) == 1, "there is no newer header"


def test_turns_of_accounts_are_spread_and_in_other_orders() -> None:
    accounts = [AccountId(f"eip155:1:0x{number:040x}") for number in range(50)]
    turns = {height: [renews_at(one, Height(height)) for one in accounts] for height in (5, 6)}
    for found in turns.values():
        assert all(RENEWED_AT - TURNS < one <= RENEWED_AT for one in found)
        assert max(found) - min(found) > TURNS / 2
    first = set[AccountId]()
    for height in map(Height, range(40)):
        first.add(max(accounts, key=partial(renews_at, newest=height)))
    assert len(first) > 10, "nobody pays each time"
    assert RENEWED_AT - TURNS > 0.25, "the alert of trust that ends waits for every turn"


class Fresh:
    """The light client, whose headers beyond `since` are as new as the stage's clock: the ledger has one of its own."""

    def __init__(self, stage: Stage, since: Height) -> None:
        self._clock, self._client, self._since = stage.clock, stage.board.client, since

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    async def newest(self) -> NewestHeader:
        found = await self._client.newest()
        return found if found.height <= self._since else replace(found, time_ns=self._clock.now_ns())


async def two_accounts(stage: Stage) -> tuple[HeaderWorker, HeaderWorker, Height]:
    """Workers of two accounts, that whose turn comes first before the other, and the height that trust rests on."""
    since = (await stage.board.client.newest()).height
    workers = [stage.headers]
    await stage.open(stage.pipeline._database, await stage.both.evm.account())
    workers.append(stage.headers)
    for one in workers:
        one.setup = replace(one.setup, client=cast(HeaderClient, Fresh(stage, since)))
    workers.sort(key=lambda one: -renews_at(one.pipeline.account, since))
    stage.pipeline = workers[0].pipeline
    return workers[0], workers[1], since


async def test_one_of_several_accounts_renews_trust(stage: Stage) -> None:
    await stage.both.ledger.advance(5)
    first, second, since = await two_accounts(stage)
    await stage.clock.advance(PERIOD_S * (1 - renews_at(second.pipeline.account, since)) + 1_000)
    await stage.mined(first.step())
    assert updates(stage, "trust") == 1
    await stage.both.ledger.advance(5)
    await second.step()
    assert (updates(stage, "trust"), await sent_by(stage, second.pipeline.account)) == (1, 0)


async def test_renewal_by_another_meanwhile_is_seen_before_sending(stage: Stage) -> None:
    """Both find at once that it is their turn; one is slower, and knows a later header."""
    await stage.both.ledger.advance(5)
    fast, slow, _ = await two_accounts(stage)
    before, prover = await slow.heads.head(), slow.setup.headers
    await stage.both.ledger.advance(3)

    class Behind:
        async def head(self) -> HeadUpdate:
            return before

    class Overtaken:
        """Signed headers, of which the first is shown when the other account is done."""

        async def light_block(self, height: Height) -> LightBlock:
            if not updates(stage, "trust"):
                await stage.mined(fast.step())
            return await prover.light_block(height)

    fast.heads, slow.setup = cast(HeadSource, Behind()), replace(slow.setup, headers=Overtaken())
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT + TURNS))
    await slow.step()
    assert (await stage.board.client.newest()).height == before.finalized.height - 1
    assert (updates(stage, "trust"), await sent_by(stage, slow.pipeline.account)) == (1, 0)


async def test_trust_is_renewed_through_a_change(stage: Stage, tmp_path: Path) -> None:
    await change_validators(stage, tmp_path / "chain")
    await stage.clock.advance(await until_turn(stage) + 1_000)
    await stage.mined(stage.headers.step())
    assert updates(stage, "trust") == 3
    newest = await stage.board.client.newest()
    assert newest.height == stage.both.ledger.node.engine.tip.height - 1


async def test_client_without_trust_is_left(stage: Stage) -> None:
    await stage.both.ledger.advance(5)
    await stage.clock.advance(PERIOD_S + 1_000)
    stage.headers.need(Height(5))
    await stage.headers.step()
    assert await sent(stage) == 0
    left_s = stage.metrics.value("relayer_light_client_trust_seconds", chain=ETHEREUM)
    assert left_s == pytest.approx(-1_000, abs=60)


async def test_header_is_not_bid_up_beyond_a_days_allowance(stage: Stage) -> None:
    """Gas becomes dear while it waits; the allowance is raised later."""
    await stage.both.ledger.advance(3)
    await stage.clock.advance(await until_turn(stage) + 1)
    step = asyncio.create_task(stage.headers.step())
    while not updates(stage, "trust"):
        await asyncio.sleep(0.05)
        assert not step.done()
    allowed, database = stage.headers.setup, stage.pipeline._database
    [first] = await database.read(partial(records.of_effect_prefix, prefix=headers.PREFIX))
    spent = await database.read(lambda c: records.reserved_by(c, [first.id], ETHER))
    stage.headers.setup = replace(allowed, per_day=spent)
    await make_dear(stage, 8)
    for most, bid_up in ((spent, False), (allowed.per_day, True)):
        stage.headers.setup = replace(allowed, per_day=most)
        for _ in range(2):
            await stage.clock.advance(AGAIN_S)
            await stage.pipeline.step()
        [record] = await database.read(partial(records.of_effect_prefix, prefix=headers.PREFIX))
        assert (len(record.attempts) > 1) == bid_up
        assert await database.read(lambda c: records.reserved_by(c, [first.id], ETHER)) <= most
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)


async def test_client_that_trusts_for_no_time_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract cannot be made so: an endpoint says it."""
    read = LightClientState._read

    async def lied(
        self: LightClientState, contract: str, at: bytes, name: str, *given: object, words: int
    ) -> list[bytes]:
        found = await read(self, contract, at, name, *given, words=words)
        return [bytes(32)] if name == "trustingPeriodS" else found

    with monkeypatch.context() as lying:
        lying.setattr(LightClientState, "_read", lied)
        with pytest.raises(RejectedError, match="trusts no header"):
            await stage.headers.step()
    await stage.headers.step()


async def test_days_headers_cost_no_more_than_allowed(stage: Stage) -> None:
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT + TURNS) + 1)  # the turn of all
    await stage.both.ledger.advance(3)
    await stage.mined(stage.headers.step())
    await stage.both.ledger.advance(3)
    client, account = stage.board.client, stage.pipeline.account
    tip = stage.both.ledger.node.engine.tip.height
    block = await stage.both.ledger.chain.prover.light_block(Height(tip - 1))
    cost = await client.cost(await client.update(block, account))
    spent = await stage.pipeline._database.read(
        partial(records.reserved_since, account=account, prefix="header/", asset=ETHER, since_ns=0)
    )
    assert spent > 0
    stage.headers.setup = replace(stage.headers.setup, per_day=spent + cost - 1)
    with pytest.raises(HeadersSpentError, match=f"may cost {cost}, and {spent} of {spent + cost - 1} are spent"):
        await stage.headers.step()
    assert stage.counted("header_spent_wei") == spent
    assert await sent(stage) == 1
    await stage.clock.advance(24 * 3_600 + 1)
    await stage.mined(stage.headers.step())
    assert await sent(stage) == 2, "another day"


@pytest.mark.parametrize(
    ("passed", "frozen", "level", "sentence"),
    [
        (0.5, False, Level.GREEN, "trust ends in 138,"),
        (0.8, False, Level.YELLOW, "unless a header after 1 is proven before"),
        (1.0, False, Level.RED, "its trust has ended"),
        (0.5, True, Level.RED, "it is frozen"),
    ],
    ids=["half", "late", "over", "frozen"],
)
async def test_doctor_says_how_long_trust_lasts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, passed: float, frozen: bool, level: Level, sentence: str
) -> None:
    newest = await stage.board.client.newest()
    assert newest.height == 1
    now_s = newest.time_ns / 10**9 + PERIOD_S * passed
    if frozen:

        async def shown(_: object) -> Newest:
            return replace(newest, frozen=True)

        monkeypatch.setattr(type(stage.board.client), "newest", shown)
    [finding] = await client_findings(stage.board.client, ETHEREUM, now_s)
    assert finding.level is level
    assert sentence in finding.sentence
    assert bool(finding.remedy) == (level is not Level.GREEN)


async def test_doctor_says_that_there_is_no_light_client(stage: Stage) -> None:
    wrong = EvmQueryBoard(ETHEREUM, stage.board.client._endpoints, stage.asker, ETHEREUM, stage.board.client._market)
    [finding] = await client_findings(wrong.client, ETHEREUM, 0.0)
    assert finding.level is Level.RED
    assert await client_findings(None, ETHEREUM, 0.0) == []


async def test_gas_for_exits_is_not_spent_on_headers(stage: Stage) -> None:
    stage.kept[ETHER] = 10**30
    await stage.both.ledger.advance(3)
    await stage.clock.advance(await until_turn(stage) + 1)
    with pytest.raises(RetryableError, match="kept for exits"):
        await stage.headers.step()
    assert await sent(stage) == 0


async def test_update_that_was_sent_is_found_again(stage: Stage) -> None:
    """The process ends while no block has it yet."""
    await stage.both.ledger.advance(3)
    await stage.clock.advance(await until_turn(stage) + 1)
    step = asyncio.create_task(stage.headers.step())
    while not updates(stage, "trust"):
        await asyncio.sleep(0.05)
        assert not step.done()
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    await stage.open(stage.pipeline._database, stage.pipeline._signer)
    await stage.mined(stage.headers.step())
    assert (await sent(stage), updates(stage, "trust")) == (1, 1)


async def test_update_in_vain_is_not_sent_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.both.ledger.advance(3)
    await stage.clock.advance(await until_turn(stage) + 1)
    burner = unsigned_call(
        stage.pipeline.account, await stage.board.client.address(), b"\1" * 4, gas=30_000, summary="bad"
    )

    async def useless(*_: object) -> object:
        return burner

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(type(stage.board.client), "update", useless)
    monkeypatch.setattr(type(stage.pipeline), "_simulate", nothing)
    for _ in range(headers.MAX_TRIES):
        with pytest.raises(RetryableError, match="came to nothing"):
            await stage.mined(stage.headers.step())
    with pytest.raises(RejectedError, match="in vain"):
        await stage.headers.step()
    assert await sent(stage) == headers.MAX_TRIES


async def test_header_that_no_way_leads_to_is_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is older than what is proven, and of validators that were never shown."""
    await stage.both.ledger.advance(4)
    block = await stage.both.ledger.chain.prover.light_block(Height(4))
    bank = stage.both.evm.bank
    await stage.both.evm.send(bank, await stage.board.client.update(block, bank.account))

    async def untrusted(*_: object) -> bool:
        return False

    monkeypatch.setattr(type(stage.board.client), "trusts", untrusted)
    stage.headers.need(Height(3))
    with pytest.raises(RejectedError, match="never trusted"):
        await stage.headers.step()
    await stage.headers.step()
    assert await sent(stage) == 0
