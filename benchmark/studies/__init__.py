"""Measurements that are no part of a suite."""
