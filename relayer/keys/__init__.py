"""Keys at rest."""
