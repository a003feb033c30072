"""Follows chains into SQL, survives reorgs and restarts."""
