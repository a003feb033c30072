"""Answers of a node that contradict the question or each other: said plainly, and asked again later."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from adapters.conformance.harness import Leg, claim, finalized, lock
from adapters.evm.chain import EvmChain
from adapters.evm.endpoints import Endpoint
from adapters.evm.sequences import MAX_SIGHTINGS, SIGHTING_BLOCKS, Sighting, _note
from core.model.errors import (
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    ReorgedError,
    RetryableError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.questions import BalanceQuestion, LockQuestion
from core.model.transactions import FeeBid, OutcomeStatus
from core.model.types import BlockRef, ChainId, Height
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal
from tests.adapters.evm.harness import CHAIN, EvmHarness, settings_for

OTHER = ChainId("eip155:1")


@pytest_asyncio.fixture
async def behind(evm: EvmHarness, liar: MiddleMan) -> AsyncIterator[EvmChain]:
    """The chain through the endpoint that lies."""
    settings = replace(settings_for(evm.anvil, evm.contracts), endpoints=(Endpoint(liar.url),))
    chain = await EvmChain.connect(settings)
    yield chain
    await chain.close()


def bent(liar: MiddleMan, method: str, change: Any, nth: int = 1) -> None:
    """From the `nth` answer to `method` on, `change` says what is answered."""
    left = [nth]

    def tamper(asked: str, params: list[Any], result: Any) -> Any:
        if asked != method:
            return result
        left[0] -= 1
        return change(params, result) if left[0] <= 0 else result

    liar.tamper = tamper


async def final_lock(evm: EvmHarness) -> Leg:
    leg = await lock(evm)
    await finalized(evm, (await evm.access.heads.head()).head.height)
    return leg


# --- proofs -----------------------------------------------------------------------------------------------------------


def asked_about(leg: Leg, evm: EvmHarness) -> LockQuestion:
    return LockQuestion(CHAIN, leg.lock_id, leg.terms, evm.contracts.htlc)


async def test_proof_is_of_this_chain_and_a_finalized_height(evm: EvmHarness, behind: EvmChain) -> None:
    leg = await final_lock(evm)
    question = asked_about(leg, evm)
    assert (await behind.proofs.state_proof(question)).account_nodes
    with pytest.raises(RejectedError, match=f"about {OTHER}"):
        await behind.proofs.state_proof(replace(question, chain=OTHER))
    head = (await behind.heads.head()).head.height
    with pytest.raises(NotYetFinalError, match=f"not {head}"):
        await behind.proofs.state_proof(question, head)


async def test_block_that_changes_under_a_proof_is_a_reorg(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await final_lock(evm)
    changed = {"hash": "0x" + "11" * 32}
    bent(liar, "eth_getBlockByNumber", lambda _, result: {**result, **changed}, nth=3)
    with pytest.raises(ReorgedError, match="replaced while its state was read"):
        await behind.proofs.state_proof(asked_about(leg, evm))


async def test_block_that_is_gone_under_a_proof_is_not_found(
    evm: EvmHarness, behind: EvmChain, liar: MiddleMan
) -> None:
    leg = await final_lock(evm)
    bent(liar, "eth_getBlockByNumber", lambda *_: None, nth=3)
    with pytest.raises(NotFoundError, match="has no block"):
        await behind.proofs.state_proof(asked_about(leg, evm))
    bent(liar, "eth_getBlockByNumber", lambda *_: None)
    with pytest.raises(RetryableError, match="knows no finalized block"):
        await behind.proofs.state_proof(asked_about(leg, evm))


async def test_header_without_its_own_hash_is_asked_again(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await final_lock(evm)
    bent(liar, "eth_getBlockByNumber", lambda _, result: {**result, "hash": "0x" + "11" * 32}, nth=2)
    with pytest.raises(RetryableError, match="does not have its own hash"):
        await behind.proofs.state_proof(asked_about(leg, evm))


async def test_proof_that_does_not_verify_is_asked_again(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await final_lock(evm)
    question = BalanceQuestion(CHAIN, leg.sender.account, evm.assets[0])
    bent(liar, "eth_getProof", lambda _, result: {**result, "accountProof": result["accountProof"][:-1]})
    with pytest.raises(RetryableError, match="proof that does not verify"):
        await behind.proofs.state_proof(question)


async def test_pruned_state_has_no_proof(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await final_lock(evm)

    def pruned(*_: Any) -> Any:
        raise RpcRefusal(-32000, "missing trie node")

    bent(liar, "eth_getProof", pruned)
    with pytest.raises(NotFoundError, match="not kept any more"):
        await behind.proofs.state_proof(asked_about(leg, evm))


# --- locks ------------------------------------------------------------------------------------------------------------


async def test_word_that_no_lane_holds_is_asked_again(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await final_lock(evm)
    assert (await behind.locks.lock(leg.lock_id, leg.terms)).terms_match
    odd = "0x" + "11" * 32
    liar.tamper = lambda method, _, result: (
        odd if method in ("eth_call", "eth_getStorageAt") and isinstance(result, str) and len(result) == 66 else result
    )
    with pytest.raises(RetryableError):
        await behind.locks.lock(leg.lock_id, leg.terms)


async def test_terms_of_another_chain_are_rejected(evm: EvmHarness, behind: EvmChain) -> None:
    leg = await final_lock(evm)
    swapped: dict[str, Any] = {
        name: str(getattr(leg.terms, name)).replace(CHAIN, OTHER) for name in ("asset", "sender", "receiver")
    }
    foreign: Any = replace(leg.terms, **swapped, timelock=replace(leg.terms.timelock, chain=OTHER))
    with pytest.raises(RejectedError, match=f"for {OTHER}"):
        await behind.locks.lock(leg.lock_id, foreign)
    with pytest.raises(RejectedError, match=f"for {OTHER}"):
        await behind.locks.check_payout(foreign)


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_receipt_of_another_transaction_is_asked_again(
    evm: EvmHarness, behind: EvmChain, liar: MiddleMan
) -> None:
    leg = await lock(evm)
    [sent] = await evm.send(leg.receiver, claim(evm, leg, leg.receiver))
    assert (await behind.transactions.outcome(sent)).status is OutcomeStatus.INCLUDED
    bent(liar, "eth_getTransactionReceipt", lambda _, result: {**result, "transactionHash": "0x" + "11" * 32})
    with pytest.raises(RetryableError, match="receipt of another transaction"):
        await behind.transactions.outcome(sent)


@pytest.mark.parametrize("status", [None, "0x2"])
async def test_receipt_without_success_or_failure_is_asked_again(
    evm: EvmHarness, behind: EvmChain, liar: MiddleMan, status: str | None
) -> None:
    leg = await lock(evm)
    [sent] = await evm.send(leg.receiver, claim(evm, leg, leg.receiver))
    bent(liar, "eth_getTransactionReceipt", lambda _, result: {**result, "status": status})
    with pytest.raises(RetryableError, match="does not say whether its transaction failed"):
        await behind.transactions.outcome(sent)


async def test_receipt_in_a_block_that_is_gone_is_pending(evm: EvmHarness, behind: EvmChain, liar: MiddleMan) -> None:
    leg = await lock(evm)
    [sent] = await evm.send(leg.receiver, claim(evm, leg, leg.receiver))
    bent(liar, "eth_getTransactionReceipt", lambda _, result: {**result, "blockHash": "0x" + "11" * 32})
    assert (await behind.transactions.outcome(sent)).status is OutcomeStatus.PENDING


# --- sequences --------------------------------------------------------------------------------------------------------


async def test_sequence_of_a_block_that_was_replaced_is_not_noted(
    evm: EvmHarness, behind: EvmChain, liar: MiddleMan
) -> None:
    account = (await evm.account()).account
    await evm.advance(8)
    first = await behind.transactions.sequences(account)
    assert first.finalized is not None
    bent(liar, "eth_getBlockByNumber", lambda _, result: {**result, "hash": "0x" + "11" * 32}, nth=2)
    assert ((await behind.transactions.sequences(account)).finalized or 0) <= first.finalized
    liar.tamper = None
    assert (await behind.transactions.sequences(account)).finalized == first.finalized


def at(height: int, sequence: int) -> Sighting:
    return Sighting(BlockRef(CHAIN, Height(height), bytes(32)), sequence)


def test_sightings_are_in_order_few_and_not_contradicted() -> None:
    noted: list[Sighting] = []
    for one in (at(10, 1), at(11, 2)):
        _note(noted, one)
    assert noted == [at(10, 1), at(11, 2)]
    _note(noted, at(12, 2))  # nothing new, so soon
    assert noted == [at(10, 1), at(11, 2)]
    _note(noted, at(11 + SIGHTING_BLOCKS, 2))
    assert noted == [at(10, 1), at(11, 2), at(11 + SIGHTING_BLOCKS, 2)]
    _note(noted, at(11, 5))  # a lower head: the chain was reorganised
    assert noted == [at(10, 1), at(11, 5)]
    many: list[Sighting] = []
    for number in range(MAX_SIGHTINGS + 1):
        _note(many, at(number, number))
    assert len(many) <= MAX_SIGHTINGS // 2 + 1
    assert many[0] == at(0, 0)
    assert many[-1] == at(MAX_SIGHTINGS, MAX_SIGHTINGS)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("insufficient funds for gas * price + value", UnaffordableError),
        ("something that no node says", UnclearRefusalError),
    ],
)
async def test_refused_broadcast_says_what_it_knows(
    evm: EvmHarness, behind: EvmChain, liar: MiddleMan, message: str, error: type[Exception]
) -> None:
    leg = await lock(evm)
    transactions = behind.transactions
    sequence = (await transactions.sequences(leg.receiver.account)).latest
    market = await transactions.fee_market()
    assert market is not None
    bid = FeeBid(2 * market.base_fee + market.priority_fee, market.priority_fee)
    request = transactions.assemble(claim(evm, leg, leg.receiver), sequence, bid, None)
    signed = transactions.attach(request, await leg.receiver.sign(request))

    def refuse(method: str, _: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            raise RpcRefusal(-32000, message)

    liar.refuse = refuse
    with pytest.raises(error):
        await transactions.submit(signed)
