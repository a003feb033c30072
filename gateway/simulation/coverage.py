"""The events that a campaign must have seen to be worth anything: a fault that never came to pass was not borne."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.simulation.liars import METHODS, REFUSALS
from gateway.simulation.plan import (
    AIMED,
    AIMED_AT_FUNDING,
    CHAINS,
    COMMITS_OF,
    SENDINGS,
    Act,
    Doubt,
    Lie,
    Meanwhile,
    Rough,
    Stranger,
    Style,
    Trouble,
    Twist,
)
from gateway.simulation.plan_operators import Fall, Purpose
from htlc.effects import EFFECT_TYPES
from htlc.events import EVENT_TYPES, event_name
from htlc.model import Phase

PARTIES: Final = tuple(COMMITS_OF)

LEDGER: Final = (
    *("halt", "restart", "mempool-lost", "expired", "batch", "batch-refused", "double-spend-refused", "try"),
    *("node-full", "node-no-index", "node-no-results", "said-no-index", "said-no-results"),
    *("refused-already-settled", "refused-insufficient-funds", "refused-unknown-lock"),
    *("refused-too-early", "refused-too-late", "refused-expired", "refused-wrong-sequence", "refused-bad-signature"),
    *("refused-held", "refused-same-officer"),
)
"""The events on the consortium ledger and its nodes."""

EXPECTED: Final = (
    *(
        "death",
        "reorg",
        "late-inclusion",
        "full-block",
        "database-locked",
        "database-gone",
        "database-full",
        "commit-unheard",
        "signer-fails",
        "claim-undone",
        "double-spend",
        "copied-hashlock",
    ),
    *("provider-dies-at-the-claim", "finality-stall", "token-pause", "used-elsewhere", "restored"),
    *("attestor-triggered", "token-fees", "allowance", "early-refund"),
    *("webhook-hangs", "webhook-connection-lost", "webhook-201", "webhook-307", "webhook-500"),
    *("report-hangs", "report-connection-lost", "report-201", "report-307", "report-400", "report-401", "report-500"),
    *("switched-back", "emptied", "adopted", "two-processes", "fenced", "deep-reorg"),
    *("provider-vanishes", "payee-refused", "initiator-oversleeps", "initiator-sleeps-at-once"),
    *("endpoint-error", "endpoint-lost_reply", "endpoint-repeat_head", "endpoint-drop_head", "endpoint-late_head"),
    "endpoint-late_events",
    *(f"lie-{lie}" for lie in Lie),
    *(f"said-{lie}" for lie in Lie if lie not in (Lie.HEADS_AND_LOCKS, Lie.HANGS)),
    *(f"branch-{twist}" for twist in Twist),
    *(f"signing-{meanwhile}" for meanwhile in Meanwhile),
    *(f"malformed-{method}" for method in METHODS),
    *(f"refused-{method}" for method in METHODS),
    *(f"refused-with-{kind.__name__}" for kind in REFUSALS),
    *(f"stale-{party}-{chain}" for party in PARTIES for chain in CHAINS),
    *(f"death-{party}-write-{kind}" for party in PARTIES for kind in COMMITS_OF[party]),
    *(f"death-{party}-sending-{kind}" for party in ("relayer", "dapp") for kind in SENDINGS),
    *(f"death-{party}-time" for party in PARTIES),
    *(f"style-{style}" for style in Style),
    *(f"stranger-{one}" for one in Stranger),
    *(f"doubt-{one}" for one in Doubt),
    *("same-lock-again", "bogus-watch", "empty-open", "watched-dust"),
    *(f"rough-{rough}" for rough in Rough),
    *(f"ledger-{what}" for what in LEDGER),
    *(f"aim-{trouble}-{act}" for trouble, act, _ in (*AIMED, *AIMED_AT_FUNDING)),
    f"aim-{Trouble.UNDONE}-{Act.CLAIM}",
    *("locks-together", "lock-taken-out", "locks-cancelled"),
    *(
        "preimage-published",
        "took-and-refused",
        "bent-answer",
        "watched-late",
        "locked-twice",
        "leaked",
        "shown-meanwhile",
    ),
    *(f"withdrawal-{purpose}" for purpose in Purpose),
    *(f"leader-{fall}" for fall in Fall),
    *(f"price-{what}" for what in ("jump", "stall", "hangs", "unreachable", "nonsense")),
    *("asked-what-to-give", "answered-behind"),
    *("chain-stands", "filled", "rotated", "leader-stands-by", "from-chain", "found-again"),
    *("raised-RetryableError", "raised-RevertedError", "raised-ConflictError"),
)


JOURNEYS: Final = (
    *(f"event-{event_name(event)}" for event in EVENT_TYPES),
    *(f"effect-{effect.__struct_config__.tag}" for effect in EFFECT_TYPES),
    *(f"phase-{phase}" for phase in Phase),
)


KINDS: Final = {"event": "events", "effect": "effects", "phase": "phases", "ended": "ends", "raised": "errors"}
"""Kinds by the first word of a name; everything else is a fault."""
RAREST: Final = 10


class Coverage:
    """Counts of a campaign by name: how often, in how many of its seeds, and in which of them first."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._seeds: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def add(self, seed: int, *seen: Mapping[str, int]) -> None:
        for name, count in (one for counts in seen for one in counts.items()):
            if count:
                self.counts[name] += count
                self._seeds[name] += 1
                self._first.setdefault(name, seed)

    def by_kind(self) -> dict[str, dict[str, int]]:
        """The counts of `events`, `effects`, `phases`, `ends`, `errors` and `faults`, by name."""
        found: dict[str, dict[str, int]] = {kind: {} for kind in (*KINDS.values(), "faults")}
        for name, count in sorted(self.counts.items()):
            word, _, rest = name.partition("-")
            found[KINDS.get(word, "faults")][rest if word in KINDS else name] = count
        return found

    def rarest(self) -> dict[str, int]:
        """Of the names that the fewest seeds saw, at most `RAREST`: the first seed that did."""
        rare = sorted(self._seeds, key=lambda name: (self._seeds[name], name))[:RAREST]
        return {name: self._first[name] for name in rare}

    def never_seen(self) -> list[str]:
        """Return the expected things that none of the seeds has seen."""
        return never_seen([self.counts])


def never_seen(counts: Iterable[Mapping[str, int]]) -> list[str]:
    """The expected things that none of these stories has seen."""
    seen = {name for one in counts for name, count in one.items() if count}
    return sorted({*EXPECTED, *JOURNEYS} - seen)
