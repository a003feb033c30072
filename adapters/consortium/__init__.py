"""Any chain with CometBFT RPC and our ledger behind the ports."""
