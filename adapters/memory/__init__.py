"""A deterministic chain in memory, with faults on request."""
