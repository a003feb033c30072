"""The ground to fund or reveal, when endpoints lie, lag or are gone; lanes handed out; proofs of lanes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.conformance.harness import Leg, claim, finalized, lock, lock_between, make_terms, send, send_final
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.locks import EvmLockReader
from adapters.evm.proofs import EvmStateProver
from core.model.errors import DisagreementError, NotYetFinalError, RejectedError, RetryableError
from core.model.facts import LockStatus
from core.model.questions import BalanceQuestion, LockQuestion, RecordQuestion
from core.model.types import Height, LockId, Preimage
from core.proofs import ethereum
from core.proofs.lanes import evm_address, lane_slot, parse_lane, read_lane
from core.runtime.sockets import free_port
from tests.adapters.evm.endpoint import MiddleMan
from tests.adapters.evm.harness import CHAIN, EvmHarness


def reader(evm: EvmHarness, endpoints: Sequence[Endpoint]) -> tuple[EvmLockReader, Endpoints]:
    pool = Endpoints(endpoints)
    return EvmLockReader(CHAIN, pool, evm_address(evm.contracts.htlc)), pool


async def final_leg(evm: EvmHarness) -> Leg:
    leg = await lock(evm)
    await finalized(evm, (await evm.access.heads.head()).head.height)
    return leg


def claim_it_is_claimed(method: str, params: list[Any], result: Any) -> Any:
    """Turns an open lane's word into a claimed one."""
    return f"0x{int(result, 16) + 1:064x}" if method == "eth_getStorageAt" else result


async def test_one_liar_against_two_is_outvoted(evm: EvmHarness, liar: MiddleMan) -> None:
    leg = await final_leg(evm)
    liar.tamper = claim_it_is_claimed
    honest = Endpoint(evm.anvil.rpc_url, operator="a")
    locks, pool = reader(evm, [Endpoint(liar.url, "liar"), honest, replace(honest, operator="b")])
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    await pool.close()


async def test_one_against_one_is_no_ground(evm: EvmHarness, liar: MiddleMan) -> None:
    leg = await final_leg(evm)
    liar.tamper = claim_it_is_claimed
    locks, pool = reader(evm, [Endpoint(liar.url), Endpoint(evm.anvil.rpc_url)])
    with pytest.raises(DisagreementError):
        await locks.lock(leg.lock_id, leg.terms)
    await pool.close()


async def test_those_who_do_not_answer_count_against(evm: EvmHarness) -> None:
    leg = await final_leg(evm)
    down = [Endpoint(f"http://127.0.0.1:{free_port()}") for _ in range(2)]
    locks, pool = reader(evm, [Endpoint(evm.anvil.rpc_url), *down])
    with pytest.raises(DisagreementError):
        await locks.lock(leg.lock_id, leg.terms)
    await pool.close()
    locks, pool = reader(evm, [Endpoint(evm.anvil.rpc_url, "a"), Endpoint(evm.anvil.rpc_url, "b"), down[0]])
    assert (await locks.lock(leg.lock_id, leg.terms)).terms_match
    await pool.close()


async def test_liars_of_one_operator_are_one_voice(evm: EvmHarness, liar: MiddleMan) -> None:
    leg = await final_leg(evm)
    liar.tamper = claim_it_is_claimed
    lies = [Endpoint(liar.url, "liar") for _ in range(3)]
    locks, pool = reader(evm, [*lies, Endpoint(evm.anvil.rpc_url, "a"), Endpoint(evm.anvil.rpc_url, "b")])
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    await pool.close()


async def test_finality_is_what_a_quorum_has_reached(evm: EvmHarness, liar: MiddleMan) -> None:
    """A node that calls everything final moves nothing."""
    leg = await lock(evm)
    headers: dict[str, object] = {}

    def everything_is_final(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return headers["head"]
        return result

    headers["head"] = await evm.rpc("eth_getBlockByNumber", "latest", False)
    liar.tamper = everything_is_final
    honest = Endpoint(evm.anvil.rpc_url, operator="a")
    locks, pool = reader(evm, [Endpoint(liar.url, "liar"), honest, replace(honest, operator="b")])
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.ABSENT
    await pool.close()


async def test_another_contract_shows_in_the_code_hash(evm: EvmHarness, liar: MiddleMan) -> None:
    leg = await final_leg(evm)
    liar.tamper = lambda method, params, result: "0x6001" if method == "eth_getCode" else result
    locks, pool = reader(evm, [Endpoint(liar.url)])
    assert (await locks.lock(leg.lock_id, leg.terms)).code_hash != evm.access.parameters.htlc_code_hash
    await pool.close()


@pytest.mark.parametrize("nonsense", ["0x", "", "zz"])
async def test_nonsense_from_an_endpoint_is_retryable(evm: EvmHarness, liar: MiddleMan, nonsense: str) -> None:
    leg = await final_leg(evm)
    liar.tamper = lambda method, params, result: nonsense if method == "eth_getStorageAt" else result
    locks, pool = reader(evm, [Endpoint(liar.url)])
    with pytest.raises(RetryableError):
        await locks.lock(leg.lock_id, leg.terms)
    await pool.close()


async def test_a_settled_lane_is_used_again(evm: EvmHarness) -> None:
    leg = await lock(evm)
    assert leg.lock_id.endswith("/0/1")
    await send(evm, leg.receiver, claim(evm, leg, leg.receiver))
    again = await lock_between(evm, leg.sender, leg.receiver, Preimage.generate())
    assert again.lock_id.endswith("/0/2")
    await finalized(evm, (await evm.access.heads.head()).head.height)
    seen = await evm.access.locks.lock(leg.lock_id, leg.terms)
    assert (seen.status, seen.terms_match) == (LockStatus.SUPERSEDED, False)


async def test_lanes_are_handed_out_like_nonces(evm: EvmHarness) -> None:
    sender, receiver = await evm.account(), await evm.account()
    terms = await make_terms(evm, sender, receiver, Preimage.generate())
    taken: list[LockId] = []
    for number in range(20):
        taken.append(await evm.access.legs.lock_id(terms, taken))
        assert taken[-1].endswith(f"/{number}/1")
    # What was taken long ago and is on chain by now stands in nobody's way.
    sender = await evm.account()
    terms = await make_terms(evm, sender, receiver, Preimage.generate())
    leg = await lock_between(evm, sender, receiver, Preimage.generate())
    await send_final(evm, receiver, claim(evm, leg, receiver))
    assert (await evm.access.legs.lock_id(terms, [leg.lock_id])).endswith("/0/2")
    assert (await evm.access.legs.lock_id(terms, [LockId(leg.lock_id[:-1] + "2")])).endswith("/1/1")


async def test_a_place_of_another_sender_is_refused(evm: EvmHarness) -> None:
    leg, other = await lock(evm), await evm.account()
    terms = replace(leg.terms, sender=other.account)
    with pytest.raises(RejectedError, match="another sender"):
        evm.access.legs.lock(terms, leg.lock_id)


async def test_the_lanes_word_is_proven(evm: EvmHarness) -> None:
    leg = await final_leg(evm)
    question = LockQuestion(CHAIN, leg.lock_id, leg.terms, evm.contracts.htlc)
    proof = await evm.chain.proofs.state_proof(question)
    header = ethereum.decode_header(proof.header)
    assert ethereum.header_hash(header) == proof.block.hash
    assert proof.block == (await evm.access.blocks.header(proof.block.height)).ref
    account = ethereum.verify_account(header.state_root, evm_address(evm.contracts.htlc), proof.account_nodes)
    assert account is not None
    assert account.code_hash == evm.access.parameters.htlc_code_hash
    lane = parse_lane(leg.lock_id)
    word = ethereum.verify_storage(account.storage_root, lane_slot(lane), proof.storage_nodes)
    assert read_lane(word, leg.terms, lane) == (LockStatus.LOCKED, True)


async def test_absence_is_proven_at_the_height_that_was_asked_for(evm: EvmHarness) -> None:
    await final_leg(evm)  # a storage trie that is not empty
    before = (await evm.access.heads.head()).finalized.height
    leg = await final_leg(evm)
    question = LockQuestion(CHAIN, leg.lock_id, leg.terms, evm.contracts.htlc)
    proof = await evm.chain.proofs.state_proof(question, before)
    assert proof.block.height == before
    header = ethereum.decode_header(proof.header)
    account = ethereum.verify_account(header.state_root, evm_address(evm.contracts.htlc), proof.account_nodes)
    assert account is not None
    assert ethereum.verify_storage(account.storage_root, lane_slot(parse_lane(leg.lock_id)), proof.storage_nodes) == 0


async def test_a_balance_is_proven(evm: EvmHarness) -> None:
    someone = await evm.account()
    question = BalanceQuestion(CHAIN, someone.account, evm.assets[0])
    proof = await evm.chain.proofs.state_proof(question)
    assert proof.storage_nodes == ()
    header = ethereum.decode_header(proof.header)
    account = ethereum.verify_account(header.state_root, evm_address(someone.account), proof.account_nodes)
    assert account is not None
    assert account.balance == await evm.access.state.balance(someone.account, evm.assets[0])


async def test_what_is_not_final_is_not_proven_yet(evm: EvmHarness) -> None:
    leg = await lock(evm)
    question = LockQuestion(CHAIN, leg.lock_id, leg.terms, evm.contracts.htlc)
    head = (await evm.access.heads.head()).head.height
    with pytest.raises(NotYetFinalError):
        await evm.chain.proofs.state_proof(question, head)
    with pytest.raises(NotYetFinalError):
        await evm.chain.proofs.state_proof(question, Height(head + 1_000))


async def test_what_this_state_cannot_prove_is_refused(evm: EvmHarness) -> None:
    leg = await lock(evm)
    for question in (
        RecordQuestion(CHAIN, "a", "b"),
        LockQuestion(CHAIN, leg.lock_id, leg.terms, None),
        BalanceQuestion(CHAIN, leg.sender.account, evm.assets[1]),
    ):
        with pytest.raises(RejectedError):
            await evm.chain.proofs.state_proof(question)


@pytest.mark.parametrize("what", ["word", "account", "header"])
async def test_a_proof_that_does_not_verify_is_not_handed_out(evm: EvmHarness, liar: MiddleMan, what: str) -> None:
    leg = await final_leg(evm)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getProof" and what != "header":
            nodes = result["accountProof"] if what == "account" else result["storageProof"][0]["proof"]
            nodes[-1] = nodes[-1][:-2] + ("00" if nodes[-1][-2:] != "00" else "01")
        if method == "eth_getBlockByNumber" and what == "header" and params[0] != "finalized":
            return {**result, "gasUsed": hex(int(result["gasUsed"], 16) + 1)}
        return result

    liar.tamper = tamper
    pool = Endpoints([Endpoint(liar.url)])
    question = LockQuestion(CHAIN, leg.lock_id, leg.terms, evm.contracts.htlc)
    with pytest.raises(RetryableError):
        await EvmStateProver(CHAIN, pool).state_proof(question)
    await pool.close()
