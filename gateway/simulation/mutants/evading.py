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
)
