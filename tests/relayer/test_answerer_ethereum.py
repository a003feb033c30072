"""A contract on anvil asks for a record of the ledger, and a relayer's account answers: all of it real."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import write_record
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.query_board import ASKED_TOPIC, MAX_TOGETHER, EvmQueryBoard, RawLog
from core.model.consortium import record_key
from core.model.errors import RejectedError, RevertedError
from core.model.types import AssetId, Height, address_of
from core.model.uris import parse_uri
from queries.model import MAX_TRIES
from relayer.bridging import queue, watching
from relayer.bridging.watching import AGAIN_S
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.relayer.questions import DOCUMENT, FEE_WEI, KEY, Stage, asking


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with asking(tmp_path / "chain") as made:
        yield made


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
    for _ in range(MAX_TRIES):
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
    short = await stage.cost(KEY)
    await stage.ask(key)
    await stage.ask(key, fee=short * 3 // 2)
    assert await stage.answerer.answer_open() == 1, "the well paid one"
    await stage.both.evm.advance()
    assert [await stage.board.is_open(number) for number in (2, 3)] == [False, True]


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
    [query] = await stage.seen()
    question, prover = parse_uri(query.uri).question, stage.both.ledger.chain.prover
    evidence = await prover.prove(question)
    old = await prover.prove(question, trusted=Height(evidence.as_of.block.height + 1))
    with pytest.raises(RejectedError, match="no signed header"):
        await stage.board.draft([(query, old)], stage.asker)
    with pytest.raises(RejectedError, match="not the terms of a question"):
        await stage.board.draft([(replace(query, terms=b"short"), evidence)], stage.asker)
    with pytest.raises(RejectedError, match="1 to 10 answers"):
        await stage.board.draft([(query, evidence)] * (MAX_TOGETHER + 1), stage.asker)
    await stage.both.ledger.advance(2)
    with pytest.raises(RejectedError, match="under one header"):
        await stage.board.draft([(query, evidence), (query, await prover.prove(question))], stage.asker)


async def test_logs_that_are_not_questions_are_passed_over(stage: Stage) -> None:
    words, block = "00" * 96, ("0x5", f"0x{'ab' * 32}")
    for topics, data in (
        ([], "0x"),
        ([ASKED_TOPIC], "0x"),
        ([ASKED_TOPIC, "zz"], "0x"),
        ([ASKED_TOPIC, "0x5"], "0x" + "ff" * 160),
        ([ASKED_TOPIC, "0x5"], f"0x{words}{128:064x}{0:064x}"),
        ([ASKED_TOPIC, "0x5"], f"0x{words}{128:064x}{2**255:064x}"),
    ):
        assert stage.board._read(RawLog(topics, data, *block)) is None
    assert stage.board._read(RawLog(["0x1", "0x5"], "0x", "0x5", "no hash")) is None


async def test_beyond_the_limit_the_best_paid_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_OPEN", 3)
    for fee in (5, 1, 9):
        await stage.ask(KEY, fee=fee)
    await stage.answerer.watch.look()
    assert stage.fees() == [1, 5, 9]
    await stage.ask(KEY, fee=2)
    await stage.answerer.watch.look()
    assert stage.fees() == [2, 5, 9]
    await stage.ask(KEY, fee=1)
    await stage.answerer.watch.look()
    assert stage.fees() == [2, 5, 9], "what pays less than all others has no place"


async def test_flood_of_what_pays_nothing_takes_no_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_A_LOOK", 2)
    for number in range(8):
        await stage.ask(KEY, fee=FEE_WEI if number == 4 else 1)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1
    assert stage.counted("answers_total", outcome="refused") == 7


async def test_one_look_tries_a_bounded_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_A_LOOK", 2)
    for _ in range(3):
        await stage.ask(KEY)
    assert [await stage.answerer.answer_open() for _ in range(3)] == [2, 1, 0]


async def test_endpoint_that_makes_questions_up_is_outvoted(stage: Stage) -> None:
    """It says that question 9 is open, that question 1 pays a lot, and that the contract would take both."""
    await stage.ask(KEY, fee=1)
    [query] = await stage.seen()
    evidence = await stage.both.ledger.chain.prover.prove(parse_uri(query.uri).question)
    words = int.from_bytes(query.terms[32:64], "big") + (10**17 << 8)
    dear = replace(query, terms=query.terms[:32] + words.to_bytes(32, "big") + query.terms[64:])
    pool = Endpoints([Endpoint(stage.both.evm.anvil.rpc_url, operator) for operator in ("liar", "one", "two")])
    honest = pool.clients[0].call

    async def lie(method: str, *params: Any, into: Any = str) -> Any:
        return f"0x{1:064x}" if method == "eth_call" else await honest(method, *params, into=into)

    pool.clients[0].call = lie  # type: ignore[method-assign]
    board = EvmQueryBoard(ETHEREUM, pool, stage.queries, LEDGER, stage.both.evm.access.transactions.fee_market)
    assert [await board.is_open(number) for number in (1, 9)] == [True, False]
    account = stage.pipeline.account
    await board.check((await stage.board.draft([(query, evidence)], account)).transaction)
    with pytest.raises(RevertedError, match="WrongQuestion"):
        await board.check((await stage.board.draft([(dear, evidence)], account)).transaction)
    await pool.close()
