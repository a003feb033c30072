"""Supervision over all chains: reads facts, asks for evidence, keeps an audit log."""
