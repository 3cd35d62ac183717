"""The suite's own large models, one file each: `own:NAME` is the class of NAME.py whose lower-case name is NAME.

Its constructor takes `in_channels, classes, image_size, width`; all sizes are decided there, so that
torch.fx can trace `forward`.
"""
