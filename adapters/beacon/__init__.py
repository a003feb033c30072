"""Ethereum's beacon chain over the standard beacon API: light client data, followed from an anchor.

Nothing that a node says is believed: `Follower` hands out only what the light client proves. Errors are those of the
model: `RetryableError` if no node gives data that proves itself, as the next one may.
"""

from adapters.beacon.client import BeaconApi, BeaconNode
from adapters.beacon.follower import Final, Follower

__all__ = ["BeaconApi", "BeaconNode", "Final", "Follower"]
