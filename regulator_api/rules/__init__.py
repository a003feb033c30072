"""Typologies as pure functions, the engine that runs them at each block, alerts and cases."""
