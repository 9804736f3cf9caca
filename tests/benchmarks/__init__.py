"""The benchmarks: ours and a reference side by side, in one run. `python -m tests.benchmarks`.

Absolute times on one machine drift by half between two runs; what holds is the ratio of two measurements taken in
turn. So each benchmark is a module with `run(scale)`, which yields rows: ours, the reference, the median of the
ratios of each pair, the smallest and the largest of them, and the goal.
"""
