"""A relayer and a dApp's client, on one pump."""
