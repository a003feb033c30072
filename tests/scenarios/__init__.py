"""Attacks and accidents, end to end: a relayer over anvil and the consortium chain, and somebody else's hands."""
