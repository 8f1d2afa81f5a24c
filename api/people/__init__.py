"""People, posts and routes as they are entered, checked and kept."""
