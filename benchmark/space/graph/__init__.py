"""How a network computes: which channel every element comes from, and what depends on it."""
