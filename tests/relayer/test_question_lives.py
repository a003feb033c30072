"""A question from its request to its end: on a chain that reorganises, next to others who answer, in a process that
dies.

anvil and the ledger are real; blocks come when the test wants them.
"""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.evm import light_client, query_board
from adapters.evm.calls import unsigned_call
from adapters.evm.query_board import EvmQueryBoard
from core.model.boards import ChainQuery
from core.model.consortium import record_key
from core.model.types import Height, address_of
from core.model.uris import parse_uri
from core.proofs.lanes import evm_address
from core.runtime import journal
from core.runtime.database import Database, InlineDatabase, create_schema
from queries import engine, events
from queries.model import MAX_TRIES, Phase
from relayer.bridging import asked
from relayer.bridging.queue import UNPAID
from relayer.bridging.watching import AGAIN_S
from relayer.transactions import records
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.relayer.house import Crash, MortalDatabase
from tests.relayer.questions import KEY, Stage, asking

MAX_WRITES = 60
"""More than a question needs; the test says so itself if it ever does not suffice."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with asking(tmp_path / "chain") as made:
        yield made


def database_of(stage: Stage) -> Database:
    return stage.pipeline._database


async def rows(stage: Stage, table: sa.Table) -> int:
    return int(
        await database_of(stage).read(lambda c: c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    )


async def sent(stage: Stage) -> int:
    """Transactions of the account that answers."""
    return int(await stage.both.evm.rpc("eth_getTransactionCount", address_of(stage.pipeline.account), "latest"), 16)


async def answered_by_somebody(stage: Stage, query: ChainQuery) -> None:
    """Somebody else answers."""
    other = await stage.both.evm.account()
    evidence = await stage.both.ledger.chain.prover.prove(parse_uri(query.uri).question)
    await stage.both.evm.send(other, (await stage.board.draft([(query, evidence)], other.account)).transaction)


async def test_question_ends_with_its_settlement_final(stage: Stage) -> None:
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1
    assert stage.phases() == [Phase.DELIVERING]
    [known] = stage.answerer.watch.open.values()
    await stage.both.evm.advance()
    await stage.answerer.answer_open()
    assert stage.phases() == [Phase.SETTLED]
    assert await rows(stage, asked.relayer_question_proofs) == 1
    await stage.until_over()
    assert stage.counted("questions_total", phase="delivered") == 1
    assert await rows(stage, asked.relayer_question_proofs) == 0
    await database_of(stage).read(lambda c: engine.check_replay(c, known.stream))
    effects = await database_of(stage).read(lambda c: journal.stream_effects(c, known.stream))
    assert [(one.kind, one.status) for one in effects] == [
        ("prove", "done"),
        ("deliver", "done"),
        ("finished", "done"),
    ]
    await stage.block(2)
    assert (await sent(stage), stage.phases()) == (1, []), "what has ended does not begin again"
    await stage.answerer.watch.take(known.state.query_id, [events.AnsweringAdvanced(Height(99))])
    assert stage.phases() == [], "nor by what comes late"


async def test_request_that_a_reorg_takes_is_not_answered(stage: Stage) -> None:
    await stage.ask(KEY, first=2**40, left_s=100_000)
    await stage.answerer.watch.look()
    [known] = stage.answerer.watch.open.values()
    assert known.state.asked_in is not None
    await stage.both.evm.reorg(1)
    await stage.answerer.watch.look()
    [known] = stage.answerer.watch.open.values()
    assert known.state.asked_in is None


async def test_answer_waits_while_its_request_is_gone(stage: Stage) -> None:
    """Its proof is there, and it would pay by now."""
    fee = await stage.cost(KEY) * 4 // 5
    await stage.ask(KEY, fee=fee, left_s=100_000)
    assert await stage.answerer.answer_open() == 0
    assert stage.phases()[-1] is Phase.DELIVERING, "not yet paid for"
    await stage.both.evm.reorg(1)
    await stage.both.evm.advance(12)  # each empty block makes gas an eighth cheaper
    for _ in range(3):
        await stage.clock.advance(UNPAID.delays_s[0])
        assert await stage.answerer.answer_open() == 0
    assert await stage.cost(KEY) < fee
    assert await sent(stage) == 0
    assert (await stage.heard())[0] == 0


async def test_settlement_that_a_reorg_takes_is_followed(stage: Stage) -> None:
    await stage.ask(KEY)
    await stage.both.evm.advance(3)
    assert await stage.answerer.answer_open() == 1
    await stage.block()
    assert stage.phases() == [Phase.SETTLED]
    await stage.both.evm.reorg(1)
    await stage.answerer.answer_open()
    assert stage.phases() == [Phase.DELIVERING]
    await stage.until_over()
    assert stage.counted("questions_total", phase="delivered") == 1
    assert (await stage.heard())[0] == 1
    assert await sent(stage) == 1, "the same transaction, in another block"


async def test_answer_by_somebody_else_settles_it(stage: Stage) -> None:
    await stage.ask(KEY)
    [query] = await stage.seen()
    await stage.answerer.watch.look()
    await answered_by_somebody(stage, query)
    assert await stage.answerer.answer_open() == 0
    await stage.until_over()
    assert stage.counted("questions_total", phase="delivered") == 1
    assert await sent(stage) == 0


async def test_question_without_an_answer_expires(stage: Stage) -> None:
    await stage.ask(KEY, fee=1, left_s=100)
    await stage.answerer.answer_open()
    assert stage.phases() == [Phase.PROVING]
    await stage.both.evm.rpc("evm_increaseTime", 101)
    await stage.until_over()
    assert stage.counted("questions_total", phase="expired") == 1
    assert await database_of(stage).read(partial(journal.count_pending, queue=engine.queue_on(ETHEREUM))) == 0


async def test_question_that_was_made_up_costs_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint shows a fee that the contract does not hold: what it refuses three times is not sent again."""
    read = EvmQueryBoard._query

    def dearer(self: EvmQueryBoard, number: int, terms: query_board._Terms, block: object) -> ChainQuery:
        words = terms.words
        more = light_client.Question(words.asked, words.terms + (10**17 << 8), words.path)
        return read(self, number, query_board._Terms(more, terms.key), block)  # type: ignore[arg-type]

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(EvmQueryBoard, "_query", dearer)
    monkeypatch.setattr(type(stage.pipeline), "_simulate", nothing)  # that endpoint says that all is well
    await stage.ask(KEY, fee=1)
    for _ in range(MAX_TRIES + 3):
        assert await stage.answerer.answer_open() == 0
        await stage.clock.advance(AGAIN_S)
    assert stage.counted("questions_total", phase="refused") == 1
    assert stage.counted("answers_total", outcome="refused") == MAX_TRIES
    assert await sent(stage) == 0


async def test_answers_under_one_header_share_a_transaction(stage: Stage) -> None:
    for key in (KEY, record_key("charity", "nothing", 1), KEY):
        await stage.ask(key)
    assert await stage.answerer.answer_open() == 3
    assert (await stage.heard())[0] == 3
    assert await sent(stage) == 1
    await stage.until_over()
    assert stage.counted("questions_total", phase="delivered") == 3
    assert stage.counted("answers_together_total") == 3


async def test_shared_header_serves_what_pays_its_part(stage: Stage) -> None:
    """Alone neither would pay for the header; one that does not even pay for itself is left."""
    alone = await stage.cost(KEY)
    for fee in (alone * 9 // 10, alone * 9 // 10, alone // 20):
        await stage.ask(KEY, fee=fee)
    assert await stage.answerer.answer_open() == 2
    assert (await stage.heard())[0] == 2
    assert stage.phases()[-1] is Phase.PROVING


async def test_answer_that_does_not_pay_its_part_is_left_out(stage: Stage) -> None:
    """It pays for itself, and another pays for all: each has its own rule."""
    alone = await stage.cost(KEY)
    for fee in (alone * 3, alone * 6 // 10):
        await stage.ask(KEY, fee=fee)
    assert await stage.answerer.answer_open() == 1
    assert (await stage.heard())[0] == 1
    assert stage.phases()[-1] is Phase.DELIVERING


async def test_answer_that_pays_too_little_alone_waits(stage: Stage) -> None:
    await stage.ask(KEY, fee=await stage.cost(KEY) * 9 // 10)
    assert await stage.answerer.answer_open() == 0
    assert stage.phases()[-1] is Phase.DELIVERING
    assert await sent(stage) == 0


async def test_one_bad_answer_stops_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract refuses a batch with it, which is divided until it is alone."""
    draft = EvmQueryBoard.draft

    async def spoilt(self: EvmQueryBoard, answers: object, sender: object) -> object:
        given = [
            (query if query.number != 2 else await wrong(query), evidence)
            for query, evidence in answers  # type: ignore[attr-defined]
        ]
        return await draft(self, given, sender)  # type: ignore[arg-type]

    async def wrong(query: ChainQuery) -> ChainQuery:
        return ChainQuery(**{**{name: getattr(query, name) for name in query.__slots__}, "terms": b"\1" * 200})

    monkeypatch.setattr(EvmQueryBoard, "draft", spoilt)
    for _ in range(8):
        await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 7
    assert (await stage.heard())[0] == 7
    assert stage.counted("answers_total", outcome="refused") == 1
    assert await sent(stage) == 3, "four, two and one of them together"


async def test_callbacks_that_fill_a_block_are_divided(stage: Stage) -> None:
    for _ in range(8):
        await stage.ask(KEY, fee=10**17, callback_gas=2_000_000)
    assert await stage.answerer.answer_open() == 8
    assert (await stage.heard())[0] == 8
    assert await sent(stage) == 2, "four have room in one"


async def test_header_that_is_known_is_not_proven_again(stage: Stage) -> None:
    last = stage.both.ledger.node.engine.tip.height
    await stage.both.ledger.advance(3)
    costs = []
    for _ in range(2):
        await stage.ask(KEY, first=last, last=last)
        query = (await stage.seen())[-1]
        evidence = await stage.both.ledger.chain.prover.prove(parse_uri(query.uri).question, query.last)
        costs.append((await stage.board.draft([(query, evidence)], stage.both.evm.bank.account)).shared)
        assert await stage.answerer.answer_open() == 1
        await stage.block()
    assert costs[1] < costs[0] / 2
    assert (await stage.heard())[0] == 2


async def test_late_answer_of_a_batch_is_left_out(stage: Stage) -> None:
    """The transaction waits until one of its questions is late: the contract answers the other."""
    await stage.ask(KEY, left_s=200)
    await stage.ask(KEY, left_s=100_000)
    assert await stage.answerer.answer_open() == 2
    await stage.both.evm.rpc("evm_increaseTime", 300)
    await stage.until_over()
    assert (await stage.heard())[0] == 1
    assert await sent(stage) == 1
    assert [stage.counted("questions_total", phase=phase) for phase in ("delivered", "expired")] == [1, 1]


async def make_dear(stage: Stage, factor: int) -> None:
    """The next block asks for this many times the present base fee, so that what waits is not mined."""
    market = await stage.both.evm.access.transactions.fee_market()
    assert market is not None
    await stage.both.evm.rpc("anvil_setNextBlockBaseFeePerGas", hex(market.base_fee * factor))
    await stage.both.evm.advance()


async def forms(stage: Stage) -> list[records.SignedForm]:
    [record] = await database_of(stage).read(partial(records.of_effect_prefix, prefix=""))
    return list(record.attempts)


async def test_answer_is_not_bid_up_beyond_its_fee(stage: Stage) -> None:
    await stage.ask(KEY, fee=await stage.cost(KEY) * 2)
    assert await stage.answerer.answer_open() == 1
    await make_dear(stage, 8)
    for _ in range(3):
        await stage.clock.advance(AGAIN_S)
        await stage.pipeline.step()
    assert len(await forms(stage)) == 1, "whatever the market asks, it earns no more"


async def test_answer_that_earns_more_is_bid_up(stage: Stage) -> None:
    await stage.ask(KEY, fee=await stage.cost(KEY) * 100)
    assert await stage.answerer.answer_open() == 1
    await make_dear(stage, 8)
    await stage.clock.advance(AGAIN_S)
    await stage.pipeline.step()
    first, second = await forms(stage)
    assert first.fee is not None
    assert second.fee is not None
    assert second.fee.max_fee > 3 * first.fee.max_fee


async def test_answer_to_what_is_settled_is_not_bid_up(stage: Stage) -> None:
    """Somebody else's comes first: nothing is to be earned any more."""
    await stage.ask(KEY, fee=await stage.cost(KEY) * 100)
    query = (await stage.seen())[-1]
    assert await stage.answerer.answer_open() == 1
    await stage.both.evm.rpc("anvil_dropAllTransactions")
    await answered_by_somebody(stage, query)
    await stage.answerer.watch.look()
    assert stage.phases()[-1] is Phase.SETTLED
    await make_dear(stage, 8)
    await stage.clock.advance(AGAIN_S)
    await stage.pipeline.step()
    assert len(await forms(stage)) == 1


async def test_exit_behind_an_answer_does_not_wait_for_it(stage: Stage) -> None:
    """The answer cannot be bid up as the exit is: it makes way."""
    await stage.ask(KEY, fee=await stage.cost(KEY) * 2)
    assert await stage.answerer.answer_open() == 1
    await make_dear(stage, 8)
    account = stage.pipeline.account
    plain = unsigned_call(account, evm_address(stage.asker), b"", gas=50_000, summary="an exit")
    await stage.pipeline.send("swap:1:exit", plain, simulate=False)
    await stage.clock.advance(AGAIN_S)
    await stage.pipeline.step()
    found = await database_of(stage).read(partial(records.of_effect_prefix, prefix="query-"))
    assert [one.cancelling for one in found] == [True]
    await stage.both.evm.advance()
    assert await sent(stage) == 2


@pytest.mark.parametrize("table", [journal.journal_state, asked.relayer_questions], ids=["state", "terms"])
async def test_question_that_cannot_be_read_stops_no_other(stage: Stage, table: sa.Table) -> None:
    """The database is damaged, or of a version that wrote another form."""
    await stage.ask(KEY, first=2**40, left_s=100_000)
    await stage.answerer.watch.look()
    spoilt = {"state": b"{}"} if table is journal.journal_state else {"body": b"{}"}
    await database_of(stage).write(lambda c: c.execute(sa.update(table).values(spoilt)))
    await stage.ask(KEY)
    await stage.both.evm.advance(3)
    assert await stage.answerer.answer_open() == 1
    await stage.open(database_of(stage), stage.pipeline._signer)
    await stage.ask(KEY)
    assert await stage.answerer.answer_open() == 1, "nor after a new start"
    assert (await stage.heard())[0] == 2


async def test_dead_process_answers_once_at_any_write(stage: Stage) -> None:
    """Each write is the last one once: every other time just before it is committed, else just after."""
    deaths = 0
    for fatal in range(1, MAX_WRITES):
        inner = InlineDatabase()
        await inner.write(create_schema)
        signer = await stage.both.evm.account()
        before = (await stage.heard())[0]
        for _ in range(2):
            await stage.ask(KEY)
        mortal = MortalDatabase(inner, fatal, after_commit=bool(fatal % 2))
        try:
            await stage.open(mortal, signer)
            await stage.answerer.answer_open()
            await stage.until_over()
        except Crash:
            assert mortal.dead
        if mortal.dead:
            deaths = fatal
            await stage.clock.advance(1.0)
            await stage.open(inner, signer)
            await stage.answerer.answer_open()
            await stage.until_over()
        assert (await stage.heard())[0] == before + 2
        assert await sent(stage) in (1, 2), "in one transaction, or each in its own"
        streams = await inner.read(lambda c: [one.stream for one in journal.snapshots(c, engine.STREAM_PREFIX)])
        for stream in streams:
            await inner.read(partial(engine.check_replay, stream=stream))
        await inner.close()
        if not mortal.dead:
            break
    assert 8 < deaths < MAX_WRITES - 1, f"{deaths} writes were tried"
