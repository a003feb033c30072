"""Several endpoints of one chain behind the ports of one: reads fail over, grounds to act need a quorum.

    access = combine([Member("alpha", chain_a.access, chain_a.locks), Member("beta", …), Member("gamma", …)])

The quorum is more than half of the *configured* operators, so one that does not answer counts against it: an attacker
who silences the honest endpoints gains nothing. Works over any adapter whose `LockReader` can read at a given height.
"""

from adapters.endpoints.ports import MAX_MEMBERS, FailoverBridge, combine
from adapters.endpoints.voting import Member, PinnedLockReader, Voters

__all__ = ["MAX_MEMBERS", "FailoverBridge", "Member", "PinnedLockReader", "Voters", "combine"]
