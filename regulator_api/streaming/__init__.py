"""Streams: what has happened since a number, and what happens from then on."""
