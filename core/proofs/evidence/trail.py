"""The way from an anchor to the header that carries the proven state root.

A trail starts at the anchor's own header, goes forward over light blocks that more than ⅔ of the validators trusted
before have signed (stricter than the light client's usual ⅓), and then, if need be, back over hash links. An older
header needs no signature: its successors' hashes commit to it.
"""

from dataclasses import dataclass, replace
from typing import Any

from core.model.consortium import caip_chain
from core.model.questions import Anchor, Question
from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft.hashing import header_hash, validator_set_hash
from core.proofs.cometbft.light_client import (
    TWO_THIRDS,
    LightClientPolicy,
    TrustedState,
    verify_hash_link,
    verify_sequential,
    verify_update,
)
from core.proofs.cometbft.types import (
    NANOS_PER_SECOND,
    BlockIdFlag,
    CommitSig,
    Header,
    LightBlock,
    Timestamp,
    ValidatorSet,
)
from core.proofs.errors import AnchorMismatchError, InvalidHeaderError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.kinds import Trusted, ledger_anchor

MAX_STEPS = 256
MAX_LINKS = 1024
MAX_CLOCK_DRIFT_S = 10

HASH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Trail:
    """`trusted` is the anchor's header; `trusted_next_validators` is needed only if the first step skips heights.

    `steps` are later blocks in ascending order, `links` the headers before the last of these in descending order.
    """

    genesis_hash: bytes
    trusted: Header
    trusted_next_validators: ValidatorSet | None
    steps: tuple[LightBlock, ...] = ()
    links: tuple[Header, ...] = ()

    @property
    def target(self) -> Header:
        """The header that the trail leads to."""
        if self.links:
            return self.links[-1]
        return self.steps[-1].header if self.steps else self.trusted


def verify_trail(trail: Trail, anchor: Anchor, now_s: int) -> Header:
    """Prove that the trail's target is a header of the anchor's chain, and return it.

    Raise AnchorMismatchError, MalformedProofError, or the LightClientError of the first step that fails.
    """
    if len(trail.steps) > MAX_STEPS or len(trail.links) > MAX_LINKS:
        raise MalformedProofError("trail is too long", steps=len(trail.steps), links=len(trail.links))
    _require_anchor(trail, anchor)
    policy = LightClientPolicy(
        trusting_period_ns=anchor.trusting_period_s * NANOS_PER_SECOND,
        max_clock_drift_ns=MAX_CLOCK_DRIFT_S * NANOS_PER_SECOND,
        trust_threshold=TWO_THIRDS,
    )
    now = Timestamp(now_s)
    header, following = trail.trusted, trail.trusted_next_validators
    if following is not None and validator_set_hash(following) != header.next_validators_hash:
        raise InvalidHeaderError("next validator set is not the one the trusted header announces")
    for block in trail.steps:
        _verify_step(header, following, block, now, policy)
        header, following = block.header, _next_validators(block)
    for older in trail.links:
        verify_hash_link(header, older)
        header = older
        _require_genesis(header, anchor)
    return header


def verify_ledger(question: Question, trail: Trail, trusted: Trusted, now_s: int) -> None:
    """Prove that the trail's target is a header of the ledger that the question is about, from the reader's anchor.

    Raise AnchorMismatchError without an anchor of that ledger, and as `verify_trail`.
    """
    anchor = ledger_anchor(trusted)
    if anchor is None:
        raise AnchorMismatchError(f"the evidence is about {question.chain}: take an anchor of that chain")
    if question.chain != anchor.chain:
        raise AnchorMismatchError("question is about another chain", expected=anchor.chain)
    verify_trail(trail, anchor, now_s)


def _verify_step(
    header: Header, following: ValidatorSet | None, block: LightBlock, now: Timestamp, policy: LightClientPolicy
) -> None:
    if block.header.height == header.height + 1:
        verify_sequential(header, block, now, policy)
    elif following is None:
        raise MalformedProofError("trail skips heights without the trusted validator set", height=header.height)
    else:
        verify_update(TrustedState(header, following), block, now, policy)


def _next_validators(block: LightBlock) -> ValidatorSet | None:
    if block.next_validators is None and block.header.next_validators_hash == block.header.validators_hash:
        return block.validators
    return block.next_validators


def _require_anchor(trail: Trail, anchor: Anchor) -> None:
    if caip_chain(trail.trusted.chain_id) != anchor.chain:
        raise AnchorMismatchError("evidence is of another chain", expected=anchor.chain, found=trail.trusted.chain_id)
    if trail.genesis_hash != anchor.genesis_hash:
        raise AnchorMismatchError("evidence is of another chain with the same name: its first block differs")
    if trail.trusted.height != anchor.trusted_height or header_hash(trail.trusted) != anchor.trusted_hash:
        raise AnchorMismatchError("evidence does not start at the anchor's header", height=anchor.trusted_height)
    _require_genesis(trail.trusted, anchor)


def _require_genesis(header: Header, anchor: Anchor) -> None:
    if header.last_block_id.is_nil and header_hash(header) != anchor.genesis_hash:
        raise AnchorMismatchError("the chain's first block is not the anchor's")


# --- JSON --------------------------------------------------------------------------------------------------------


def trail_to_json(trail: Trail) -> dict[str, Any]:
    """The trail as an object; headers, commits and validators as CometBFT's RPC prints them."""
    following = trail.trusted_next_validators
    return {
        "genesis_hash": trail.genesis_hash.hex(),
        "trusted": rpc_json.header_to_json(trail.trusted),
        "trusted_next_validators": None if following is None else _validators_to_json(following),
        "steps": [_step_to_json(block) for block in trail.steps],
        "links": [rpc_json.header_to_json(header) for header in trail.links],
    }


def trail_from_json(value: Any) -> Trail:
    """Inverse of `trail_to_json`. The caller compares the re-encoded form, which refuses unknown members."""
    names = ("genesis_hash", "trusted", "trusted_next_validators", "steps", "links")
    fields = canonical.members(value, *names)
    return Trail(
        canonical.hex_bytes(fields["genesis_hash"], HASH_SIZE),
        rpc_json.header_from_json(fields["trusted"]),
        canonical.optional(fields["trusted_next_validators"], rpc_json.validator_set_from_json),
        tuple(_step_from_json(step) for step in canonical.items(fields["steps"], MAX_STEPS)),
        tuple(rpc_json.header_from_json(link) for link in canonical.items(fields["links"], MAX_LINKS)),
    )


def _validators_to_json(validators: ValidatorSet) -> list[dict[str, Any]]:
    """Proposer priorities are in no hash, so they are written as zero."""
    return [rpc_json.validator_to_json(replace(validator, proposer_priority=0)) for validator in validators.validators]


def _step_to_json(block: LightBlock) -> dict[str, Any]:
    following = block.next_validators
    return {
        "signed_header": rpc_json.signed_header_to_json(block.signed_header),
        "validators": _validators_to_json(block.validators),
        "next_validators": None if following is None else _validators_to_json(following),
    }


def _step_from_json(value: Any) -> LightBlock:
    fields = canonical.members(value, "signed_header", "validators", "next_validators")
    signed = rpc_json.signed_header_from_json(fields["signed_header"])
    for entry in signed.commit.signatures:
        if entry.flag is BlockIdFlag.ABSENT and entry != CommitSig.absent():
            raise MalformedProofError("an absent validator's entry is not empty")
    return LightBlock(
        signed,
        rpc_json.validator_set_from_json(fields["validators"]),
        canonical.optional(fields["next_validators"], rpc_json.validator_set_from_json),
    )
