"""What faces people: the HTTP API, the console, the notifications, and the wiring."""
