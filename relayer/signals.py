"""The former place of `core.runtime.signals` and `relayer.heads`, for programs that import it; it goes with 0.2."""

from core.model.ports import ChainAccess
from core.runtime.signals import Signal, first_failure, wait_any
from relayer import heads

__all__ = ["HeadBoard", "Signal", "first_failure", "wait_any"]


class HeadBoard(heads.HeadBoard):
    """As it was made in version 0.1: from everything that a chain can do."""

    def __init__(self, access: ChainAccess) -> None:
        super().__init__(access.heads)
