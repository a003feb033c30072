"""Proposals that this validator has accepted, remembered on disk until their height is decided.

The rule for a proposer's clock looks at the time of day, so a block that was fine when it was proposed would be refused
when it is proposed again after a halt. Validators that are locked on it cannot vote for another, and the chain would
stand still for ever. So a validator never goes back on a block that it has once accepted, not even after a restart.
"""

from pathlib import Path
from typing import Final

import msgspec

from core.model.errors import FatalError
from core.runtime.files import replace_file

MAX_PER_HEIGHT: Final = 1_000
"""Rounds of one height that are remembered."""


class _Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    height: int
    hashes: tuple[str, ...]


class AcceptedProposals:
    """The block hashes accepted at one height; a file is rewritten whole, and durably, for each."""

    def __init__(self, path: Path) -> None:
        """Raise `FatalError` if the file cannot be read."""
        self._path = path
        self._accepted = _Accepted(0, ())
        try:
            self._accepted = msgspec.json.decode(path.read_bytes(), type=_Accepted)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            raise FatalError(f"{path} cannot be read: {error}") from None

    def holds(self, height: int, block_hash: bytes) -> bool:
        return height == self._accepted.height and block_hash.hex() in self._accepted.hashes

    def remember(self, height: int, block_hash: bytes) -> None:
        """Durable when it returns. Raise `FatalError` if it cannot be written."""
        earlier = self._accepted.hashes if height == self._accepted.height else ()
        accepted = _Accepted(height, (*earlier, block_hash.hex())[-MAX_PER_HEIGHT:])
        try:
            replace_file(self._path, msgspec.json.encode(accepted))
        except OSError as error:
            raise FatalError(f"{self._path} cannot be written: {error.strerror}") from error
        self._accepted = accepted
