"""The arguments of ConsortiumLightClient and CrossChainQuery: headers, commits, validators and answers.

The encodings are those of adapters/evm/contracts/Comet.sol and Merkle.sol (docs/internals/light-client-contract.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coincurve import PublicKey as Secp256k1PublicKey

from adapters.evm.calls import encode_call, encode_creation
from core.model.errors import RejectedError
from core.proofs import merkle
from core.proofs.cometbft.encoding import encode_timestamp
from core.proofs.cometbft.hashing import header_leaves
from core.proofs.cometbft.sign_bytes import commit_sign_bytes, verify_quickly
from core.proofs.cometbft.types import (
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    KeyKind,
    LightBlock,
    ValidatorSet,
)
from core.proofs.smt import SmtProof, path_of

LIGHT_CLIENT: Final = "ConsortiumLightClient"
QUERIES: Final = "CrossChainQuery"
WORD_BYTES: Final = 32
MAX_PLACES: Final = 1 << 16
"""Validators that a signature can name."""

Argument = tuple[Any, ...]


def header_argument(header: Header) -> Argument:
    """Return the struct `Header`: five fields, and six hashes that complete the header's tree."""
    leaves = [merkle.leaf_hash(leaf) for leaf in header_leaves(header)]
    rest = (
        leaves[0],
        merkle.inner_hash(leaves[4], leaves[5]),
        leaves[6],
        leaves[9],
        leaves[11],
        merkle.inner_hash(leaves[12], leaves[13]),
    )
    hashes = (header.validators_hash, header.next_validators_hash, header.app_hash)
    return (header.height, header.time.to_nanos(), *hashes, rest)


def commit_argument(chain_id: str, commit: Commit, validators: ValidatorSet) -> Argument:
    """Return the struct `Commit` with the fewest signatures that are more than two thirds of the power.

    Raise `RejectedError` if there are not so many good ones.
    """
    return commit_of(commit, validators, signers_of(chain_id, commit, validators))


def commit_of(commit: Commit, validators: ValidatorSet, places: Sequence[int]) -> Argument:
    """Return the struct `Commit` with the signatures of these validators, by their places, in this order."""
    parts = commit.block_id.parts
    words = [member.power << 160 | int.from_bytes(member.address, "big") for member in validators.validators]
    return (
        commit.round,
        parts.total,
        parts.hash,
        words,
        [_signature(place, commit.signatures[place]) for place in places],
    )


def signers_of(chain_id: str, commit: Commit, validators: ValidatorSet) -> list[int]:
    """Return the places, ascending, of the fewest validators whose signatures prove the commit's block.

    Raise `RejectedError` if there are not so many good ones.
    """
    members = validators.validators
    if len(commit.signatures) != len(members) or len(members) > MAX_PLACES:
        raise RejectedError(f"a commit of {len(commit.signatures)} entries is not of these {len(members)} validators")
    places: list[int] = []
    power = 0
    # The set is in the order of power.
    for place, (entry, member) in enumerate(zip(commit.signatures, members, strict=True)):
        if 3 * power > 2 * validators.total_power:
            break
        if entry.flag is not BlockIdFlag.COMMIT or member.public_key.kind is not KeyKind.SECP256K1_ETH:
            continue
        if verify_quickly(member.public_key, commit_sign_bytes(chain_id, commit, place), entry.signature):
            places.append(place)
            power += member.power
    if 3 * power <= 2 * validators.total_power:
        raise RejectedError(
            f"{power} of a power of {validators.total_power} signed height {commit.height} with secp256k1eth keys:"
            " Ethereum needs more than two thirds"
        )
    return places


def keys_argument(validators: ValidatorSet) -> list[Argument]:
    """Return the structs `Key` of a validator set. Raise `RejectedError` for keys that Ethereum cannot check."""
    keys: list[Argument] = []
    for member in validators.validators:
        if member.public_key.kind is not KeyKind.SECP256K1_ETH:
            raise RejectedError(
                f"validator {member.address.hex()} has an {member.public_key.kind} key: use secp256k1eth"
            )
        point = Secp256k1PublicKey(member.public_key.data).format(compressed=False)
        x, y = (int.from_bytes(half, "big") for half in (point[1 : 1 + WORD_BYTES], point[1 + WORD_BYTES :]))
        keys.append((x, y, member.power))
    return keys


@dataclass(frozen=True, slots=True)
class Question:
    """A question as its `Asked` event gives it, and as its answer repeats it (CrossChainQuery.sol, `Question`)."""

    asked: int
    terms: int
    path: bytes

    @property
    def argument(self) -> Argument:
        """The struct `Question`."""
        return (self.asked, self.terms, self.path)


def question_of(
    asker: bytes, key: bytes, heights: tuple[int, int], callback: bytes, callback_gas: int, deadline: int, fee: int
) -> Question:
    """Return the question that `ask` with these arguments makes.

    `heights` are the first and the last, `callback` is a selector of 4 bytes, `deadline` in seconds since 1970, `fee`
    in wei.
    """
    first, last = heights
    asked = int.from_bytes(asker + callback, "big") << 64 | callback_gas << 32
    return Question(asked, first << 192 | last << 128 | deadline << 88 | fee << 8, path_of(key))


def answer_argument(question_id: int, question: Question, value: bytes | None, proof: SmtProof) -> Argument:
    """Return the struct `Answer`: the key holds `value`; None says that it is absent."""
    other = proof.other_leaf
    content = (b"" if other is None else other.key_hash + other.value_hash) if value is None else value
    return (question_id, question.argument, value is not None, content, list(proof.siblings))


def light_client_creation(trusted: LightBlock, trusting_period_s: int, max_clock_drift_s: int) -> bytes:
    """Return the data of the transaction that creates a light client.

    It trusts this block's header and the validators that the header announces. Raise as `keys_argument`.
    """
    return encode_creation(LIGHT_CLIENT, *creation_arguments(trusted, trusting_period_s, max_clock_drift_s))


def creation_arguments(trusted: LightBlock, trusting_period_s: int, max_clock_drift_s: int) -> Argument:
    """Return the arguments of a light client's constructor. Raise `RejectedError` as `keys_argument`."""
    keys = keys_argument(trusted.next_validators or trusted.validators)
    return (trusted.header.chain_id, header_argument(trusted.header), keys, trusting_period_s, max_clock_drift_s)


def queries_creation(light_client: bytes) -> bytes:
    """Return the data of the transaction that creates the queries' contract over a light client's address."""
    return encode_creation(QUERIES, light_client)


def update_call(block: LightBlock) -> bytes:
    """Return the call that proves a header to a light client. Raise `RejectedError` as `commit_argument`."""
    return encode_call(LIGHT_CLIENT, "update", *_proven(block))


def introduce_call(validators: ValidatorSet) -> bytes:
    """Return the call that introduces a validator set. Raise `RejectedError` as `keys_argument`."""
    return encode_call(LIGHT_CLIENT, "introduce", keys_argument(validators))


def freeze_call(lower: LightBlock, higher: LightBlock) -> bytes:
    """Return the call that shows two headers which contradict each other. Raise as `update_call`."""
    return encode_call(LIGHT_CLIENT, "freeze", *_proven(lower), *_proven(higher))


def answer_call(height: int, answers: Sequence[Argument]) -> bytes:
    """Return the call that answers questions under a header that is proven already."""
    if len(answers) == 1:
        return encode_call(QUERIES, "answer", height, answers[0])
    return encode_call(QUERIES, "answerMany", height, list(answers))


def update_and_answer_call(block: LightBlock, answers: Sequence[Argument]) -> bytes:
    """Return the call that proves a header and answers questions under it. Raise as `update_call`."""
    return encode_call(QUERIES, "updateAndAnswer", *_proven(block), list(answers))


def expire_call(question_id: int, question: Question) -> bytes:
    """Return the call that gives the fee of a question without an answer back to its asker."""
    return encode_call(QUERIES, "expire", question_id, question.argument)


def retry_call(question_id: int, question: Question, height: int, value: bytes | None) -> bytes:
    """Return the call that calls a failed callback again; `value` None says that the key is absent."""
    return encode_call(QUERIES, "retry", question_id, question.asked, height, value is not None, value or b"")


def _proven(block: LightBlock) -> tuple[Argument, Argument]:
    commit = commit_argument(block.header.chain_id, block.commit, block.validators)
    return header_argument(block.header), commit


def _signature(place: int, entry: CommitSig) -> Argument:
    """place 16 | length 8 | timestamp, from the high bits; r; s with the parity of v (EIP-2098)."""
    stamp = encode_timestamp(entry.timestamp)
    head = (place.to_bytes(2, "big") + bytes([len(stamp)]) + stamp).ljust(WORD_BYTES, b"\0")
    r, s, v = entry.signature[:32], entry.signature[32:64], entry.signature[64]
    return head, r, (int.from_bytes(s, "big") | v << 255).to_bytes(WORD_BYTES, "big")
