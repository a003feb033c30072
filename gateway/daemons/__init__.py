"""The daemons' main functions, from a configuration to a clean stop. Each imports only its own rooms."""
