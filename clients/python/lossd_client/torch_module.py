"""Losses as torch.nn.Modules. Imported only by `Loss.module`."""

import copy
import functools
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
        held = dict(loss.named_parameters()) if isinstance(loss, OwningLoss) else {}
        self._names = tuple(held)
        for path in dict.fromkeys(name.rpartition(".")[0] for name in held):
            self._place(path, held[f"{path}.weight"], held.get(f"{path}.bias"))
        for name in loss.options:
            value = getattr(loss, name)
            if value is None or isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
        # of what the parameters are, but not of what they hold
        shapes = {k: torch.empty_like(p, device="meta") for k, p in self._parameters_now().items()}
        self._loss: Any = copy.copy(loss)
        if isinstance(loss, OwningLoss):
            self._loss = loss.having(shapes)

    def _place(self, path: str, weight: Any, bias: Any) -> None:
        """Have a linear layer under a path such as `tail.0.1`, in modules of torch.nn's class."""
        rows, columns = weight.shape
        # torch warns where it draws nothing, and what it draws is replaced
        layer = torch.nn.Linear(max(columns, 1), max(rows, 1), bias is not None, device="meta")
        layer.in_features, layer.out_features = columns, rows
        layer.weight = torch.nn.Parameter(to_tensor(weight).detach().clone())
        if bias is not None:
            layer.bias = torch.nn.Parameter(to_tensor(bias).detach().clone())
        *parents, last = path.split(".")
        place: torch.nn.Module = self
        for depth, part in enumerate(parents):
            if part not in dict(place.named_children()):
                place.add_module(part, torch.nn.Sequential() if depth else torch.nn.ModuleList())
            place = place.get_submodule(part)
        place.add_module(last, layer)

    def _parameters_now(self) -> dict[str, Any]:
        """The loss's parameters, as layers have them: pruned, or made of others."""
        return {name: functools.reduce(getattr, name.split("."), self) for name in self._names}

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The loss of these inputs."""
        return self._now()(*inputs, **options)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, if there are any."""
        parameters = self._parameters_now()
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
        own = loss is None or name in self._buffers
        if own or (name not in vars(loss) and not isinstance(getattr(Loss, name, None), property)):
            super().__setattr__(name, value)
        else:
            setattr(loss, name, value)

    def _now(self) -> Any:
        """The loss with the parameters and weights as they are now."""
        parameters = self._parameters_now()
        weights = {k: getattr(self, k) for k in self._loss.options if k in self._buffers}
        if not parameters and not weights:
            return self._loss
        loss = self._loss.having(parameters) if parameters else copy.copy(self._loss)
        for name, weight in weights.items():
            setattr(loss, name, weight)
        return loss
