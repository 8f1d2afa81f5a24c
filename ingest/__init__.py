"""From the broker to the ledger and the history: heard, understood, judged, kept."""
