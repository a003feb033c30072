"""The problems of a story, by kind: campaigns count kinds, and the tests plant a violation of each."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Which promise was broken."""

    # money
    INITIATOR_LOST = "initiator-lost"
    INITIATOR_LOCKED_TWICE = "initiator-locked-twice"
    PROVIDER_LOST = "provider-lost"
    PROVIDER_LOCKED_TWICE = "provider-locked-twice"
    NOT_CONSERVED = "not-conserved"
    # limits
    FEE_BEYOND_BOUND = "fee-beyond-bound"
    GAS_BEYOND_BOUND = "gas-beyond-bound"
    EXPOSURE_IN_ALL = "exposure-in-all"
    EXPOSURE_TO_ONE = "exposure-to-one"
    EXPOSURE_IN_WINDOW = "exposure-in-window"
    PROMISED_BEYOND = "promised-beyond"
    EXITS_UNPAID = "exits-unpaid"
    OVERDRAWN = "overdrawn"
    BOTH_COULD_PAY = "both-could-pay"
    SEQUENCE_REUSED = "sequence-reused"
    SEQUENCE_SPENT = "sequence-spent"
    USE_INVENTED = "use-invented"
    EXIT_LAPSED = "exit-lapsed"
    UNDERBID = "underbid"
    RAISED_LATE = "raised-late"
    RAISED_SOON = "raised-soon"
    CHEAPER_AHEAD = "cheaper-ahead"
    BID_BEYOND_CEILING = "bid-beyond-ceiling"
    LOCK_GIVEN_UP = "lock-given-up"
    # withdrawals
    PAID_UNORDERED = "paid-unordered"
    PAID_TWICE = "paid-twice"
    RESERVED_PAID_OUT = "reserved-paid-out"
    ORDER_OFF_CHAIN = "order-off-chain"
    ORDER_LEFT = "order-left"
    # top-ups
    TOPPED_UP_WRONGLY = "topped-up-wrongly"
    LEFT_WAITING = "left-waiting"
    # leads
    NOT_TAKEN_OVER = "not-taken-over"
    TAKEN_FROM_A_LEADER = "taken-from-a-leader"
    SENT_UNSTORED = "sent-unstored"
    SIGNED_UNLED = "signed-unled"
    # prices
    PRICED_STALE = "priced-stale"
    PRICED_OFF = "priced-off"
    # webhooks
    HOOK_UNSIGNED = "hook-unsigned"
    HOOK_TWICE = "hook-twice"
    HOOK_NEVER = "hook-never"
    # switches
    OFFERED_ON_TROUBLE = "offered-on-trouble"
    SWITCH_STUCK = "switch-stuck"
    # gates
    QUOTED_TOO_SHORT = "quoted-too-short"
    QUOTED_TOO_LONG = "quoted-too-long"
    OPENED_PAST_PRICE = "opened-past-price"
    GAP_TOO_SMALL = "gap-too-small"
    OTHER_TERMS = "other-terms"
    FUNDED_TOO_LATE = "funded-too-late"
    FUNDED_ON_NOTHING = "funded-on-nothing"
    LOCKED_TOO_LATE = "locked-too-late"
    LOCKED_PAST_DEADLINE = "locked-past-deadline"
    LOCKED_ON_PUBLIC_PREIMAGE = "locked-on-public-preimage"
    REVEALED_TOO_LATE = "revealed-too-late"
    REVEALED_ON_NOTHING = "revealed-on-nothing"
    ACTED_UNACKNOWLEDGED = "acted-unacknowledged"
    ACTED_WHILE_BLOCKED = "acted-while-blocked"
    LOCKED_WHILE_PAUSED = "locked-while-paused"
    LOCK_OUTLIVES = "lock-outlives"
    LOCK_LEFT_LYING = "lock-left-lying"
    GAVE_BACK_TOO_EARLY = "gave-back-too-early"
    ACTED_CALLED_OFF = "acted-called-off"
    # exits
    EXIT_LEFT_ALONE = "exit-left-alone"
    EXIT_SENT_LATE = "exit-sent-late"
    EXIT_SENT_TWICE = "exit-sent-twice"
    REFUNDED_TOO_EARLY = "refunded-too-early"
    # trust
    ACTED_UNADOPTED = "acted-unadopted"
    ACTED_AFTER_DEEP_REORG = "acted-after-deep-reorg"
    ACTED_BY_WRONG_CLOCK = "acted-by-wrong-clock"
    ACTED_ON_STANDSTILL = "acted-on-standstill"
    # secrets
    PREIMAGE_SHOWN = "preimage-shown"
    PREIMAGE_KEPT = "preimage-kept"
    PREIMAGE_LOGGED = "preimage-logged"
    # ends
    STORY_UNENDED = "story-unended"
    REFUSED_FREELY = "refused-freely"
    NOTHING_AGREED = "nothing-agreed"
    LOCK_LEFT = "lock-left"
    NOT_COMPLETED = "not-completed"
    NOT_REVEALED = "not-revealed"
    NOT_FUNDED = "not-funded"
    TOOK_TOO_LONG = "took-too-long"
    NOT_SAVED = "not-saved"
    PROCESS_ENDED = "process-ended"
    NOT_FENCED = "not-fenced"
    # machines
    MACHINE_UNENDED = "machine-unended"
    MACHINE_ENDED_EARLY = "machine-ended-early"
    MACHINE_LOST = "machine-lost"
    EFFECT_PENDING = "effect-pending"
    STATE_OFF_JOURNAL = "state-off-journal"
    STATE_OFF_CHAIN = "state-off-chain"
    OUTCOME_OFF_CHAIN = "outcome-off-chain"
    FINAL_TOO_EARLY = "final-too-early"
    VOIDED_TOO_EARLY = "voided-too-early"
    INDEX_OFF_CHAIN = "index-off-chain"
    INDEX_BEHIND = "index-behind"
    # the specification
    TRACE_REFUSED = "trace-refused"
    # the ledger
    LEDGER_RULE = "ledger-rule"


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken promise, and the words about it."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
