"""The consortium chain: one deterministic ledger, its state, an embedded engine and CometBFT's RPC in front of them."""
