"""The part of the page that is explored: its data, its scripts, its figures' specifications."""
