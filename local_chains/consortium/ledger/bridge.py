"""Bridge: foreign headers that more than ⅔ of the consensus power call final.

Votes on a height are kept until one header has won; then they give way to it, and only its block hash and time may
still be voted for. An operator votes with its own account, or with that of the attestor that it appoints. It holds
votes open on so many heights only: a further one takes back its oldest, so that heights that no other votes on neither
fill the state nor silence the operator.
"""

import re
from collections.abc import Mapping
from typing import Final

from core.model.consortium import (
    Appoint,
    AttestHeader,
    AttestorAppointed,
    HeaderAccepted,
    HeaderLeaf,
    HeaderVoted,
    ResultCode,
    attested_for_key,
    attested_header_key,
    attested_headers,
    attested_latest_key,
    attestor_key,
    attests_for_key,
)
from core.model.consortium_members import organisation_of_key
from core.model.types import MAX_TIMELOCK_S
from local_chains.consortium.ledger.context import Context, refuse, require_address
from local_chains.consortium.ledger.leaves import (
    OpenVotesLeaf,
    VotesLeaf,
    open_votes_key,
    read,
    read_count,
    read_operators,
    votes_key,
    write,
    write_count,
)
from local_chains.consortium.ledger.sequences import append
from local_chains.consortium.ledger.view import Overlay

MAX_FOREIGN_HEIGHT: Final = 2**63 - 1
BLOCK_HASH_BYTES: Final = 32
HEIGHT_BYTES: Final = 8
MAX_OPEN_HEIGHTS: Final = 64
"""Heights, of all foreign chains together, that one operator holds votes open on."""

_CHAIN = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


def attest_header(context: Context, message: AttestHeader) -> None:
    _require_header(message)
    powers = read_operators(context.state)
    operator = _operator(context, powers)
    won = read(context.state, attested_header_key(message.chain, message.height), HeaderLeaf)
    if won is not None:
        if (won.block_hash, won.time) != (message.block_hash, message.time):
            refuse(ResultCode.CONFLICTING_VOTE, f"block {won.block_hash.hex()} is attested at this height")
        return
    votes = _with_vote(context, operator, message)
    context.events.append(HeaderVoted(message.chain, message.height, message.block_hash, operator))
    for_this = {voter for voter, block_hash, time in votes.votes if (block_hash, time) == _ballot(message)}
    if 3 * sum(powers.get(voter, 0) for voter in for_this) > 2 * sum(powers.values()):
        _accept(context, message, votes)
    else:
        write(context.state, votes_key(message.chain, message.height), votes)
        _hold_open(context, operator, (message.chain, message.height))


def appoint(context: Context, message: Appoint) -> None:
    """An attestor that is lost or stolen is replaced by its operator alone, without a vote."""
    powers = read_operators(context.state)
    if context.sender not in powers:
        refuse(ResultCode.NOT_OPERATOR, "only operators of validators appoint attestors")
    if message.attestor:
        require_address(message.attestor, "attestor")
        other = context.state.get(attests_for_key(message.attestor))
        if context.state.get(organisation_of_key(message.attestor)) is not None:
            refuse(ResultCode.BAD_ADDRESS, "this account is an organisation's: an attestor has one of its own")
        if other is not None and other != context.sender and other in powers:
            refuse(ResultCode.BAD_ADDRESS, "this account attests for another operator")
    put_attestor(context.state, context.sender, message.attestor)
    context.events.append(AttestorAppointed(context.sender, message.attestor))


def put_attestor(state: Overlay, operator: bytes, attestor: bytes) -> None:
    """Let `attestor` attest for `operator` from now on, and no other; empty: the operator alone."""
    before = state.get(attestor_key(operator))
    # Meanwhile it may attest for somebody else, if this operator had no power for a time.
    if before is not None and state.get(attests_for_key(before)) == operator:
        state.delete(attests_for_key(before))
    if attestor:
        state.put(attestor_key(operator), attestor)
        state.put(attests_for_key(attestor), operator)
        state.put(attested_for_key(attestor), operator)
    elif before is not None:
        state.delete(attestor_key(operator))


def _operator(context: Context, powers: Mapping[bytes, int]) -> bytes:
    """The operator that the sender is, or attests for."""
    if context.sender in powers:
        return context.sender
    operator = context.state.get(attests_for_key(context.sender))
    if operator is None or operator not in powers:
        refuse(ResultCode.NOT_OPERATOR, "only operators of validators, and whom they appoint, attest foreign headers")
    return operator


def _require_header(message: AttestHeader) -> None:
    if not _CHAIN.fullmatch(message.chain):
        refuse(ResultCode.BAD_HEADER, "a foreign chain is named by its CAIP-2 id")
    if not 0 <= message.height <= MAX_FOREIGN_HEIGHT:
        refuse(ResultCode.BAD_HEADER, "a foreign height is a number below 2**63")
    if len(message.block_hash) != BLOCK_HASH_BYTES:
        refuse(ResultCode.BAD_HEADER, f"a block hash is {BLOCK_HASH_BYTES} bytes, not {len(message.block_hash)}")
    if not 0 <= message.time <= MAX_TIMELOCK_S:
        refuse(ResultCode.BAD_HEADER, "a foreign block's time is in Unix seconds below 2**40")


def _with_vote(context: Context, operator: bytes, message: AttestHeader) -> VotesLeaf:
    leaf = read(context.state, votes_key(message.chain, message.height), VotesLeaf) or VotesLeaf(())
    for voter, block_hash, time in leaf.votes:
        if voter != operator:
            continue
        if (block_hash, time) == _ballot(message):
            refuse(ResultCode.DUPLICATE_VOTE, "this operator has voted for this header already")
        refuse(ResultCode.CONFLICTING_VOTE, f"this operator has voted for block {block_hash.hex()} already")
    return VotesLeaf((*leaf.votes, (operator, *_ballot(message))))


def _hold_open(context: Context, operator: bytes, height: tuple[str, int]) -> None:
    key = open_votes_key(operator)
    leaf = read(context.state, key, OpenVotesLeaf) or OpenVotesLeaf(())
    heights = (*leaf.heights, height)
    for chain, oldest in heights[:-MAX_OPEN_HEIGHTS]:
        _take_back(context, operator, chain, oldest)
    write(context.state, key, OpenVotesLeaf(heights[-MAX_OPEN_HEIGHTS:]))


def _take_back(context: Context, operator: bytes, chain: str, height: int) -> None:
    key = votes_key(chain, height)
    leaf = read(context.state, key, VotesLeaf) or VotesLeaf(())
    others = tuple(vote for vote in leaf.votes if vote[0] != operator)
    if others:
        write(context.state, key, VotesLeaf(others))
    else:
        context.state.delete(key)


def _close(context: Context, voter: bytes, height: tuple[str, int]) -> None:
    key = open_votes_key(voter)
    leaf = read(context.state, key, OpenVotesLeaf) or OpenVotesLeaf(())
    others = tuple(other for other in leaf.heights if other != height)
    if others:
        write(context.state, key, OpenVotesLeaf(others))
    elif leaf.heights:
        context.state.delete(key)


def _accept(context: Context, message: AttestHeader, votes: VotesLeaf) -> None:
    key = attested_header_key(message.chain, message.height)
    write(context.state, key, HeaderLeaf(message.block_hash, message.time))
    context.state.delete(votes_key(message.chain, message.height))
    for voter, _, _ in votes.votes:
        _close(context, voter, (message.chain, message.height))
    append(context.state, attested_headers(message.chain), message.height.to_bytes(HEIGHT_BYTES, "big"))
    latest_key = attested_latest_key(message.chain)
    if context.state.get(latest_key) is None or message.height > read_count(context.state, latest_key):
        write_count(context.state, latest_key, message.height)
    context.events.append(HeaderAccepted(message.chain, message.height, message.block_hash))


def _ballot(message: AttestHeader) -> tuple[bytes, int]:
    return message.block_hash, message.time
