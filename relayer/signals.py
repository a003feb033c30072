"""The former place of `core.runtime.signals` and `relayer.heads`, for programs that import it; it goes with 0.2."""

from core.runtime.signals import Signal, first_failure, wait_any
from relayer.heads import HeadBoard

__all__ = ["HeadBoard", "Signal", "first_failure", "wait_any"]
