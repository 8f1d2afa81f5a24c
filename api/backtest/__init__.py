"""What rules and limits would have said of traffic that is over, told in its own time."""
