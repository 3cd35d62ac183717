"""One unit of work: its key, the store of results, and the processes that compute it."""
