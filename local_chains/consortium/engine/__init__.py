"""Engines that order transactions into blocks for the ledger."""
