"""The console: pages for those who watch, in Chinese and English, on any telephone."""
