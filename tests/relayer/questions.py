"""A contract on anvil that asks for records of a ledger, and a relayer's account that answers: all of it real."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.consortium import write_record
from adapters.consortium.headers import FailoverHeaders
from adapters.evm import light_client
from adapters.evm.calls import encode_call, encode_creation, unsigned_call
from adapters.evm.contracts.deployer import created_address
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.query_board import EvmQueryBoard
from core.model.boards import ChainQuery
from core.model.consortium import record_key
from core.model.ports import Signer
from core.model.types import AccountId, AssetId, Height, address_of
from core.model.uris import parse_uri
from core.proofs.lanes import evm_address
from core.runtime.clock import ManualClock
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from queries.model import Phase
from relayer.bridging.answerer import Answerer
from relayer.bridging.headers import HeaderSetup, HeaderWorker
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
    board: EvmQueryBoard
    clock: ManualClock
    queries: AccountId
    asker: AccountId
    kept: dict[AssetId, int] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    per_day: int = 10**18
    """Wei that headers may cost in 24 hours."""

    async def open(self, database: Database, signer: Signer) -> None:
        """A relayer's account begins to answer, or goes on after its process has died."""
        access, shown = self.both.evm.access, RelayerMetrics(self.metrics)
        self.pipeline = Pipeline(database, access, signer, HeadBoard(access.heads), self.clock, PipelinePolicy(), shown)
        await self.pipeline.start()
        self.headers = HeaderWorker(
            database,
            HeaderSetup(
                home=LEDGER,
                headers=FailoverHeaders([self.both.ledger.chain.prover]),
                client=self.board.client,
                per_day=self.per_day,
                pays_in=AssetId(f"{ETHEREUM}/slip44:60"),
            ),
            self.both.ledger.access.heads,
            self.pipeline,
            self._keep,
            self.clock,
            shown,
        )
        self.answerer = Answerer(
            database,
            ETHEREUM,
            self.board,
            self.both.ledger.chain.prover,
            access.heads,
            access.parameters.timing,
            {LEDGER: self.both.ledger.access.heads, ETHEREUM: access.heads},
            self.pipeline,
            self._keep,
            self.clock,
            shown,
            need_header=self.headers.need,
        )

    async def _keep(self) -> dict[AssetId, int]:
        return self.kept

    async def ask(
        self,
        key: bytes,
        fee: int = FEE_WEI,
        first: int = 1,
        last: int = 2**63,
        callback_gas: int = 200_000,
        left_s: int = 3_600,
    ) -> None:
        deadline = (await self.both.evm.access.heads.head()).head.time.seconds + left_s
        data = encode_call("testing/Asker", "ask", key, first, last, callback_gas, deadline)
        bank = self.both.evm.bank
        call = unsigned_call(bank.account, evm_address(self.asker), data, gas=500_000, value=fee, summary="ask")
        await self.both.evm.send(bank, call)

    async def seen(self) -> tuple[ChainQuery, ...]:
        return (await self.board.news(0, await self.both.evm.access.heads.head(), [])).asked

    async def cost(self, key: bytes) -> int:
        """Return the most that an answer that stands alone may cost."""
        await self.ask(key, fee=1, first=2**40)
        query = (await self.seen())[-1]
        evidence = await self.both.ledger.chain.prover.prove(parse_uri(query.uri).question)
        draft = await self.board.draft([(query, evidence)], self.both.evm.bank.account)
        return draft.shared + sum(draft.each)

    async def block(self, count: int = 1) -> None:
        """Blocks on Ethereum; the pipeline and the answerer look at them."""
        await self.both.evm.advance(count)
        await self.pipeline.step()
        await self.answerer.answer_open()

    async def mined(self, work: Coroutine[Any, Any, None]) -> None:
        """Blocks on Ethereum until this has ended."""
        task = asyncio.create_task(work)
        for _ in range(40):
            if (await asyncio.wait([task], timeout=0.1))[0]:
                break
            await self.both.evm.advance()
            await self.pipeline.step()
        await task

    async def until_over(self, most: int = 20) -> None:
        """Until no question is open."""
        for _ in range(most):
            await self.block()
            await self.clock.advance(2.0)
            if not self.answerer.watch.open:
                return
        raise AssertionError(f"still open: {self.phases()}")

    def phases(self) -> list[Phase]:
        """Of the questions that have not ended, by their numbers."""
        known = sorted(self.answerer.watch.open.values(), key=lambda one: one.query.number)
        return [one.state.phase for one in known]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.value(f"relayer_{name}", chain=ETHEREUM, **labels) or 0.0

    def fees(self) -> list[int]:
        return sorted(one.query.fee for one in self.answerer.watch.open.values())

    async def heard(self) -> tuple[int, bytes]:
        """The number of callbacks, and the last value."""
        await self.both.evm.advance()
        calls, value = [await self.read(name) for name in ("calls", "lastValue")]
        size = int.from_bytes(value[32:64], "big")
        return int.from_bytes(calls, "big"), value[64 : 64 + size]

    async def read(self, name: str) -> bytes:
        call = {"to": address_of(self.asker), "data": f"0x{encode_call('testing/Asker', name).hex()}"}
        return bytes.fromhex((await self.both.evm.rpc("eth_call", call, "latest"))[2:])


@asynccontextmanager
async def asking(home: Path) -> AsyncIterator[Stage]:
    """Both chains with the contracts, a record, and an account that answers."""
    async with both_running(home) as both:
        author = await both.ledger.account()
        trusted = await both.ledger.chain.prover.light_block(Height(1))
        made = [await create(both, light_client.light_client_creation(trusted, PERIOD_S, DRIFT_S))]
        for creation in (light_client.queries_creation, lambda raw: encode_creation("testing/Asker", raw)):
            made.append(await create(both, creation(evm_address(made[-1]))))
        _, queries, asker = made
        pool, database = Endpoints([Endpoint(both.evm.anvil.rpc_url)]), InlineDatabase()
        await database.write(create_schema)
        board = EvmQueryBoard(ETHEREUM, pool, queries, LEDGER, both.evm.access.transactions.fee_market)
        stage = Stage(both, board, ManualClock(), queries, asker)
        await stage.open(database, await both.evm.account())
        await both.ledger.send(author, write_record(author.account, "charity", "donation-17", DOCUMENT))
        await both.ledger.advance()
        yield stage
        await pool.close()
        await database.close()


async def create(both: Both, data: bytes) -> AccountId:
    bank = both.evm.bank
    sequence = (await both.evm.chain.transactions.sequences(bank.account)).latest
    await both.evm.send(bank, unsigned_call(bank.account, None, data, gas=CREATE_GAS, summary="create"))
    address = created_address(bank.account, sequence)
    assert await both.evm.rpc("eth_getCode", address_of(address), "latest") != "0x"
    return address
