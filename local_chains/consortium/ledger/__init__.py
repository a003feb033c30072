"""The ledger: pure and deterministic. Bytes in, result codes, events and state writes out; no I/O, no own clock."""
