"""Storage words, lanes, tokens, logs and lists, proven by real nodes, verified as anybody would offline."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.conformance.harness import lock
from adapters.consortium import write_record
from adapters.evm.calls import encode_creation, unsigned_call
from adapters.evm.contracts.deployer import created_address, mint_token, pay_native
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.proofs import EvmStateProver
from adapters.evm.tries import IndexTrie
from core.model.errors import NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.facts import LockStatus
from core.model.questions import (
    BalanceAnswer,
    BalanceQuestion,
    LaneAnswer,
    LaneQuestion,
    ListAnswer,
    ListQuestion,
    LogAnswer,
    LogQuestion,
    StorageAnswer,
    StorageQuestion,
)
from core.model.types import AccountId, AssetId, BaseUnits, Height
from core.proofs import ethereum
from core.proofs.errors import ProofError
from core.proofs.evidence import TokenLayout, decode_evidence, verify
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, ProxyLayout
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address, parse_lane
from core.proofs.mpt import verify as verify_node
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.endpoint import middle_man
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.core.proofs.tries import Trie

PROXY_SLOT = 7
TRANSFER = keccak256(b"Transfer(address,address,uint256)")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with both_running(tmp_path / "chain") as chains:
        yield chains


def token_of(both: Both) -> AccountId:
    [token] = both.evm.contracts.tokens
    return token


def balance_of(token: AccountId, holder: AccountId) -> BalanceQuestion:
    return BalanceQuestion(ETHEREUM, holder, AssetId(f"{ETHEREUM}/erc20:{token.rpartition(':')[2]}"))


async def test_words_lanes_and_balances_are_proven(both: Both) -> None:
    leg = await lock(both.evm)
    holder = await both.evm.account()
    header = await both.attest_final()
    lane = parse_lane(leg.lock_id)
    htlc = both.evm.contracts.htlc
    question = LaneQuestion(ETHEREUM, htlc, leg.sender.account, lane.number)
    raw, found = await both.proven(question)
    assert isinstance(found.answer, LaneAnswer)
    assert (found.answer.status, found.answer.generation) == (LockStatus.LOCKED, lane.generation)
    assert found.answer.code_hash == both.evm.access.parameters.htlc_code_hash
    assert found.as_of.block == header.ref

    token = token_of(both)
    _, found = await both.proven(balance_of(token, holder.account))
    assert found.answer == BalanceAnswer(await both.evm.access.state.balance(holder.account, both.evm.assets[1]))
    [layout] = [one for one in REVIEWED_LAYOUTS if one.name == "TestToken of 6 decimals"]
    slot = layout.slot_of(evm_address(holder.account))
    _, word = await both.proven(StorageQuestion(ETHEREUM, token, slot), header.height)
    assert word.answer == StorageAnswer(found.answer.amount, layout.code_hash)
    with pytest.raises(RejectedError, match="no contract"):
        await both.proven(balance_of(holder.account, holder.account))
    with pytest.raises(RejectedError, match="nobody has reviewed"):
        await both.proven(balance_of(htlc, holder.account))
    anchor = await both.ledger.chain.prover.anchor()
    for place in range(0, len(raw), 307):
        with pytest.raises(ProofError):
            verify(decode_evidence(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]), anchor, both.now_s())


async def test_reviewed_layouts_are_of_the_code_that_tokens_have(both: Both) -> None:
    hashes = {}
    for decimals in (6, 18):
        creation = encode_creation("TestToken", "Some", "SOME", decimals)
        code = await both.evm.rpc("eth_call", {"data": f"0x{creation.hex()}"}, "latest")
        hashes[f"TestToken of {decimals} decimals"] = keccak256(bytes.fromhex(code[2:]))
    assert {one.name: one.code_hash for one in REVIEWED_LAYOUTS} == hashes


async def test_token_behind_a_proxy_is_proven_until_upgraded(both: Both) -> None:
    bank, logic = both.evm.bank, token_of(both)
    holder = (await both.evm.account()).account
    proxy = created_address(bank.account, (await both.evm.chain.transactions.sequences(bank.account)).latest)
    await both.evm.send(bank, _create_proxy(bank.account, logic))
    await both.evm.send(bank, mint_token(bank.account, proxy, holder, BaseUnits(77)))
    await both.attest_final()
    codes = {name: await _code_hash(both, account) for name, account in (("proxy", proxy), ("logic", logic))}
    layouts = (TokenLayout("proxied", codes["proxy"], 0, proxy=ProxyLayout(PROXY_SLOT, codes["logic"])),)
    question = balance_of(proxy, holder)
    _, found = await both.proven(question, layouts=layouts)
    assert found.answer == BalanceAnswer(BaseUnits(77))
    with pytest.raises(RejectedError, match="nobody has reviewed"):
        await both.proven(question)
    # The proxy's owner points it to other code, here the HashedTimelock's: nobody has reviewed that.
    slot = f"0x{PROXY_SLOT:064x}"
    other = evm_address(both.evm.contracts.htlc).rjust(32, b"\0")
    await both.evm.rpc("anvil_setStorageAt", proxy.rpartition(":")[2], slot, f"0x{other.hex()}")
    await both.evm.advance(2)
    await both.attest_final()
    with pytest.raises(RejectedError, match="with implementation"):
        await both.proven(question, layouts=layouts)


async def _code_hash(both: Both, account: AccountId) -> bytes:
    code = await both.evm.rpc("eth_getCode", account.rpartition(":")[2], "latest")
    return keccak256(bytes.fromhex(code[2:]))


def _create_proxy(creator: AccountId, logic: AccountId) -> Any:
    """A contract that delegates every call to the address in `PROXY_SLOT`, assembled by hand."""
    call = f"365f5f375f5f365f60{PROXY_SLOT:02x}545af4"
    runtime = bytes.fromhex(call + "3d5f5f3e5f3d9160")
    runtime += bytes([len(runtime) + 3]) + bytes.fromhex("57fd5bf3")
    store = b"\x73" + evm_address(logic) + bytes([0x60, PROXY_SLOT, 0x55])
    init = store + bytes([0x60, len(runtime), 0x80, 0x60, len(store) + 9, 0x5F, 0x39, 0x5F, 0xF3]) + runtime
    return unsigned_call(creator, None, init, gas=500_000, summary="Create a proxy")


async def test_logs_of_any_block_before_an_attested_one_are_proven(both: Both) -> None:
    someone, token = await both.evm.account(), token_of(both)
    calls = [
        pay_native(someone.account, both.evm.bank.account, BaseUnits(1)),
        mint_token(someone.account, token, someone.account, BaseUnits(5)),
        *(pay_native(someone.account, both.evm.bank.account, BaseUnits(number)) for number in range(2, 20)),
    ]
    _, minted, *others = await both.evm.send(someone, *calls)
    block = (await both.evm.access.heads.head()).head
    with pytest.raises(NotYetFinalError):
        await both.prover().prove(LogQuestion(ETHEREUM, minted, 0))
    await both.evm.advance(10)
    await both.attest_final()
    _, found = await both.proven(LogQuestion(ETHEREUM, minted, 0))
    assert isinstance(found.answer, LogAnswer)
    assert found.answer.log is not None
    assert found.answer.log.contract == token
    assert found.answer.log.topics == (TRANSFER, bytes(32), evm_address(someone.account).rjust(32, b"\0"))
    assert int.from_bytes(found.answer.log.data, "big") == 5
    assert found.as_of.block == block.ref
    _, found = await both.proven(LogQuestion(ETHEREUM, minted, 1), block.height)
    assert found.answer == LogAnswer(True, 1, None)
    _, found = await both.proven(LogQuestion(ETHEREUM, others[-1], 0))
    assert found.answer == LogAnswer(True, 0, None)
    # Attested heights later on do not hide the nearest one.
    await both.attest_final()
    _, found = await both.proven(LogQuestion(ETHEREUM, minted, 0))
    assert found.as_of.block == block.ref
    with pytest.raises(RejectedError, match="stands in block"):
        await both.proven(LogQuestion(ETHEREUM, minted, 0), Height(block.height + 1))
    with pytest.raises(NotFoundError):
        await both.proven(LogQuestion(ETHEREUM, bytes(32), 0))


@pytest.mark.parametrize("what", ["receipt", "transaction", "place", "type", "header"])
async def test_receipts_that_do_not_verify_are_not_handed_out(both: Both, what: str) -> None:
    someone, token = await both.evm.account(), token_of(both)
    [minted] = await both.evm.send(someone, mint_token(someone.account, token, someone.account, BaseUnits(5)))
    await both.evm.advance(3)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts" and what == "receipt":
            return [{**one, "cumulativeGasUsed": "0x1"} for one in result]
        if method == "eth_getBlockReceipts" and what == "type":
            return [{**one, "type": "0xffff"} for one in result]
        if method.startswith("eth_getRawTransaction") and what == "transaction":
            return result[:-2] + ("00" if result[-2:] != "00" else "01")
        if method == "eth_getTransactionReceipt" and what == "place":
            return {**result, "transactionIndex": "0x1"}
        if method == "eth_getBlockByNumber" and what == "header" and params[0] != "finalized":
            return {**result, "gasUsed": hex(int(result["gasUsed"], 16) + 1)}
        return result

    async with middle_man(both.evm.anvil.rpc_url) as liar:
        liar.tamper = tamper
        pool = Endpoints([Endpoint(liar.url)])
        try:
            with pytest.raises(RetryableError):
                await EvmStateProver(ETHEREUM, pool).log_proof(LogQuestion(ETHEREUM, minted, 0))
        finally:
            await pool.close()


async def test_lists_of_the_ledger_are_complete(both: Both) -> None:
    author = await both.ledger.account()
    keys = [f"donation-{number}" for number in range(25)]
    for key in keys:
        await both.ledger.send(author, write_record(author.account, "charity", key, b"{}"))
    await both.ledger.advance()
    question, prover = ListQuestion(LEDGER, "records/charity", 10, 20), both.ledger.chain.prover
    for wanted, expected in (
        (question, keys[9:20]),
        (replace(question, first=20, last=119), keys[19:]),
        (replace(question, first=26, last=30), []),
    ):
        evidence = await prover.prove(wanted)
        answer = verify(evidence, await prover.anchor(), both.now_s()).answer
        assert answer == ListAnswer(25, tuple(key.encode() for key in expected))
    await both.attest_final()
    headers = await prover.prove(ListQuestion(LEDGER, f"headers/{ETHEREUM}", 1, 10))
    assert isinstance(headers.answer, ListAnswer)
    assert headers.answer.count == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=300), st.data())
def test_trie_of_a_block_agrees_with_an_independent_one(entries: list[bytes], data: st.DataObject) -> None:
    mine = IndexTrie(entries)
    theirs = Trie({rlp.encode(place): entry for place, entry in enumerate(entries)})
    assert mine.root == theirs.root
    place = data.draw(st.integers(0, len(entries) + 3))
    nodes = mine.nodes(place)
    assert list(nodes) == theirs.prove(rlp.encode(place))
    expected = entries[place] if place < len(entries) else None
    assert verify_node(mine.root, ethereum.index_key(place), nodes) == expected


def test_trie_of_an_empty_block_is_the_empty_trie() -> None:
    assert IndexTrie([]).root == Trie({}).root
    assert verify_node(IndexTrie([]).root, b"\x80", IndexTrie([]).nodes(0)) is None
