"""Starts and stops chains for development, and nothing else."""
