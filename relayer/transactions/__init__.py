"""From an intention to a final block: sequences, signed bytes, fees, inclusion."""
