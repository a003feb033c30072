"""CometBFT's RPC JSON ⇄ types (CometBFT RPC OpenAPI, v0.38 to v0.40).

Conventions: 64-bit integers are decimal strings, hashes and addresses upper-case hex, signatures, keys and
transactions base64, times RFC 3339 with up to nine fractional digits. Decoding is strict about every value it uses
and bounded; unknown members are ignored, since responses grow with CometBFT's versions.
"""

import base64
import binascii
import calendar
import re
import time
from collections.abc import Mapping
from typing import Any

from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    MAX_CHAIN_ID_BYTES,
    MAX_VALIDATORS,
    NIL_BLOCK_ID,
    Block,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    DuplicateVoteEvidence,
    Evidence,
    Header,
    KeyKind,
    LightBlock,
    LightClientAttackEvidence,
    PartSetHeader,
    PublicKey,
    SignedHeader,
    Timestamp,
    Validator,
    ValidatorSet,
    Vote,
    VoteKind,
)
from core.proofs.errors import MalformedProofError

MAX_TXS = 1 << 20
MAX_EVIDENCE = 1 << 10
MAX_BYTES_FIELD = 1 << 25
MAX_HASH_BYTES = 64
MAX_SIGNATURE_BYTES = 128
MAX_EXTENSION_BYTES = 1 << 20

KEY_TYPE_NAMES = {
    KeyKind.ED25519: "tendermint/PubKeyEd25519",
    KeyKind.SECP256K1_ETH: "tendermint/PubKeySecp256k1eth",
}
_KEY_KINDS = {name: kind for kind, name in KEY_TYPE_NAMES.items()}
DUPLICATE_VOTE_TYPE = "tendermint/DuplicateVoteEvidence"
LIGHT_CLIENT_ATTACK_TYPE = "tendermint/LightClientAttackEvidence"

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,19})", re.ASCII)

Json = Mapping[str, Any]


# Scalars


def timestamp_to_json(moment: Timestamp) -> str:
    """RFC 3339 in UTC, trailing zeros of the fraction dropped, as Go prints it."""
    year, month, day, hour, minute, second = time.gmtime(moment.seconds)[:6]
    fraction = f".{moment.nanos:09d}".rstrip("0") if moment.nanos else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{fraction}Z"


def timestamp_from_json(value: Any) -> Timestamp:
    """Inverse of `timestamp_to_json`; other time zones are refused."""
    matched = _TIME.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise MalformedProofError("time is not RFC 3339 in UTC")
    try:
        parsed = time.strptime(matched[1], "%Y-%m-%dT%H:%M:%S")
    except ValueError as error:
        raise MalformedProofError("time does not exist") from error
    return Timestamp(calendar.timegm(parsed), int((matched[2] or "").ljust(9, "0")))


def bytes_to_hex(value: bytes) -> str:
    """Upper-case hex, CometBFT's form of HexBytes."""
    return value.hex().upper()


def bytes_from_hex(value: Any, limit: int = MAX_HASH_BYTES) -> bytes:
    """Bytes of a hex string of either case, at most `limit` long."""
    if not isinstance(value, str) or len(value) > 2 * limit or not value.isascii() or (not value.isalnum() and value):
        raise MalformedProofError("value is not a hex string within its limit", limit=limit)
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise MalformedProofError("value is not hex") from error


def bytes_to_base64(value: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(value).decode()


def bytes_from_base64(value: Any, limit: int = MAX_BYTES_FIELD) -> bytes:
    """Bytes of a canonical base64 string, at most `limit`; null is empty, as Go prints a nil slice."""
    if value is None:
        return b""
    if not isinstance(value, str) or len(value) > 4 * (limit // 3 + 1):
        raise MalformedProofError("value is not a base64 string within its limit", limit=limit)
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedProofError("value is not base64") from error
    if len(decoded) > limit:
        raise MalformedProofError("value is not a base64 string within its limit", limit=limit)
    if bytes_to_base64(decoded) != value:
        raise MalformedProofError("base64 is not canonical")
    return decoded


def integer_from_json(value: Any, low: int = 0, high: int = (1 << 63) - 1) -> int:
    """An integer that CometBFT prints as a number or, for 64 bits, as a decimal string."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise MalformedProofError("value is not an integer in its range", low=low, high=high)
    return value


def object_from_json(value: Any) -> Json:
    """The value as an object. Raise MalformedProofError for anything else."""
    if not isinstance(value, dict):
        raise MalformedProofError("value is not a JSON object")
    return value


def list_from_json(value: Any, limit: int) -> list[Any]:
    """The value as a list of at most `limit`; null is empty."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > limit:
        raise MalformedProofError("value is not a JSON list within its limit", limit=limit)
    return value


def _string_from_json(value: Any, limit: int) -> str:
    if not isinstance(value, str) or len(value.encode(errors="replace")) > limit or not _is_unicode(value):
        raise MalformedProofError("value is not a string within its limit", limit=limit)
    return value


def _is_unicode(value: str) -> bool:
    """False for lone surrogates, which JSON can write and UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _uint32(value: Any) -> int:
    return integer_from_json(value, 0, (1 << 32) - 1)


def _int32(value: Any) -> int:
    return integer_from_json(value, 0, (1 << 31) - 1)


# Headers and commits


def block_id_to_json(block_id: BlockId) -> dict[str, Any]:
    """BlockID with its part set under `parts`."""
    parts = {"total": block_id.parts.total, "hash": bytes_to_hex(block_id.parts.hash)}
    return {"hash": bytes_to_hex(block_id.hash), "parts": parts}


def block_id_from_json(value: Any) -> BlockId:
    """BlockID; null is the nil block id, and `part_set_header` is accepted for `parts`."""
    if value is None:
        return NIL_BLOCK_ID
    fields = object_from_json(value)
    parts = object_from_json(fields.get("parts") or fields.get("part_set_header") or {})
    return BlockId(
        bytes_from_hex(fields.get("hash", "")),
        PartSetHeader(_uint32(parts.get("total", 0)), bytes_from_hex(parts.get("hash", ""))),
    )


def header_to_json(header: Header) -> dict[str, Any]:
    """Header as `/block`, `/commit` and `/blockchain` print it."""
    version = {"block": str(header.block_version)}
    if header.app_version:
        version["app"] = str(header.app_version)
    return {
        "version": version,
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": timestamp_to_json(header.time),
        "last_block_id": block_id_to_json(header.last_block_id),
        "last_commit_hash": bytes_to_hex(header.last_commit_hash),
        "data_hash": bytes_to_hex(header.data_hash),
        "validators_hash": bytes_to_hex(header.validators_hash),
        "next_validators_hash": bytes_to_hex(header.next_validators_hash),
        "consensus_hash": bytes_to_hex(header.consensus_hash),
        "app_hash": bytes_to_hex(header.app_hash),
        "last_results_hash": bytes_to_hex(header.last_results_hash),
        "evidence_hash": bytes_to_hex(header.evidence_hash),
        "proposer_address": bytes_to_hex(header.proposer_address),
    }


def header_from_json(value: Any) -> Header:
    """Inverse of `header_to_json`. Raise MalformedProofError."""
    fields = object_from_json(value)
    version = object_from_json(fields.get("version"))
    return Header(
        chain_id=_string_from_json(fields.get("chain_id"), MAX_CHAIN_ID_BYTES),
        height=integer_from_json(fields.get("height")),
        time=timestamp_from_json(fields.get("time")),
        last_block_id=block_id_from_json(fields.get("last_block_id")),
        last_commit_hash=bytes_from_hex(fields.get("last_commit_hash")),
        data_hash=bytes_from_hex(fields.get("data_hash")),
        validators_hash=bytes_from_hex(fields.get("validators_hash")),
        next_validators_hash=bytes_from_hex(fields.get("next_validators_hash")),
        consensus_hash=bytes_from_hex(fields.get("consensus_hash")),
        app_hash=bytes_from_hex(fields.get("app_hash")),
        last_results_hash=bytes_from_hex(fields.get("last_results_hash")),
        evidence_hash=bytes_from_hex(fields.get("evidence_hash")),
        proposer_address=bytes_from_hex(fields.get("proposer_address")),
        block_version=integer_from_json(version.get("block", 0)),
        app_version=integer_from_json(version.get("app", 0)),
    )


def commit_to_json(commit: Commit) -> dict[str, Any]:
    """Commit as `/commit` and `/block` print it."""
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id_to_json(commit.block_id),
        "signatures": [
            {
                "block_id_flag": int(entry.flag),
                "validator_address": bytes_to_hex(entry.validator_address),
                "timestamp": timestamp_to_json(entry.timestamp),
                "signature": bytes_to_base64(entry.signature) if entry.signature else None,
            }
            for entry in commit.signatures
        ],
    }


def commit_from_json(value: Any) -> Commit:
    """Inverse of `commit_to_json`; null is the empty commit of the first block."""
    if value is None:
        return EMPTY_COMMIT
    fields = object_from_json(value)
    return Commit(
        integer_from_json(fields.get("height")),
        _int32(fields.get("round")),
        block_id_from_json(fields.get("block_id")),
        tuple(_commit_sig_from_json(entry) for entry in list_from_json(fields.get("signatures"), MAX_VALIDATORS)),
    )


def _commit_sig_from_json(value: Any) -> CommitSig:
    fields = object_from_json(value)
    flag = integer_from_json(fields.get("block_id_flag"), BlockIdFlag.ABSENT, BlockIdFlag.NIL)
    return CommitSig(
        BlockIdFlag(flag),
        bytes_from_hex(fields.get("validator_address")),
        timestamp_from_json(fields.get("timestamp")),
        bytes_from_base64(fields.get("signature"), MAX_SIGNATURE_BYTES),
    )


def signed_header_to_json(signed: SignedHeader) -> dict[str, Any]:
    """`signed_header` of `/commit`."""
    return {"header": header_to_json(signed.header), "commit": commit_to_json(signed.commit)}


def signed_header_from_json(value: Any) -> SignedHeader:
    """Inverse of `signed_header_to_json`."""
    fields = object_from_json(value)
    return SignedHeader(header_from_json(fields.get("header")), commit_from_json(fields.get("commit")))


# Validators


def public_key_to_json(key: PublicKey) -> dict[str, str]:
    """Key under its amino type name."""
    return {"type": KEY_TYPE_NAMES[key.kind], "value": bytes_to_base64(key.data)}


def public_key_from_json(value: Any) -> PublicKey:
    """Inverse of `public_key_to_json`. Raise MalformedProofError for key types we do not speak."""
    fields = object_from_json(value)
    kind = _KEY_KINDS.get(_string_from_json(fields.get("type"), MAX_HASH_BYTES))
    if kind is None:
        raise MalformedProofError("validator key type is not supported", type=fields["type"])
    return PublicKey(kind, bytes_from_base64(fields.get("value"), MAX_HASH_BYTES))


def validator_to_json(validator: Validator) -> dict[str, Any]:
    """Validator as `/validators` prints it."""
    return {
        "address": bytes_to_hex(validator.address),
        "pub_key": public_key_to_json(validator.public_key),
        "voting_power": str(validator.power),
        "proposer_priority": str(validator.proposer_priority),
    }


def validator_from_json(value: Any) -> Validator:
    """Validator of `/validators` or of a genesis file (`power`); the address must be the key's."""
    fields = object_from_json(value)
    power = fields["voting_power"] if "voting_power" in fields else fields.get("power")
    low, high = -(1 << 63), (1 << 63) - 1
    priority = integer_from_json(fields.get("proposer_priority") or 0, low, high)
    validator = Validator(public_key_from_json(fields.get("pub_key")), integer_from_json(power), priority)
    if bytes_from_hex(fields.get("address")) != validator.address:
        raise MalformedProofError("validator address is not its key's")
    return validator


def validator_set_from_json(value: Any) -> ValidatorSet:
    """A list of validators, or an object that holds one under `validators`; any order."""
    members = value.get("validators") if isinstance(value, dict) else value
    return ValidatorSet.of([validator_from_json(member) for member in list_from_json(members, MAX_VALIDATORS)])


def validator_set_to_json(validators: ValidatorSet) -> list[dict[str, Any]]:
    """Validators in canonical order."""
    return [validator_to_json(validator) for validator in validators.validators]


def light_block_to_json(block: LightBlock) -> dict[str, Any]:
    """Signed header with its validator sets."""
    encoded = {
        "signed_header": signed_header_to_json(block.signed_header),
        "validator_set": {"validators": validator_set_to_json(block.validators)},
    }
    if block.next_validators is not None:
        encoded["next_validator_set"] = {"validators": validator_set_to_json(block.next_validators)}
    return encoded


def light_block_from_json(value: Any) -> LightBlock:
    """Inverse of `light_block_to_json`."""
    fields = object_from_json(value)
    following = fields.get("next_validator_set")
    return LightBlock(
        signed_header_from_json(fields.get("signed_header")),
        validator_set_from_json(fields.get("validator_set")),
        None if following is None else validator_set_from_json(following),
    )


# Blocks


def block_to_json(block: Block) -> dict[str, Any]:
    """Block as `/block` prints it, without its block id."""
    return {
        "header": header_to_json(block.header),
        "data": {"txs": [bytes_to_base64(tx) for tx in block.txs]},
        "evidence": {"evidence": [_evidence_to_json(entry) for entry in block.evidence]},
        "last_commit": commit_to_json(block.last_commit),
    }


def block_from_json(value: Any) -> Block:
    """Inverse of `block_to_json`. Raise MalformedProofError, also for evidence of an unknown kind."""
    fields = object_from_json(value)
    txs = list_from_json(object_from_json(fields.get("data")).get("txs"), MAX_TXS)
    evidence = object_from_json(fields.get("evidence") or {}).get("evidence")
    return Block(
        header_from_json(fields.get("header")),
        tuple(bytes_from_base64(tx) for tx in txs),
        tuple(_evidence_from_json(entry) for entry in list_from_json(evidence, MAX_EVIDENCE)),
        commit_from_json(fields.get("last_commit")),
    )


# CometBFT 0.34 to 0.40 gives the members of evidence no names of their own, so Go's stand there; other versions do.


def _evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    if isinstance(evidence, DuplicateVoteEvidence):
        value = {
            "vote_a": _vote_to_json(evidence.vote_a),
            "vote_b": _vote_to_json(evidence.vote_b),
            "TotalVotingPower": str(evidence.total_voting_power),
            "ValidatorPower": str(evidence.validator_power),
            "Timestamp": timestamp_to_json(evidence.timestamp),
        }
        return {"type": DUPLICATE_VOTE_TYPE, "value": value}
    block = evidence.conflicting_block
    proposer = None if evidence.proposer is None else validator_to_json(evidence.proposer)
    return {
        "type": LIGHT_CLIENT_ATTACK_TYPE,
        "value": {
            "ConflictingBlock": {
                "signed_header": signed_header_to_json(block.signed_header),
                "validator_set": {"validators": validator_set_to_json(block.validators), "proposer": proposer},
            },
            "CommonHeight": str(evidence.common_height),
            "ByzantineValidators": [validator_to_json(one) for one in evidence.byzantine_validators],
            "TotalVotingPower": str(evidence.total_voting_power),
            "Timestamp": timestamp_to_json(evidence.timestamp),
        },
    }


def _evidence_from_json(value: Any) -> Evidence:
    wrapper = object_from_json(value)
    fields = object_from_json(wrapper.get("value"))
    if wrapper.get("type") == DUPLICATE_VOTE_TYPE:
        return DuplicateVoteEvidence(
            _vote_from_json(fields.get("vote_a")),
            _vote_from_json(fields.get("vote_b")),
            integer_from_json(_either(fields, "TotalVotingPower", "total_voting_power")),
            integer_from_json(_either(fields, "ValidatorPower", "validator_power")),
            timestamp_from_json(_either(fields, "Timestamp", "timestamp")),
        )
    if wrapper.get("type") != LIGHT_CLIENT_ATTACK_TYPE:
        raise MalformedProofError("block evidence of this type is not supported")
    block = object_from_json(_either(fields, "ConflictingBlock", "conflicting_block"))
    proposer = object_from_json(block.get("validator_set")).get("proposer")
    members = list_from_json(_either(fields, "ByzantineValidators", "byzantine_validators"), MAX_VALIDATORS)
    return LightClientAttackEvidence(
        light_block_from_json(block),
        None if proposer is None else validator_from_json(proposer),
        integer_from_json(_either(fields, "CommonHeight", "common_height")),
        tuple(validator_from_json(one) for one in members),
        integer_from_json(_either(fields, "TotalVotingPower", "total_voting_power")),
        timestamp_from_json(_either(fields, "Timestamp", "timestamp")),
    )


def _either(fields: Mapping[str, Any], name: str, other: str) -> Any:
    return fields[name] if name in fields else fields.get(other)


def _vote_to_json(vote: Vote) -> dict[str, Any]:
    return {
        "type": int(vote.kind),
        "height": str(vote.height),
        "round": vote.round,
        "block_id": block_id_to_json(vote.block_id),
        "timestamp": timestamp_to_json(vote.timestamp),
        "validator_address": bytes_to_hex(vote.validator_address),
        "validator_index": vote.validator_index,
        "signature": bytes_to_base64(vote.signature),
        "extension": bytes_to_base64(vote.extension) if vote.extension else None,
        "extension_signature": bytes_to_base64(vote.extension_signature) if vote.extension_signature else None,
    }


def _vote_from_json(value: Any) -> Vote:
    fields = object_from_json(value)
    return Vote(
        VoteKind(integer_from_json(fields.get("type"), VoteKind.PREVOTE, VoteKind.PRECOMMIT)),
        integer_from_json(fields.get("height")),
        _int32(fields.get("round")),
        block_id_from_json(fields.get("block_id")),
        timestamp_from_json(fields.get("timestamp")),
        bytes_from_hex(fields.get("validator_address")),
        _int32(fields.get("validator_index")),
        bytes_from_base64(fields.get("signature"), MAX_SIGNATURE_BYTES),
        bytes_from_base64(fields.get("extension"), MAX_EXTENSION_BYTES),
        bytes_from_base64(fields.get("extension_signature"), MAX_SIGNATURE_BYTES),
    )
