"""Scores the alarms of a service, or of a file, against what really happened."""
