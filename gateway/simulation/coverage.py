"""The events that a campaign must have seen to be worth anything: a fault that never came to pass was not borne."""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.simulation.liars import METHODS, REFUSALS
from gateway.simulation.plan import AIMED, CHAINS, COMMITS_OF, SENDINGS, Lie, Rough, Stranger, Style

PARTIES: Final = tuple(COMMITS_OF)

LEDGER: Final = (
    *("halt", "restart", "mempool-lost", "expired", "batch", "batch-refused", "double-spend-refused", "try"),
    *("node-full", "node-no-index", "node-no-results", "said-no-index", "said-no-results"),
    *("refused-already-settled", "refused-insufficient-funds", "refused-unknown-lock"),
    *("refused-too-early", "refused-too-late", "refused-expired", "refused-wrong-sequence", "refused-bad-signature"),
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
        "signer-fails",
        "claim-undone",
        "double-spend",
        "copied-hashlock",
    ),
    *("provider-dies-at-the-claim", "finality-stall", "token-pause", "used-elsewhere", "restored"),
    *("attestor-triggered", "token-fees", "allowance", "early-refund"),
    *("report-hangs", "report-connection-lost", "report-201", "report-307", "report-400", "report-401", "report-500"),
    *("switched-back", "emptied", "adopted", "two-processes", "fenced", "deep-reorg"),
    *("provider-vanishes", "payee-refused", "initiator-oversleeps"),
    *("endpoint-error", "endpoint-lost_reply", "endpoint-repeat_head", "endpoint-drop_head", "endpoint-late_head"),
    *(f"lie-{lie}" for lie in Lie),
    *(f"said-{lie}" for lie in Lie if lie not in (Lie.HEADS_AND_LOCKS, Lie.HANGS)),
    *(f"malformed-{method}" for method in METHODS),
    *(f"refused-{method}" for method in METHODS),
    *(f"refused-with-{kind.__name__}" for kind in REFUSALS),
    *(f"stale-{party}-{chain}" for party in PARTIES for chain in CHAINS),
    *(f"death-{party}-write-{kind}" for party in PARTIES for kind in COMMITS_OF[party]),
    *(f"death-{party}-sending-{kind}" for party in ("relayer", "dapp") for kind in SENDINGS),
    *(f"death-{party}-time" for party in PARTIES),
    *(f"style-{style}" for style in Style),
    *(f"stranger-{one}" for one in Stranger),
    *("same-lock-again", "bogus-watch", "empty-open", "watched-dust"),
    *(f"rough-{rough}" for rough in Rough),
    *(f"ledger-{what}" for what in LEDGER),
    *(f"aim-{trouble}-{act}" for trouble, act, _ in AIMED),
    *("raised-RetryableError", "raised-RevertedError", "raised-ConflictError"),
)


def never_seen(counts: Iterable[Mapping[str, int]]) -> list[str]:
    """The expected things that none of these stories has seen."""
    seen = {name for one in counts for name, count in one.items() if count}
    return sorted(set(EXPECTED) - seen)
