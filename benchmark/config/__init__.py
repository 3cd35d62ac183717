"""params.yaml as typed values, and the messages of what is wrong with it."""
