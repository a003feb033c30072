"""Questions over HTTP: a relayer's API over real chains, and a client that verifies before it believes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters.consortium import write_record
from adapters.evidence import ProverByChain
from core.model.errors import CausewayError, MalformedIdentifierError, NotFoundError, NotYetFinalError, RejectedError
from core.model.questions import BalanceAnswer, ListAnswer, RecordAnswer, RecordQuestion
from core.model.types import BaseUnits, Height, address_of
from core.model.uris import print_uri
from core.proofs.errors import AnchorMismatchError, InvalidProofError, ProofError
from core.proofs.evidence import decode_evidence, encode_evidence, verify
from core.runtime import deliveries
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor
from core.runtime.web import Route, build_application, idempotency, serve
from core.runtime.web.idempotency import Idempotency
from queries.together import MAX_TOGETHER
from relayer.api.application import keyed
from relayer.api.queries import Queries
from relayer.api.query_bodies import AnsweredBody, QueriesBody, QueriesCall
from relayer.api.query_streams import QueryStreams
from relayer.api.question_routes import query_routes, subscription_routes
from relayer.api.socket import Sockets
from relayer.api.subscriptions import Subscriptions
from relayer.api.updates import Broadcaster
from relayer.asking import parts
from relayer.client import Proven, ProvenQueries, RelayerApi, RelayerProver
from relayer.notices.addresses import Reach
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.harness import CHAIN as ETHEREUM

RECORD = f"{LEDGER}/records/charity/donation-17"


@dataclass
class Served:
    both: Both
    url: str
    api: RelayerApi

    async def questions(self) -> ProvenQueries:
        return ProvenQueries(RelayerProver(self.api), await self.both.ledger.chain.prover.anchor(), _Now(self.both))


class _Now(SystemClock):
    """The ledger's own time, which stands still in tests."""

    def __init__(self, both: Both) -> None:
        self._both = both

    def now(self) -> float:
        return float(self._both.now_s())


@asynccontextmanager
async def serving(
    prover: Any, database: InlineDatabase | None = None, reach: Reach | None = None
) -> AsyncIterator[str]:
    """A relayer's questions over HTTP, with its workers."""
    database, clock = database or InlineDatabase(), SystemClock()
    await database.write(lambda c: create_schema(c, (*parts.TABLES, *idempotency.TABLES, *deliveries.TABLES)))
    asking = parts.make_asking(database, prover, clock, reach)
    supervisor = Supervisor(clock, Metrics())
    supervisor.add(*asking.workers())
    streams = QueryStreams(asking.queries, clock)
    subscriptions = Subscriptions(asking, clock, SystemSecrets())
    routes = [*query_routes(Queries(asking.queries, clock), streams), *subscription_routes(subscriptions)]
    # The channel of subscriptions needs no desk.
    desk: Any = None
    sockets = Sockets(desk, desk, Broadcaster(desk, clock), asking.pusher, clock)
    routes.append(Route("GET", "/v1/ws", sockets.handle, "", websocket=True))
    routes = keyed(routes, Idempotency(database, clock))
    app = build_application(routes, title="Causeway relayer", version="1", metrics=Metrics(), clock=clock)
    app.on_shutdown.extend((streams.close, subscriptions.close, sockets.close))
    working = asyncio.create_task(supervisor.run())
    try:
        async with serve(app, "127.0.0.1", 0) as address:
            yield address
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await database.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with both_running(tmp_path / "chain") as both:
        prover = ProverByChain({LEDGER: both.ledger.chain.prover, ETHEREUM: both.prover()})
        async with serving(prover) as url, RelayerApi(url) as api:
            yield Served(both, url, api)


async def written(served: Served) -> str:
    """A record, an account on Ethereum with tokens, all of it attested; the URI of the account's balance."""
    author = await served.both.ledger.account()
    record = write_record(author.account, "charity", "donation-17", b'{"amount":5}')
    await served.both.ledger.send(author, record)
    holder = (await served.both.evm.account()).account
    await served.both.attest_final()
    [token] = served.both.evm.contracts.tokens
    return f"{ETHEREUM}/erc20:{address_of(token)}/balanceOf/{address_of(holder)}"


async def test_questions_about_two_chains_are_answered_and_proven(served: Served) -> None:
    balance = await written(served)
    questions = await served.questions()
    nothing = f"{LEDGER}/records/charity/nothing"
    listed = f"{LEDGER}/lists/records/charity"
    record, tokens, absent, keys = await questions.answers([RECORD, balance, nothing, listed])
    assert isinstance(record, Proven)
    assert isinstance(record.verified.answer, RecordAnswer)
    assert record.verified.answer.document == b'{"amount":5}'
    assert isinstance(tokens, Proven)
    assert tokens.verified.answer == BalanceAnswer(BaseUnits(10**9))
    assert isinstance(absent, Proven)
    assert absent.verified.answer == RecordAnswer(0, None, b"")
    assert absent.verified.as_of == record.verified.as_of
    assert isinstance(keys, Proven)
    assert keys.verified.answer == ListAnswer(1, (b"donation-17",))
    # The file proves it to others, who were not there.
    anchor = await served.both.ledger.chain.prover.anchor()
    assert verify(decode_evidence(record.file), anchor, served.both.now_s()) == record.verified
    one = await questions.answer(RECORD)
    assert one.verified.answer == record.verified.answer


async def test_evidence_begins_at_the_anchor_of_whoever_asks(served: Served) -> None:
    await written(served)
    prover = served.both.ledger.chain.prover
    newer = await prover.anchor(height=Height(served.both.ledger.node.engine.tip.height - 1))
    found = await ProvenQueries(RelayerProver(served.api), newer, _Now(served.both)).answer(RECORD)
    with pytest.raises(AnchorMismatchError):
        verify(decode_evidence(found.file), await prover.anchor(), served.both.now_s())
    older = await ProvenQueries(RelayerProver(served.api), newer, _Now(served.both)).answer(f"{RECORD}?at=2")
    assert older.verified.as_of.block.height == 2
    early = replace(newer, trusted_height=Height(10_000))
    answer = await ProvenQueries(RelayerProver(served.api), early, _Now(served.both)).answers([RECORD])
    assert isinstance(answer[0], CausewayError)


async def test_answer_says_why_a_question_has_no_proof(served: Served) -> None:
    await written(served)
    questions = await served.questions()
    token = f"{ETHEREUM}/erc20:0x{'0d' * 20}/balanceOf/0x{'0d' * 20}"
    found = await questions.answers([f"{RECORD}?at=10000", f"{ETHEREUM}/tx/0x{'00' * 32}/log/0", token])
    late, unknown, no_token = found
    assert isinstance(late, NotYetFinalError)
    assert isinstance(unknown, NotFoundError)
    assert isinstance(no_token, RejectedError)
    assert "no contract" in no_token.message
    with pytest.raises(NotYetFinalError):
        await questions.answer(f"{RECORD}?at=10000")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"questions": []}, 422, "invalid-body"),
        ({"questions": [RECORD] * (MAX_TOGETHER + 1)}, 422, "invalid-body"),
        ({"questions": ["x" * 3_000]}, 422, "invalid-body"),
        ({"questions": [RECORD], "more": 1}, 422, "invalid-body"),
        ({"questions": [RECORD], "wait_s": 21}, 422, "invalid-body"),
        ({"questions": [RECORD], "trusted_height": 0}, 422, "invalid-body"),
        ({"questions": ["frob"]}, 422, "malformed-identifier"),
        ({"questions": [f"{RECORD}?at=1", f"{RECORD}?at=2"]}, 422, "rejected"),
    ],
)
async def test_wrong_request_is_refused(body: dict[str, Any], status: int, kind: str) -> None:
    class Unasked:
        async def prove(self, *_: Any, **__: Any) -> Any:
            raise AssertionError

    async with (
        serving(Unasked()) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/queries", json=body) as response,
    ):
        assert response.status == status
        assert (await response.json())["type"].endswith(kind)


async def test_relayer_without_proofs_says_so() -> None:
    async with serving(None) as url, RelayerApi(url) as api:
        with pytest.raises(NotFoundError, match="proves nothing"):
            await api.queries(QueriesCall(questions=(RECORD,)))


async def test_waiting_for_a_height_ends_with_its_proof(served: Served) -> None:
    await written(served)
    tip = served.both.ledger.node.engine.tip.height
    prover, looks = served.both.ledger.chain.prover, 0

    class Advancing:
        """One block more for each look."""

        async def prove(self, question: Any, at: Any = None, *, trusted: Any = None) -> Any:
            nonlocal looks
            looks += 1
            await served.both.ledger.advance()
            return await prover.prove(question, at, trusted=trusted)

    async with serving(Advancing()) as url, RelayerApi(url) as api:
        call = QueriesCall(questions=(f"{RECORD}?at={tip + 2}",), wait_s=10)
        [answer] = (await api.queries(call)).answers
        assert answer.file is not None
        assert looks > 1


# --- liars -------------------------------------------------------------------------------------------------------


class Lying(RelayerApi):
    """A relayer that answers what a test wants."""

    def __init__(self, answers: list[AnsweredBody]) -> None:
        super().__init__("http://127.0.0.1:1")
        self._answers = answers

    async def queries(self, call: QueriesCall) -> QueriesBody:
        return QueriesBody(answers=self._answers)


def body(uri: str, file: bytes) -> AnsweredBody:
    return AnsweredBody(uri=uri, evidence=msgspec.Raw(file))


async def test_lying_relayer_is_not_believed(served: Served) -> None:
    await written(served)
    anchor, clock = await served.both.ledger.chain.prover.anchor(), _Now(served.both)
    honest = decode_evidence((await (await served.questions()).answer(RECORD)).file)
    other = await served.both.ledger.chain.prover.prove(RecordQuestion(LEDGER, "charity", "other"))
    assert isinstance(honest.answer, RecordAnswer)
    forged = replace(honest, answer=replace(honest.answer, document=b'{"amount":9}'))

    async def told(file: bytes, uri: str = RECORD) -> Any:
        queries = ProvenQueries(RelayerProver(Lying([body(uri, file)])), anchor, clock)
        return (await queries.answers([RECORD]))[0]

    assert isinstance(await told(encode_evidence(honest)), Proven)
    assert isinstance(await told(encode_evidence(forged)), InvalidProofError)
    assert isinstance(await told(b"{}"), ProofError)
    assert isinstance(await told(b"[1,2]"), ProofError)
    assert isinstance(await told(encode_evidence(other)), RejectedError)
    with pytest.raises(RejectedError, match="other questions"):
        await told(encode_evidence(honest), print_uri(other.question))
    for answers in ([], [body(RECORD, encode_evidence(honest))] * 2):
        with pytest.raises(RejectedError, match="other questions"):
            await ProvenQueries(RelayerProver(Lying(answers)), anchor, clock).answers([RECORD])
    wordy = AnsweredBody(uri=RECORD, problem="frobbed", detail="x" * 10_000)
    [refused] = await ProvenQueries(RelayerProver(Lying([wordy])), anchor, clock).answers([RECORD])
    assert isinstance(refused, CausewayError)
    assert len(refused.message) <= 1_000


async def test_answers_of_several_heights_are_refused(served: Served) -> None:
    """Each is proven, but they were never true together."""
    await written(served)
    prover, anchor = served.both.ledger.chain.prover, await served.both.ledger.chain.prover.anchor()
    uris = [RECORD, f"{LEDGER}/records/charity/nothing"]
    files = []
    for place, uri in enumerate(uris):
        question = RecordQuestion(LEDGER, "charity", uri.rpartition("/")[2])
        assert print_uri(question) == uri
        files.append(body(uri, encode_evidence(await prover.prove(question, Height(3 + place)))))
    with pytest.raises(InvalidProofError, match="several blocks"):
        await ProvenQueries(RelayerProver(Lying(files)), anchor, _Now(served.both)).answers(uris)


async def test_uri_is_checked_before_anybody_is_asked(served: Served) -> None:
    queries = ProvenQueries(RelayerProver(Lying([])), await served.both.ledger.chain.prover.anchor())
    with pytest.raises(MalformedIdentifierError):
        await queries.answers(["frob"])
    with pytest.raises(RejectedError, match="1 to 16"):
        await queries.answers([])


def test_evidence_travels_byte_for_byte() -> None:
    file = json.dumps({"b": 1, "a": [1, 2]}, separators=(",", ":")).encode()
    sent = msgspec.json.encode(QueriesBody(answers=[body(RECORD, file), AnsweredBody(uri=RECORD, problem="x")]))
    first, second = msgspec.json.decode(sent, type=QueriesBody).answers
    assert (first.file, second.file) == (file, None)


# --- in time, and followed -----------------------------------------------------------------------------------------


async def test_query_waits_for_an_attestation_and_is_proven(served: Served) -> None:
    """Ethereum's block is final; the ledger does not attest it yet."""
    balance = await written(served)
    await served.both.evm.advance(2)
    header = (await served.both.evm.access.heads.head()).finalized
    questions = await served.questions()
    async with aclosing(questions.in_time([f"{balance}?at={header.height}", RECORD], 600)) as answers:
        first = await anext(answers)
        assert isinstance(first, Proven)
        assert first.uri == RECORD
        await served.both.attest(header)
        second = await anext(answers)
        assert isinstance(second, Proven), second
        assert second.verified.as_of.block.height == header.height


async def test_followed_record_is_proven_at_each_change(served: Served) -> None:
    author = await served.both.ledger.account()
    questions = await served.questions()
    async with aclosing(questions.follow([RECORD], lasts_s=600)) as pushes:
        for version in range(4):
            pushed = await anext(pushes)
            assert isinstance(pushed, Proven), pushed
            assert isinstance(pushed.verified.answer, RecordAnswer)
            assert pushed.verified.answer.version == version
            document = b'{"amount":%d}' % version
            await served.both.ledger.send(author, write_record(author.account, "charity", "donation-17", document))
            await served.both.ledger.advance()
