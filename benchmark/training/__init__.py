"""The one training loop, stacked networks, and teachers."""
