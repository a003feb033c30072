"""Traces: where value went, or came from, over hops and chains. Pure: data comes through `ports.History`."""
