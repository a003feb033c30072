"""A light client on anvil is brought forward: when an answer needs it, before its trust ends, and at a bounded cost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from adapters.evm.calls import unsigned_call
from adapters.evm.light_client_state import LightClientState, Newest
from adapters.evm.query_board import EvmQueryBoard
from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, Height, address_of
from core.proofs.cometbft.types import KeyKind
from core.runtime.retry import EFFECT
from gateway.doctor import Level, client_findings
from relayer.bridging import headers
from relayer.bridging.headers import RENEWED_AT, HeadersSpentError
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
    return int(await stage.both.evm.rpc("eth_getTransactionCount", address_of(stage.pipeline.account), "latest"), 16)


async def change_validators(stage: Stage, home: Path) -> None:
    """A fifth validator comes, so that the client does not know who signs any more."""
    add_key(home, KIND)
    decide(stage.both.ledger.node.engine, home, 1, fifth(KIND))
    await stage.both.ledger.advance(8)


def updates(stage: Stage, cause: str) -> float:
    return stage.counted("header_updates_total", cause=cause)


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
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) - 1_000)
    await stage.headers.step()
    assert await sent(stage) == 0, "a third is left"
    await stage.clock.advance(2_000)
    await stage.mined(stage.headers.step())
    assert (await sent(stage), updates(stage, "trust")) == (1, 1)
    newest = await stage.board.client.newest()
    assert newest.height == stage.both.ledger.node.engine.tip.height - 1
    left_s = stage.metrics.value("relayer_light_client_trust_seconds", chain=ETHEREUM)
    assert left_s == pytest.approx(PERIOD_S * RENEWED_AT - 1_000, abs=60)
    await stage.headers.step()
    assert await sent(stage) == 1, "there is no newer header"


async def test_trust_is_renewed_through_a_change(stage: Stage, tmp_path: Path) -> None:
    await change_validators(stage, tmp_path / "chain")
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1_000)
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
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1)
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
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1)
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
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1)
    with pytest.raises(RetryableError, match="kept for exits"):
        await stage.headers.step()
    assert await sent(stage) == 0


async def test_update_that_was_sent_is_found_again(stage: Stage) -> None:
    """The process ends while no block has it yet."""
    await stage.both.ledger.advance(3)
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1)
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
    await stage.clock.advance(PERIOD_S * (1 - RENEWED_AT) + 1)
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
