"""A loss and the gradient of its input, as a model of Triton's Python backend.

The model's parameters say which loss, in which library, and with how many threads.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        given = json.loads(args["model_config"])["parameters"]
        loss, library, threads = (given[k]["string_value"] for k in ("loss", "library", "threads"))
        if library == "torch":
            import torch

            torch.set_num_threads(int(threads))
            self._call = _torch_call(getattr(torch.nn.functional, loss))
        else:
            self._call = NUMPY[loss]

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        x, y = (triton.get_input_tensor_by_name(request, n).as_numpy() for n in ("input", "target"))
        loss, gradient = self._call(x, y)
        loss = np.array([loss], np.float32)
        outputs = [triton.Tensor("loss", loss), triton.Tensor("gradient", gradient)]
        return triton.InferenceResponse(outputs)


def _torch_call(function: Any) -> Any:
    import torch

    def call(x: Any, y: Any) -> Any:
        x = torch.from_numpy(x).requires_grad_()
        loss = function(x, torch.from_numpy(y))
        loss.backward()
        return loss.item(), x.grad.numpy()

    return call


def _cross_entropy(x: Any, y: Any) -> Any:
    rows = np.arange(len(x))
    x = x - x.max(1, keepdims=True)
    gradient = np.exp(x)
    sums = gradient.sum(1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - x[rows, y])
    gradient /= sums * len(x)
    gradient[rows, y] -= np.float32(1 / len(x))
    return loss, gradient


def _mse_loss(x: Any, y: Any) -> Any:
    gradient = x - y
    loss = np.square(gradient).mean()
    gradient *= np.float32(2 / x.size)
    return loss, gradient


def _binary_cross_entropy_with_logits(x: Any, y: Any) -> Any:
    small = np.abs(x)
    np.negative(small, out=small)
    np.exp(small, out=small)  # exp(-|x|)
    loss = np.log1p(small)
    loss += np.maximum(x, 0)
    loss -= x * y
    gradient = np.where(x >= 0, np.float32(1), small)
    small += 1
    gradient /= small  # the sigmoid
    gradient -= y
    gradient /= np.float32(x.size)
    return loss.mean(), gradient


NUMPY = {
    "cross_entropy": _cross_entropy,
    "mse_loss": _mse_loss,
    "binary_cross_entropy_with_logits": _binary_cross_entropy_with_logits,
}
