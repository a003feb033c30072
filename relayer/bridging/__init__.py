"""Facts carried between chains: attestations of foreign headers."""
