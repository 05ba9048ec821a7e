"""lossd: PyTorch's losses and their gradients, as compiled kernels and as a gRPC service."""

__version__ = "0.1.0"
