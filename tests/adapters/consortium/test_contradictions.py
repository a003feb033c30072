"""Answers that are well formed and contradict what was asked, or each other: said plainly, and asked again later."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import ConsortiumChain, connect, messages, prover, transfer, write_record
from adapters.consortium.members import read_members
from adapters.consortium.rpc import CometRpc
from core.model.consortium import MAX_MESSAGES, AccountLeaf, caip_asset, caip_chain, encode_leaf
from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.questions import BalanceQuestion, RecordQuestion
from core.model.transactions import UnsignedTransaction
from core.model.types import BaseUnits, Height
from tests.adapters.consortium.harness import CHAIN, CNYD, ConsortiumHarness, running
from tests.adapters.consortium.proxy import Forward, proxy

RECORD = RecordQuestion(CHAIN, "notes", "one")


@dataclass
class Bent:
    """An endpoint that answers honestly but for `method`, whose answers `change` may bend from the `first`-th on."""

    harness: ConsortiumHarness
    chain: ConsortiumChain
    rpc: CometRpc
    method: str = ""
    change: Callable[[Any], None] = lambda _: None
    first: int = 1

    def bend(self, method: str, change: Callable[[Any], None], first: int = 1) -> None:
        self.method, self.change, self.first = method, change, first


@pytest.fixture
async def bent(tmp_path: Path) -> AsyncIterator[Bent]:
    async with running(tmp_path / "chain") as harness:
        held: list[Bent] = []

        async def answer(asked: dict[str, Any], forward: Forward) -> dict[str, Any]:
            honest = await forward()
            if held and asked["method"] == held[0].method and "result" in honest:
                held[0].first -= 1
                if held[0].first <= 0:
                    held[0].change(honest["result"])
            return honest

        async with proxy(harness.node.rpc_url, answer) as url:
            chain, rpc = await connect(url, CHAIN, ("cnyd", "grain"), poll_s=0.2), CometRpc(url)
            held.append(Bent(harness, chain, rpc))
            try:
                yield held[0]
            finally:
                await chain.close()
                await rpc.close()


def leaf(value: bytes | None) -> Callable[[Any], None]:
    """Put another leaf in place of the one that the state holds."""

    def change(result: Any) -> None:
        result["response"]["value"] = None if value is None else base64.b64encode(value).decode()

    return change


async def written(bent: Bent) -> None:
    """A record has a version, and two more blocks stand on it."""
    author = await bent.harness.account()
    await bent.harness.send(author, write_record(author.account, "notes", "one", b"1"))
    await bent.harness.advance(2)


async def test_state_of_another_height_is_asked_again(bent: Bent) -> None:
    account = (await bent.harness.account()).account
    bent.bend("abci_query", lambda result: result["response"].update(height="2"))
    with pytest.raises(RetryableError, match="asked for the state at 1, the endpoint answers with that at 2"):
        await bent.chain.access.state.balance(account, CNYD, Height(1))


async def test_state_that_cannot_be_read_is_not_found(bent: Bent) -> None:
    account = (await bent.harness.account()).account
    bent.bend("abci_query", lambda result: result["response"].update(code=1, log="pruned"))
    with pytest.raises(NotFoundError, match="at height 1 cannot be read: pruned"):
        await bent.chain.access.state.balance(account, CNYD, Height(1))


async def test_account_below_its_first_sequence_is_asked_again(bent: Bent) -> None:
    account = (await bent.harness.account()).account
    bent.bend("abci_query", leaf(encode_leaf(AccountLeaf(-1, ()))))
    with pytest.raises(RetryableError, match="next sequence of .* is -1"):
        await bent.chain.access.transactions.sequences(account)


async def test_identifiers_of_another_chain_have_no_balance_here(bent: Bent) -> None:
    account = (await bent.harness.account()).account
    with pytest.raises(RejectedError, match="not both of"):
        await bent.chain.access.state.balance(account, caip_asset(caip_chain("other-1"), "cnyd"))


async def test_record_that_is_counted_but_not_there_is_asked_again(bent: Bent) -> None:
    await written(bent)
    records = bent.chain.access.records
    assert records is not None
    assert await records.record("notes", "one") is not None
    bent.bend("abci_query", leaf(None), first=2)
    with pytest.raises(RetryableError, match="counted, but not there"):
        await records.record("notes", "one")


async def test_members_that_are_counted_but_not_there_are_asked_again(bent: Bent) -> None:
    assert (await read_members(bent.rpc)).organisations
    bent.bend("abci_query", leaf(None), first=4)  # clock, count, name, and then the first one's leaf
    with pytest.raises(RetryableError, match="counts an entry at height .* that is not there"):
        await read_members(bent.rpc)


async def test_more_members_than_there_can_be_are_refused(bent: Bent) -> None:
    bent.bend("abci_query", leaf((2**40).to_bytes(8, "big")), first=2)
    with pytest.raises(RejectedError, match="has at most"):
        await read_members(bent.rpc)


# --- proofs -----------------------------------------------------------------------------------------------------------


async def test_commit_of_another_height_is_asked_again(bent: Bent) -> None:
    await written(bent)

    def another(result: Any) -> None:
        header = result["signed_header"]["header"]
        header["height"] = str(int(header["height"]) + 1)

    bent.bend("commit", another, first=2)  # the first is for the newest height, whichever that is
    with pytest.raises(RetryableError, match="another commit than it was asked for"):
        await bent.chain.prover.prove(RECORD)


async def test_proof_in_another_form_is_refused(bent: Bent) -> None:
    await written(bent)
    bent.bend("abci_query", lambda result: result["response"]["proofOps"]["ops"][0].update(type="iavl"))
    with pytest.raises(CausewayError, match="proof of type iavl"):
        await bent.chain.prover.prove(RECORD)


@pytest.mark.parametrize("value", [b"\x01", b"\xff" * 9])
async def test_leaf_that_is_no_counter_is_the_endpoints_fault(bent: Bent, value: bytes) -> None:
    await written(bent)
    bent.bend("abci_query", leaf(value))
    with pytest.raises(RetryableError, match="invalid leaf"):
        await bent.chain.prover.prove(RECORD)


async def test_question_of_another_chain_is_rejected_and_not_retried(bent: Bent) -> None:
    await written(bent)
    account = (await bent.harness.account()).account
    with pytest.raises(RejectedError):
        await bent.chain.prover.prove(BalanceQuestion(CHAIN, account, caip_asset(caip_chain("other-1"), "cnyd")))


async def test_height_above_the_newest_is_not_provable_yet(bent: Bent) -> None:
    await written(bent)
    newest = await bent.chain.prover.provable_height()
    assert await bent.chain.prover.provable_height(newest) == newest
    with pytest.raises(NotYetFinalError, match=f"up to height {newest} so far"):
        await bent.chain.prover.provable_height(Height(newest + 1))


async def test_header_too_far_back_is_rejected(bent: Bent, monkeypatch: pytest.MonkeyPatch) -> None:
    await bent.harness.advance(4)
    monkeypatch.setattr(bent.chain.prover, "_trusted_height", Height(4))
    monkeypatch.setattr(prover, "MAX_LINKS", 2)
    assert len((await bent.chain.prover.trail(Height(2))).links) == 2
    with pytest.raises(RejectedError, match="height 1 is more than 2 blocks before"):
        await bent.chain.prover.trail(Height(1))


# --- blocks -----------------------------------------------------------------------------------------------------------


async def test_block_without_a_result_for_each_entry_is_asked_again(bent: Bent) -> None:
    await written(bent)
    heights = range(1, bent.harness.node.engine.tip.height)
    found = [block for height in heights for block in await blocks(bent, height)]
    assert any(block.events for block in found)
    bent.bend("block_results", lambda result: result.update(txs_results=[]))
    with pytest.raises(RetryableError):
        for height in heights:
            await blocks(bent, height)


async def blocks(bent: Bent, height: int) -> Any:
    return await bent.chain.access.blocks.blocks(Height(height), Height(height))


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_transaction_has_a_message_and_not_too_many(bent: Bent) -> None:
    account = (await bent.harness.account()).account
    one = messages.messages_of(transfer(account, account, CNYD, BaseUnits(1)))
    most = messages.unsigned(CHAIN, account, one * MAX_MESSAGES, "most")
    assert len(messages.messages_of(most)) == MAX_MESSAGES
    for wrong in ((), one * (MAX_MESSAGES + 1)):
        with pytest.raises(RejectedError, match="1 to"):
            messages.unsigned(CHAIN, account, wrong, "wrong")
    for body in (b"", b"\xc1", b"\x91\x91\xa3???", b"\x91" * 5_000):
        with pytest.raises(RejectedError, match="not messages"):
            messages.messages_of(UnsignedTransaction(CHAIN, account, body, False, "junk"))
