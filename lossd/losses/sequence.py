"""Losses of sequences."""

import math
from typing import Any, ClassVar, Final

import numpy as np
from lossd_client.errors import LabelError, ResourceError, ShapeError

from lossd.compiled.signs import is_set
from lossd.compiled.trellis import backward, step_probabilities, sum_of_three
from lossd.mathfns import NEVER, NOTHING, normalised, power_of_two
from lossd.spec import (
    Given,
    Layout,
    Operand,
    Prepared,
    Samples,
    param,
    tensor,
    tuple_text,
)  # fmt: skip

SCRATCH: Final = 1 << 30
"""Bytes that the states of one sample may take while it is computed."""


class CTCLoss(Samples):
    r"""Connectionist temporal classification: all alignments of a target with a longer input.

    Shape:
        log_probs: (T, N, C) or (T, C); targets: (N, S), (S) or all of them one after another,
        any type, fractions cut off; input_lengths, target_lengths: (N) or (). The loss is (N) or
        ().

    The mean divides each loss by its target's length (1 if that is 0), then by N. A target that
    does not fit into its input gives inf and a gradient of NaN, with `zero_infinity` 0 and 0. The
    gradient is the one of logits of which log_probs are the log_softmax, as in PyTorch. log_probs
    are used as they are: that their probabilities sum to 1 is not checked. Labels that are the
    blank or no class are an error; PyTorch computes them. Computed with probabilities of float64
    that have an exponent of their own: as exact as logarithms, and they do not underflow.

    Example:
        >>> import numpy as np
        >>> x = np.log(np.full((3, 1, 2), 0.5, np.float32))
        >>> round(nn.CTCLoss(client=client)(x, [[1]], [3], [1]).item(), 6)
        0.287682
    """

    name = "ctc_loss"
    signature = ("blank", "reduction", "zero_infinity")
    formula = r"\ell = -\log \sum_{\pi \in B^{-1}(y)} \prod_t p_{t, \pi_t}"
    gradient = (
        (
            r"\partial_{\log p_{t,c}} \ell = p_{t,c} - \frac{\sum_{\pi \in B^{-1}(y),\ \pi_t = "
            r"c} \prod_s p_{s, \pi_s}}{\sum_{\pi \in B^{-1}(y)} \prod_s p_{s, \pi_s}},\ 0 \text{ "
            r"from the input's length on}"
        ),
        (
            r"B^{-1}(y): \text{ the paths } \pi \text{ of labels and blanks that are } y \text{ "
            r"without repetitions and blanks};\ \log p: \text{log\_probs}"
        ),
    )
    reference = (
        "Graves et al., Connectionist temporal classification, 2006, doi:10.1145/1143844.1143891"
    )

    log_probs = tensor("whole", "Log-probabilities, (T, N, C) or (T, C).", grad=True)
    targets = tensor("index", "Labels y, (N, S) padded, or concatenated.", cut=True)
    input_lengths = tensor("index", "Steps of each input, at most T, (N) or ().")
    target_lengths = tensor("index", "Labels of each target, (N) or ().")
    blank: int = param(0, "Class that stands for no label.", ge=0)
    zero_infinity: bool = param(False, "Whether a target that does not fit costs 0.")

    long = True
    operands: ClassVar = (
        ("log_probs", Operand(3)),
        ("labels", Operand(1, integer=True)),
        ("starts", Operand(1, integer=True)),
        ("steps", Operand(1, integer=True)),
    )

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        one = np.ones(1, np.int64)
        x = np.zeros((1, 1, 2), np.float32)
        return {"log_probs": x, "targets": one, "input_lengths": one, "target_lengths": one}

    def layout(self, given: Given) -> Layout:
        shape = given["log_probs"].shape
        if len(shape) not in (2, 3):
            raise ShapeError(
                f"{self.name}: log_probs {tuple_text(shape)} must be (T, N, C) or (T, C)",
                field="log_probs",
            )
        batch = shape[1] if len(shape) == 3 else 1
        if not batch or self.blank >= shape[-1]:
            raise ShapeError(
                f"{self.name}: log_probs {tuple_text(shape)} must have samples, and the class "
                f"blank = {self.blank}",
                field="log_probs",
            )
        for name in ("input_lengths", "target_lengths"):
            lengths = given[name].shape
            if lengths != (batch,) and not (lengths == () and batch == 1):
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(lengths)} does not fit log_probs "
                    f"{tuple_text(shape)}: it must be ({batch},)",
                    field=name,
                )
        targets = given["targets"].shape
        if len(targets) not in (1, 2) or (len(targets) == 2 and targets[0] != batch):
            raise ShapeError(
                f"{self.name}: targets {tuple_text(targets)} does not fit log_probs "
                f"{tuple_text(shape)}: it must be ({batch}, S) or (sum of target_lengths,)",
                field="targets",
            )
        output = shape[1:-1]
        states = 2 * (targets[1] if len(targets) == 2 else targets[0] // batch) + 1
        return Layout(
            output=output,
            shapes={"log_probs": shape},
            rows=batch,
            width=shape[0] * (shape[-1] + 8 * states),  # what a sample costs, in elements
            batch=batch,
        )

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return float(self.blank), float(self.zero_infinity)

    def prepare(self, arrays: Any, layout: Layout, reduction: str) -> Prepared:
        x = arrays["log_probs"]
        x = x if x.ndim == 3 else x[:, None, :]
        longest, batch, classes = x.shape
        targets = arrays["targets"]
        steps = _lengths(self.name, "input_lengths", arrays["input_lengths"], longest)
        bound = targets.shape[-1]
        lengths = _lengths(self.name, "target_lengths", arrays["target_lengths"], bound)
        if targets.ndim == 2:
            kept = np.arange(bound) < lengths[:, None]
            labels = targets[kept]
        else:
            kept, labels = np.ones(targets.shape, bool), targets
            if lengths.sum() != targets.size:
                raise ShapeError(
                    f"{self.name}: target_lengths add up to {lengths.sum()}, targets "
                    f"{tuple_text(targets.shape)} has {targets.size} labels",
                    field="target_lengths",
                )
        if labels.dtype.kind == "f":
            labels = np.trunc(labels)
        wrong = ~((labels >= 0) & (labels < classes)) | (labels == self.blank)  # NaN too
        if wrong.any():
            bad = int(np.argmax(wrong))
            place = ", ".join(str(axis[bad]) for axis in np.nonzero(kept))
            why = "the blank" if labels[bad] == self.blank else f"outside [0, {classes})"
            raise LabelError(
                f"{self.name}: targets[{place}] = {labels[bad]} is {why}", field="targets"
            )
        fitting = np.where(lengths <= steps, lengths, 0)  # others need no states
        size = 16 * int((steps * (2 * fitting + 3)).max(initial=0))
        if size > SCRATCH:
            raise ResourceError(
                f"{self.name}: {steps.max()} steps of a target of {lengths.max()} labels need "
                f"{size / 2**20:.0f} MiB; {SCRATCH >> 20} MiB are the limit"
            )
        starts = np.concatenate([[0], np.cumsum(lengths)])
        factors = np.ones(batch)
        if reduction == "mean":
            factors /= np.maximum(lengths, 1)
        return Prepared(
            {"log_probs": x, "labels": labels, "starts": starts, "steps": steps}, factors
        )

    @staticmethod
    def sample(
        n: Any,
        x: Any,
        labels: Any,
        starts: Any,
        steps: Any,
        g: Any,
        wanted: Any,
        slope: Any,
        given: Any,
        stop: Any,
    ) -> Any:
        blank, zero_infinity = int(given[0]), given[1] > 0
        y = labels[starts[n] : starts[n + 1]]
        time = steps[n]
        states = 2 * y.size + 1  # a blank around every label
        if wanted:
            g[time:, n, :] = 0
        if time == 0 or y.size > time:
            loss = 0.0 if time == 0 and y.size == 0 else np.inf
            if wanted:
                g[:time, n, :] = 0 if zero_infinity else np.nan
            return 0.0 if zero_infinity else loss

        # far[s]: 0 if a path may come from s - 2: to a label that differs from the last one
        far = np.full(states, NEVER)
        for k in range(1, y.size):
            if y[k] != y[k - 1]:
                far[2 * k + 1] = 0
        # alpha_t(s), the probability of all prefixes that end in s at t, is a·2^e; two places
        # before the first state
        a, e = np.empty((time, states + 2)), np.empty((time, states + 2), np.int64)
        a[0], e[0] = 0.0, NOTHING
        for t in range(1, time):
            a[t, :2], e[t, :2] = 0.0, NOTHING
        p, q = np.empty(states), np.empty(states, np.int64)
        m, c = np.empty(y.size), np.empty(y.size, np.int64)
        b, f = np.empty(states), np.empty(states, np.int64)
        step_probabilities(x[0, n], y, blank, p, q, m, c)
        for s in range(min(2, states)):
            a[0, s + 2], e[0, s + 2] = normalised(p[s], q[s])
        for t in range(1, time):
            if is_set(stop):
                return 0.0
            step_probabilities(x[t, n], y, blank, p, q, m, c)
            last, depth = a[t - 1], e[t - 1]
            sum_of_three(last, depth, last[1:], depth[1:], last[2:], depth[2:], far, b, f)
            made, height = a[t, 2:], e[t, 2:]
            for s in range(states):
                made[s], height[s] = normalised(b[s] * p[s], f[s] + q[s])
        first, second = states, states + 1  # the last two states; only one if there is no label
        top = max(e[time - 1, first], e[time - 1, second])
        total = a[time - 1, first] * power_of_two(e[time - 1, first] - top)
        total += a[time - 1, second] * power_of_two(e[time - 1, second] - top)
        if states == 1:
            total, top = a[time - 1, 2], e[time - 1, 2]
        loss = -(math.log(total) + top * math.log(2.0)) if total != 0 else np.inf
        if total == 0 and zero_infinity:
            loss = 0.0
        if wanted:
            if not total > 0:
                g[:time, n, :] = 0 if total == 0 and zero_infinity else np.nan
            else:
                backward(x, y, blank, n, time, a, e, far, total, top, g, slope, stop)
        return loss


def _lengths(loss: str, name: str, lengths: Any, bound: int) -> Any:
    """Lengths as int64[N].

    Raises:
        ShapeError: one of them is below 0 or above `bound`.
    """
    array = np.atleast_1d(lengths)
    wrong = (array < 0) | (array > bound)
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise ShapeError(
            f"{loss}: {name}[{bad}] = {array[bad]} is outside [0, {bound}]", field=name
        )
    return array.astype(np.int64)
