"""The routes of the API: each reads its input, asks the watch, and shapes the answer."""
