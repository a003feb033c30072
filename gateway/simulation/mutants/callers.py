"""Bugs that somebody would plant who has read the product alone, of kinds that no other one is of; written before any
of them was played."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

CALLED: Final[tuple[Mutant, ...]] = (
    plant(
        "one-chain-counts-for-both",
        "The participant's chain is held against the initiator's newest block: nobody sees that it stands still.",
        "htlc/decisions.py",
        "    timelocks.check_skew(participant_head, now_s, agreement.participant_timing)\n",
        "    timelocks.check_skew(initiator_head, now_s, agreement.participant_timing)\n",
    ),
    plant(
        "effects-end-before-their-outcome",
        "The end of an effect and what came of it are stored apart: who dies between the two has lost the outcome.",
        "relayer/pump/execute.py",
        "            return outcome is not None and swaps.take(connection, swap_id, [outcome], now_ns=now_ns)\n"
        "\n"
        "        with self._updates.unsure_if_unheard():\n"
        "            if await swaps.write(self._database, store):\n",
        "            return outcome is not None\n"
        "\n"
        "        def note(connection: Connection) -> bool:\n"
        "            return swaps.take(connection, swap_id, [outcome], now_ns=now_ns)\n"
        "\n"
        "        with self._updates.unsure_if_unheard():\n"
        "            if await swaps.write(self._database, store) and await swaps.write(self._database, note):\n",
    ),
    plant(
        "failed-steps-are-not-read-again",
        "A follower whose step failed goes on from what it had, though the database may have stored that step.",
        "indexer/follower.py",
        "                failures, known = (1 if self._progressed else failures + 1), False\n",
        "                failures = 1 if self._progressed else failures + 1\n",
    ),
)
