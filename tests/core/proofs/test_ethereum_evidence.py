"""Evidence about Ethereum: a lane of the contract and a balance, under headers that the consortium's ledger attests."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium import attested_header_key
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import BalanceAnswer, BalanceQuestion, LockAnswer, LockQuestion, Question, RecordQuestion
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    LockId,
    LockTerms,
)
from core.proofs import ethereum, lanes, rlp
from core.proofs.errors import InvalidProofError, ProofError
from core.proofs.evidence import (
    EthereumProof,
    Verified,
    consortium_evidence,
    decode_evidence,
    encode_evidence,
    ethereum_evidence,
    proven_address,
    storage_slot,
    verify,
)
from core.proofs.keccak import keccak256
from local_chains.evm.anvil import AnvilError, find_anvil
from tests.adapters.evm.htlc_chain import htlc_chain
from tests.core.proofs.forgery import forge, proven_by, refuse_flipped, replant
from tests.core.proofs.tries import Trie
from tests.core.proofs.worlds import World, attest, ledger_state

CHAIN = ChainId("eip155:31337")
SENDER, RECEIVER, HOLDER = b"\x0a" * 20, b"\x0b" * 20, b"\x0c" * 20
HASHLOCK = Hashlock(hashlib.sha256(b"p" * 32).digest())
CODE_HASH = keccak256(b"contract")
WEI = 10**18 + 7


def account(raw: bytes) -> AccountId:
    return AccountId(f"{CHAIN}:0x{raw.hex()}")


TERMS = LockTerms(
    AssetId(f"{CHAIN}/slip44:60"),
    BaseUnits(5 * 10**17),
    account(SENDER),
    account(RECEIVER),
    HASHLOCK,
    ChainTime(CHAIN, 1_700_001_000),
)
LANE = lanes.Lane(SENDER, 3, 7)
LOCK = LockQuestion(CHAIN, lanes.lane_lock_id(LANE), TERMS, account(HOLDER))
BALANCE = BalanceQuestion(CHAIN, account(RECEIVER), TERMS.asset)


def lane_at(generation: int) -> LockQuestion:
    return replace(LOCK, lock_id=lanes.lane_lock_id(replace(LANE, generation=generation)))


@dataclass
class Ethereum:
    """One Ethereum block with a contract and two accounts, attested in a consortium world."""

    word: int

    def __post_init__(self) -> None:
        words = {lanes.lane_slot(LANE): self.word, 1: 5, 2: 6, 3: 7}
        self.storage = Trie({_slot(slot): rlp.encode(rlp.encode_integer(v)) for slot, v in words.items() if v})
        leaves = {HOLDER: (1, 0, self.storage.root, CODE_HASH)}
        for address in (SENDER, RECEIVER):
            leaves[address] = (0, WEI, Trie({}).root, ethereum.EMPTY_CODE_HASH)
        self.accounts = Trie({keccak256(address): _account_leaf(*leaf) for address, leaf in leaves.items()})
        self.header = ethereum.EthereumHeader(
            bytes(32), bytes(32), bytes(20), self.accounts.root, bytes(32), bytes(32), bytes(256), 0, 40,
            30_000_000, 0, 1_700_000_480, b"", bytes(32), bytes(8), 7, bytes(32), 0, 0, bytes(32), bytes(32),
        )  # fmt: skip
        state = ledger_state()
        attest(state, CHAIN, 40, ethereum.header_hash(self.header), self.header.timestamp)
        self.world = World(state=state)

    def proof(self, question: Question) -> EthereumProof:
        slot = storage_slot(question)
        return EthereumProof(
            self.world.skip(),
            self.world.entry(attested_header_key(CHAIN, 40)),
            ethereum.encode_header(self.header),
            tuple(self.accounts.prove(keccak256(proven_address(question)))),
            () if slot is None else tuple(self.storage.prove(_slot(slot))),
        )

    def believe(self, question: Question) -> Any:
        data = encode_evidence(ethereum_evidence(question, self.proof(question)))
        return verify(decode_evidence(data), self.world.anchor(), self.world.now_s)


def _slot(slot: int) -> bytes:
    return keccak256(slot.to_bytes(32, "big"))


def _account_leaf(nonce: int, balance: int, storage_root: bytes, code_hash: bytes) -> bytes:
    return rlp.encode([rlp.encode_integer(nonce), rlp.encode_integer(balance), storage_root, code_hash])


LOCKED = Ethereum(lanes.settled_word(TERMS, LANE) | lanes.LaneStatus.LOCKED)
FILES = {
    "lock": encode_evidence(ethereum_evidence(LOCK, LOCKED.proof(LOCK))),
    "balance": encode_evidence(ethereum_evidence(BALANCE, LOCKED.proof(BALANCE))),
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (lanes.LaneStatus.LOCKED, LockStatus.LOCKED),
        (lanes.LaneStatus.CLAIMED, LockStatus.CLAIMED),
        (lanes.LaneStatus.REFUNDED, LockStatus.REFUNDED),
    ],
)
def test_a_lanes_word_tells_where_its_lock_stands(status: lanes.LaneStatus, expected: LockStatus) -> None:
    proven = Ethereum(lanes.settled_word(TERMS, LANE) | status).believe(LOCK)
    assert proven.answer == LockAnswer(expected, True, CODE_HASH)
    assert proven.as_of.block.height == 40
    assert proven.as_of.time == ChainTime(CHAIN, 1_700_000_480)
    assert proven.as_of.finality == "attested"


def test_a_lane_that_was_never_used_is_absent() -> None:
    assert Ethereum(0).believe(LOCK).answer == LockAnswer(LockStatus.ABSENT, False, CODE_HASH)


def test_generations_distinguish_later_locks_from_earlier_ones() -> None:
    assert LOCKED.believe(lane_at(6)).answer.status is LockStatus.SUPERSEDED
    assert LOCKED.believe(lane_at(8)).answer.status is LockStatus.ABSENT
    assert LOCKED.believe(lane_at(65_535)).answer.status is LockStatus.SUPERSEDED


def test_other_terms_do_not_match() -> None:
    for terms in (
        replace(TERMS, amount=BaseUnits(1)),
        replace(TERMS, receiver=account(SENDER)),
        replace(TERMS, asset=AssetId(f"{CHAIN}/erc20:0x{'0c' * 20}")),
        replace(TERMS, timelock=ChainTime(CHAIN, 1_700_001_001)),
    ):
        assert LOCKED.believe(replace(LOCK, terms=terms)).answer == LockAnswer(LockStatus.LOCKED, False, CODE_HASH)


def test_balances_of_the_native_coin_are_proven() -> None:
    assert LOCKED.believe(BALANCE).answer == BalanceAnswer(BaseUnits(WEI))
    nobody = replace(BALANCE, account=account(b"\x0d" * 20))
    assert LOCKED.believe(nobody).answer == BalanceAnswer(BaseUnits(0))


def test_a_holder_that_does_not_exist_holds_nothing() -> None:
    question = replace(LOCK, holder=account(b"\x0d" * 20))
    proof = replace(LOCKED.proof(question), storage_nodes=())
    evidence = ethereum_evidence(question, proof)
    assert evidence.answer == LockAnswer(LockStatus.ABSENT, False, ethereum.EMPTY_CODE_HASH)
    with pytest.raises(InvalidProofError):
        ethereum_evidence(question, LOCKED.proof(question))


def _verify(file: bytes) -> Verified:
    return verify(decode_evidence(file), LOCKED.world.anchor(), LOCKED.world.now_s)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_file_with_a_flipped_bit_is_believed(kind: str, data: st.DataObject) -> None:
    refuse_flipped(FILES[kind], data, _verify)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.sampled_from(["question", "answer", "as_of", "proof"]), st.data())
def test_no_forger_who_repairs_the_digest_is_believed(kind: str, part: str, data: st.DataObject) -> None:
    forged = forge(FILES[kind], part, data)
    if forged is not None:
        with pytest.raises(RejectedError):
            verify(decode_evidence(forged), LOCKED.world.anchor(), LOCKED.world.now_s)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_value_of_another_kind_is_refused_or_changes_nothing(kind: str, data: st.DataObject) -> None:
    """It changes nothing if a validator set is left out that the trail does not need."""
    proven = proven_by(replant(FILES[kind], data), _verify)
    assert proven is None or proven == _verify(FILES[kind])


def _forged_header(proof: EthereumProof) -> EthereumProof:
    other = replace(LOCKED.header, state_root=Ethereum(0).accounts.root)
    return replace(proof, header=ethereum.encode_header(other))


def _another_height(proof: EthereumProof) -> EthereumProof:
    return replace(proof, header=ethereum.encode_header(replace(LOCKED.header, number=41)))


def _no_attestation(proof: EthereumProof) -> EthereumProof:
    return replace(proof, attestation=LOCKED.world.entry(attested_header_key(CHAIN, 41)))


@pytest.mark.parametrize("change", [_forged_header, _another_height, _no_attestation])
def test_only_attested_headers_are_believed(change: Callable[[EthereumProof], EthereumProof]) -> None:
    with pytest.raises(ProofError):
        ethereum_evidence(LOCK, change(LOCKED.proof(LOCK)))


def test_an_attested_hash_with_another_time_is_refused() -> None:
    other = Ethereum(LOCKED.word)
    state = ledger_state()
    attest(state, CHAIN, 40, ethereum.header_hash(other.header), other.header.timestamp + 1)
    other.world = World(state=state)
    with pytest.raises(InvalidProofError):
        other.believe(LOCK)


def test_a_ledger_of_another_chain_attests_nothing_here() -> None:
    evidence = decode_evidence(FILES["lock"])
    other = World(state={**LOCKED.world.state, b"x": b"y"})
    with pytest.raises(ProofError):
        verify(evidence, other.anchor(), other.now_s)


@pytest.mark.parametrize(
    "question",
    [
        RecordQuestion(CHAIN, "provenance", "crate-7"),
        replace(LOCK, holder=None),
        replace(LOCK, holder=AccountId("eip155:1:0x" + "0c" * 20)),
        replace(LOCK, lock_id=LockId(LOCK.lock_id + "/1700001000")),
        replace(LOCK, lock_id=LockId(LOCK.lock_id.replace("/3/", "/03/"))),
        replace(LOCK, lock_id=LockId(f"0x{SENDER.hex()}/4294967296/0")),
        replace(BALANCE, asset=AssetId(f"{CHAIN}/erc20:0x{'0c' * 20}")),
        replace(BALANCE, asset=AssetId(f"{CHAIN}/slip44:61")),
        replace(LOCK, terms=replace(TERMS, asset=AssetId(f"{CHAIN}/slip44:61"))),
    ],
)
def test_what_ethereums_state_cannot_prove_is_rejected(question: Question) -> None:
    with pytest.raises(RejectedError):
        ethereum_evidence(question, LOCKED.proof(LOCK))


def test_a_proof_of_ethereum_does_not_answer_for_the_consortium() -> None:
    evidence = decode_evidence(FILES["lock"])
    consortium = consortium_evidence(
        RecordQuestion(LOCKED.world.anchor().chain, "provenance", "crate-7"),
        LOCKED.world.proof(RecordQuestion(LOCKED.world.anchor().chain, "provenance", "crate-7")),
    )
    for question, kind in ((consortium.question, evidence.kind), (evidence.question, consortium.kind)):
        with pytest.raises(RejectedError):
            verify(replace(evidence, question=question, kind=kind), LOCKED.world.anchor(), LOCKED.world.now_s)


async def test_a_lock_on_a_real_node_is_proven() -> None:
    try:
        find_anvil()
    except AnvilError as error:
        pytest.skip(str(error))
    async with htlc_chain() as chain:
        lock = await chain.new_lock(lane=5)
        await chain.open(lock)
        word = await chain.word(lock.sender, 5)
        height = await chain.rpc("eth_blockNumber")
        block = await chain.rpc("eth_getBlockByNumber", height, False)
        holder = str(chain.htlc.address).lower()
        lane = lanes.Lane(bytes.fromhex(lock.sender[2:]), 5, 1)
        slot = f"0x{lanes.lane_slot(lane):064x}"
        proof = await chain.rpc("eth_getProof", holder, [slot], height)
        code = await chain.rpc("eth_getCode", holder, height)

    header = ethereum.header_from_rpc(block)
    state = ledger_state()
    attest(state, CHAIN, header.number, bytes.fromhex(block["hash"][2:]), header.timestamp)
    world = World(state=state)
    terms = LockTerms(
        TERMS.asset,
        BaseUnits(lock.amount),
        AccountId(f"{CHAIN}:{lock.sender.lower()}"),
        AccountId(f"{CHAIN}:{lock.receiver.lower()}"),
        Hashlock(lock.hashlock),
        ChainTime(CHAIN, lock.timelock),
    )
    question = LockQuestion(CHAIN, lanes.lane_lock_id(lane), terms, AccountId(f"{CHAIN}:{holder}"))
    evidence = ethereum_evidence(
        question,
        EthereumProof(
            world.skip(),
            world.entry(attested_header_key(CHAIN, header.number)),
            ethereum.encode_header(header),
            tuple(bytes.fromhex(node[2:]) for node in proof["accountProof"]),
            tuple(bytes.fromhex(node[2:]) for node in proof["storageProof"][0]["proof"]),
        ),
    )
    assert word == lanes.settled_word(terms, lane) | lanes.LaneStatus.LOCKED
    proven = verify(decode_evidence(encode_evidence(evidence)), world.anchor(), world.now_s)
    assert proven.answer == LockAnswer(LockStatus.LOCKED, True, keccak256(bytes.fromhex(code[2:])))
