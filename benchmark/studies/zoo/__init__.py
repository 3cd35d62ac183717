"""Which networks of torchvision and timm the suite can prune: each is built, pruned at random and checked."""
