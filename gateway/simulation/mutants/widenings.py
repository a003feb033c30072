"""Bugs of the kinds that worlds and verdict were last made wider for, planted to see if they are noticed now."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

HEADS, BLOCKS = "adapters/endpoints/heads.py", "adapters/endpoints/blocks.py"
TRANSACTIONS = "adapters/endpoints/transactions.py"
FEES, PIPELINE = "relayer/transactions/fees.py", "relayer/transactions/pipeline.py"
ORDERS, ACTING = "relayer/transactions/orders.py", "relayer/pump/acting.py"

BRANCHING: Final[tuple[Mutant, ...]] = (
    plant(
        "first-final-block-counts",
        "Of a height that a quorum calls final the block is the one that the first endpoint names.",
        HEADS,
        "        agreed = self._voters.decided(named)\n",
        "        agreed = named[0][1] if named else None\n",
    ),
    plant(
        "fullest-block-counts",
        "Of several answers about one height the block with most events is taken, whoever shows it.",
        BLOCKS,
        "        chosen.append(agreed[place] or max([block",
        "        chosen.append(max([block",
    ),
    plant(
        "blocks-of-an-outcome-are-one",
        "Endpoints that have a transaction in different blocks are added up.",
        TRANSACTIONS,
        "places.setdefault((outcome.status, outcome.block, outcome.left_out), [])",
        "places.setdefault((outcome.status, heard[0][1].block or outcome.block, outcome.left_out), [])",
    ),
)
AT_CEILINGS: Final[tuple[Mutant, ...]] = (
    plant(
        "locks-bid-past-their-ceiling",
        "A lock that comes late is bid up as far as an exit is: the ceiling that the operator has set bounds nothing.",
        FEES,
        "        if exits:\n            ceiling +=",
        "        if share:\n            ceiling +=",
    ),
    plant(
        "exits-stop-at-the-ceiling",
        "An exit offers no more than everything else, however near its timelock is: a claim may come too late.",
        FEES,
        "        if exits:\n            ceiling +=",
        "        if exits and share < 0:\n            ceiling +=",
    ),
    plant(
        "at-its-ceiling-called-off",
        "A lock that is late, and may offer no more, is called off though there is time.",
        PIPELINE,
        "        if bid is None:\n            return False\n        over = await self._over(record, in_time=True)\n",
        "        if bid is None:\n"
        "            cheap = record.bid is not None and record.bid.max_fee * 9 // 8 <= self._policy.fees.ceiling\n"
        "            return not (cheap or record.exits or record.cancelling) and await self._cancel(record, urgency)\n"
        "        over = await self._over(record, in_time=True)\n",
    ),
)
FILLING: Final[tuple[Mutant, ...]] = (
    plant(
        "topped-up-as-if-empty",
        "A top-up is as large as if the account held nothing.",
        "relayer/treasury/top_ups.py",
        "most=min(one.target - held, free)",
        "most=min(one.target, free)",
    ),
    plant(
        "topped-up-below-the-target",
        "Gas is paid as soon as an account holds less than the target, and not once it falls below its threshold.",
        "relayer/treasury/top_ups.py",
        "        if held >= one.low:\n",
        "        if held >= one.target:\n",
    ),
    plant(
        "no-gas-is-a-refusal",
        "A lock for which the gas is short is called off, though an operator may send some.",
        "relayer/pump/checks.py",
        "            raise UnaffordableError(error.message, **error.fields) from error\n",
        "            raise\n",
    ),
)
ROTATING: Final[tuple[Mutant, ...]] = (
    plant(
        "present-account-locks-for-all",
        "A lock that was agreed on with a former account is made by the one that opens swaps now.",
        ACTING,
        "        found = self._hands.by_account(terms.sender)\n",
        "        found = self._hands.chain(terms.chain)\n",
    ),
    plant(
        "a-lock-of-ours-in-an-ended-swap-is-nobodys",
        "A block shows a lock of ours whose swap had ended by an older copy of the database: nobody looks after it.",
        "relayer/pump/past.py",
        "        if agreement.participant_leg not in made:\n",
        "        if agreement.participant_leg:\n",
    ),
    plant(
        "former-accounts-rest",
        "Nobody looks after the transactions of an account that retires.",
        "relayer/pump/wiring.py",
        '            *(Worker(f"transactions {one.account}", self._opened(one)) for one in self.retiring),\n',
        "",
    ),
)
SLOW: Final[tuple[Mutant, ...]] = (
    plant(
        "gates-before-the-signature-only",
        "What had to hold for a first form is asked for before it is signed, and not again when it is stored.",
        ORDERS,
        "    check_order(connection, order, cost, purse)\n    accounts.advance(",
        "    accounts.advance(",
    ),
    plant(
        "gates-before-another-signature-only",
        "Another form of a lock is stored and sent though its gate has closed while that was signed.",
        PIPELINE,
        "self._hand.again(record, bid, cancellation, without, gate)",
        "self._hand.again(record, bid, cancellation, without)",
    ),
    plant(
        "switches-before-the-signature-only",
        "A pause that is ordered while a lock is signed does not keep it back.",
        "relayer/pump/checks.py",
        "        self.switches_allow(connection, state.agreement)\n",
        "",
    ),
    plant(
        "reveals-have-no-second-gate",
        "The reveal's gate is asked before its claim is signed, and not again when it is stored.",
        ACTING,
        "            gate=partial(self._reveal_gate, swap_id=asked.swap_id) if asked.first else None,\n",
        "",
    ),
)
