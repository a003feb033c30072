"""A question about one chain that is asked on, or from, another: asked, proven, delivered or expired.

    model       what was asked, what is known of it, and the phase that follows
    events      what can happen to a query
    effects     what a query may ask for
    transition  transition(state, event) → (state, effects): pure
    table       which phase answers which event; the diagram in the docs is drawn from it
    engine      the machine over a database

The room knows neither chains nor proofs: a proof is a digest here, and who executes effects keeps its bytes.
"""
