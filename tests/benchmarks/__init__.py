"""The benchmarks: ours and a reference side by side, in one run. `python -m tests.benchmarks`.

Absolute times on one machine drift by half between two runs; what holds is the ratio of two measurements taken in
turn. So each benchmark is a module with `FIGURES`, what its rows mean, and `run(scale)`, which yields what was found.
"""
