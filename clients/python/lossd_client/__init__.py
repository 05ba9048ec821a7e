"""Thin client of lossd: torch.nn's losses and their gradients, computed by a server.

>>> from lossd_client import connect, nn, tensor
>>> client = connect("inproc:")  # or "localhost:50051", "unix:/run/lossd/lossd.sock"
>>> criterion = nn.CrossEntropyLoss(client=client)
>>> x = tensor([[1.5, 2.0, 0.5], [0.5, 1.0, 1.5]], requires_grad=True)
>>> loss = criterion(x, [1, 2])
>>> round(loss.item(), 6)
0.6422
>>> loss.backward()
>>> x.grad.shape
(2, 3)
"""

from lossd_client import errors, functional, nn
from lossd_client.arrays import Tensor, tensor
from lossd_client.client import AsyncClient, Client, connect
from lossd_client.errors import LossdError
from lossd_client.handles import Handle
from lossd_client.pieces import Pieces

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Handle",
    "LossdError",
    "Pieces",
    "Tensor",
    "connect",
    "errors",
    "functional",
    "nn",
    "tensor",
]
