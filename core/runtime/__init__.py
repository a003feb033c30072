"""Shared I/O: database, journal, clock, supervisor, logging, metrics and web helpers."""
