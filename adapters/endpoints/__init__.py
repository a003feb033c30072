"""Several endpoints of one chain behind the ports of one: reads fail over, grounds to act need a quorum.

    access = combine([Member("alpha", chain_a.access, chain_a.locks), Member("beta", …), Member("gamma", …)])

The quorum is more than half of the *configured* operators, so one that does not answer counts against it: an attacker
who silences the honest endpoints gains nothing. Works over any adapter whose `LockReader` can read at a given height.

What a minority that lies, hangs or fails in any way can cause, as long as a quorum is honest and answers:

- *Locks*: nothing. A quorum sees the same at one finalized block.
- *The finalized block*: nothing. A quorum reaches the height and shows the same hash; who contradicts is asked last.
- *The head*: a head that the chain does not have, until the others are as high. It is the one whose branch has most
  operators' heads on it; nothing is funded or revealed on it. Two that stand still may hide the head of a third.
- *Blocks with events*: one more round of questions. A second operator reads the same range; if the two differ, a block
  is what a quorum shows. Events of a block that no second operator has within `WITNESS_S` are one member's word.
- *Sequences*: nothing. The largest number that a quorum reaches outvotes one that is too high or too low, and the
  journal allots sequences, not the chain.
- *The fee market*: nothing. It is the lower median of the operators; of two that answer, the lower bid.
- *A simulation*: nothing. A quorum agrees or refuses.
- *Submissions*: one "taken" that is believed once. All get the bytes each time; a refusal is that of a quorum.
- *Outcomes*: nothing, neither by "pending" nor by "included" or "final". In a block, final, dropped: a quorum says so.
- *Balances at a height*, which signatures are held against: nothing. The largest amount that a quorum reaches
  outvotes one that is too high or too low.
- *Balances at the head, records, orders, free places*: a wrong number on a screen; a lock or an approval that the
  simulation refuses; a swap that is refused over an order that does not exist.
- *Hanging*, in any of these: `GRACE_S` after a quorum has answered, `UNDECIDED_S` if it has no verdict, `PATIENCE_S` on
  a broadcast that nobody has taken, `HEDGE_S` on a read, `WITNESS_S` on blocks.
- *Raising*, whatever it is: counted as its failure.

If only a minority answers, exits still go out through it, and heads and blocks go on, marked as disputed.
"""

from adapters.endpoints.ports import MAX_MEMBERS, FailoverBridgeBuilder, combine
from adapters.endpoints.voting import Member, PinnedLockReader, Voters

__all__ = ["MAX_MEMBERS", "FailoverBridgeBuilder", "Member", "PinnedLockReader", "Voters", "combine"]
