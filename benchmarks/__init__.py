"""Every loss at several sizes, side by side with torch, the memory limit and raw gRPC.

    python -m benchmarks --quick              a minute, to see that all is well
    python -m benchmarks --out build/bench    the whole suite; table, summary, CSV and JSON
    python -m benchmarks.thresholds           from where on more threads, or another one, pay

workloads   what is measured: shapes, and how tensors are drawn, by role
contenders  who is measured: lossd in-process and served, torch, a copy, raw gRPC
timing      how: contenders take turns, medians over rounds
suite       the loop over losses and sizes, with a check of the results before each timing
targets     what must be reached, against what was measured; verdicts tell whether it was
report      tables, CSV, JSON, Markdown
peers       lossd beside Arrow Flight and Triton: python -m benchmarks.peers --help
"""
