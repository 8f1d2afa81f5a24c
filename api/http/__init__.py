"""The HTTP API, and what it shares with the console: who may, what went wrong, what is live."""
