"""Losses as torch.nn.Modules. Imported only by `Loss.module`."""

from typing import Any

import torch

from lossd_client.module import Loss
from lossd_client.owning import OwningLoss
from lossd_client.torch_tensors import to_tensor


class LossModule(torch.nn.Module):
    """A loss of lossd's as a module: see `Loss.module`."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        for name, value in _named(loss):
            *path, last = name.split(".")
            place: torch.nn.Module = self
            for part in path:
                if part not in dict(place.named_children()):
                    place.add_module(part, torch.nn.Module())
                place = place.get_submodule(part)
            place.register_parameter(last, torch.nn.Parameter(to_tensor(value).detach().clone()))
        self._loss = loss

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The loss of these inputs."""
        return self._now()(*inputs, **options)

    def extra_repr(self) -> str:
        """What the module's text tells."""
        return repr(self._loss)

    def __getattr__(self, name: str) -> Any:
        """What the loss has and a module has not, such as `log_prob`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return getattr(self._now(), name)

    def _now(self) -> Any:
        """The loss of the parameters as they are now."""
        if not isinstance(self._loss, OwningLoss):
            return self._loss
        return self._loss._with(dict(self.named_parameters()))


def _named(loss: Loss) -> list[tuple[str, Any]]:
    return list(loss.named_parameters()) if isinstance(loss, OwningLoss) else []
