"""A light client of a consortium chain and a contract that asks, on a real anvil."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.contract import AsyncContract

from adapters.evm import light_client
from adapters.evm.contracts.artifacts import load_artifact, selector_of
from adapters.evm.light_client import Argument, Question
from core.proofs.cometbft.types import LightBlock, ValidatorSet
from core.proofs.smt import SmtProof
from local_chains.evm import AnvilChain, AnvilSettings
from tests.adapters.evm.htlc_chain import Chain

ASKER = "testing/Asker"
CALLBACK_GAS = 300_000
FEE_WEI = 10**9
GAS = 8_000_000
HEIGHTS = (1, 1_000)
PERIOD_S = 10**9
"""Longer than the consortium chains of tests are old."""
DRIFT_S = 60


class QueryChain(Chain):
    """`client`, `queries` and `asker` are the contracts; errors are named by all of their ABIs."""

    client: AsyncContract
    queries: AsyncContract
    asker: AsyncContract

    async def set_up(self, trusted: LightBlock) -> None:
        arguments = light_client.creation_arguments(trusted, PERIOD_S, DRIFT_S)
        self.client = await self.deploy(light_client.LIGHT_CLIENT, *arguments)
        self.queries = await self.deploy(light_client.QUERIES, self.client.address)
        self.asker = await self.deploy(ASKER, self.queries.address)

    def error_text(self, data: bytes) -> str:
        for contract in (self.client, self.queries):
            self.htlc = contract
            text = super().error_text(data)
            if not text.startswith("unknown"):
                break
        return text

    async def call(self, contract: AsyncContract, data: bytes, value: int = 0) -> Any:
        """The receipt of a call by a stranger, whatever became of it."""
        sent = await self.web3.eth.send_transaction(
            {"from": self.stranger, "to": contract.address, "data": data, "gas": GAS, "value": value}  # type: ignore[typeddict-item]
        )
        return await self.web3.eth.wait_for_transaction_receipt(sent)

    async def done(self, contract: AsyncContract, data: bytes) -> Any:
        receipt = await self.call(contract, data)
        assert receipt["status"] == 1, await self.reason(receipt)
        return receipt

    async def refused(self, contract: AsyncContract, data: bytes) -> str:
        receipt = await self.call(contract, data)
        assert receipt["status"] == 0, "the call went through"
        return await self.reason(receipt)

    async def reason(self, receipt: Any) -> str:
        tracer = {"tracer": "callTracer"}
        trace = await self.rpc("debug_traceTransaction", receipt["transactionHash"].to_0x_hex(), tracer)
        return self.error_text(bytes.fromhex(trace.get("output", "0x")[2:]))

    async def introduce(self, validators: ValidatorSet) -> None:
        await self.done(self.client, light_client.introduce_call(validators))

    async def update(self, block: LightBlock) -> None:
        await self.done(self.client, light_client.update_call(block))

    async def ask(
        self, key: bytes, heights: tuple[int, int] = HEIGHTS, callback_gas: int = CALLBACK_GAS
    ) -> tuple[int, Question]:
        """The id of a new question, and the question as its event gives it."""
        deadline = await self.now() + 1_000
        call = self.asker.functions.ask(key, *heights, callback_gas, deadline)
        receipt = await self.succeed(call, self.sender, FEE_WEI)
        [event] = self.queries.events.Asked().process_receipt(receipt)
        [selector] = [selector_of(entry) for entry in load_artifact(ASKER).abi if entry.get("name") == "onAnswer"]
        asker = bytes.fromhex(self.asker.address[2:])
        question = light_client.question_of(asker, key, heights, selector, callback_gas, deadline, FEE_WEI)
        assert tuple(event["args"]["question"].values()) == question.argument
        assert event["args"]["key"] == key
        return event["args"]["id"], question

    async def answer(self, key: bytes, value: bytes | None, proof: SmtProof) -> Argument:
        """Ask for a key, and return the answer."""
        return light_client.answer_argument(*await self.ask(key), value, proof)

    async def heard(self) -> tuple[int, int, bool, bytes]:
        """The arguments of the asker's last callback: id, height, presence, value."""
        functions = self.asker.functions
        return (
            await functions.lastId().call(),
            await functions.lastHeight().call(),
            await functions.lastPresent().call(),
            await functions.lastValue().call(),
        )

    async def statuses(self, ids: Sequence[int]) -> list[int]:
        return [await self.queries.functions.statusOf(question_id).call() for question_id in ids]


@asynccontextmanager
async def query_chain() -> AsyncIterator[QueryChain]:
    async with AnvilChain(AnvilSettings(block_time_s=None)) as anvil:
        web3: AsyncWeb3[Any] = AsyncWeb3(AsyncHTTPProvider(anvil.rpc_url))
        try:
            chain = QueryChain(web3, list(await web3.eth.accounts))
            await chain.rpc("evm_mine")  # estimates go by the newest block's time, and the first has none
            yield chain
        finally:
            await web3.provider.disconnect()
