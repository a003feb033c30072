"""Proofs that an operator's account attested two headers at one height, recorded for ever.

The ledger verifies the proof and judges nobody by it: members vote (`members`). An attestor that was dismissed since
still stands for the operator that appointed it last.
"""

from typing import Final

from core.model.consortium import (
    EquivocationLeaf,
    EquivocationProven,
    ReportEquivocation,
    ResultCode,
    attested_for_key,
    encode_leaf,
    equivocation_key,
    equivocations_key,
)
from core.model.consortium_members import MISBEHAVIOUR, MisbehaviourLeaf, MisbehaviourSeen, organisation_of_key
from core.proofs.cometbft.types import KeyKind, PublicKey
from core.proofs.equivocation import KIND, verify_equivocation
from core.proofs.errors import ProofError
from local_chains.consortium.ledger.context import Context, refuse
from local_chains.consortium.ledger.leaves import read, read_count, read_operators, write, write_count
from local_chains.consortium.ledger.members import organisation_called
from local_chains.consortium.ledger.sequences import append

MAX_REASON_CHARS: Final = 200
MAX_RECORDED: Final = 16
"""Of one operator: more would say nothing new, and whoever has its key could fill the state."""


def report(context: Context, message: ReportEquivocation) -> None:
    """Anybody may report: the proof says all."""
    try:
        found = verify_equivocation(context.chain_id, message.first, message.second)
    except ProofError as error:
        refuse(ResultCode.BAD_PROOF, error.message[:MAX_REASON_CHARS])
    powers = read_operators(context.state)
    operator = _operator(context, found.attestor)
    if operator is None:
        refuse(ResultCode.NOT_OPERATOR, "the account that signed belongs to no operator, and none has appointed it")
    key = equivocation_key(operator, found.chain, found.height)
    if read(context.state, key, EquivocationLeaf) is not None:
        refuse(ResultCode.BAD_PROOF, "this operator's double attestation at this height is recorded already")
    count = read_count(context.state, equivocations_key(operator))
    if count >= MAX_RECORDED:
        refuse(ResultCode.BAD_PROOF, f"{MAX_RECORDED} double attestations of this operator are recorded already")
    write_count(context.state, equivocations_key(operator), count + 1)
    ballots = (*found.first, *found.second)
    write(context.state, key, EquivocationLeaf(found.attestor, *ballots, context.sender, context.time_ms))
    name = (context.state.get(organisation_of_key(operator)) or b"").decode()
    terms = organisation_called(context.state, name) if name else None
    validator = b"" if terms is None or not terms.key else PublicKey(KeyKind(terms.key_kind), terms.key).address
    numbers = context.height, context.time_ms, powers.get(operator, 0), sum(powers.values())
    append(context.state, MISBEHAVIOUR, encode_leaf(MisbehaviourLeaf(KIND, validator, name, *numbers)))
    context.events.append(EquivocationProven(found.chain, found.height, operator, found.attestor))
    context.events.append(MisbehaviourSeen(KIND, validator, name, *numbers))


def _operator(context: Context, account: bytes) -> bytes | None:
    """The operator that the account is, or that appointed it last."""
    name = context.state.get(organisation_of_key(account))
    if name is not None:
        return account
    return context.state.get(attested_for_key(account))
