"""Pure verifiers of proofs, headers, commits and evidence. No I/O."""
