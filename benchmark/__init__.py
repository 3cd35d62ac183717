"""A reproducible benchmark of architecture pruning for few-shot transfer; `benchmark.api` is its Python interface."""
