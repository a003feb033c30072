"""Evidence about lists, leaves, storage words, lanes, tokens and logs: right answers, and no tampered file believed."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium import attested_header_key, record_count_key, records_in, sequence_count_key, sequence_key
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    Answer,
    BalanceAnswer,
    BalanceQuestion,
    EventLog,
    Evidence,
    LaneAnswer,
    LaneQuestion,
    LeafAnswer,
    LeafQuestion,
    ListAnswer,
    ListQuestion,
    LogAnswer,
    LogQuestion,
    Question,
    StorageAnswer,
    StorageQuestion,
)
from core.model.types import AccountId, AssetId, BaseUnits, ChainId
from core.proofs import ethereum, lanes, rlp
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from core.proofs.evidence import (
    EthereumProof,
    ImplementationProof,
    LogProof,
    TokenLayout,
    TokenProof,
    Verified,
    consortium_evidence,
    decode_evidence,
    decode_layouts,
    encode_evidence,
    encode_layouts,
    ethereum_evidence,
    forms,
    installed_verifiers,
    log_evidence,
    storage_slot,
    token_evidence,
    verify,
)
from core.proofs.evidence.ethereum_log import MAX_BLOCK_LINKS, decode_log_proof, encode_log_proof
from core.proofs.evidence.ethereum_token import decode_token_proof, encode_token_proof
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, MappingOrder, ProxyLayout
from core.proofs.keccak import keccak256
from tests.core.proofs.forgery import forge, proven_by, refuse_flipped, replant
from tests.core.proofs.tries import Trie
from tests.core.proofs.worlds import CHAIN as LEDGER
from tests.core.proofs.worlds import World, attest, ledger_state

CHAIN = ChainId("eip155:31337")
HTLC, SENDER, HOLDER, TOKEN, PROXY, CODE = (bytes([number]) * 20 for number in range(10, 16))
PLAIN_CODE, PROXY_CODE, LOGIC_CODE, HTLC_CODE = (keccak256(b"code %d" % number) for number in range(4))
PROXY_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
LANE = lanes.Lane(SENDER, 3, 7)
WORD = int.from_bytes(bytes(range(28)), "big") << 32 | 7 << 16 | lanes.LaneStatus.CLAIMED
PLAIN = TokenLayout("plain", PLAIN_CODE, balances=0)
BEHIND = TokenLayout("behind", PROXY_CODE, 9, MappingOrder.VYPER, 255, ProxyLayout(PROXY_SLOT, LOGIC_CODE))
LAYOUTS = (PLAIN, BEHIND)


def account(raw: bytes) -> AccountId:
    return AccountId(f"{CHAIN}:0x{raw.hex()}")


def balance_of(token: bytes, holder: bytes = HOLDER) -> BalanceQuestion:
    return BalanceQuestion(CHAIN, account(holder), AssetId(f"{CHAIN}/erc20:0x{token.hex()}"))


RECORDS = ListQuestion(LEDGER, "records/charity", 2, 4)
LEAF = LeafQuestion(LEDGER, record_count_key("provenance", "crate-7"))
STORAGE = StorageQuestion(CHAIN, account(TOKEN), 5)
LANES = LaneQuestion(CHAIN, account(HTLC), account(SENDER), 3)
TRANSACTIONS = [b"\x02raw transaction %d" % number * 4 for number in range(20)]
LOG = LogQuestion(CHAIN, keccak256(TRANSACTIONS[17]), 1)
LOGS = tuple(ethereum.Log(TOKEN, (bytes([number]) * 32,), b"data %d" % number) for number in range(2))


def _slot(slot: int) -> bytes:
    return keccak256(slot.to_bytes(32, "big"))


def _storage(words: dict[int, int]) -> Trie:
    return Trie({_slot(slot): rlp.encode(rlp.encode_integer(word)) for slot, word in words.items()})


def _header(number: int, parent: bytes, **roots: bytes) -> ethereum.EthereumHeader:
    blank = ethereum.EthereumHeader(
        parent, bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256), 0, number,
        30_000_000, 0, 1_700_000_000 + 12 * number, b"", bytes(32), bytes(8), 7, bytes(32), 0, 0, bytes(32), bytes(32),
    )  # fmt: skip
    return replace(blank, **roots)  # type: ignore[arg-type]


@dataclass
class Everything:
    """Blocks 38 to 40 of an Ethereum chain, of which the ledger attests 40. The transactions stand in 38."""

    implementation: int = int.from_bytes(CODE, "big")
    logic: bytes = LOGIC_CODE
    plain: bytes = PLAIN_CODE

    def __post_init__(self) -> None:
        self.words = {
            HTLC: _storage({lanes.lane_slot(LANE): WORD, 1: 1}),
            TOKEN: _storage({PLAIN.slot_of(HOLDER): 700, 5: 55}),
            PROXY: _storage({BEHIND.slot_of(HOLDER): 1 << 255 | 800, PROXY_SLOT: self.implementation}),
            CODE: Trie({}),
        }
        codes = {HTLC: HTLC_CODE, TOKEN: self.plain, PROXY: PROXY_CODE, CODE: self.logic}
        self.accounts = Trie(
            {
                keccak256(address): rlp.encode([b"\x01", b"", self.words[address].root, code])
                for address, code in codes.items()
            }
        )
        receipts = [
            ethereum.Receipt(number % 3, number % 2, 21_000 * number, bytes(256), LOGS if number == 17 else ())
            for number in range(len(TRANSACTIONS))
        ]
        self.transactions = Trie({ethereum.index_key(place): raw for place, raw in enumerate(TRANSACTIONS)})
        self.receipts = Trie(
            {ethereum.index_key(place): ethereum.encode_receipt(receipt) for place, receipt in enumerate(receipts)}
        )
        roots = {"transactions_root": self.transactions.root, "receipts_root": self.receipts.root}
        first = _header(38, bytes(32), **roots)
        second = _header(39, ethereum.header_hash(first))
        self.header = _header(40, ethereum.header_hash(second), state_root=self.accounts.root)
        self.headers = tuple(map(ethereum.encode_header, (self.header, second, first)))
        state = ledger_state()
        attest(state, CHAIN, 40, ethereum.header_hash(self.header), self.header.timestamp)
        state[sequence_count_key(records_in("charity"))] = (3).to_bytes(8, "big")
        for place in (1, 2, 3):
            state[sequence_key(records_in("charity"), place)] = b"donation-%d" % place
        self.world = World(state=state)
        self.attestation = self.world.entry(attested_header_key(CHAIN, 40))

    def account(self, address: bytes) -> tuple[bytes, ...]:
        return tuple(self.accounts.prove(keccak256(address)))

    def word(self, address: bytes, slot: int) -> tuple[bytes, ...]:
        return tuple(self.words[address].prove(_slot(slot)))

    def state(self, question: Question, address: bytes) -> EthereumProof:
        slot = storage_slot(question)
        assert slot is not None
        nodes = self.account(address), self.word(address, slot)
        return EthereumProof(self.world.skip(), self.attestation, self.headers[0], *nodes)

    def token(self, token: bytes, layout: TokenLayout, holder: bytes = HOLDER) -> TokenProof:
        behind = None if layout.proxy is None else ImplementationProof(self.word(token, PROXY_SLOT), self.account(CODE))
        balance = self.word(token, layout.slot_of(holder))
        return TokenProof(self.world.skip(), self.attestation, self.headers[0], self.account(token), balance, behind)

    def log(self, index: int = 17) -> LogProof:
        key = ethereum.index_key(index)
        nodes = tuple(self.transactions.prove(key)), tuple(self.receipts.prove(key))
        return LogProof(self.world.skip(), self.attestation, self.headers, index, *nodes)

    def believe(self, evidence: Evidence) -> Any:
        data = encode_evidence(evidence)
        verifiers = installed_verifiers(LAYOUTS)
        return verify(decode_evidence(data), self.world.anchor(), self.world.now_s, verifiers).answer


ALL = Everything()
EVIDENCE = {
    "list": consortium_evidence(RECORDS, ALL.world.proof(RECORDS)),
    "leaf": consortium_evidence(LEAF, ALL.world.proof(LEAF)),
    "storage": ethereum_evidence(STORAGE, ALL.state(STORAGE, TOKEN)),
    "lane": ethereum_evidence(LANES, ALL.state(LANES, HTLC)),
    "token": token_evidence(balance_of(TOKEN), ALL.token(TOKEN, PLAIN), LAYOUTS),
    "proxy": token_evidence(balance_of(PROXY), ALL.token(PROXY, BEHIND), LAYOUTS),
    "log": log_evidence(LOG, ALL.log()),
}
FILES = {name: encode_evidence(evidence) for name, evidence in EVIDENCE.items()}
ANSWERS: dict[str, Answer] = {
    "list": ListAnswer(3, (b"donation-2", b"donation-3")),
    "leaf": LeafAnswer((2).to_bytes(8, "big")),
    "storage": StorageAnswer(55, PLAIN_CODE),
    "lane": LaneAnswer(LockStatus.CLAIMED, 7, bytes(range(28)), HTLC_CODE),
    "token": BalanceAnswer(BaseUnits(700)),
    "proxy": BalanceAnswer(BaseUnits(800)),
    "log": LogAnswer(True, 2, EventLog(account(TOKEN), (b"\x01" * 32,), b"data 1")),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_answer_is_proven(name: str) -> None:
    assert ALL.believe(EVIDENCE[name]) == ANSWERS[name]
    assert forms.answer_from_json(forms.answer_to_json(ANSWERS[name])) == ANSWERS[name]
    question = EVIDENCE[name].question
    assert forms.question_from_json(forms.question_to_json(question)) == question


# --- tampering ---------------------------------------------------------------------------------------------------


def _verify(file: bytes) -> Verified:
    return verify(decode_evidence(file), ALL.world.anchor(), ALL.world.now_s, installed_verifiers(LAYOUTS))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_file_with_a_flipped_bit_is_believed(name: str, data: st.DataObject) -> None:
    refuse_flipped(FILES[name], data, _verify)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.sampled_from(["question", "answer", "as_of", "proof"]), st.data())
def test_no_forger_who_repairs_the_digest_proves_anything_else(name: str, part: str, data: st.DataObject) -> None:
    """A damaged signature changes nothing if enough others are there. A question about a list may be changed to one
    that has the same answer: other places beyond its end."""
    proven = proven_by(forge(FILES[name], part, data), _verify)
    if proven is None:
        return
    if part == "proof":
        assert proven == _verify(FILES[name])
    else:
        assert (name, part) == ("list", "question")
        assert proven.answer == ANSWERS["list"]
        assert isinstance(proven.question, ListQuestion)
        assert proven.question.first == 2
        assert proven.question.last >= 3


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_value_of_another_kind_is_refused_or_changes_nothing(name: str, data: st.DataObject) -> None:
    proven = proven_by(replant(FILES[name], data), _verify)
    assert proven is None or proven.answer == ANSWERS[name]


@pytest.mark.parametrize("name", sorted(FILES))
def test_valid_proof_answers_no_other_question(name: str) -> None:
    for other, evidence in EVIDENCE.items():
        if other != name:
            swapped = replace(EVIDENCE[name], question=evidence.question)
            with pytest.raises(RejectedError):
                ALL.believe(swapped)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("leaf", LeafQuestion(LEDGER, b"clock")),
        ("list", replace(RECORDS, name="records/other")),
        ("list", replace(RECORDS, first=1, last=3)),
        ("storage", replace(STORAGE, slot=6)),
        ("storage", replace(STORAGE, contract=account(HTLC))),
        ("storage", replace(STORAGE, chain=ChainId("eip155:1"), contract=AccountId(f"eip155:1:0x{TOKEN.hex()}"))),
        ("lane", replace(LANES, lane=4)),
        ("lane", replace(LANES, sender=account(HOLDER))),
        ("token", balance_of(TOKEN, SENDER)),
        ("token", balance_of(PROXY)),
        ("proxy", balance_of(CODE)),
        ("log", replace(LOG, index=0)),
        ("log", replace(LOG, transaction=keccak256(TRANSACTIONS[16]))),
        ("log", replace(LOG, chain=ChainId("eip155:1"))),
    ],
)
def test_valid_proof_for_another_key_is_refused(name: str, question: Question) -> None:
    with pytest.raises(RejectedError):
        ALL.believe(replace(EVIDENCE[name], question=question))


# --- lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "entries"),
    [(1, 3, (1, 2, 3)), (1, 1, (1,)), (3, 90, (3,)), (4, 9, ()), (1, 100, (1, 2, 3))],
)
def test_list_answer_is_complete_within_its_places(first: int, last: int, entries: tuple[int, ...]) -> None:
    question = replace(RECORDS, first=first, last=last)
    evidence = consortium_evidence(question, ALL.world.proof(question))
    assert ALL.believe(evidence) == ListAnswer(3, tuple(b"donation-%d" % place for place in entries))


def test_unknown_list_is_proven_empty() -> None:
    question = replace(RECORDS, name="records/nobody")
    assert ALL.believe(consortium_evidence(question, ALL.world.proof(question))) == ListAnswer(0, ())


def test_list_without_one_of_its_entries_is_refused() -> None:
    proof = ALL.world.proof(RECORDS)
    with pytest.raises(InvalidProofError, match="lacks a leaf"):
        consortium_evidence(RECORDS, replace(proof, entries=proof.entries[:-1]))
    absent = ALL.world.entry(b"absent")
    with pytest.raises(InvalidProofError):
        consortium_evidence(RECORDS, replace(proof, entries=(*proof.entries[:-1], absent)))


def test_list_that_does_not_exist_on_ledgers_is_rejected() -> None:
    question = replace(RECORDS, name="secrets")
    with pytest.raises(RejectedError, match="is not a list"):
        consortium_evidence(question, ALL.world.proof(RECORDS))


# --- words -------------------------------------------------------------------------------------------------------


def test_absent_leaf_and_unwritten_word_are_proven() -> None:
    question = LeafQuestion(LEDGER, b"nothing here")
    assert ALL.believe(consortium_evidence(question, ALL.world.proof(question))) == LeafAnswer(None)
    unwritten = replace(STORAGE, slot=6)
    assert ALL.believe(ethereum_evidence(unwritten, ALL.state(unwritten, TOKEN))) == StorageAnswer(0, PLAIN_CODE)
    unused = replace(LANES, lane=9)
    expected = LaneAnswer(LockStatus.ABSENT, 0, bytes(28), HTLC_CODE)
    assert ALL.believe(ethereum_evidence(unused, ALL.state(unused, HTLC))) == expected


def test_contract_that_does_not_exist_holds_no_word() -> None:
    nobody = replace(STORAGE, contract=account(HOLDER))
    proof = replace(ALL.state(STORAGE, TOKEN), account_nodes=ALL.account(HOLDER), storage_nodes=())
    assert ALL.believe(ethereum_evidence(nobody, proof)) == StorageAnswer(0, ethereum.EMPTY_CODE_HASH)


def test_word_that_is_not_a_lanes_is_refused() -> None:
    with pytest.raises(InvalidProofError, match="not that of a lane"):
        lanes.split_lane(9)


def test_ledger_has_no_storage_and_ethereum_no_lists() -> None:
    with pytest.raises(RejectedError, match="neither storage slots"):
        consortium_evidence(STORAGE, ALL.world.proof(LEAF))
    with pytest.raises(RejectedError, match="proves locks, lanes"):
        ethereum_evidence(replace(RECORDS, chain=CHAIN), ALL.state(STORAGE, TOKEN))


# --- tokens ------------------------------------------------------------------------------------------------------


def test_balance_of_nobody_is_proven_zero() -> None:
    proof = ALL.token(TOKEN, PLAIN, SENDER)
    assert ALL.believe(token_evidence(balance_of(TOKEN, SENDER), proof, LAYOUTS)) == BalanceAnswer(BaseUnits(0))


def test_unreviewed_code_is_not_called_a_balance() -> None:
    for token, layout in ((TOKEN, PLAIN), (PROXY, BEHIND)):
        with pytest.raises(InvalidProofError, match=r"nobody has reviewed|no reviewed layout"):
            token_evidence(balance_of(token), ALL.token(token, layout), REVIEWED_LAYOUTS)
    with pytest.raises(InvalidProofError, match="nobody has reviewed"):
        verify(EVIDENCE["token"], ALL.world.anchor(), ALL.world.now_s)


def test_upgraded_implementation_is_not_believed() -> None:
    upgraded = Everything(logic=keccak256(b"upgraded"))
    with pytest.raises(InvalidProofError, match="with implementation"):
        token_evidence(balance_of(PROXY), upgraded.token(PROXY, BEHIND), LAYOUTS)


@pytest.mark.parametrize("word", [1, 1 << 160 | int.from_bytes(CODE, "big")])
def test_proxy_without_an_implementation_is_refused(word: int) -> None:
    odd = Everything(implementation=word)
    with pytest.raises(ProofError):
        token_evidence(balance_of(PROXY), odd.token(PROXY, BEHIND), LAYOUTS)


def test_proxy_whose_implementation_is_left_out_is_refused() -> None:
    hidden = replace(ALL.token(PROXY, BEHIND), implementation=None)
    with pytest.raises(InvalidProofError, match="nobody has reviewed"):
        token_evidence(balance_of(PROXY), hidden, LAYOUTS)


def test_plain_token_is_not_taken_for_a_proxy() -> None:
    behind = ImplementationProof(ALL.word(TOKEN, PROXY_SLOT), ALL.account(CODE))
    with pytest.raises(InvalidProofError, match="is a proxy's"):
        token_evidence(balance_of(TOKEN), replace(ALL.token(TOKEN, PLAIN), implementation=behind), LAYOUTS)


def test_layouts_survive_their_file() -> None:
    assert decode_layouts(encode_layouts(LAYOUTS)) == LAYOUTS
    for bad in (
        encode_layouts((PLAIN, PLAIN)),
        encode_layouts((PLAIN,)).replace(b'"bits":256', b'"bits":0'),
        encode_layouts((PLAIN,)).replace(b'"bits":256', b'"bits":257'),
        encode_layouts((PLAIN,)).replace(b"key-slot", b"slot"),
        encode_layouts((PLAIN,)).replace(PLAIN_CODE.hex().encode(), b"00"),
        encode_layouts((PLAIN,)).replace(b'"version":1', b'"version":2'),
    ):
        with pytest.raises(MalformedProofError):
            decode_layouts(bad)


# --- logs --------------------------------------------------------------------------------------------------------


def test_log_beyond_the_last_is_proven_absent() -> None:
    beyond = replace(LOG, index=2)
    assert ALL.believe(log_evidence(beyond, ALL.log())) == LogAnswer(True, 2, None)
    reverted = LogQuestion(CHAIN, keccak256(TRANSACTIONS[16]), 0)
    assert ALL.believe(log_evidence(reverted, ALL.log(16))) == LogAnswer(False, 0, None)


def test_log_is_as_of_its_own_block() -> None:
    assert EVIDENCE["log"].as_of.block.height == 38
    assert EVIDENCE["log"].as_of.time.seconds == 1_700_000_000 + 12 * 38


def test_headers_have_to_be_linked_to_the_attested_one() -> None:
    newest, middle, oldest = ALL.headers
    for headers in ((), (newest, oldest), (middle, oldest), (newest, newest, middle, oldest), (oldest,)):
        with pytest.raises(ProofError):
            log_evidence(LOG, replace(ALL.log(), headers=headers))


def test_transaction_of_another_index_is_refused() -> None:
    key = ethereum.index_key(16)
    for other in (
        replace(ALL.log(), index=16),
        ALL.log(16),
        replace(ALL.log(), receipt_nodes=tuple(ALL.receipts.prove(key))),
        replace(ALL.log(), transaction_nodes=ALL.log().receipt_nodes, receipt_nodes=ALL.log().transaction_nodes),
    ):
        with pytest.raises(ProofError):
            log_evidence(LOG, other)


def test_proofs_beyond_their_limits_are_malformed() -> None:
    many = replace(ALL.log(), headers=(ALL.headers[0],) * (MAX_BLOCK_LINKS + 2))
    with pytest.raises(MalformedProofError):
        decode_log_proof(encode_log_proof(many))
    token = ALL.token(PROXY, BEHIND)
    assert decode_token_proof(encode_token_proof(token)) == token
    with pytest.raises(MalformedProofError):
        decode_token_proof(encode_token_proof(replace(token, balance_nodes=(b"\0",) * 66)))
