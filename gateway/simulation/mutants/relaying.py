"""Bugs in what a relayer checks, limits, carries out and watches."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

DECISIONS, CHECKS = "htlc/decisions.py", "relayer/pump/checks.py"
EXECUTOR, ACTS = "relayer/pump/execute.py", "relayer/pump/acting.py"
INVENTORY, WATCHTOWER = "relayer/inventory.py", "relayer/watchtower.py"

CHECKING: Final = (
    Mutant(
        "funding-on-an-unfinal-lock",
        "The provider funds as soon as it sees a lock, without asking a quorum.",
        (
            Edit(
                DECISIONS,
                "        if state.verified is None or not first.open or not first.final or _is_skewed(state):\n",
                "        if not first.open:\n",
            ),
            Edit(
                DECISIONS,
                "    if own is Leg.PARTICIPANT and (state.verified is None or not state.initiator_leg.open):\n",
                "    if own is Leg.PARTICIPANT and not state.initiator_leg.open:\n",
            ),
            Edit(
                CHECKS,
                "            waits.append(self._stands(other.lock_id, agreement.terms(own.other), seen))\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "any-terms-will-do",
        "A lock under the hashlock is taken for the agreed one, whatever it pays.",
        (
            Edit(
                CHECKS,
                "        if not observed.terms_match:\n",
                "        if False:\n",
            ),
            Edit(
                "htlc/facts.py",
                "    if event.terms != terms:\n",
                "    if event.terms.hashlock != terms.hashlock:\n",
            ),
        ),
    ),
    Mutant(
        "no-exposure-limit",
        "Limits of exposure are not asked about.",
        (
            Edit(
                CHECKS,
                "            if now + new.amount > most:\n",
                "            if False:\n",
            ),
        ),
    ),
    plant(
        "new-swap-is-not-counted",
        "A limit of exposure counts what is promised, and not what comes on top.",
        CHECKS,
        "            if now + new.amount > most:",
        "            if now > most:",
    ),
    plant(
        "no-limit-to-one-counterparty",
        "One counterparty may have all that is allowed in all.",
        CHECKS,
        '            ("to one counterparty", to_them, limit.per_counterparty),\n',
        "",
    ),
    plant(
        "limit-by-the-wrong-side",
        "What stays below a limit is refused.",
        CHECKS,
        "            if now + new.amount > most:",
        "            if now + new.amount < most:",
    ),
    plant(
        "payout-is-not-asked",
        "Nobody asks if the claims could pay.",
        CHECKS,
        "        await self._access(terms.chain).locks.check_payout(terms)",
        "        return",
    ),
    plant(
        "payout-of-one-leg-only",
        "Before the reveal only the own lock's payout is asked about.",
        CHECKS,
        "            *(self._can_be_paid(agreement.terms(leg)) for leg in Leg),",
        "            self._can_be_paid(agreement.initiator_leg),",
    ),
    plant(
        "foreign-use-stops-nothing",
        "An account that somebody else has used goes on funding.",
        "relayer/transactions/accounts.py",
        "    if waiting := unacknowledged(connection, accounts):",
        "    if waiting := list[ForeignUse]():",
    ),
    Mutant(
        "exits-keep-no-gas",
        "Neither what a swap reserves nor what a lock leaves in the purse has gas for exits.",
        (
            Edit(
                ACTS,
                "        return {asset: locked * cost for asset, cost in inventory.exits([chain], costs).items() "
                "if locked * cost > 0}",
                "        return {}",
            ),
            Edit(
                INVENTORY,
                "            found[asset] += times * cost\n",
                "            found[asset] += 0\n",
            ),
        ),
    ),
)

ACTING: Final = (
    plant(
        "failed-for-now-is-done",
        "What could not be done for a moment is noted as done.",
        EXECUTOR,
        '            await self._retry(effect, str(error) or "it takes too long", delays)\n'
        "        except RejectedError",
        "            await self._finish(effect, None)\n        except RejectedError",
    ),
    plant(
        "faults-are-swallowed",
        "An effect that met a fault is noted as done.",
        EXECUTOR,
        '        await self._retry(effect, f"{type(error).__name__}: {error}")',
        "        await self._finish(effect, None)",
    ),
    plant(
        "done-before-the-event",
        "An effect's end and the event that it means are stored one after the other.",
        EXECUTOR,
        "                journal.complete_effect(connection, effect.key, now_ns=now_ns)",
        "                journal.complete_effect(connection, effect.key, now_ns=now_ns)\n"
        "                connection.commit()",
    ),
    plant(
        "preimage-is-simulated",
        "The reveal is shown to an endpoint before it is sent.",
        ACTS,
        "        return here.access.legs.claim(asked.terms, asked.lock_id, preimage, here.pipeline.account)",
        "        claim = here.access.legs.claim(asked.terms, asked.lock_id, preimage, here.pipeline.account)\n"
        "        return replace(claim, reveals=False)",
    ),
    plant(
        "reveal-is-not-looked-at",
        "The first reveal is sent without the last look at the chain.",
        ACTS,
        "            if asked.first:\n                await self._checks.before_reveal",
        "            if not asked.first:\n                await self._checks.before_reveal",
    ),
    plant(
        "settled-is-not-looked-up",
        "An exit that was refused is given up as settled, whatever the chain shows.",
        ACTS,
        "            if tries and await self._is_settled(here, asked):",
        "            if tries:",
    ),
    plant(
        "claims-wait-for-the-last-moment",
        "A batch is sent however little time its claims have, and nothing else.",
        EXECUTOR,
        "        for effect in due:\n",
        "        for effect in (one for one in due if one.kind not in EXIT_KINDS):\n",
    ),
    plant(
        "tower-counts-no-locks",
        "A watched swap is given up at its first failure.",
        DECISIONS,
        "MAX_WATCH_TRIES: Final = 4",
        "MAX_WATCH_TRIES: Final = 0",
    ),
    plant(
        "tower-registers-nothing",
        "A registration is taken, and nothing is watched.",
        WATCHTOWER,
        "        if await self._database.write(lambda c: self._store(c, agreement, caller, now_ns)):",
        "        if now_ns < 0:",
    ),
)
