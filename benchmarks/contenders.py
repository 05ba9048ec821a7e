"""Who is measured: calls that give a loss and its gradient, and the limits they are held against.

Each is a function without arguments. Gradients are of the first tensor, as a training loop
without torch asks for them; torch has `requires_grad` on that tensor alone.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numba as nb
import numpy as np
import torch
from lossd_client import nn, wire
from lossd_client.client import Client
from lossd_client.wire import Request, Response
from numba import njit, prange

from benchmarks.timing import Contender
from benchmarks.workloads import Array, Workload
from lossd import plan
from lossd.spec import registry


def lossd_call(workload: Workload, tensors: dict[str, Array], client: Client) -> Contender:
    """Loss and gradient through the public interface, computed at a client's target."""
    loss = registry[workload.loss]
    kind = getattr(nn, loss.__name__)
    if not loss.owned:
        criterion = kind(reduction=workload.reduction, client=client)
        arrays = list(tensors.values())
        return lambda: criterion.value_and_grad(*arrays)
    held = {name: array for name, array in tensors.items() if name in loss.owned}
    criterion = kind.of(**held, reduction=workload.reduction, client=client)
    arrays = [array for name, array in tensors.items() if name not in held]
    wrt = [name for name, array in tensors.items() if array.dtype.kind == "f"]

    def call() -> tuple[float, Array]:
        value, gradients = criterion.value_and_grad(*arrays, wrt=wrt)
        return value, gradients[0]

    return call


def _sigmoid_focal(x: Any, y: Any) -> Any:
    bce = torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    p = x.sigmoid()
    p_t = p * y + (1 - p) * (1 - y)
    return (0.25 * y + 0.75 * (1 - y)) * bce * (1 - p_t) ** 2


def _ppo_clip(x: Any, old: Any, a: Any) -> Any:
    ratio = torch.exp(x - old)
    return -torch.min(ratio * a, ratio.clamp(0.8, 1.2) * a)


def _orpo(c: Any, r: Any) -> Any:
    def log1mexp(x: Any) -> Any:
        return torch.where(x < -math.log(2), (-x.exp()).log1p(), (-x.expm1()).log())

    return -0.1 * torch.nn.functional.logsigmoid(c - r - (log1mexp(c) - log1mexp(r)))


def _kto(x: Any, ref: Any, y: Any, kl: Any) -> Any:
    z = 0.1 * (x - ref - kl.clamp_min(0))
    return torch.where(y != 0, 1 - torch.sigmoid(z), 1 - torch.sigmoid(-z))


def _label_log_p(x: Any, y: Any) -> Any:
    return x.log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1)


def _softmax_focal(x: Any, y: Any) -> Any:
    log_p = _label_log_p(x, y)
    return -((1 - log_p.exp()) ** 2) * log_p


def _poly1(x: Any, y: Any) -> Any:
    log_p = _label_log_p(x, y)
    return 2 * (1 - log_p.exp()) - log_p


def _symmetric(x: Any, y: Any) -> Any:
    log_p = _label_log_p(x, y)
    return -0.1 * log_p - math.log(1e-4) * (1 - log_p.exp())


def _arcface(x: Any, y: Any) -> Any:
    label = y.unsqueeze(1)
    cos, m = x.gather(1, label), math.radians(28.6)
    angle = cos.acos()
    lowered = torch.where(angle <= math.pi - m, (angle + m).cos(), cos - m * math.sin(m))
    return -_label_log_p(64 * x.scatter(1, label, lowered), y)


def _cosface(x: Any, y: Any) -> Any:
    label = y.unsqueeze(1)
    return -_label_log_p(
        64 * x.scatter_add(1, label, torch.full_like(label, -0.35, dtype=x.dtype)), y
    )


def _contrastive(x1: Any, x2: Any, y: Any) -> Any:
    d = torch.nn.functional.pairwise_distance(x1, x2)
    return 0.5 * (y * d**2 + (1 - y) * (1 - d).clamp_min(0) ** 2)


def _distillation(x: Any, y: Any) -> Any:
    log_p, log_q = x.log_softmax(-1), y.log_softmax(-1)
    return torch.nn.functional.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)


def _generalized_jsd(x: Any, y: Any) -> Any:
    kl_div = torch.nn.functional.kl_div
    log_p, log_q = x.log_softmax(-1), y.log_softmax(-1)
    log_m = torch.stack([log_p, log_q]).logsumexp(0) - math.log(2)
    of_p, of_q = (kl_div(log_m, z, reduction="none", log_target=True) for z in (log_p, log_q))
    return 0.5 * (of_p + of_q).sum(-1)


def _linear(x: Any, w: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(torch.nn.functional.linear(x, w), y, reduction="none")


def _adaptive(x: Any, y: Any, head: Any, tail: Any, cutoffs: Any) -> Any:
    """torch.nn.AdaptiveLogSoftmaxWithLoss' own forward, with these parameters."""
    *given, classes = cutoffs.tolist()
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(x.shape[1], classes, given)
    parameters, at = {"head.weight": head}, 0
    for name, parameter in module.named_parameters():
        if name != "head.weight":
            parameters[name] = tail[at : at + parameter.numel()].reshape(parameter.shape)
            at += parameter.numel()
    return -torch.func.functional_call(module, parameters, (x, y)).output


def _cosines(x: Any) -> tuple[Any, Any]:
    u = torch.nn.functional.normalize(x)
    return u @ u.T, torch.eye(len(x), dtype=torch.bool)


def _supcon(x: Any, y: Any) -> Any:
    s, own = _cosines(x)
    z = (s / 0.1).masked_fill(own, -torch.inf)
    same = (y[:, None] == y) & ~own
    log_p = z - z.logsumexp(1, keepdim=True)
    return -log_p.masked_fill(~same, 0).sum(1) / same.sum(1).clamp_min(1)


def _info_nce(q: Any, k: Any) -> Any:
    normalize = torch.nn.functional.normalize
    z = normalize(q) @ normalize(k).T / 0.1
    return torch.nn.functional.cross_entropy(z, torch.arange(len(q)), reduction="none")


def _circle(x: Any, y: Any) -> Any:
    s, own = _cosines(x)
    same, others = (y[:, None] == y) & ~own, y[:, None] != y
    pull = -80 * (1.4 - s.detach()).clamp_min(0) * (s - 0.6)
    push = 80 * (s.detach() + 0.4).clamp_min(0) * (s - 0.4)
    low = torch.finfo(s.dtype).min
    z = pull.masked_fill(~same, low).logsumexp(1) + push.masked_fill(~others, low).logsumexp(1)
    return torch.nn.functional.softplus(z)


def _listwise_softmax(x: Any, y: Any) -> Any:
    return -(y * x.log_softmax(-1)).sum(-1)


def _tversky(x: Any, y: Any, alpha: float, beta: float) -> Any:
    space = tuple(range(2, x.ndim))
    both, ours, theirs = (x * y).sum(space), x.sum(space), y.sum(space)
    below = both + alpha * (ours - both) + beta * (theirs - both)
    return 1 - (both + 1e-5) / (below + 1e-5)


def _generalized_dice(x: Any, y: Any) -> Any:
    space = tuple(range(2, x.ndim))
    both, volume = (x * y).sum(space), y.sum(space)
    weight = 1 / volume**2
    below = ((x.sum(space) + volume) * weight).sum(1)
    return 1 - (2 * (both * weight).sum(1) + 1e-5) / (below + 1e-5)


def _iou(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """IoU, union, and the size of the enclosing box."""
    meet = (torch.min(x[:, 2:], y[:, 2:]) - torch.max(x[:, :2], y[:, :2])).clamp_min(0)
    union = (x[:, 2:] - x[:, :2]).prod(1) + (y[:, 2:] - y[:, :2]).prod(1) - meet.prod(1)
    hull = torch.max(x[:, 2:], y[:, 2:]) - torch.min(x[:, :2], y[:, :2])
    return meet.prod(1) / (union + 1e-7), union, hull


def _giou(x: Any, y: Any) -> Any:
    iou, union, hull = _iou(x, y)
    return 1 - iou + (hull.prod(1) - union) / (hull.prod(1) + 1e-7)


def _diou(x: Any, y: Any) -> Any:
    iou, _, hull = _iou(x, y)
    apart = (x[:, :2] + x[:, 2:] - y[:, :2] - y[:, 2:]) / 2
    return 1 - iou + (apart**2).sum(1) / ((hull**2).sum(1) + 1e-7)


def _ciou(x: Any, y: Any) -> Any:
    w, h = ((torch.stack([x, y])[..., k + 2] - torch.stack([x, y])[..., k]) for k in (0, 1))
    angle = torch.atan(w / h)
    v = 4 / math.pi**2 * (angle[1] - angle[0]) ** 2
    alpha = (v / (1 - _iou(x, y)[0] + v + 1e-7)).detach()
    return _diou(x, y) + alpha * v


# losses that torch.nn lacks, as one writes them with it
BY_HAND: Final[dict[str, Callable[..., Any]]] = {
    "log_cosh_loss": lambda x, y: x - y + torch.nn.functional.softplus(-2 * (x - y)) - math.log(2),
    "mape_loss": lambda x, y: 100 * (x - y).abs() / y.abs().clamp_min(1e-7),
    "msle_loss": lambda x, y: (x.clamp_min(1e-7).log1p() - y.clamp_min(1e-7).log1p()) ** 2,
    "quantile_loss": lambda x, y: torch.maximum(0.5 * (y - x), -0.5 * (y - x)),
    "categorical_hinge_loss": lambda x, y: (((1 - y) * x).amax(-1) - (y * x).sum(-1) + 1).clamp_min(
        0
    ),
    "sigmoid_focal_loss": _sigmoid_focal,
    "softmax_focal_loss": _softmax_focal,
    "poly1_cross_entropy_loss": _poly1,
    "symmetric_cross_entropy_loss": _symmetric,
    "arcface_loss": _arcface,
    "cosface_loss": _cosface,
    "contrastive_loss": _contrastive,
    "distillation_kl_loss": _distillation,
    "generalized_jsd_loss": _generalized_jsd,
    "listwise_softmax_loss": _listwise_softmax,
    "linear_cross_entropy": _linear,
    "adaptive_log_softmax_with_loss": _adaptive,
    "supcon_loss": _supcon,
    "nt_xent_loss": lambda a, b: _supcon(torch.cat([a, b]), torch.arange(len(a)).repeat(2)),
    "info_nce_loss": _info_nce,
    "circle_loss": _circle,
    "dice_loss": lambda x, y: _tversky(x, y, 0.5, 0.5),
    "jaccard_loss": lambda x, y: _tversky(x, y, 1, 1),
    "tversky_loss": lambda x, y: _tversky(x, y, 0.5, 0.5),
    "focal_tversky_loss": lambda x, y: _tversky(x, y, 0.3, 0.7) ** 0.75,
    "generalized_dice_loss": _generalized_dice,
    "box_iou_loss": lambda x, y: 1 - _iou(x, y)[0],
    "generalized_box_iou_loss": _giou,
    "distance_box_iou_loss": _diou,
    "complete_box_iou_loss": _ciou,
    "hinge_loss": lambda x, y: (1 - y * x).clamp_min(0),
    "squared_hinge_loss": lambda x, y: (1 - y * x).clamp_min(0) ** 2,
    "importance_sampling_loss": lambda x, old, a: -torch.exp(x - old) * a,
    "ppo_clip_loss": _ppo_clip,
    "cispo_loss": lambda x, old, a: -torch.exp(x - old).clamp(0, 5).detach() * a * x,
    # the mask is all ones: its sum is the number of tokens
    "grpo_loss": lambda x, old, a, mask: _ppo_clip(x, old, a[:, None]) * mask,
    "cpo_loss": lambda c, r: -torch.nn.functional.logsigmoid(0.1 * (c - r)),
    "simpo_loss": lambda c, r: -torch.nn.functional.logsigmoid(0.1 * (c - r) - 0.5),
    "orpo_loss": _orpo,
    "ipo_loss": lambda c, r, c_ref, r_ref: ((c - c_ref) - (r - r_ref) - 5) ** 2,
    "dpo_loss": lambda c, r, c_ref, r_ref: (
        -torch.nn.functional.logsigmoid(0.1 * ((c - c_ref) - (r - r_ref)))
    ),
    "kto_loss": _kto,
}


def _criterion(workload: Workload) -> Callable[..., Any]:
    """The loss with torch.nn, or by hand."""
    if workload.loss in BY_HAND:
        return lambda *tensors: BY_HAND[workload.loss](*tensors).mean()
    criterion: Callable[..., Any] = getattr(torch.nn, registry[workload.loss].__name__)(
        reduction=workload.reduction
    )
    return criterion


def torch_call(workload: Workload, tensors: dict[str, Array]) -> Contender:
    """Loss and gradient with torch.nn, forward and backward."""
    criterion = _criterion(workload)
    inputs = [torch.from_numpy(array) for array in tensors.values()]
    first = inputs[0].requires_grad_()
    for tensor in inputs[1:] if registry[workload.loss].owned else ():
        tensor.requires_grad_(tensor.is_floating_point())  # a layer that is trained too

    def call() -> tuple[float, Array]:
        for tensor in inputs:
            tensor.grad = None
        loss = criterion(*inputs)
        loss.backward()
        return loss.item(), first.grad.numpy()

    return call


def copy_call(tensors: dict[str, Array], threads: int) -> Contender:
    """The memory limit: read each large tensor once, write one array, into a buffer used again."""
    arrays = [array.reshape(-1) for array in large(tensors)]
    out = np.empty_like(arrays[0])
    parallel = threads > 1 and out.size >= plan.PARALLEL_FROM
    kernel = (_COPIES if parallel else _SERIAL_COPIES)[len(arrays)]

    def call() -> None:
        nb.set_num_threads(threads)
        kernel(*arrays, out)

    return call


def large(tensors: dict[str, Array]) -> list[Array]:
    """The tensors of the first one's size: those that cost memory bandwidth."""
    first = next(iter(tensors.values()))
    return [array for array in tensors.values() if array.shape == first.shape]


def request_bytes(
    workload: Workload, tensors: dict[str, Array], gradients: tuple[str, ...] = ()
) -> bytes:
    """What lossd sends for a call."""
    asked = Request(workload.loss, tensors, {}, workload.reduction, gradients)
    asked.tensors, chunks = wire.split(tensors)
    messages = [wire.write_stream(1, asked), *(wire.write_stream(1, c) for c in chunks)]
    return b"".join(messages)


def wire_bytes(workload: Workload, tensors: dict[str, Array], answer: Any) -> tuple[bytes, int]:
    """What lossd sends for a call with its gradient, and how many bytes come back."""
    first = next(iter(tensors))
    value, gradient = answer
    head, chunks = wire.split({"loss": np.array(value, gradient.dtype), f"grad.{first}": gradient})
    returned = len(wire.write_stream(1, Response(head)))
    returned += sum(len(wire.write_stream(1, chunk)) for chunk in chunks)
    return request_bytes(workload, tensors, (first,)), returned


# Sums, not plain copies: LLVM would call memcpy for those, which is another thing to measure.


def _copy1(a: Array, out: Array) -> None:
    for i in prange(out.size):
        out[i] = a[i] + a[i]


def _copy2(a: Array, b: Array, out: Array) -> None:
    for i in prange(out.size):
        out[i] = a[i] + b[i]


def _copy3(a: Array, b: Array, c: Array, out: Array) -> None:
    for i in prange(out.size):
        out[i] = a[i] + b[i] + c[i]


def _copy4(a: Array, b: Array, c: Array, d: Array, out: Array) -> None:
    for i in prange(out.size):
        out[i] = a[i] + b[i] + c[i] + d[i]


_KERNELS: Final[dict[int, Any]] = {1: _copy1, 2: _copy2, 3: _copy3, 4: _copy4}
_COPIES: Final = {n: njit(parallel=True, nogil=True)(f) for n, f in _KERNELS.items()}
_SERIAL_COPIES: Final = {n: njit(nogil=True)(f) for n, f in _KERNELS.items()}
