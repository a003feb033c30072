"""Kind `ethereum-token`: a token's balance under a header that is vouched for, for reviewed layouts.

The proof shows the token's code; if a reviewed layout of that code is a proxy's, also the implementation that it names
and that one's code; then the word that the layout calls the holder's balance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.model.questions import AsOf, BalanceAnswer, BalanceQuestion, Evidence, Question
from core.model.types import AccountId, BaseUnits, chain_of
from core.proofs import ethereum, lanes
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.attested import (
    Vouchers,
    as_of_header,
    nodes_from_json,
    nodes_to_json,
    proof_members,
    verify_vouchers,
    vouched_block,
    vouchers_to_json,
)
from core.proofs.evidence.kinds import Trusted, Verified
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, Layouts, ProxyLayout, TokenLayout, layout_of, proxy_slots
from core.proofs.evidence.state import StateEntry
from core.proofs.evidence.synced import SyncProof
from core.proofs.evidence.trail import Trail

ETHEREUM_TOKEN: Final = "ethereum-token"
ADDRESS_BITS: Final = 160


@dataclass(frozen=True, slots=True)
class ImplementationProof:
    """The proxy's word that names its implementation, and the implementation's account."""

    slot_nodes: tuple[bytes, ...]
    account_nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TokenProof:
    """`account_nodes` of the token, `balance_nodes` of the holder's word, `implementation` if it is a proxy."""

    trail: Trail | None
    attestation: StateEntry | None
    header: bytes
    account_nodes: tuple[bytes, ...]
    balance_nodes: tuple[bytes, ...]
    implementation: ImplementationProof | None
    sync: SyncProof | None = None

    @property
    def vouchers(self) -> Vouchers:
        """The parts that vouch for the header."""
        return Vouchers(self.trail, self.attestation, self.sync)


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Verifier of kind `ethereum-token` that believes these layouts."""

    layouts: Layouts

    def __call__(self, evidence: Evidence, trusted: Trusted, now_s: int) -> Verified:
        proof = decode_token_proof(evidence.proof)
        relies = verify_vouchers(evidence.question, proof.vouchers, proof.header, trusted, now_s)
        answer, as_of = _claim(evidence.question, proof, self.layouts)
        return Verified(evidence.question, answer, as_of, relies)


def token_evidence(question: Question, proof: TokenProof, layouts: Layouts = REVIEWED_LAYOUTS) -> Evidence:
    """Evidence from its proof, computed as a verifier with these layouts computes it; the trail is not checked."""
    answer, as_of = _claim(question, proof, layouts)
    return Evidence(question, answer, as_of, ETHEREUM_TOKEN, encode_token_proof(proof))


def token_and_holder(question: Question) -> tuple[bytes, bytes]:
    """The addresses (20 bytes) of the token's contract and the holder. Raise RejectedError for another question."""
    if not isinstance(question, BalanceQuestion) or not is_token_balance(question):
        raise RejectedError("a token's layout proves balances of ERC-20 tokens only")
    if {chain_of(question.account), chain_of(question.asset)} != {question.chain}:
        raise RejectedError(f"account and asset of the balance have to be on {question.chain}")
    token = lanes.evm_address(AccountId(f"{question.chain}:{question.asset.rpartition(':')[2]}"))
    return token, lanes.evm_address(question.account)


def is_token_balance(question: Question) -> bool:
    """Return true for a question about the balance of an ERC-20 token."""
    return isinstance(question, BalanceQuestion) and "/erc20:" in question.asset


def chosen_layout(layouts: Layouts, code_hash: bytes, proxy: ProxyLayout | None) -> TokenLayout:
    """The reviewed layout of a token's code. Raise InvalidProofError if nobody has reviewed it."""
    layout = layout_of(layouts, code_hash, proxy)
    if layout is None:
        implementation = "" if proxy is None else f" with implementation {proxy.code_hash.hex()}"
        raise InvalidProofError(
            f"nobody has reviewed where code {code_hash.hex()}{implementation} keeps balances: read it and add its "
            "layout, or ask for the storage word"
        )
    return layout


def implementation_address(word: int) -> bytes:
    """The address that a proxy's word names. Raise InvalidProofError for a word that is not an address."""
    if not word or word >> ADDRESS_BITS:
        raise InvalidProofError("the proxy's word does not name an implementation")
    return word.to_bytes(ADDRESS_BITS // 8, "big")


def _claim(question: Question, proof: TokenProof, layouts: Layouts) -> tuple[BalanceAnswer, AsOf]:
    header = vouched_block(question, proof.vouchers, proof.header)
    nodes = proof.account_nodes, proof.balance_nodes, proof.implementation
    return token_answer(question, header, *nodes, layouts), as_of_header(question, header, proof.vouchers.finality)


def token_answer(
    question: Question,
    header: ethereum.EthereumHeader,
    account_nodes: Sequence[bytes],
    balance_nodes: Sequence[bytes],
    implementation: ImplementationProof | None,
    layouts: Layouts,
) -> BalanceAnswer:
    """The answer under a header that is believed. Raise as `verify`."""
    token, holder = token_and_holder(question)
    account = ethereum.verify_account(header.state_root, token, account_nodes)
    if account is None or account.code_hash == ethereum.EMPTY_CODE_HASH:
        raise InvalidProofError("there is no contract at the token's address")
    proxy = _proxy(header.state_root, account, implementation, layouts)
    layout = chosen_layout(layouts, account.code_hash, proxy)
    word = ethereum.verify_storage(account.storage_root, layout.slot_of(holder), balance_nodes)
    return BalanceAnswer(BaseUnits(layout.balance_in(word)))


def _proxy(
    state_root: bytes, account: ethereum.Account, proof: ImplementationProof | None, layouts: Layouts
) -> ProxyLayout | None:
    """Return what the proof shows of the implementation. Code is a proxy only if a layout says so."""
    if proof is None:
        return None
    slots = [slot for slot in proxy_slots(layouts, account.code_hash) if slot is not None]
    if len(slots) != 1:
        raise InvalidProofError(f"no reviewed layout says that code {account.code_hash.hex()} is a proxy's")
    word = ethereum.verify_storage(account.storage_root, slots[0], proof.slot_nodes)
    implementation = ethereum.verify_account(state_root, implementation_address(word), proof.account_nodes)
    if implementation is None:
        raise InvalidProofError("there is no contract at the implementation's address")
    return ProxyLayout(slots[0], implementation.code_hash)


def encode_token_proof(proof: TokenProof) -> bytes:
    """Canonical JSON of the proof."""
    behind = proof.implementation
    return canonical.dump(
        {
            **vouchers_to_json(proof.vouchers),
            "header": proof.header.hex(),
            "account_nodes": nodes_to_json(proof.account_nodes),
            "balance_nodes": nodes_to_json(proof.balance_nodes),
            "implementation": None
            if behind is None
            else {
                "slot_nodes": nodes_to_json(behind.slot_nodes),
                "account_nodes": nodes_to_json(behind.account_nodes),
            },
        }
    )


def decode_token_proof(data: bytes) -> TokenProof:
    """Inverse of `encode_token_proof`; one form only. Raise MalformedProofError."""
    vouchers, fields = proof_members(data, "header", "account_nodes", "balance_nodes", "implementation")
    proof = TokenProof(
        vouchers.trail,
        vouchers.attestation,
        canonical.hex_bytes(fields["header"], ethereum.MAX_HEADER_BYTES),
        nodes_from_json(fields["account_nodes"]),
        nodes_from_json(fields["balance_nodes"]),
        canonical.optional(fields["implementation"], _implementation_from_json),
        vouchers.sync,
    )
    if encode_token_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof


def _implementation_from_json(value: object) -> ImplementationProof:
    fields = canonical.members(value, "slot_nodes", "account_nodes")
    return ImplementationProof(nodes_from_json(fields["slot_nodes"]), nodes_from_json(fields["account_nodes"]))
