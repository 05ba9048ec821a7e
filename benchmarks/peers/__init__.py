"""lossd beside others that carry tensors between processes: the same losses and bytes, one run.

    python -m benchmarks.peers --quick        few workloads, to see that all is well
    make bench-peers                          all of them; sets up the peers' environments first

Peers live in environments of their own, each with a worker process that takes turns with lossd's
contenders and takes its own time.

flight        Arrow Flight: an echo server on DoExchange, and its worker
triton        Triton Inference Server with the losses in its Python backend, and its worker
triton_model  the model that Triton runs, in torch or NumPy
serving       the worker's side of the talk, standard library only
worker        the driver's side
suite         the loop over workloads, with a check of the results before each timing
report        tables, Markdown, a chart
"""
