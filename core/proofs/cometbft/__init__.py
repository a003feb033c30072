"""CometBFT headers, commits, validator sets and the light client (spec v0.38 to v0.40)."""
