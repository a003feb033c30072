"""Chains behind the ports of `core.model`."""
