"""The benchmark suite: `python benchmarks/bench.py`. Start with `bench.py`, then read `plan.py`.

`rows` and `server` serve pages that are rendered beforehand, `cases` are the programs that are measured, `plan` says
what is measured, `run` measures it, and `table` writes what came of it.
"""
