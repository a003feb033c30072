"""Bugs at the border: how many endpoints are believed, and what a client does."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

QUORUM, VOTING = "adapters/quorum.py", "adapters/endpoints/voting.py"
TRANSACTIONS = "adapters/endpoints/transactions.py"

BELIEVING: Final = (
    Mutant(
        "quorum-of-one",
        "One endpoint is enough for everything.",
        (
            Edit(
                QUORUM,
                "    return len(operators) // 2 + 1",
                "    return 1",
            ),
        ),
    ),
    plant(
        "quorum-counts-endpoints",
        "Two endpoints of one operator are two voices.",
        QUORUM,
        "    return [answer for answer, count in votes.items() if count >= needed]",
        "    return [one for one in votes if sum(answer == one for _, answer in said) >= needed]",
    ),
    plant(
        "highest-number-wins",
        "Of sequences and heights the highest that anybody names is believed.",
        QUORUM,
        "    return sorted(least.values(), reverse=True)[needed - 1] if len(least) >= needed else None",
        "    return max(least.values()) if len(least) >= needed else None",
    ),
    plant(
        "one-voice-says-included",
        "One endpoint is enough to call a transaction included, and final.",
        TRANSACTIONS,
        "            if len(_voices(sayers)) >= quorum:\n"
        "                final = len(_voices([(member, outcome) for member, outcome in sayers if outcome.final]))"
        " >= quorum",
        "            if len(_voices(sayers)) >= 1:\n"
        "                final = len(_voices([(member, outcome) for member, outcome in sayers if outcome.final])) >= 1",
    ),
    plant(
        "one-voice-says-pending",
        "One endpoint that says a transaction waits keeps everybody from sending it again.",
        TRANSACTIONS,
        "        if len(gone) >= quorum:",
        "        if len(gone) >= len(self._voters.operators):",
    ),
    plant(
        "sent-to-one-endpoint",
        "A transaction goes to the first endpoint only.",
        TRANSACTIONS,
        "            for member in self._voters.members\n        ]",
        "            for member in self._voters.members[:1]\n        ]",
    ),
    plant(
        "dearest-endpoint-sets-the-fee",
        "The highest fee that any endpoint names is the market's.",
        TRANSACTIONS,
        "median_low(market.base_fee for market in markets), median_low(",
        "max(market.base_fee for market in markets), max(",
    ),
    plant(
        "cheapest-endpoint-sets-the-fee",
        "The lowest fee that any endpoint names is the market's.",
        TRANSACTIONS,
        "median_low(market.base_fee for market in markets), median_low(",
        "min(market.base_fee for market in markets), min(",
    ),
    plant(
        "one-refusal-is-enough",
        "One endpoint's refusal ends a transaction.",
        TRANSACTIONS,
        "            if taken and (not doubted or len(_operators(taken)) >= self._voters.quorum):\n"
        "                return",
        "            if any(isinstance(one.answer, _REFUSALS) for one in answers):\n"
        "                raise self._refusal([one for one in answers if one.failed])\n"
        "            if taken:\n"
        "                return",
    ),
)
