"""Bugs of the kinds by which limits, balances and new looks are evaded."""

from typing import Final

from gateway.simulation.mutants.planting import plant

PROMISES, PORTS = "relayer/pump/promises.py", "adapters/endpoints/ports.py"
BOTH = "counterparties=frozenset({AccountId(initiator_sender), AccountId(initiator_receiver)})"
REACHED = 'return BaseUnits(voters.reached(held, f"balance of {account}"))'

EVADING: Final = (
    plant(
        "payee-is-nobody",
        "A counterparty is known by the account that it locks from alone.",
        PROMISES,
        BOTH,
        "counterparties=frozenset({AccountId(initiator_sender)})",
    ),
    plant(
        "giver-is-nobody",
        "A counterparty is known by the account that it is paid at alone.",
        PROMISES,
        BOTH,
        "counterparties=frozenset({AccountId(initiator_receiver)})",
    ),
    plant(
        "poorest-endpoint-is-believed",
        "The least that any endpoint says is what an account holds.",
        PORTS,
        REACHED,
        "return BaseUnits(min(amount for _, amount in held))",
    ),
    plant(
        "richest-endpoint-is-believed",
        "The most that any endpoint says is what an account holds.",
        PORTS,
        REACHED,
        "return BaseUnits(max(amount for _, amount in held))",
    ),
    plant(
        "inherited-locks-go-out",
        "A lock that an earlier process signed is sent without a new look.",
        "relayer/transactions/inherited.py",
        "        return record.id in self._unchecked",
        "        return False",
    ),
    plant(
        "own-clock-alone-holds-gates",
        "What waits for a block is bid up by our own clock alone, though that has fallen behind what blocks show.",
        "relayer/pump/acting.py",
        "        return max(times)",
        "        return times[0]",
    ),
    plant(
        "one-endpoint-knows-an-allowance",
        "What a lock needs before it is what the healthiest endpoint says, which may lag.",
        "adapters/endpoints/ports.py",
        "        return await self._voters.agreed(\n            lambda member: member.access.legs.prepare(terms), "
        'f"what a lock of {terms.asset} needs before it"\n        )',
        "        return await self._voters.first(lambda member: member.access.legs.prepare(terms))",
    ),
)
