"""Questions whose answers are attacked, over a relayer's API: endpoints that cannot prove or lie, and a relayer that
shows what is proven of something else. Each is an error that says what is wrong; nothing hangs, nothing is believed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.evidence import AttestedStateProver, ProverByChain
from adapters.evm.endpoints import Endpoint
from core.model.errors import CausewayError, DisagreementError, NotFoundError, RejectedError, RetryableError
from core.model.questions import Evidence, Question
from core.model.types import ChainId, Height, address_of
from core.model.uris import parse_uri
from core.proofs.errors import ProofError
from core.proofs.evidence import encode_evidence
from local_chains.evm.anvil import AnvilSettings
from relayer.client import Proven, ProvenQueries, RelayerApi, RelayerProver
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.consortium.harness import running
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, middle_man
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.adapters.evm.harness import evm_harness
from tests.adapters.evm.test_probe import connected
from tests.relayer.api.test_queries import Lying, _Now, body, serving

RECORD = f"{LEDGER}/records/charity/donation-17"
Tamper = Callable[[str, list[Any], Any], Any]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with both_running(tmp_path / "chain") as found:
        await found.attest_final()
        yield found


def slot_of(both: Both, contract: int = 0) -> str:
    """The first storage word of a contract: of tokens, then of the one that holds locks."""
    accounts = [*both.evm.contracts.tokens, both.evm.contracts.htlc]
    return f"{ETHEREUM}/storage/{address_of(accounts[contract])}/0x1"


@asynccontextmanager
async def asking(both: Both, liar: MiddleMan) -> AsyncIterator[ProvenQueries]:
    """A client of a relayer whose only endpoint of Ethereum is this one."""
    chain = await connected(both.evm, Endpoint(liar.url))
    prover = AttestedStateProver(chain.proofs, both.ledger.chain.prover)
    provers = ProverByChain({LEDGER: both.ledger.chain.prover, ETHEREUM: prover})
    try:
        async with serving(provers) as url, RelayerApi(url) as api:
            yield ProvenQueries(RelayerProver(api), await both.ledger.chain.prover.anchor(), _Now(both))
    finally:
        await chain.close()


def refusing(code: int, words: str) -> Tamper:
    def tamper(method: str, _: list[Any], result: Any) -> Any:
        if method == "eth_getProof":
            raise RpcRefusal(code, words)
        return result

    return tamper


def cut(method: str, _: list[Any], result: Any) -> Any:
    """A proof without its last node."""
    return {**result, "accountProof": result["accountProof"][:-1]} if method == "eth_getProof" else result


def of_another_block(method: str, _: list[Any], result: Any) -> Any:
    """A block that has its own hash, and is another one than was attested."""
    if method == "eth_getBlockByNumber" and isinstance(result, dict):
        return {**result, "extraData": "0x6c6965"}
    return result


@pytest.mark.parametrize(
    ("tamper", "kind", "words"),
    [
        (refusing(-32601, "the method eth_getProof does not exist/is not available"), CausewayError, "eth_getProof"),
        (refusing(-32000, "missing trie node 8f6a (path ) state 0x8f6a is not available"), NotFoundError, "not kept"),
        (cut, RetryableError, "does not verify"),
        (of_another_block, RetryableError, "hash"),
    ],
    ids=["no proofs", "pruned", "cut", "another block"],
)
async def test_endpoint_that_cannot_prove_is_named_with_the_reason(
    both: Both, tamper: Tamper, kind: type[CausewayError], words: str
) -> None:
    """In one call, and in time; the answer about the ledger comes all the same."""
    async with middle_man(both.evm.anvil.rpc_url) as liar, asking(both, liar) as queries:
        liar.tamper = tamper
        refused, record = await queries.answers([slot_of(both), RECORD])
        assert isinstance(refused, kind), refused
        assert words in refused.message
        assert isinstance(record, Proven)
        found = {}
        async with asyncio.timeout(60), aclosing(queries.in_time([slot_of(both), RECORD], 3)) as answers:
            async for one in answers:
                found[isinstance(one, Proven)] = one
        assert isinstance(found[True], Proven)
        late = found[False]
        assert isinstance(late, CausewayError)
        assert words in late.message


async def test_block_that_is_not_the_attested_one_is_a_disagreement(both: Both) -> None:
    """Another chain with the same heights, whose headers and proofs are its own."""

    # Two chains that were made within one second have the same blocks, unless their blocks have other limits.
    async with evm_harness(AnvilSettings(block_time_s=None, block_gas_limit=200_000_000)) as other:
        await other.advance(60)
        prover = AttestedStateProver(other.chain.proofs, both.ledger.chain.prover)
        async with serving(ProverByChain({ETHEREUM: prover})) as url, RelayerApi(url) as api:
            queries = ProvenQueries(RelayerProver(api), await both.ledger.chain.prover.anchor(), _Now(both))
            [refused] = await queries.answers([slot_of(both)])
    assert isinstance(refused, DisagreementError), refused
    assert "another block" in refused.message


# --- a relayer that lies -----------------------------------------------------------------------------------------


async def shown(both: Both, uri: str, evidence: Evidence) -> Proven | CausewayError:
    """The client's verdict on what a relayer shows as the answer to `uri`."""
    anchor = await both.ledger.chain.prover.anchor()
    queries = ProvenQueries(RelayerProver(Lying([body(uri, encode_evidence(evidence))])), anchor, _Now(both))
    [found] = await queries.answers([uri])
    return found


async def honest(both: Both, uri: str, at: Height | None = None) -> Evidence:
    question: Question = parse_uri(uri).question
    prover = both.prover() if question.chain == ETHEREUM else both.ledger.chain.prover
    return await prover.prove(question, at)


async def test_proof_of_something_else_answers_no_question(both: Both) -> None:
    """Another key, contract, slot, account, or height: each proof holds, and none of them is the answer."""
    holder, other = (f"{ETHEREUM}/slip44:60/balanceOf/0x{byte * 20}" for byte in ("0c", "0d"))
    for asked, proven in (
        (RECORD, f"{LEDGER}/records/charity/donation-18"),
        (RECORD, f"{LEDGER}/records/provenance/donation-17"),
        (slot_of(both), slot_of(both, -1)),
        (slot_of(both), slot_of(both).replace("0x1", "0x2")),
        (holder, other),
        (RECORD, slot_of(both)),
    ):
        assert isinstance(await shown(both, proven, await honest(both, proven)), Proven)
        refused = await shown(both, asked, await honest(both, proven))
        assert isinstance(refused, RejectedError)
        assert "another question" in refused.message
    at = await honest(both, RECORD, Height(2))
    assert isinstance(await shown(both, f"{RECORD}?at=2", at), Proven)
    refused = await shown(both, f"{RECORD}?at=3", at)
    assert isinstance(refused, RejectedError)


async def test_proof_relabelled_as_the_answer_does_not_hold(both: Both) -> None:
    """The same, with the question or the block of the file changed to what was asked."""
    proven = await honest(both, f"{LEDGER}/records/charity/donation-18")
    word = await honest(both, slot_of(both, -1))
    newest = replace(proven.as_of, block=replace(proven.as_of.block, height=Height(proven.as_of.block.height + 1)))
    foreign = replace(proven.as_of, block=replace(proven.as_of.block, chain=ChainId("causeway:other-1")))
    for asked, forged in (
        (RECORD, replace(proven, question=parse_uri(RECORD).question)),
        (slot_of(both), replace(word, question=parse_uri(slot_of(both)).question)),
        (f"{LEDGER}/records/charity/donation-18", replace(proven, as_of=newest)),
        (f"{LEDGER}/records/charity/donation-18", replace(proven, as_of=foreign)),
    ):
        assert isinstance(await shown(both, asked, forged), ProofError)


async def test_evidence_of_a_chain_of_the_same_name_does_not_hold(both: Both, tmp_path: Path) -> None:
    """A chain that anybody starts with the same id: its validators are not those of the anchor."""
    async with running(tmp_path / "other") as other:
        await other.advance()
        evidence = await other.chain.prover.prove(parse_uri(RECORD).question)
    assert isinstance(await shown(both, RECORD, evidence), ProofError)
