"""Proofs: evidence files of what reading shows."""
