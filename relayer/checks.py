"""The former place of `relayer.pump.checks`, for programs that import it; it goes with 0.2."""

from relayer.pump.checks import Checks, PreimageVault

__all__ = ["Checks", "PreimageVault"]
