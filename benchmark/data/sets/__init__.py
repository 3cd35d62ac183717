"""The data sets, one file each. A `benchmark.data.base.Dataset` in a file here is found by itself."""
