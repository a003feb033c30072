"""Causeway's ground floor: vocabulary, proofs and shared runtime."""
