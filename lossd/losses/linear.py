"""Losses of a linear layer's classes, the layer included."""

import math
from typing import Any, Final

import numpy as np
from lossd_client.dtypes import is_float
from lossd_client.errors import LabelError, ParameterError, ShapeError

from lossd.losses.classification import CrossEntropyLoss
from lossd.spec import Composed, Given, Layout, Loss, Work, param, place_text, tensor, tuple_text

LEAD: Final = 8
"""The part of the room for logits that they are ahead of their gradients: one in so many rows."""


class LinearCrossEntropyLoss(Composed):
    r"""Cross entropy of a linear layer's logits, which are never all there at once.

    Shape:
        input: (N, D) or (D); linear_weight: (C, D) or (C, d1, …, dK, D); linear_bias: the same
        without D; target: (N, d1, …, dK) (indices, any integer type) or (N, C, d1, …, dK)
        (probabilities, floating), without N where input has none; weight: (C).

    Rows go through in chunks whose logits take at most 32 MiB; their gradient overwrites them. The
    rest is CrossEntropyLoss: rows whose target is `ignore_index` give 0 and do not count, with
    indices the mean divides by the sum of the weights at the targets. Probabilities are used as
    they are: a row of them that does not sum to 1 is no error. `options`, PyTorch's way to choose
    chunks, is accepted and not needed.

    Example:
        >>> criterion = nn.LinearCrossEntropyLoss(2, 3, client=client)
        >>> criterion.linear.weight = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
        >>> round(criterion([[0.5, -1.0]], [0]).item(), 6)
        0.464369
    """

    name = "linear_cross_entropy"
    signature = (
        "*", "linear_bias", "weight", "reduction", "ignore_index", "label_smoothing", "options",
    )  # fmt: skip
    unused = ("options",)
    unset = ("ignore_index",)
    formula = r"\ell = -w_y \log \frac{e^{z_y}}{\sum_c e^{z_c}},\ z = W x + b"
    gradient = (
        (
            r"\partial_x \ell = W^\top g,\ \partial_W \ell = g\,x^\top,\ \partial_b \ell = g,\ "
            r"g_c = \partial_{z_c} \ell = w_y\,(p_c - [c = y]),\ p = \mathrm{softmax}(z)"
        ),
        (
            r"g,\ \partial_y \ell \text{ and } \partial_w \ell \text{ of probabilities and with "
            r"label\_smoothing: as in CrossEntropyLoss, of } z"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.LinearCrossEntropyLoss.html"
    owned = ("linear_weight", "linear_bias")

    input = tensor("whole", "Features x, (N, D) or (D).", grad=True)
    linear_weight = tensor("whole", "The layer's weight W, (C, D) or (C, d1, …, dK, D).", grad=True)
    target = tensor(
        "label",
        "Class indices in [0, C), (N, d1, …, dK), or probabilities (N, C, d1, …, dK).",
        soft=True,
    )
    linear_bias = tensor(
        "whole", "The layer's bias b, linear_weight's shape without D.", grad=True, optional=True
    )
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    ignore_index: int = param(-100, "Index of rows to leave out.")
    label_smoothing: float = param(
        0.0, "Share of the target spread evenly over the classes.", ge=0, le=1
    )

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        x, layer = np.zeros((1, 1), np.float32), np.zeros((2, 1), np.float32)
        return {"input": x, "linear_weight": layer, "target": np.zeros(1, np.int64)}

    def lower(self, given: Given) -> Loss:
        soft = is_float(given["target"].dtype)
        return _SoftLinearCrossEntropy(**self.values) if soft else self

    def layout(self, given: Given) -> Layout:
        x, layer = given["input"].shape, given["linear_weight"].shape
        if len(x) not in (1, 2):
            raise ShapeError(
                f"{self.name}: input {tuple_text(x)} must be (N, D) or (D)", field="input"
            )
        if len(layer) < 2 or layer[-1] != x[-1] or (len(x) == 1 and len(layer) > 2):
            known = "(C, D)" if len(x) == 1 else "(C, D) or (C, d1, …, dK, D)"
            raise ShapeError(
                f"{self.name}: linear_weight {tuple_text(layer)} does not fit input "
                f"{tuple_text(x)}: it must be {known}",
                field="linear_weight",
            )
        classes, output = layer[0], x[:-1] + layer[1:-1]
        indexed = self.tensors["target"].role == "label"
        expected = output if indexed else (*x[:-1], classes, *layer[1:-1])
        for name, shape in (
            ("target", expected),
            ("linear_bias", layer[:-1]),
            ("weight", (classes,)),
        ):
            if name in given and given[name].shape != shape:
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(given[name].shape)} does not fit input "
                    f"{tuple_text(x)} and linear_weight {tuple_text(layer)}: it must be "
                    f"{tuple_text(shape)}",
                    field=name,
                )
        return Layout(
            output=output,
            shapes={name: given[name].shape for name in given},
            rows=math.prod(output),
            width=classes,
            batch=x[0] if len(x) == 2 else 1,
        )

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        x, flat = (_matrix(work.arrays[name]) for name in ("input", "linear_weight"))
        wanted = {name: work.arrays[name] for name in work.wanted}
        made = {name: work.empty(array.shape, array.dtype) for name, array in wanted.items()}
        if "weight" in made:  # it is added up, as the bias' is; others are written
            made["weight"] = np.zeros(made["weight"].shape)
        for gradient in made.values() if not len(x) else ():
            gradient.fill(0)
        losses = np.empty(work.slopes.shape, x.dtype)
        bias, sums = work.arrays.get("linear_bias"), np.zeros(len(flat))
        # Gradients go where logits were: these stand `lead` rows behind in the same array.
        each = x.itemsize * len(flat)
        lead = max(1, min(self.scratch // max(LEAD * each, 1), len(x)))
        chunks = list(self.chunks(len(x), each, beside=lead * each))
        longest = max((chunk.stop - chunk.start for chunk in chunks), default=0)
        room = work.empty((lead + longest, len(flat)), x.dtype)
        for chunk in chunks:
            rows = chunk.stop - chunk.start
            g, logits = room[:rows], room[lead : lead + rows]
            work.product(x[chunk], flat.T, logits)
            if bias is not None:
                logits += bias.reshape(-1)
            for start in range(0, rows, lead):
                part = slice(start, min(start + lead, rows))
                here = slice(chunk.start + part.start, chunk.start + part.stop)
                self._compare(work, logits[part], here, g[part], losses, made)
            if "input" in made:
                work.product(g, flat, _matrix(made["input"])[chunk])
            if "linear_weight" in made:
                work.product(g.T, x[chunk], _matrix(made["linear_weight"]), add=chunk.start > 0)
            if "linear_bias" in made:
                sums += g.sum(0, dtype=np.float64)
        if "linear_bias" in made:
            made["linear_bias"] = sums.reshape(made["linear_bias"].shape)
        return losses, made

    def _compare(
        self, work: Work, logits: Any, here: slice, g: Any, losses: Any, made: dict[str, Any]
    ) -> None:
        """Some rows' losses, and the gradients of logits, which go to g, and of what is beside."""
        x, layer = work.arrays["input"], work.arrays["linear_weight"]
        count, classes = math.prod(x.shape[:-1]), layer.shape[:-1]
        y = work.arrays["target"].reshape(count, *self._target_shape(layer.shape))
        slopes, losses = (rows.reshape(count, -1)[here] for rows in (work.slopes, losses))
        tensors = {"input": logits.reshape(len(logits), *classes), "target": y[here]}
        if "weight" in work.arrays:
            tensors["weight"] = work.arrays["weight"]
        out = dict[str, Any]()
        if not made.keys().isdisjoint(("input", "linear_weight", "linear_bias")):
            out["input"] = g.reshape(tensors["input"].shape)
        if "target" in made:
            out["target"] = made["target"].reshape(y.shape)[here]
        beside = ("weight",) if "weight" in made else ()
        inner = CrossEntropyLoss(**self.values)
        found, gradients = work.rows(inner, tensors, (*out, *beside), slopes.reshape(-1), out)
        losses[:] = found.reshape(losses.shape)
        if beside:
            made["weight"] += gradients["weight"]

    @staticmethod
    def _target_shape(layer: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's target."""
        return layer[1:-1]


def _matrix(array: Any) -> Any:
    """A row for each vector."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


class _SoftLinearCrossEntropy(LinearCrossEntropyLoss):
    """Probabilities as target."""

    target = tensor("whole", "Probabilities, (N, C, d1, …, dK).", grad=True)
    weight = tensor("class", "Factor w of each class, (C).", optional=True, grad=True)

    def layout(self, given: Given) -> Layout:
        if self.ignore_index >= 0:
            raise ParameterError(
                f"{self.name}: ignore_index = {self.ignore_index} needs index targets; "
                "these are probabilities",
                field="ignore_index",
            )
        return super().layout(given)

    @staticmethod
    def _target_shape(layer: tuple[int, ...]) -> tuple[int, ...]:
        return layer[:-1]


class AdaptiveLogSoftmaxWithLoss(Composed):
    r"""Cross entropy over very many classes, the rare ones in clusters with layers of their own.

    Shape:
        input: (N, D) or (D); target: (N) or (), any integer type; cutoffs: (K + 1), the first class
        of each of the K clusters, then the number of classes; head_weight: (cutoffs[0] + K, D),
        scores of the frequent classes and of the clusters; head_bias: (cutoffs[0] + K);
        tail_weight: all clusters' layers one after another, for each (H, D) and then (classes of
        the cluster, H), H = D // div_value^k in the k-th, flat.

    The client's class makes and holds the layers, as torch.nn's does, and returns
    `(output, loss)`: the log-probabilities of the targets, and the mean of their negatives.

    Example:
        >>> criterion = nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2, 6], client=client)
        >>> output, loss = criterion([[0.0, 0.0, 0.0, 0.0]], [0])
        >>> round(loss.item(), 6)  # one of two classes and two clusters
        1.386294
    """

    name = "adaptive_log_softmax_with_loss"
    signature = ("head_bias", "div_value", "reduction")
    formula = (
        r"\ell = -\log p_{head}(y)\ \text{or}\ "
        r"-\log p_{head}(k) - \log p_k(y)\ \text{for}\ y\ \text{in cluster}\ k"
    )
    gradient = (
        (
            r"g_c = \partial_{h_c} \ell = p_{head}(c) - [c = j],\ h = W_{head}\,x + b,\ j = y "
            r"\text{ or the column of the cluster of } y"
        ),
        (
            r"t_c = \partial_{z_c} \ell = p_k(c) - [c = y'],\ z = V U x \text{ with the layers } "
            r"U,\ V \text{ of the cluster } k \text{ of } y,\ y' \text{ the place of } y \text{ "
            r"in it}"
        ),
        (
            r"\partial_x \ell = W_{head}^\top g + (V U)^\top t,\ \partial_{W_{head}} \ell = "
            r"g\,x^\top,\ \partial_b \ell = g,\ \partial_V \ell = t\,(U x)^\top,\ \partial_U "
            r"\ell = V^\top t\,x^\top"
        ),
    )
    reference = (
        "Grave et al., Efficient softmax approximation for GPUs, https://arxiv.org/abs/1609.04309"
    )
    owned = ("head_weight", "head_bias", "tail_weight", "cutoffs")

    input = tensor("whole", "Features x, (N, D) or (D).", grad=True)
    target = tensor("index", "Class indices, (N) or ().")
    head_weight = tensor("whole", "The head's weight, (cutoffs[0] + K, D).", grad=True)
    tail_weight = tensor(
        "whole", "The clusters' layers, of each U (H, D), then V, flat.", grad=True
    )
    cutoffs = tensor("index", "First class of each cluster, then the number of classes, (K + 1).")
    head_bias = tensor("whole", "The head's bias, (cutoffs[0] + K).", grad=True, optional=True)
    div_value: float = param(4.0, "By how much each cluster's inner layer is narrower.", gt=0)

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return {
            "input": np.zeros((1, 4), np.float32),
            "target": np.zeros(1, np.int64),
            "head_weight": np.zeros((2, 4), np.float32),
            "tail_weight": np.zeros(5, np.float32),
            "cutoffs": np.array([1, 2]),
        }

    def layout(self, given: Given) -> Layout:
        x, target, head = (given[n].shape for n in ("input", "target", "head_weight"))
        if len(x) not in (1, 2):
            raise ShapeError(
                f"{self.name}: input {tuple_text(x)} must be (N, D) or (D)", field="input"
            )
        rules: dict[str, tuple[bool, str]] = {
            "target": (target == x[:-1], tuple_text(x[:-1])),
            "head_weight": (len(head) == 2 and head[1] == x[-1], f"(cutoffs[0] + K, {x[-1]})"),
            "tail_weight": (len(given["tail_weight"].shape) == 1, "one-dimensional"),
            "cutoffs": (len(given["cutoffs"].shape) == 1, "(K + 1)"),
        }
        if "head_bias" in given:
            rules["head_bias"] = given["head_bias"].shape == head[:1], tuple_text(head[:1])
        for name, (good, expected) in rules.items():
            if not good:
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(given[name].shape)} does not fit input "
                    f"{tuple_text(x)} and head_weight {tuple_text(head)}: it must be {expected}",
                    field=name,
                )
        shapes = {name: given[name].shape for name in given}
        rows = math.prod(target)
        return Layout(target, shapes, rows, width=head[0], batch=rows)

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        x = work.arrays["input"]
        x = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y = work.arrays["target"].reshape(-1).astype(np.int64)
        cutoffs = self._checked_cutoffs(work.arrays["cutoffs"], work.arrays["head_weight"].shape[0])
        self._check_labels(work.arrays["target"], cutoffs[-1])
        head, tail = work.arrays["head_weight"], self._tail(work.arrays["tail_weight"], cutoffs, x)
        bias = work.arrays.get("head_bias")
        frequent = cutoffs[0]
        cluster = np.searchsorted(cutoffs, y, "right")  # 0: in the head itself
        label = np.where(cluster == 0, y, frequent + cluster - 1)
        wanted = tuple(work.wanted)
        inner = ("input",) if wanted else ()

        losses = np.empty(len(x))
        gx, g_head = work.zeros_like(x), work.zeros_like(head)
        g_tail = [(work.zeros_like(a), work.zeros_like(b)) for a, b in tail]
        sums = np.zeros(len(head))
        widest = max(len(head), *(len(b) for _, b in tail)) if tail else len(head)
        for chunk in self.chunks(len(x), 2 * x.itemsize * widest):
            logits = work.product(x[chunk], head.T)
            if bias is not None:
                logits += bias
            tensors = {"input": logits, "target": label[chunk]}
            found, gradients = work.rows(CrossEntropyLoss(), tensors, inner, work.slopes[chunk])
            losses[chunk] = found
            if wanted:
                g = gradients["input"]
                work.product(g, head, gx[chunk])
                work.product(g.T, x[chunk], g_head, add=True)
                sums += g.sum(0, dtype=np.float64)
            for k, (narrow, wide) in enumerate(tail, 1):
                here = chunk.start + np.flatnonzero(cluster[chunk] == k)
                if not here.size:
                    continue
                xs = x[here]
                h = work.product(xs, narrow.T)
                tensors = {"input": work.product(h, wide.T), "target": y[here] - cutoffs[k - 1]}
                slopes = work.slopes[here]
                found, gradients = work.rows(CrossEntropyLoss(), tensors, inner, slopes)
                losses[here] += found
                if wanted:
                    g, (g_narrow, g_wide) = gradients["input"], g_tail[k - 1]
                    work.product(g.T, h, g_wide, add=True)
                    gh = work.product(g, wide)
                    work.product(gh.T, xs, g_narrow, add=True)
                    gx[here] += work.product(gh, narrow)
        flat = [part.reshape(-1) for pair in g_tail for part in pair]
        made = {
            "input": gx.reshape(work.arrays["input"].shape),
            "head_weight": g_head,
            "tail_weight": np.concatenate([*flat, np.zeros(0, x.dtype)]),
            "head_bias": sums,
        }
        return losses, {name: made[name] for name in wanted}

    def _checked_cutoffs(self, given: Any, scores: int) -> list[int]:
        cutoffs = [int(c) for c in given]
        if not cutoffs or cutoffs[0] <= 0 or sorted(set(cutoffs)) != cutoffs:
            raise ParameterError(
                f"{self.name}: cutoffs {cutoffs} must be positive and increase, up to the number "
                "of classes",
                field="cutoffs",
            )
        if cutoffs[0] + len(cutoffs) - 1 != scores:
            raise ShapeError(
                f"{self.name}: head_weight has {scores} rows; cutoffs {cutoffs} need "
                f"{cutoffs[0]} classes + {len(cutoffs) - 1} clusters = "
                f"{cutoffs[0] + len(cutoffs) - 1}",
                field="head_weight",
            )
        return cutoffs

    def _check_labels(self, target: Any, classes: int) -> None:
        wrong = (target < 0) | (target >= classes)
        if wrong.any():
            raise LabelError(
                f"{self.name}: target{place_text(wrong)} = {target[wrong][0]} is outside "
                f"[0, {classes})",
                field="target",
            )

    def _tail(self, flat: Any, cutoffs: list[int], x: Any) -> list[tuple[Any, Any]]:
        """Each cluster's two matrices, as views."""
        depth, at, found = x.shape[1], 0, []
        for k in range(1, len(cutoffs)):
            inner = int(depth // self.div_value**k)
            shapes = (inner, depth), (cutoffs[k] - cutoffs[k - 1], inner)
            pair = []
            for shape in shapes:
                pair.append(flat[at : at + math.prod(shape)])
                at += math.prod(shape)
            if at <= flat.size:
                found.append(tuple(p.reshape(s) for p, s in zip(pair, shapes, strict=True)))
        if at != flat.size:
            raise ShapeError(
                f"{self.name}: tail_weight has {flat.size} values; cutoffs {cutoffs}, {depth} "
                f"features and div_value = {self.div_value:g} need {at}",
                field="tail_weight",
            )
        return found
