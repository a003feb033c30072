"""The words that Ethereum clients and providers refuse with, as the kinds of refusal that they mean.

JSON-RPC codes differ between clients and mean little (EIP-1474 is a draft that few follow), so that the sentences count
first. No outcome may hang on them all the same: a sentence that stands here makes a good outcome come sooner, one that
does not is `UNCLEAR`, which callers answer with what is safe in any case.

Sentences of geth and its forks, erigon, nethermind, besu, reth, OpenEthereum (Parity), Arbitrum, zkSync, Sei, anvil and
hardhat are test data in `tests/adapters/evm/refusals.py`, each with its source.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

MAX_SENTENCE_CHARS: Final = 2_000
"""A sentence is looked at so far: patterns are run over what a stranger wrote."""


class Refusal(StrEnum):
    """Why a node refuses. `SEQUENCE_HELD`: another transaction with this sequence waits in the pool.

    `REFUSED_FOR_GOOD`: the very bytes can never be included. `FEE_CAPPED`: the node itself allows no such fee.
    """

    REVERTED = "reverted"
    ALREADY_KNOWN = "already-known"
    SEQUENCE_USED = "sequence-used"
    SEQUENCE_HELD = "sequence-held"
    SEQUENCE_GAP = "sequence-gap"
    UNAFFORDABLE = "unaffordable"
    FEE_TOO_LOW = "fee-too-low"
    FEE_CAPPED = "fee-capped"
    POOL_FULL = "pool-full"
    TYPE_UNKNOWN = "type-unknown"
    REFUSED_FOR_GOOD = "refused-for-good"
    RATE_LIMITED = "rate-limited"
    BATCH_TOO_LONG = "batch-too-long"
    RANGE_TOO_LONG = "range-too-long"
    STATE_MISSING = "state-missing"
    BLOCK_UNKNOWN = "block-unknown"
    NOT_OFFERED = "not-offered"
    FAILED_INSIDE = "failed-inside"
    UNCLEAR = "unclear"


_Patterns = Sequence[tuple[Refusal, re.Pattern[str]]]


def _patterns(*kinds: tuple[Refusal, Sequence[str]]) -> _Patterns:
    return tuple((kind, re.compile("|".join(parts))) for kind, parts in kinds)


_REVERTS: Final = _patterns(
    (
        Refusal.REVERTED,
        (
            "execution reverted",
            "vm execution error",
            "vm exception while processing transaction",
            "transaction reverted",
            r"\breverted 0x",
            "evm error: ?revert",
            "invalid opcode|bad instruction|invalid jump|stack (under|over)flow|write protection|max call depth",
        ),
    )
)

_SENDING: Final = _patterns(
    (
        Refusal.ALREADY_KNOWN,
        (
            r"\balready ?known\b",
            r"\balready imported\b",
            r"\bknown transaction\b(?! type)",
            "already exists in cache",
            r"already in (the )?(mem)?pool\b",
            r"already in the (system|queue)",
            r"pool\(alreadyimported\)",
            r"(transaction|tx) already exists|with (the )?same hash",
        ),
    ),
    (
        Refusal.SEQUENCE_HELD,
        (
            "replacement transaction underpriced",
            "replacement fee too low",
            "replacement transaction .*(too low|cheap)",
            "replacementnotallowed",
            r"replacement .{0,30}underpriced|(cannot|tries to) replace",
            r"same nonce already",
            "could not replace existing",
            r"another (tx|transaction) (which has|with) (the )?same nonce",
            "ownnoncealreadyused",
            r"pool\(toolowpriority",
        ),
    ),
    (
        Refusal.SEQUENCE_USED,
        (
            r"nonce (is |\d+ )?too low",
            r"nonce .{0,60}\b(below|less than|lower than)\b",
            "correct nonce",
            "oldnonce",
            "invalid transaction nonce",
            r"pool\(stale\)",
            r"(account|incorrect) (account )?sequence",
            "nonce (has )?already (been )?used",
            "transaction already (finalized|mined)",
        ),
    ),
    (
        Refusal.SEQUENCE_GAP,
        (
            r"nonce (is |\d+ )?too (high|distant|far)",
            "nonce ?gap",
            "gapped[- ]?nonce",
            "future nonce",
            "nonce .*higher than",
        ),
    ),
    (
        Refusal.UNAFFORDABLE,
        (
            r"insufficient ?(funds|balance|eth\b)",
            r"insufficient .{0,20}(funds|balance)",
            r"not enough (funds|balance|ether|eth\b)",
            r"balance (is )?too low",
            r"(cannot|can'?t) (afford|pay)|exceeds allowance",
            r"(doesn'?t|does not) have enough (funds|balance)",
            r"up-?front cost",
            r"exceeds .{0,60}balance",
            "would cause overdraft",
            "insufficient_payer_balance",
            r"lack of funds",
            "failed to pay the fee",
        ),
    ),
    (
        Refusal.POOL_FULL,
        (
            r"(tx|transaction|mem|pending tx )?pool( is)? full",
            r"queue( is)? full",
            "too many (pending )?transactions",
            "dropped due to (limit|l2 congestion)",
            "feetoolowtocompete",
            "txpool.{0,40}(limit|overflow|discarded)",
            "transaction pool .{0,40}(limit|overflow)",
            "in-flight transaction limit",
            "pendingtxsofothertype|delegatorhaspendingtx",
            "account (slot )?limit exceeded",
            "(not enough|out of) .{0,20}counters",
        ),
    ),
    (
        Refusal.FEE_CAPPED,
        (r"exceeds the configured cap", "fee cap exceeded", r"fee per (gas|pubdata byte) higher than 2\^64"),
    ),
    (
        Refusal.FEE_TOO_LOW,
        (
            "underpriced",
            "feetoolow",
            r"(gas ?price|fee)\w* (\(\d+\) )?(is )?too low",
            r"(gas ?price|fee|cap).{0,60}(less|lower) than",
            r"(gas ?price|tip|fee).{0,60}below",
            r"gas price '?\d* ?wei? ?is too low",
            "insufficient fees?\\b",
            "unacceptable gas price",
            "pubdata price too high",
            "transaction gas price .* is too low",
        ),
    ),
    (
        Refusal.TYPE_UNKNOWN,
        (
            r"(unknown|unsupported|invalid) (transaction|tx) type",
            r"(transaction|tx) type .{0,20}(not|un)[ -]?(supported|known|valid)",
            r"(transaction|tx) type not",
            r"(transaction|tx) type.{0,10} is invalid",
            "notsupportedtxtype|invalidtxtype",
            "eip-?1559 .{0,20}not (supported|activated|enabled)",
        ),
    ),
    (
        Refusal.REFUSED_FOR_GOOD,
        (
            r"intrinsic ?(gas|cost)",
            r"requires at least \d+ gas",
            r"gas (limit )?(is )?too low",
            r"(exceeds?|exceeded|beyond|over) .{0,30}gas ?limit",
            r"gas ?limit .{0,60}(exceed|too high|too low|insufficient|beyond|above|greater than)",
            r"gaslimitexceeded",
            "supplied gas is beyond limit",
            "gas uint64 overflow",
            "int256overflow",
            r"\bout of gas\b",
            "not enough gas for transaction validation",
            r"invalid sender\b",
            "sender is not an eoa",
            "senderiscontract|with deployed code",
            "failedtoresolvesender",
            r"invalid[ _]signature|invalidtxsignature",
            r"invalid(tx)? ?chain ?id|incorrect chain ?id|chain ?id .{0,30}(mismatch|not match)",
            "oversized data|maxtxsizeexceeded",
            r"(tx|transaction) (is )?too (large|big)",
            "max initcode size",
            "negative value",
            "invalid rlp",
            r"priority fee( per gas)? (is )?(higher|greater) than (the )?max fee|priority fee per gas exceeds max fee",
            r"max fee per gas higher than max priority|tip .*higher than",
            r"^(call failed: )?invalid(, transaction hash is null)?$",
        ),
    ),
)

_READING: Final = _patterns(
    (
        Refusal.BATCH_TOO_LONG,
        (
            r"batch.{0,40}(limit|size|too (large|long|big|many)|exceed|maximum)",
            r"(too many|maximum|max).{0,30}(calls|requests|queries|commands) .{0,20}batch",
            r"batch.{0,40}(not (supported|allowed|enabled|available|permitted)|unsupported|disabled|forbidden)",
            r"(no|not|unsupported|disabled).{0,20}\bbatch",
        ),
    ),
    (
        Refusal.NOT_OFFERED,
        (
            r"method.{0,90}(not found|not supported|unsupported|not exist|not available|unavailable|not enabled)",
            r"method.{0,90}(not allowed|disabled|disallowed|not whitelisted|not implemented|not permitted|blocked)",
            r"(unsupported|unknown|unimplemented|disallowed|unavailable|forbidden|invalid) (rpc )?method",
            r"not (yet )?(implemented|supported by)",
            r"(upgrade|paid|higher) .{0,30}(plan|tier)",
            r"only available (on|for|to|with)",
            r"(namespace|api|module).{0,40}(not|disabled)",
        ),
    ),
    (
        Refusal.STATE_MISSING,
        (
            "missing trie node",
            r"historical state",
            r"\bstate\b.{0,90}\b(unavailable|not available|pruned|missing|not found|does ?n.t exist|is not kept)",
            r"(pruned|missing|no|old) state\b",
            "no state available",
            r"due to pruning|state pruning|has been pruned|is pruned|pruned (block|history)",
            "world state",
            r"exceeds maximum proof window|proof window",
        ),
    ),
    (
        Refusal.BLOCK_UNKNOWN,
        (
            "header not found",
            r"header for hash not found",
            r"unknown (block|header)",
            r"\bblock\b.{0,90}(not found|does not exist|doesn.t exist|unknown)",
            "could not find (the )?(block|header)",
            r"block ?out ?of ?range",
            "no (finalized|safe) block",
        ),
    ),
)

_RANGES: Final = _patterns(
    (
        Refusal.RANGE_TOO_LONG,
        (
            "query returned more than",
            r"blocks? range",
            r"\brange\b.{0,60}(too|limit|exceed|maximum|large|long|wide)",
            r"(too|limited to|exceed|maximum|max|up to).{0,60}\brange\b",
            r"(too many|requested too many) (blocks|results|logs)",
            r"(query|request|log response|response).{0,40}(exceed|size|too large|too big|timed? ?out|timeout)",
            r"exceed.{0,40}(results|logs|blocks)",
            "request entity too large",
        ),
    )
)

_RATES: Final = _patterns(
    (
        Refusal.RATE_LIMITED,
        (
            r"rate[- ]?limit",
            r"too many (requests|connections)",
            r"(requests|calls|queries|units) per (second|minute|hour|day)",
            r"compute units?|throughput|\bcredits?\b|\bquota\b",
            r"(daily|monthly) (request|limit)",
            "slow down",
        ),
    )
)

_LIMITS: Final = _patterns((Refusal.RATE_LIMITED, (r"limit (is )?(exceeded|reached)", r"capacity (limit )?exceeded")))
"""Words that mean a rate only if they mean nothing else."""

_TROUBLE: Final = _patterns(
    (
        Refusal.FAILED_INSIDE,
        (
            r"internal (server |json-rpc )?error",
            r"timed? ?out|deadline exceeded",
            r"(temporarily|service) unavailable|try again|no (healthy )?(upstream|backend)|bad gateway",
            r"context canceled|connection (reset|refused)|\bsyncing\b|not ready",
        ),
    )
)

UNKNOWN_TRACER: Final = re.compile("tracer not found|is not defined|unsupported tracer")
"""Refusals of debug_trace… by nodes that lack the tracer asked for."""


def refusal_of(method: str, message: str) -> Refusal:
    """The kind of refusal that a sentence about `method` means; `UNCLEAR` if nothing here fits."""
    said = message[:MAX_SENTENCE_CHARS].lower().strip()
    tables = _TABLES["send" if method.startswith("eth_send") else method if method in _TABLES else ""]
    for table in tables:
        for kind, pattern in table:
            if pattern.search(said):
                return kind
    return Refusal.UNCLEAR


_TABLES: Final[dict[str, tuple[_Patterns, ...]]] = {
    "send": (_REVERTS, _SENDING, _RATES, _LIMITS, _TROUBLE),
    "eth_getLogs": (_RATES, _RANGES, _READING, _LIMITS, _TROUBLE),
    "": (_REVERTS, _RATES, _READING, _SENDING, _LIMITS, _TROUBLE),
}
