"""The console: pages for people over the APIs, which it asks as any other client does.

    browser ──cookie──> console ──token──> /v1/… of the same server

Pages are made on the server (Jinja2); scripts of our own, bundled from npm's packages by `make setup`, draw charts,
keep figures fresh and check evidence. Nothing is fetched from elsewhere. A page shows what the signed-in person's own
credentials may see, and nothing of what they may not.
"""
