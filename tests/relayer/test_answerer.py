"""Questions asked on the ledger are answered by a relayer's account: both chains are real."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import unsigned
from adapters.consortium.queries import ConsortiumQueryBoard, FailoverQueryBoard
from adapters.consortium.state import read_leaf
from adapters.evidence import ProverByChain
from adapters.evm.contracts.deployer import mint_token
from core.model.boards import QueryNews
from core.model.consortium import AskQuery, QueryLeaf, quantity, query_key
from core.model.errors import RejectedError, RetryableError
from core.model.questions import LogQuestion
from core.model.types import AssetId, BaseUnits, address_of
from core.model.uris import parse_uri, print_uri
from core.runtime.clock import ManualClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from queries.model import MAX_TRIES
from relayer.bridging import queue
from relayer.bridging.answerer import Answerer
from relayer.bridging.proving import MAX_LEADS
from relayer.bridging.queue import NOT_YET
from relayer.bridging.watching import AGAIN_S
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.consortium.harness import CNYD, PURSE
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.harness import CHAIN as ETHEREUM

FEE = 7
NO_TOKEN = f"{ETHEREUM}/erc20:0x{'0d' * 20}/balanceOf/0x{'0d' * 20}"


@dataclass
class Stage:
    both: Both
    answerer: Answerer
    pipeline: Pipeline
    clock: ManualClock
    metrics: Metrics
    asker: Any

    async def ask(self, uri: str, **changes: Any) -> None:
        deadline = self.both.ledger.node.engine.tip.time.seconds + 600
        given = {"first": 0, "last": 2**63 - 1, "deadline": deadline, "asset": "cnyd", "fee": quantity(FEE), **changes}
        message = AskQuery(uri, **given)
        await self.both.ledger.send(self.asker, unsigned(LEDGER, self.asker.account, (message,), "ask"))

    async def leaf(self, number: int = 1) -> QueryLeaf:
        await self.both.ledger.advance()
        found = await read_leaf(self.both.ledger.chain.rpc, query_key(number), QueryLeaf)
        assert found is not None
        return found

    async def balance(self) -> int:
        return await self.both.ledger.access.state.balance(self.pipeline.account, CNYD)

    def counted(self, outcome: str) -> float:
        return self.metrics.value("relayer_answers_total", chain=LEDGER, outcome=outcome) or 0.0


async def nothing() -> dict[AssetId, int]:
    return {}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with both_running(tmp_path / "chain") as both:
        ledger, clock, metrics = both.ledger, ManualClock(), Metrics()
        database = InlineDatabase()
        await database.write(create_schema)
        signer, asker = await ledger.account(), await ledger.account()
        shown = RelayerMetrics(metrics)
        heads = HeadBoard(ledger.access.heads)
        pipeline = Pipeline(database, ledger.access, signer, heads, clock, PipelinePolicy(), shown)
        await pipeline.start()
        board = FailoverQueryBoard([ConsortiumQueryBoard(ledger.chain.rpc, LEDGER)])
        prover = ProverByChain({LEDGER: ledger.chain.prover, ETHEREUM: both.prover()})
        timing = ledger.access.parameters.timing
        answering = {LEDGER: ledger.access.heads, ETHEREUM: both.evm.access.heads}
        answerer = Answerer(
            database, LEDGER, board, prover, ledger.access.heads, timing, answering, pipeline, nothing, clock, shown
        )
        yield Stage(both, answerer, pipeline, clock, metrics, asker)
        await database.close()


async def tokens(stage: Stage) -> str:
    """A holder of tokens on Ethereum, whose block is attested; the URI of their balance."""
    holder = (await stage.both.evm.account()).account
    await stage.both.attest_final()
    [token] = stage.both.evm.contracts.tokens
    return f"{ETHEREUM}/erc20:{address_of(token)}/balanceOf/{address_of(holder)}"


async def test_balance_of_a_token_is_proven_stored_and_paid(stage: Stage) -> None:
    await stage.ask(await tokens(stage))
    assert await stage.answerer.answer_open() == 1
    found = await stage.leaf()
    assert (found.status, json.loads(found.answer)) == ("answered", {"type": "balance", "amount": str(10**9)})
    assert await stage.balance() == PURSE + FEE
    assert await stage.answerer.answer_open() == 0
    assert (stage.counted("sent"), stage.counted("refused")) == (1, 0)


async def test_log_of_a_transaction_is_answered(stage: Stage) -> None:
    someone, [token] = await stage.both.evm.account(), stage.both.evm.contracts.tokens
    [minted] = await stage.both.evm.send(someone, mint_token(someone.account, token, someone.account, BaseUnits(5)))
    await stage.ask(print_uri(LogQuestion(ETHEREUM, minted, 0)))
    assert await stage.answerer.answer_open() == 0, "its block is not attested"
    await stage.both.attest_final()
    await stage.clock.advance(NOT_YET.delays_s[-1])
    assert await stage.answerer.answer_open() == 1
    assert json.loads((await stage.leaf()).answer)["log"]["contract"] == token


@pytest.mark.parametrize("led", [0, MAX_LEADS], ids=["logs", "balances"])
async def test_slow_proofs_keep_each_other_waiting_briefly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, led: int
) -> None:
    """A log is proven at a height of its own; of the others a few look for one that all can share."""
    uri = print_uri(LogQuestion(ETHEREUM, bytes(32), 0)) if led == 0 else await tokens(stage)
    begun, together, all_begun = 0, 0, asyncio.Event()

    async def prove(*_: object, **__: object) -> Any:
        nonlocal begun, together
        begun += 1
        if begun > led:
            if begun == led + 3:
                all_begun.set()
            await all_begun.wait()
            together += 1
        raise RetryableError("no answer")

    monkeypatch.setattr(ProverByChain, "prove", prove)
    for _ in range(led + 3):
        await stage.ask(uri)
    assert await stage.answerer.answer_open() == 0
    assert together == 3


async def test_several_questions_are_answered_side_by_side(stage: Stage) -> None:
    uri = await tokens(stage)
    contract = uri.split("/")[1].removeprefix("erc20:")
    for question in (uri, f"{ETHEREUM}/storage/{contract}/0x2", NO_TOKEN):
        await stage.ask(question)
    assert await stage.answerer.answer_open() == 2, "the third cannot be proven, and stops no other"
    assert [(await stage.leaf(number)).status for number in (1, 2, 3)] == ["answered", "answered", "open"]
    assert stage.counted("refused") == 1


async def test_question_waits_for_its_height(stage: Stage) -> None:
    uri = await tokens(stage)
    newest = (await stage.both.evm.access.heads.head()).finalized.height
    await stage.ask(uri, first=newest + 1)
    assert await stage.answerer.answer_open() == 0
    await stage.both.evm.advance(3)
    await stage.both.attest_final()
    await stage.clock.advance(NOT_YET.delays_s[-1])
    assert await stage.answerer.answer_open() == 1
    assert (await stage.leaf()).height > newest


async def test_attested_last_height_answers_when_newer_ones_are(stage: Stage) -> None:
    uri = await tokens(stage)
    last = (await stage.both.evm.access.heads.head()).finalized.height
    await stage.both.evm.advance(3)
    await stage.both.attest_final()
    await stage.ask(uri, first=last, last=last)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.leaf()).height == last


async def test_late_question_is_left_alone(stage: Stage) -> None:
    uri = await tokens(stage)
    soon = stage.both.ledger.node.engine.tip.time.seconds + stage.both.ledger.access.parameters.timing.inclusion_s
    await stage.ask(uri, deadline=soon)
    assert await stage.answerer.answer_open() == 0
    assert stage.counted("refused") == 0


async def test_unanswerable_question_is_tried_a_few_times_only(stage: Stage) -> None:
    await tokens(stage)
    await stage.ask(NO_TOKEN)
    for _ in range(MAX_TRIES + 3):
        assert await stage.answerer.answer_open() == 0
        assert await stage.answerer.answer_open() == 0
        await stage.clock.advance(AGAIN_S)
    assert stage.counted("refused") == MAX_TRIES


async def test_questions_that_wait_keep_no_other_waiting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = await tokens(stage)
    monkeypatch.setattr(queue, "MAX_A_LOOK", 2)
    for first, question in ((2**40, uri), (0, NO_TOKEN), (0, NO_TOKEN), (0, NO_TOKEN), (0, uri)):
        await stage.ask(question, first=first)
    assert sum([await stage.answerer.answer_open() for _ in range(2)]) == 1, "what was not tried comes first"
    assert (await stage.leaf(5)).status == "answered"


async def test_answer_by_somebody_else_ends_it(stage: Stage) -> None:
    uri = await tokens(stage)
    await stage.ask(uri)
    other = stage.both.ledger
    evidence = await stage.both.prover().prove(parse_uri(uri).question)
    board = ConsortiumQueryBoard(other.chain.rpc, LEDGER)
    news = await board.news(0, await other.access.heads.head(), [])
    draft = await board.draft([(news.asked[0], evidence)], stage.asker.account)
    await other.send(stage.asker, draft.transaction)
    assert await stage.answerer.answer_open() == 0
    assert await stage.balance() == PURSE


async def test_board_that_does_not_answer_is_asked_elsewhere() -> None:
    class Silent:
        async def news(self, position: int, head: Any, watched: Any) -> QueryNews:
            raise RetryableError("silent")

        async def is_open(self, number: int) -> bool:
            raise RetryableError("silent")

    class Knowing:
        async def news(self, position: int, head: Any, watched: Any) -> QueryNews:
            return QueryNews((), (), 7, None)

        async def is_open(self, number: int) -> bool:
            return True

    board = FailoverQueryBoard([Silent(), Knowing()])  # type: ignore[list-item]
    head: Any = None
    assert ((await board.news(0, head, [])).position, await board.is_open(1)) == (7, True)
    with pytest.raises(RetryableError, match="silent"):
        await FailoverQueryBoard([Silent()]).is_open(1)  # type: ignore[list-item]
    with pytest.raises(RejectedError):
        FailoverQueryBoard([])
