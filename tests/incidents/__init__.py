"""Incidents of other relayers and swap daemons, as their trackers have them, played against ours.

Each test is named after the project and the number of its issue or pull request.
"""
