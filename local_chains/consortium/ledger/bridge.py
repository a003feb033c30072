"""Bridge: foreign headers that more than ⅔ of the consensus power call final.

Votes on a height are kept until one header has won; then they give way to it, and only its block hash and time may
still be voted for. An operator holds votes open on some heights only: a further one takes back its oldest, so that
heights nobody else votes on neither fill the state nor silence the operator.
"""

import re
from typing import Final

from core.model.consortium import (
    AttestHeader,
    HeaderAccepted,
    HeaderLeaf,
    HeaderVoted,
    ResultCode,
    attested_header_key,
    attested_headers,
    attested_latest_key,
)
from core.model.types import MAX_TIMELOCK_S
from local_chains.consortium.ledger.context import Context, refuse
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

MAX_FOREIGN_HEIGHT: Final = 2**63 - 1
BLOCK_HASH_BYTES: Final = 32
HEIGHT_BYTES: Final = 8
MAX_OPEN_HEIGHTS: Final = 64
"""Heights, of all foreign chains together, that one operator holds votes open on."""

_CHAIN = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


def attest_header(context: Context, message: AttestHeader) -> None:
    _require_header(message)
    powers = read_operators(context.state)
    if context.sender not in powers:
        refuse(ResultCode.NOT_OPERATOR, "only operators of validators attest foreign headers")
    won = read(context.state, attested_header_key(message.chain, message.height), HeaderLeaf)
    if won is not None:
        if (won.block_hash, won.time) != (message.block_hash, message.time):
            refuse(ResultCode.CONFLICTING_VOTE, f"block {won.block_hash.hex()} is attested at this height")
        return
    votes = _with_vote(context, message)
    context.events.append(HeaderVoted(message.chain, message.height, message.block_hash, context.sender))
    for_this = {voter for voter, block_hash, time in votes.votes if (block_hash, time) == _ballot(message)}
    if 3 * sum(powers.get(voter, 0) for voter in for_this) > 2 * sum(powers.values()):
        _accept(context, message, votes)
    else:
        write(context.state, votes_key(message.chain, message.height), votes)
        _hold_open(context, (message.chain, message.height))


def _require_header(message: AttestHeader) -> None:
    if not _CHAIN.fullmatch(message.chain):
        refuse(ResultCode.BAD_HEADER, "a foreign chain is named by its CAIP-2 id")
    if not 0 <= message.height <= MAX_FOREIGN_HEIGHT:
        refuse(ResultCode.BAD_HEADER, "a foreign height is a number below 2**63")
    if len(message.block_hash) != BLOCK_HASH_BYTES:
        refuse(ResultCode.BAD_HEADER, f"a block hash is {BLOCK_HASH_BYTES} bytes, not {len(message.block_hash)}")
    if not 0 <= message.time <= MAX_TIMELOCK_S:
        refuse(ResultCode.BAD_HEADER, "a foreign block's time is in Unix seconds below 2**40")


def _with_vote(context: Context, message: AttestHeader) -> VotesLeaf:
    leaf = read(context.state, votes_key(message.chain, message.height), VotesLeaf) or VotesLeaf(())
    for voter, block_hash, time in leaf.votes:
        if voter != context.sender:
            continue
        if (block_hash, time) == _ballot(message):
            refuse(ResultCode.DUPLICATE_VOTE, "this operator has voted for this header already")
        refuse(ResultCode.CONFLICTING_VOTE, f"this operator has voted for block {block_hash.hex()} already")
    return VotesLeaf((*leaf.votes, (context.sender, *_ballot(message))))


def _hold_open(context: Context, height: tuple[str, int]) -> None:
    key = open_votes_key(context.sender)
    leaf = read(context.state, key, OpenVotesLeaf) or OpenVotesLeaf(())
    heights = (*leaf.heights, height)
    for chain, oldest in heights[:-MAX_OPEN_HEIGHTS]:
        _take_back(context, chain, oldest)
    write(context.state, key, OpenVotesLeaf(heights[-MAX_OPEN_HEIGHTS:]))


def _take_back(context: Context, chain: str, height: int) -> None:
    key = votes_key(chain, height)
    leaf = read(context.state, key, VotesLeaf) or VotesLeaf(())
    others = tuple(vote for vote in leaf.votes if vote[0] != context.sender)
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
