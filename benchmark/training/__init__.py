"""The one training loop, and stacked networks."""
