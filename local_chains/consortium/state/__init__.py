"""The chain's state: leaves in memory and in SQLite, and the sparse Merkle tree whose root is the app hash."""
