"""Bugs between the gateway and a ledger: how its adapter signs and reads, and the ledger's own rules."""

from typing import Final

from gateway.simulation.mutants.planting import plant

LEGS, FACTS, TRANSACTIONS = (f"adapters/consortium/{name}.py" for name in ("legs", "facts", "transactions"))
HTLC, EXECUTION, ORDERS, BANK = (
    f"local_chains/consortium/ledger/{name}.py" for name in ("htlc", "execution", "orders", "bank")
)

ADAPTING: Final = (
    plant(
        "ledger-forms-never-expire",
        "What is signed for the ledger stays valid for ever.",
        TRANSACTIONS,
        "NEVER if expiry is None else expiry",
        "NEVER",
    ),
    plant(
        "ledger-forms-expire-at-once",
        "What is signed for the ledger is valid for a block or two only.",
        TRANSACTIONS,
        "NEVER if expiry is None else expiry",
        "NEVER if expiry is None else Height(expiry - 13)",
    ),
    plant(
        "ledger-claims-read-as-refunds",
        "A claim on the ledger is read as a refund, so its preimage is not seen.",
        FACTS,
        "return Claimed(name, Hashlock(event.hashlock), PublicPreimage(event.preimage))",
        "return Refunded(name, Hashlock(event.hashlock))",
    ),
    plant(
        "ledger-claims-unseen",
        "Claims on the ledger are nobody's business.",
        FACTS,
        "            return Claimed(name, Hashlock(event.hashlock), PublicPreimage(event.preimage))",
        "            return None if name else None",
    ),
    plant(
        "ledger-claims-its-own-lock",
        "A claim names the claimer's lock, not the other party's.",
        LEGS,
        "(Claim(locker, preimage.expose()),)",
        "(Claim(raw_address(sender), preimage.expose()),)",
    ),
)

RULES: Final = (
    plant(
        "ledger-claim-without-timelock",
        "The ledger pays a claim after the timelock, too.",
        HTLC,
        "    if context.time_ms >= held.timelock * MS_PER_S:",
        "    if False:",
    ),
    plant(
        "ledger-refund-without-timelock",
        "The ledger pays a lock back at any time.",
        HTLC,
        "    if context.time_ms < held.timelock * MS_PER_S:",
        "    if False:",
    ),
    plant(
        "ledger-hashlock-again",
        "A sender may lock under one hashlock again, over the lock that is there.",
        HTLC,
        "    if context.state.get(key) is not None:",
        "    if False:",
    ),
    plant(
        "ledger-lock-takes-nothing",
        "A lock leaves the sender's balance as it was.",
        HTLC,
        "    debit(context.state, context.sender, message.asset, amount)\n",
        "",
    ),
    plant(
        "ledger-settles-again",
        "A settled lock is settled once more if somebody asks for it.",
        HTLC,
        '    if held.status != "locked":',
        "    if False:",
    ),
    plant(
        "ledger-takes-any-signature",
        "The ledger asks nobody for a signature.",
        EXECUTION,
        "    if not signatures.holds(raw, transaction):",
        "    if False:",
    ),
    plant(
        "ledger-expiry-is-ignored",
        "The ledger includes a transaction that has expired.",
        EXECUTION,
        "    if height > body.expiry_height:",
        "    if False:",
    ),
    plant(
        "ledger-half-a-transaction",
        "The messages before one that fails keep their effect.",
        EXECUTION,
        (
            "        state.take_back(before_messages)\n"
            "        return Result(refusal.result, refusal.message, (), cost)\n"
        ),
        "        pass\n",
    ),
    plant(
        "ledger-held-address-sends",
        "An address that officers hold moves its money away.",
        BANK,
        "    require_free_sender(context)\n    move(context",
        "    move(context",
    ),
    plant(
        "ledger-locks-for-the-held",
        "A new lock may pay an address that officers hold.",
        HTLC,
        "    require_free_receiver(context, message.receiver)\n",
        "",
    ),
    plant(
        "ledger-one-officer-holds",
        "An officer approves their own order.",
        ORDERS,
        "    if context.sender == first.officer:",
        "    if False:",
    ),
    plant(
        "ledger-hold-stops-claims",
        "An open lock is not claimed while its receiver is held, and the other party has both legs.",
        HTLC,
        '    _settle(context, held, held.receiver, "claimed", message.preimage)\n',
        (
            "    require_free_receiver(context, held.receiver)\n"
            '    _settle(context, held, held.receiver, "claimed", message.preimage)\n'
        ),
    ),
)
