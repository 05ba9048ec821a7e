"""Losses as torch.nn.Modules. Imported only by `Loss.module`."""

import copy
from typing import Any

import torch

from lossd_client.module import Loss
from lossd_client.owning import OwningLoss, write
from lossd_client.torch_tensors import to_tensor


class LossModule(torch.nn.Module):
    """A loss of lossd's as a module: see `Loss.module`.

    Its parameters, and the weights that the loss was made with, are the module's; all else is
    the loss's: what is read or set there is read from and set on that.
    """

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        for name, value in loss.named_parameters() if isinstance(loss, OwningLoss) else ():
            self._place(name, torch.nn.Parameter(to_tensor(value).detach().clone()))
        for name in loss.options:
            value = getattr(loss, name)
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
        # of what the parameters are, but not of what they hold
        shapes = {k: torch.empty_like(p, device="meta") for k, p in self.named_parameters()}
        self._loss: Any = copy.copy(loss)
        if isinstance(loss, OwningLoss):
            self._loss = loss.having(shapes)

    def _place(self, name: str, parameter: torch.nn.Parameter) -> None:
        """Have a parameter under a name such as `tail.0.1.weight`."""
        *path, last = name.split(".")
        place: torch.nn.Module = self
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, torch.nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(last, parameter)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The loss of these inputs."""
        return self._now()(*inputs, **options)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, if there are any."""
        parameters = dict(self.named_parameters())
        if parameters:
            drawn = self._loss.drawn(next(iter(parameters.values())).dtype)
            for name, value in drawn.named_parameters():
                write(parameters[name], value, name)

    def extra_repr(self) -> str:
        """What the module's text tells."""
        return repr(self._loss)

    def __getattr__(self, name: str) -> Any:
        """What the loss has and a module has not, such as `reduction` and `log_prob`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            found = getattr(self._loss, name)
            return getattr(self._now(), name) if callable(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what the loss has on it."""
        loss = self.__dict__.get("_loss")
        if loss is None or name in self._buffers or name not in vars(loss):
            super().__setattr__(name, value)
        else:
            setattr(loss, name, value)

    def _now(self) -> Any:
        """The loss with the parameters and weights as they are now."""
        parameters, weights = dict(self.named_parameters()), dict(self.named_buffers())
        if not parameters and not weights:
            return self._loss
        loss = self._loss.having(parameters) if parameters else copy.copy(self._loss)
        for name, weight in weights.items():
            setattr(loss, name, weight)
        return loss
