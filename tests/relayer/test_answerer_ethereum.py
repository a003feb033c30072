"""A contract on anvil asks for a record of the ledger, and a relayer's account answers: all of it real."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.consortium import write_record
from adapters.evm import light_client, query_board
from adapters.evm.calls import encode_call, encode_creation, unsigned_call
from adapters.evm.contracts.deployer import created_address
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.query_board import EvmQueryBoard, RawAsked
from core.model.consortium import record_key
from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId, ChainTime, Height, address_of
from core.model.uris import parse_uri
from core.proofs.lanes import evm_address
from core.runtime.clock import ManualClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from relayer.bridging import answerer
from relayer.bridging.answerer import AGAIN_S, Answerer
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.harness import CHAIN as ETHEREUM

KEY = record_key("charity", "donation-17", 1)
DOCUMENT = b'{"amount":5}'
FEE_WEI = 10**16
CREATE_GAS = 8_000_000
PERIOD_S, DRIFT_S = 10**9, 60


@dataclass
class Stage:
    both: Both
    answerer: Answerer
    board: EvmQueryBoard
    clock: ManualClock
    queries: AccountId
    asker: AccountId
    kept: dict[AssetId, int]

    async def ask(self, key: bytes, fee: int = FEE_WEI, first: int = 1, last: int = 2**63) -> None:
        deadline = (await self.both.evm.access.heads.head()).head.time.seconds + 3_600
        data = encode_call("testing/Asker", "ask", key, first, last, 200_000, deadline)
        bank = self.both.evm.bank
        call = unsigned_call(bank.account, evm_address(self.asker), data, gas=500_000, value=fee, summary="ask")
        await self.both.evm.send(bank, call)

    async def heard(self) -> tuple[int, bytes]:
        """The number of callbacks, and the last value."""
        await self.both.evm.advance()
        calls, value = [await self.read(name) for name in ("calls", "lastValue")]
        size = int.from_bytes(value[32:64], "big")
        return int.from_bytes(calls, "big"), value[64 : 64 + size]

    async def read(self, name: str) -> bytes:
        call = {"to": address_of(self.asker), "data": f"0x{encode_call('testing/Asker', name).hex()}"}
        return bytes.fromhex((await self.both.evm.rpc("eth_call", call, "latest"))[2:])


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with both_running(tmp_path / "chain") as both:
        author = await both.ledger.account()
        trusted = await both.ledger.chain.prover.light_block(Height(1))
        creations = [light_client.light_client_creation(trusted, PERIOD_S, DRIFT_S)]
        made = [await create(both, creations[0])]
        for creation in (light_client.queries_creation, lambda raw: encode_creation("testing/Asker", raw)):
            made.append(await create(both, creation(evm_address(made[-1]))))
        _, queries, asker = made
        signer, clock, metrics = await both.evm.account(), ManualClock(), RelayerMetrics(Metrics())
        database = InlineDatabase()
        await database.write(create_schema)
        pipeline = Pipeline(
            database, both.evm.access, signer, HeadBoard(both.evm.access.heads), clock, PipelinePolicy(), metrics
        )
        await pipeline.start()
        pool = Endpoints([Endpoint(both.evm.anvil.rpc_url)])
        board = EvmQueryBoard(ETHEREUM, pool, queries, LEDGER, both.evm.access.transactions.fee_market)
        prover, timing = both.ledger.chain.prover, both.evm.access.parameters.timing
        kept: dict[AssetId, int] = {}

        async def keep() -> dict[AssetId, int]:
            return kept

        answerer = Answerer(ETHEREUM, board, prover, both.evm.access.heads, timing, pipeline, keep, clock, metrics)
        await both.ledger.send(author, write_record(author.account, "charity", "donation-17", DOCUMENT))
        await both.ledger.advance()
        yield Stage(both, answerer, board, clock, queries, asker, kept)
        await pool.close()
        await database.close()


async def create(both: Both, data: bytes) -> AccountId:
    bank = both.evm.bank
    sequence = (await both.evm.chain.transactions.sequences(bank.account)).latest
    await both.evm.send(bank, unsigned_call(bank.account, None, data, gas=CREATE_GAS, summary="create"))
    address = created_address(bank.account, sequence)
    assert await both.evm.rpc("eth_getCode", address_of(address), "latest") != "0x"
    return address


async def test_contract_hears_the_proven_record(stage: Stage) -> None:
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1
    calls, value = await stage.heard()
    assert calls == 1
    assert DOCUMENT in value
    assert await stage.answerer.answer_open() == 0
    assert await stage.both.evm.rpc("eth_getBalance", address_of(stage.queries), "latest") == "0x0"


async def test_answer_on_its_way_is_not_sent_twice(stage: Stage) -> None:
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1
    for _ in range(answerer.MAX_TRIES):
        await stage.clock.advance(AGAIN_S)
        assert await stage.answerer.answer_open() == 0, "no block has the first yet"
    assert (await stage.heard())[0] == 1


async def test_absence_is_answered_too(stage: Stage) -> None:
    await stage.ask(record_key("charity", "nothing", 1))
    assert await stage.answerer.answer_open() == 1
    assert await stage.heard() == (1, b"")


async def test_question_below_its_cost_is_left_to_others(stage: Stage) -> None:
    await stage.ask(KEY, fee=1)
    assert await stage.answerer.answer_open() == 0
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1


async def test_long_answer_is_not_sent_at_a_loss(stage: Stage) -> None:
    author = await stage.both.ledger.account()
    long = b'{"text":"' + b"x" * 16_000 + b'"}'
    await stage.both.ledger.send(author, write_record(author.account, "library", "book", long))
    await stage.both.ledger.advance()
    key = record_key("library", "book", 1)
    await stage.ask(key)
    [query] = await stage.board.open_queries(ChainTime(ETHEREUM, 0))
    least = await stage.board.cost(query)
    await stage.ask(key, fee=least * 3 // 2)
    assert await stage.answerer.answer_open() == 1, "the well paid one"
    await stage.both.evm.advance()
    assert [await stage.board.is_open(number) for number in (1, 2)] == [False, True]


async def test_gas_that_exits_need_answers_nothing(stage: Stage) -> None:
    await stage.ask(KEY)
    stage.kept[AssetId(f"{ETHEREUM}/slip44:60")] = 10**30
    assert await stage.answerer.answer_open() == 0
    stage.kept.clear()
    await stage.clock.advance(AGAIN_S)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1


async def test_question_waits_for_its_header(stage: Stage) -> None:
    tip = stage.both.ledger.node.engine.tip.height
    await stage.ask(KEY, first=tip + 3)
    assert await stage.answerer.answer_open() == 0
    await stage.both.ledger.advance(3)
    await stage.clock.advance(AGAIN_S)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1


async def test_question_about_past_headers_is_answered_by_them(stage: Stage) -> None:
    last = stage.both.ledger.node.engine.tip.height
    await stage.both.ledger.advance(3)
    await stage.ask(KEY, last=last)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1


async def test_board_refuses_what_the_contract_cannot_take(stage: Stage) -> None:
    await stage.ask(KEY)
    now = ChainTime(ETHEREUM, 0)
    [query] = await stage.board.open_queries(now)
    evidence = await stage.both.ledger.chain.prover.prove(parse_uri(query.uri).question)
    with pytest.raises(RejectedError, match="not known"):
        stage.board.answer(99, evidence, stage.asker)
    old = await stage.both.ledger.chain.prover.prove(evidence.question, trusted=Height(evidence.as_of.block.height + 1))
    with pytest.raises(RejectedError, match="no signed header"):
        stage.board.answer(query.number, old, stage.asker)


async def test_logs_that_are_not_questions_are_passed_over(stage: Stage) -> None:
    words = "00" * 96
    for topics, data in (
        ([], "0x"),
        (["0x1", "zz"], "0x"),
        (["0x1", "0x5"], "0x" + "ff" * 160),
        (["0x1", "0x5"], f"0x{words}{128:064x}{0:064x}"),
        (["0x1", "0x5"], f"0x{words}{128:064x}{2**255:064x}"),
    ):
        stage.board._read(RawAsked(topics, data))
    assert await stage.board.open_queries(ChainTime(ETHEREUM, 0)) == ()


async def test_beyond_its_limit_the_board_keeps_the_best_paid(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for fee in (5, 1, 9, 2):
        await stage.ask(KEY, fee=fee)
    for most, kept in ((5, [1, 2, 5, 9]), (4, [1, 2, 5, 9]), (2, [5, 9])):
        monkeypatch.setattr(query_board, "MAX_OPEN", most)
        open_ones = await stage.board.open_queries(ChainTime(ETHEREUM, 0))
        assert sorted(one.fee for one in open_ones) == kept


async def test_one_look_tries_a_bounded_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answerer, "MAX_A_LOOK", 2)
    for _ in range(3):
        await stage.ask(KEY)
    assert [await stage.answerer.answer_open() for _ in range(3)] == [2, 1, 0]
