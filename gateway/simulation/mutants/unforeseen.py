"""Bugs that were thought of before anybody knew if the simulation would notice them, as a stranger would."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

DECISIONS, FACTS, TIMELOCKS = "htlc/decisions.py", "htlc/facts.py", "htlc/timelocks.py"
CHECKS, ACTS, OUTCOMES = "relayer/pump/checks.py", "relayer/pump/acting.py", "relayer/pump/outcomes.py"
ORDERS, SUBMISSION = "relayer/transactions/orders.py", "relayer/transactions/submission.py"
ACCOUNTS, AGREEMENT = "relayer/transactions/accounts.py", "relayer/client/agreement.py"

UNFORESEEN: Final = (
    Mutant(
        "funds-on-a-public-preimage",
        "The provider locks though everybody knows the preimage.",
        (
            Edit(
                FACTS,
                "    if known.agreement.role is Role.LIQUIDITY_PROVIDER and not has_funded(known):",
                "    if False:",
            ),
            Edit(
                DECISIONS,
                '    if state.preimage is not None:\n        raise ConflictError("the preimage is public',
                '    if False:\n        raise ConflictError("the preimage is public',
            ),
            Edit(
                DECISIONS,
                "state.closed is not None or state.preimage is not None or has_funded(state):",
                "state.closed is not None or has_funded(state):",
            ),
            Edit(
                DECISIONS,
                "state.closed is not None or state.preimage is not None or state.verified is not None:",
                "state.closed is not None or state.verified is not None:",
            ),
            Edit(CHECKS, "        if public is not None:", "        if False:"),
        ),
    ),
    plant(
        "claim-waits-for-finality",
        "The provider claims once the initiator's claim is final.",
        DECISIONS,
        "            return state.preimage is not None and has_funded(state)\n",
        "            claim = state.participant_leg.claim\n"
        "            return state.preimage is not None and has_funded(state) and (claim is None or claim.final)\n",
    ),
    Mutant(
        "reveal-without-any-check",
        "The initiator reveals as soon as it sees the other lock, whatever the time and the chains are.",
        (
            Edit(
                DECISIONS,
                "        if not ready or state.closed is not None or _timelock_passed(state, Leg.INITIATOR) "
                "or _is_skewed(state):\n            return None",
                "        ready = True",
            ),
            Edit(
                ACTS,
                "                await self._checks.before_reveal(await self._state(asked.swap_id))",
                "                pass",
            ),
            Edit(
                ACTS,
                "            gate=partial(self._reveal_gate, swap_id=asked.swap_id) if asked.first else None",
                "            gate=None",
            ),
        ),
    ),
    plant(
        "dropped-lock-is-void",
        "A lock that nodes refused counts as one that can never be mined.",
        FACTS,
        "            new = _failed(state, event.kind, attempt, void=False)\n        case events.EffectVoided",
        "            new = _failed(state, event.kind, attempt, void=True)\n        case events.EffectVoided",
    ),
    plant(
        "clock-is-never-doubted",
        "Nobody holds a chain's time against the own clock.",
        TIMELOCKS,
        "    if ahead_s > timing.lead_s:",
        "    return\n    if ahead_s > timing.lead_s:",
    ),
    plant(
        "tower-reads-no-past",
        "A watch begins with what happens from now on.",
        "relayer/pump/past.py",
        "    for leg in Leg:\n        shown = feed.history_of(",
        "    for leg in list[Leg]():\n        shown = feed.history_of(",
    ),
    plant(
        "expired-exits-unreported",
        "Nobody asks again for an exit that has expired.",
        OUTCOMES,
        "            return events.EffectVoided(kind, sequence)",
        "            return None",
    ),
    plant(
        "sequence-not-advanced",
        "The next sequence stays where it is when one is used.",
        ORDERS,
        "    accounts.advance(connection, chain, account, sequence + 1)",
        "    accounts.advance(connection, chain, account, sequence)",
    ),
    Mutant(
        "restart-counts-by-the-chain",
        "A process that comes back takes the next sequence from the chain, whatever waits for a block.",
        (
            Edit(
                SUBMISSION,
                "        latest = None if known else (await self._sender.sequences(self.account)).latest",
                "        latest = None if known is None else (await self._sender.sequences(self.account)).latest",
            ),
            Edit(
                ACCOUNTS,
                "    if is_known(connection, chain, account):\n        return epoch",
                "    if is_known(connection, chain, account):\n"
                "        same = where_account(sa.update(relayer_accounts), chain, account)\n"
                "        connection.execute(same.values(next_sequence=latest))\n"
                "        return epoch",
            ),
        ),
    ),
    plant(
        "final-is-what-one-says",
        "Final is the highest block that any endpoint calls final.",
        "adapters/endpoints/heads.py",
        '        return Height(self._voters.reached(heights, "finalized height"))',
        "        return Height(max((height for _, height in heights), default=0))",
    ),
    plant(
        "restart-forgets-preimages",
        "A client that comes back has forgotten its preimages.",
        "relayer/client/swap_client.py",
        "        self._preimages.add(*(await self._store.preimages()).values())",
        "        await self._store.preimages()",
    ),
    plant(
        "client-skips-the-gap",
        "A client agrees on timelocks with any gap between them.",
        AGREEMENT,
        "    timelocks.check_gap(ours.timelock, theirs.timelock, *timings, policy.swap)\n",
        "",
    ),
    plant(
        "client-locks-for-any-time",
        "A client lets its money be locked for any time.",
        AGREEMENT,
        "        if terms.timelock.seconds - now_s > most_s:",
        "        if most_s < 0:",
    ),
)
