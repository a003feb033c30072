"""The ledger as an ABCI 2.0 application: what a CometBFT node asks, over its socket (CometBFT spec, "ABCI 2.0")."""
