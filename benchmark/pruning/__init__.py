"""What a pruner is, and what pruners share."""
