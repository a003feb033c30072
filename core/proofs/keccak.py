"""Keccak-256 as Ethereum uses it (the padding before NIST standardised SHA-3)."""

import sha3  # type: ignore[import-untyped]  # safe-pysha3 has no stubs


def keccak256(data: bytes) -> bytes:
    """32-byte Keccak-256 digest (Ethereum Yellow Paper, appendix "Notation")."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest
