"""Cutting units out of a network, and checking that it may be done."""
