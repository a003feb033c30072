"""Bugs in the swap itself: a term of a gate is missing, or the machine asks for the wrong thing."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

TIMELOCKS, DECISIONS, CHECKS = "htlc/timelocks.py", "htlc/decisions.py", "relayer/pump/checks.py"
ACTS = "relayer/pump/acting.py"


def _without(gate: str, term: str, old: str, new: str) -> Mutant:
    return plant(f"{gate}-without-{term}", f"The {gate} gate lacks its term {term}.", TIMELOCKS, old, new)


TERMS: Final = (
    _without("reveal", "2I", '"2·I_B": 2 * participant.inclusion_s', '"2·I_B": 0'),
    _without("reveal", "F", '"F_B": participant.finality_s', '"F_B": 0'),
    _without("reveal", "R", '"R_i": policy.initiator_outage_s', '"R_i": 0'),
    _without("reveal", "lead", '"lead_B": participant.lead_s', '"lead_B": 0'),
    _without("fund", "I", '        "I_B": participant.inclusion_s', '        "I_B": 0'),
    _without("fund", "F", '"F_B (lock)": participant.finality_s', '"F_B (lock)": 0'),
    _without("fund", "O", 'participant.observation_s,\n        "U_claim"', '0,\n        "U_claim"'),
    _without("fund", "U", '"U_claim": policy.claim_s', '"U_claim": 0'),
    _without("quote", "U", '"U_lock": policy.lock_s', '"U_lock": 0'),
    _without("quote", "I", '"I_A": initiator.inclusion_s', '"I_A": 0'),
    _without("quote", "F", '"F_A": initiator.finality_s,\n        "O_A"', '"F_A": 0,\n        "O_A"'),
    _without("quote", "O", '"O_A": initiator.observation_s', '"O_A": 0'),
    _without("gap", "lag", '"lag_B": participant.lag_s', '"lag_B": 0'),
    _without("gap", "O", '"O_B": participant.observation_s,\n        "2·I_A"', '"O_B": 0,\n        "2·I_A"'),
    _without("gap", "2I", '"2·I_A": 2 * initiator.inclusion_s', '"2·I_A": 0'),
    _without("gap", "F", '"F_A": initiator.finality_s,\n        "R_p"', '"F_A": 0,\n        "R_p"'),
    _without("gap", "R", '"R_p": policy.participant_outage_s', '"R_p": 0'),
    _without("gap", "lead", '"lead_A": initiator.lead_s', '"lead_A": 0'),
)

MACHINE: Final = (
    Mutant(
        "provider-never-funds",
        "The provider never locks its leg.",
        (
            Edit(
                DECISIONS,
                (
                    "        if state.verified is None or not first.open or not first.final or _is_skewed(state):\n"
                    "            return None\n"
                    "    return FundLeg"
                ),
                ("        return None\n    return FundLeg"),
            ),
        ),
    ),
    Mutant(
        "initiator-never-reveals",
        "The initiator never claims the other leg.",
        (
            Edit(
                DECISIONS,
                (
                    "    elif state.preimage is not None or _can_never_be_claimed(state, Leg.PARTICIPANT):\n"
                    "        return None\n"
                ),
                ("    else:\n        return None\n    if first:\n        return None\n"),
            ),
        ),
    ),
    Mutant(
        "reveal-on-an-unfinal-lock",
        "The initiator reveals as soon as the other lock is seen.",
        (
            Edit(
                DECISIONS,
                "ready = state.verified is not None and other.final and own.open",
                "ready = own.open",
            ),
            Edit(
                DECISIONS,
                (
                    "    if state.verified is None or not state.participant_leg.open:\n"
                    "        raise ConflictError(\"the participant's lock"
                ),
                ("    if not state.participant_leg.open:\n        raise ConflictError(\"the participant's lock"),
            ),
            Edit(
                CHECKS,
                "            self._lock_stands(other.lock_id, agreement.participant_leg, other.lock.block),\n",
                "",
            ),
        ),
    ),
    Mutant(
        "claim-never",
        "Nobody claims with a public preimage.",
        (
            Edit(
                DECISIONS,
                ("    if _can_never_be_claimed(state, leg):\n        return None\n    own_reveal"),
                ("    return None\n    own_reveal"),
            ),
        ),
    ),
    Mutant(
        "watchtower-never-claims",
        "A watchtower watches and does nothing.",
        (
            Edit(
                DECISIONS,
                "    return (Leg.INITIATOR,) if agreement.own_leg is None else (agreement.own_leg.other,)",
                "    return () if agreement.own_leg is None else (agreement.own_leg.other,)",
            ),
        ),
    ),
    plant(
        "claim-given-up-too-early",
        "A claim is given up a minute before the timelock.",
        ACTS,
        "            if not state.leg(asked.leg).open:",
        "            if not state.leg(asked.leg).open or (exit_deadline_s(asked) or 1e12) - self._clock.now() < 60:",
    ),
    Mutant(
        "refund-never",
        "Nobody takes a lock back.",
        (
            Edit(
                DECISIONS,
                (
                    "    if facts.lock_id is None or not facts.open or not _timelock_passed(state, leg):\n"
                    "        return None\n"
                    "    return RefundLeg"
                ),
                ("    return None\n    return RefundLeg"),
            ),
        ),
    ),
    Mutant(
        "no-fund-gate",
        "The provider funds however little time is left.",
        (
            Edit(
                DECISIONS,
                "        timelocks.check_fund(now_s, t_b, second, policy)\n",
                "",
            ),
            Edit(
                CHECKS,
                "            check_fund(now_s, t_b, second, agreement.policy)\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "no-reveal-gate",
        "The initiator reveals however little time is left.",
        (
            Edit(
                DECISIONS,
                (
                    "    timelocks.check_reveal(now_s, agreement.participant_leg.timelock, "
                    "agreement.participant_timing, policy)\n"
                ),
                "    return\n",
            ),
        ),
    ),
    Mutant(
        "one-failure-is-the-end",
        "What failed once is never asked for again.",
        (
            Edit(
                DECISIONS,
                "    return attempt.failed_at_s is None or clock.head.seconds > attempt.failed_at_s\n",
                "    return False\n",
            ),
        ),
    ),
    Mutant(
        "refund-by-the-other-clock",
        "A lock is taken back when the other chain's time has reached its timelock.",
        (
            Edit(
                DECISIONS,
                "    clock = state.clock(leg)\n"
                "    return clock is not None and clock.head >= state.agreement.terms(leg).timelock",
                "    clock = state.clock(leg.other)\n"
                "    return clock is not None and clock.head.seconds >= state.agreement.terms(leg).timelock.seconds",
            ),
        ),
    ),
    plant(
        "tower-claims-the-other-leg",
        "A watchtower claims the leg that the initiator claims anyway.",
        DECISIONS,
        "    return (Leg.INITIATOR,) if agreement.own_leg is None",
        "    return (Leg.PARTICIPANT,) if agreement.own_leg is None",
    ),
    plant(
        "provider-done-before-final",
        "The provider calls a swap complete before its own claim is final.",
        DECISIONS,
        "        return Phase.COMPLETED if other.final else None",
        "        return Phase.COMPLETED",
    ),
    plant(
        "initiator-done-before-final",
        "The initiator calls a swap complete before the own claim is final.",
        DECISIONS,
        "    if other.status is LegStatus.CLAIMED and other.final:\n        return Phase.COMPLETED",
        "    if other.status is LegStatus.CLAIMED:\n        return Phase.COMPLETED",
    ),
    plant(
        "seen-is-final",
        "What stands in a block counts as final.",
        "htlc/facts.py",
        "    return _sight(known, event.leg, event.lock_id, claim=Sighting(event.block, event.tx_hash)), reasons",
        "    return _sight(known, event.leg, event.lock_id, claim=Sighting(event.block, event.tx_hash, True)), reasons",
    ),
    plant(
        "claims-never-revert",
        "A claim that a reorg took out of its block is still counted as made.",
        "relayer/pump/observations.py",
        "            return events.ClaimReverted(leg, lock_id, logged.block)",
        "            return events.LockReverted(leg, lock_id + '?', logged.block)",
    ),
    plant(
        "reverted-is-refused",
        "An exit that failed in a block is never asked for again.",
        "htlc/facts.py",
        "            new = _failed(state, event.kind, attempt, void=final)",
        "            new = replace(attempt, status=AttemptStatus.REFUSED)",
    ),
)
