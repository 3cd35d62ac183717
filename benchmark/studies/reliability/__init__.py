"""What a run withstands: kills, damaged jobs, altered result files, hostile descriptions and command lines.

`python -m benchmark.studies.reliability` attacks a suite of seconds in folders of its own; the tests do the same with
fewer tries.
"""
