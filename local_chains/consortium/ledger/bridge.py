"""Bridge: foreign headers that more than ⅔ of the consensus power call final.

Votes on a height are kept until one header has won; then they give way to it, and only its block hash and time may
still be voted for.
"""

import re
from typing import Final

from core.model.consortium import (
    AttestHeader,
    HeaderAccepted,
    HeaderLeaf,
    ResultCode,
    attested_header_key,
    attested_latest_key,
)
from core.model.types import MAX_TIMELOCK_S
from local_chains.consortium.ledger.context import Context, refuse
from local_chains.consortium.ledger.leaves import (
    OPERATORS_KEY,
    OperatorsLeaf,
    VotesLeaf,
    read,
    read_count,
    votes_key,
    write,
    write_count,
)

MAX_FOREIGN_HEIGHT: Final = 2**63 - 1
BLOCK_HASH_BYTES: Final = 32

_CHAIN = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


def attest_header(context: Context, message: AttestHeader) -> None:
    _require_header(message)
    powers = dict(_operators(context).powers)
    if context.sender not in powers:
        refuse(ResultCode.NOT_OPERATOR, "only operators of validators attest foreign headers")
    won = read(context.state, attested_header_key(message.chain, message.height), HeaderLeaf)
    if won is not None:
        if (won.block_hash, won.time) != (message.block_hash, message.time):
            refuse(ResultCode.CONFLICTING_VOTE, f"block {won.block_hash.hex()} is attested at this height")
        return
    votes = _with_vote(context, message)
    for_this = {voter for voter, block_hash, time in votes.votes if (block_hash, time) == _ballot(message)}
    if 3 * sum(powers.get(voter, 0) for voter in for_this) > 2 * sum(powers.values()):
        _accept(context, message)
    else:
        write(context.state, votes_key(message.chain, message.height), votes)


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


def _accept(context: Context, message: AttestHeader) -> None:
    key = attested_header_key(message.chain, message.height)
    write(context.state, key, HeaderLeaf(message.block_hash, message.time))
    context.state.delete(votes_key(message.chain, message.height))
    latest_key = attested_latest_key(message.chain)
    if context.state.get(latest_key) is None or message.height > read_count(context.state, latest_key):
        write_count(context.state, latest_key, message.height)
    context.events.append(HeaderAccepted(message.chain, message.height, message.block_hash))


def _operators(context: Context) -> OperatorsLeaf:
    return read(context.state, OPERATORS_KEY, OperatorsLeaf) or OperatorsLeaf(())


def _ballot(message: AttestHeader) -> tuple[bytes, int]:
    return message.block_hash, message.time
