"""Losses of a batch of embeddings, each compared with all others."""

import dataclasses
from typing import Any, Final

import numpy as np
from lossd_client.errors import ShapeError

from lossd.losses.classification import CrossEntropyLoss
from lossd.mathfns import decay, exp, log, log1p
from lossd.spec import Composed, Given, Layout, Loss, Vectors, Work, param, tensor, tuple_text

NEVER: Final = -1e30  # score of a pair that is left out: finite, so that 0 times it is 0


class _Batch(Composed):
    """Embeddings and labels; `score` turns a chunk of cosines into losses and their slopes."""

    embeddings = tensor("whole", "Embeddings x, (N, D), of the unit vectors z.", grad=True)
    labels = tensor("index", "The class of each, (N).")

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        x = np.eye(2, dtype=np.float32)
        return {"embeddings": x, "labels": np.zeros(2, np.int64)}

    def layout(self, given: Given) -> Layout:
        x, labels = given["embeddings"].shape, given["labels"].shape
        if len(x) != 2 or labels != x[:1]:
            raise ShapeError(
                f"{self.name}: embeddings {tuple_text(x)} and labels {tuple_text(labels)} must be "
                "(N, D) and (N)",
                field="labels",
            )
        shapes = {name: given[name].shape for name in given}
        return Layout(labels, shapes, x[0], width=max(x[0], 1), batch=x[0])

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        y = work.arrays["labels"]
        unit = work.unit(work.arrays["embeddings"])
        u, count = unit.rows, len(y)
        losses, gradient = np.empty(count), work.empty(u.shape, u.dtype)
        wanted = bool(work.wanted)
        for chunk in self.chunks(count, 4 * u.itemsize * count):
            cosines = work.product(u[chunk] / u.dtype.type(self.divided_by()), u.T)
            same = y[chunk, None] == y
            own = np.arange(len(same)), np.arange(chunk.start, chunk.stop)  # each with itself
            same[own] = False
            losses[chunk], g = self.score(work, work.slopes[chunk], cosines, same, own)
            if wanted:
                work.product(g.T, u[chunk], gradient, add=chunk.start > 0)
                work.product(g, u, gradient[chunk], add=True)
        factor = 1 / self.divided_by()
        return losses, {"embeddings": unit.back(gradient, factor)} if wanted else {}

    def divided_by(self) -> float:
        """What cosines are divided by before `score` sees them."""
        return 1.0

    def score(self, work: Work, slopes: Any, cosines: Any, same: Any, own: Any) -> tuple[Any, Any]:
        """A chunk's losses, and the slopes of their sum, times `slopes`, in the cosines.

        same: whether an embedding is another one of the same class.
        own: the index of the embeddings' cosines with themselves, where slopes are 0.
        """
        raise NotImplementedError


class SupConLoss(_Batch):
    r"""Supervised contrastive loss: embeddings of one class attract, against all others.

    Shape:
        embeddings: (N, D); labels: (N), any integer type. The loss is (N).

    Embeddings are normalised here. One that is alone in its class gives 0 and does not count in
    the mean, which is NaN where all are. pytorch-metric-learning's mean is 0 there, and where all
    are of one class; it leaves out losses that are exactly 0, which count here.

    Example:
        >>> criterion = nn.SupConLoss(temperature=0.5, client=client)
        >>> round(criterion([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 0, 1]).item(), 6)
        0.126928
    """

    name = "supcon_loss"
    library = "pytorch_metric_learning.losses"
    signature = ("temperature", "reduction")
    formula = (
        r"\ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} "
        r"\log \frac{e^{z_i \cdot z_p / \tau}}{\sum_{a \ne i} e^{z_i \cdot z_a / \tau}}"
    )
    gradient = (
        (
            r"\partial_{(z_i \cdot z_a)} \ell_i = \frac{1}{\tau} \left(\frac{e^{z_i \cdot z_a / "
            r"\tau}}{\sum_{b \ne i} e^{z_i \cdot z_b / \tau}} - \frac{[a \in "
            r"P_i]}{|P_i|}\right),\ a \ne i;\ P_i: \text{the others of } i\text{'s class}"
        ),
        (
            r"\partial_{x_i} L = \frac{1}{|x_i|} (g_i - (g_i \cdot z_i)\,z_i),\ g_i = "
            r"\partial_{z_i} L,\ z_i = \frac{x_i}{|x_i|},\ L = \sum_i \ell_i"
        ),
    )
    reference = "Khosla et al., Supervised contrastive learning, https://arxiv.org/abs/2004.11362"

    temperature: float = param(0.1, "What cosines are divided by, τ.", gt=0)

    def divided_by(self) -> float:
        return self.temperature

    def count(self, arrays: Any, layout: Layout) -> float:
        return float(np.count_nonzero(class_sizes(arrays["labels"]) > 1))

    def score(self, work: Work, slopes: Any, cosines: Any, same: Any, own: Any) -> tuple[Any, Any]:
        cosines[own] = NEVER
        positives = same.sum(1, keepdims=True)
        shares = same * (1 / np.maximum(positives, 1)).astype(cosines.dtype)
        tensors = {"input": cosines, "target": shares}
        losses, found = work.rows(CrossEntropyLoss(), tensors, work.wanted and ("input",), slopes)
        return losses, found.get("input")


class NTXentLoss(Composed):
    r"""Normalised temperature-scaled cross entropy: two views of a sample find each other.

    Shape:
        embeddings1, embeddings2: (N, D), two views of the same N samples. The loss is (2 N): of
        the first views, then of the second.

    Embeddings are normalised here. Each of the 2 N is compared with all others; the one other view
    of its sample is the right answer.

    Example:
        >>> criterion = nn.NTXentLoss(temperature=0.5, client=client)
        >>> x = [[1.0, 0.0], [0.0, 1.0]]
        >>> round(criterion(x, x).item(), 6)
        0.239545
    """

    name = "nt_xent_loss"
    library = "pytorch_metric_learning.losses"
    signature = ("temperature", "reduction")
    formula = (
        r"\ell_i = -\log \frac{e^{z_i \cdot z_{i'} / \tau}}"
        r"{\sum_{a \ne i} e^{z_i \cdot z_a / \tau}}"
    )
    gradient = (
        (
            r"\partial_{(z_i \cdot z_a)} \ell_i = \frac{1}{\tau} \left(\frac{e^{z_i \cdot z_a / "
            r"\tau}}{\sum_{b \ne i} e^{z_i \cdot z_b / \tau}} - [a = i']\right),\ a \ne i;\ i': "
            r"\text{the other view of } i"
        ),
        (
            r"\partial_{x_i} L = \frac{1}{|x_i|} (g_i - (g_i \cdot z_i)\,z_i),\ g_i = "
            r"\partial_{z_i} L,\ z_i = \frac{x_i}{|x_i|},\ L = \sum_i \ell_i"
        ),
    )
    reference = (
        "Chen et al., A simple framework for contrastive learning, https://arxiv.org/abs/2002.05709"
    )

    embeddings1 = tensor(
        "whole", "Embeddings x of one view, (N, D), of the unit vectors z.", grad=True
    )
    embeddings2 = tensor("whole", "Embeddings of the other view, (N, D), likewise.", grad=True)
    temperature: float = param(0.1, "What cosines are divided by, τ.", gt=0)

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return dict.fromkeys(cls.tensors, np.ones((1, 1), np.float32))

    def layout(self, given: Given) -> Layout:
        return pair_layout(self, given, 2)

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        both = np.concatenate([work.arrays["embeddings1"], work.arrays["embeddings2"]])
        batch = len(both) // 2
        y = np.tile(np.arange(batch), 2)
        tensors = {"embeddings": both, "labels": y}
        wanted = ("embeddings",) if work.wanted else ()
        inner = dataclasses.replace(work, arrays=tensors, wanted=wanted)
        losses, found = SupConLoss(temperature=self.temperature).compute(inner)
        if not wanted:
            return losses, {}
        made = {
            "embeddings1": found["embeddings"][:batch],
            "embeddings2": found["embeddings"][batch:],
        }
        return losses, {name: made[name] for name in work.wanted}


class InfoNCELoss(Composed):
    r"""Each query finds its key among all keys of the batch; `symmetric`, and each key its query.

    Shape:
        query, key: (N, D). The loss is (N), the mean of both directions if symmetric.

    Rows are normalised here. With `symmetric` it is the loss of CLIP.

    Example:
        >>> criterion = nn.InfoNCELoss(temperature=0.5, client=client)
        >>> x = [[1.0, 0.0], [0.0, 1.0]]
        >>> round(criterion(x, x).item(), 6)
        0.126928
    """

    name = "info_nce_loss"
    library = "transformers"
    signature = ("temperature", "symmetric", "reduction")
    formula = r"\ell_i = -\log \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_i \cdot k_j / \tau}}"
    gradient = (
        (
            r"\partial_{(q_i \cdot k_j)} \ell_i = \frac{1}{\tau} \left(\frac{e^{q_i \cdot k_j / "
            r"\tau}}{\sum_l e^{q_i \cdot k_l / \tau}} - [j = i]\right)"
        ),
        (
            r"\partial_{x_i} L = \frac{1}{|x_i|} (g_i - (g_i \cdot q_i)\,q_i) \text{ for a query "
            r"} x_i \text{ and } q_i = \frac{x_i}{|x_i|},\ g_i = \partial_{q_i} L,\ L = \sum_i "
            r"\ell_i \text{; keys likewise}"
        ),
        r"\text{if symmetric, the mean of this and of the same with queries and keys exchanged}",
    )
    reference = (
        "van den Oord et al., Representation learning with contrastive predictive coding, "
        "https://arxiv.org/abs/1807.03748"
    )

    query = tensor("whole", "Queries, (N, D), of the unit vectors q.", grad=True)
    key = tensor(
        "whole",
        "Keys, (N, D), of the unit vectors k, each right for the query beside it.",
        grad=True,
    )
    temperature: float = param(0.1, "What cosines are divided by, τ.", gt=0)
    symmetric: bool = param(False, "Whether keys look for their queries too.")

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return dict.fromkeys(cls.tensors, np.ones((1, 1), np.float32))

    def layout(self, given: Given) -> Layout:
        return pair_layout(self, given, 1)

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        names = "query", "key"
        units = {name: work.unit(work.arrays[name]) for name in names}
        query = units["query"].rows
        gradients = {name: work.empty(query.shape, query.dtype) for name in work.wanted}
        count, scale = len(query), query.dtype.type(self.temperature)
        losses = np.zeros(count)
        share = 0.5 if self.symmetric else 1.0
        for turn, (one, other) in enumerate([names, names[::-1]][: 1 + self.symmetric]):
            u, v = units[one].rows, units[other].rows
            for chunk in self.chunks(count, 4 * u.itemsize * count):
                cosines = work.product(u[chunk] / scale, v.T)
                tensors = {"input": cosines, "target": np.arange(chunk.start, chunk.stop)}
                slopes = share * work.slopes[chunk]
                wanted = ("input",) if work.wanted else ()
                found, made = work.rows(CrossEntropyLoss(), tensors, wanted, slopes)
                losses[chunk] += share * found
                if one in gradients:
                    work.product(made["input"], v, gradients[one][chunk], add=turn > 0)
                if other in gradients:
                    out, add = gradients[other], turn > 0 or chunk.start > 0
                    work.product(made["input"].T, u[chunk], out, add=add)
        factor = 1 / self.temperature
        return losses, {name: units[name].back(g, factor) for name, g in gradients.items()}


class CircleLoss(_Batch):
    r"""Circle loss: the farther a similarity is from where it should be, the harder it is pulled.

    Shape:
        embeddings: (N, D); labels: (N), any integer type. The loss is (N).

    Embeddings are normalised here. One that has no other of its class, or none of another class,
    gives 0 and does not count in the mean, which is NaN where all are (pytorch-metric-learning's is
    0 there, and leaves out losses that are exactly 0). The factors alpha have no gradient of their
    own.

    Example:
        >>> criterion = nn.CircleLoss(m=0.25, gamma=4.0, client=client)
        >>> x = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
        >>> round(criterion(x, [0, 0, 1]).item(), 6)
        1.765319
    """

    name = "circle_loss"
    library = "pytorch_metric_learning.losses"
    signature = ("m", "gamma", "reduction")
    formula = (
        r"\ell_i = \log\Big(1 + \sum_n e^{\gamma \alpha_n (s_n - m)}"
        r" \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)}\Big),\ "
        r"\alpha_n = [s_n + m]_+,\ \alpha_p = [1 + m - s_p]_+"
    )
    gradient = (
        (
            r"\partial_{s_n} \ell_i = \gamma\,\alpha_n\,(1 - e^{-\ell_i})\,\frac{e^{\gamma "
            r"\alpha_n (s_n - m)}}{\sum_{n'} e^{\gamma \alpha_{n'} (s_{n'} - m)}},\ "
            r"\partial_{s_p} \ell_i = -\gamma\,\alpha_p\,(1 - e^{-\ell_i})\,\frac{e^{-\gamma "
            r"\alpha_p (s_p - 1 + m)}}{\sum_{p'} e^{-\gamma \alpha_{p'} (s_{p'} - 1 + m)}}"
        ),
        (
            r"\partial_{x_i} L = \frac{1}{|x_i|} (g_i - (g_i \cdot z_i)\,z_i),\ g_i = "
            r"\partial_{z_i} L,\ z_i = \frac{x_i}{|x_i|},\ s = z_i \cdot z_j,\ L = \sum_i \ell_i"
        ),
        r"n: \text{those of other classes than } i,\ p: \text{the others of its class}",
    )
    reference = "Sun et al., Circle loss, https://arxiv.org/abs/2002.10857"

    m: float = param(0.4, "The relaxation factor m.")
    gamma: float = param(80.0, "The scale of similarities.", gt=0)

    def count(self, arrays: Any, layout: Layout) -> float:
        sizes = class_sizes(arrays["labels"])
        return float(np.count_nonzero((sizes > 1) & (sizes < layout.rows)))

    def score(self, work: Work, slopes: Any, cosines: Any, same: Any, own: Any) -> tuple[Any, Any]:
        kinds = np.where(same, 1, -1).astype(cosines.dtype)
        kinds[own] = 0
        tensors = {"cosine": cosines, "kind": kinds}
        wanted = ("cosine",) if work.wanted else ()
        losses, made = work.rows(_CircleRows(**self.values), tensors, wanted, slopes)
        return losses, made.get("cosine")


class _CircleRows(Vectors):
    """Cosines of one embedding with those of its class (kind 1), of others (-1), itself (0)."""

    cosine = tensor("vector", "Cosines s.", grad=True)
    kind = tensor("vector", "1, -1 or 0.")
    m: float = param(0.4, "The relaxation factor m.")
    gamma: float = param(80.0, "The scale of similarities.", gt=0)

    def layout(self, given: Given) -> Layout:
        return self.rows_of(given)

    @staticmethod
    def peaks(s: Any, y: Any, m: Any, gamma: Any) -> Any:
        pull = -gamma * max(1 + m - s, 0) * (s - (1 - m))
        push = gamma * max(s + m, 0) * (s - m)
        return (pull if y > 0 else -1e30 + 0 * s), (push if y < 0 else -1e30 + 0 * s)

    @staticmethod
    def terms(s: Any, y: Any, top_p: Any, top_n: Any, m: Any, gamma: Any) -> Any:
        pull = -gamma * max(1 + m - s, 0) * (s - (1 - m))
        push = gamma * max(s + m, 0) * (s - m)
        return (
            (exp(pull - top_p) if y > 0 else 0 * s),
            (exp(push - top_n) if y < 0 else 0 * s),
        )

    @staticmethod
    def combine(top_p: Any, top_n: Any, sum_p: Any, sum_n: Any, m: Any, gamma: Any) -> Any:
        alone = sum_p == 0 or sum_n == 0
        z = -1e30 if alone else top_p + log(sum_p) + top_n + log(sum_n)
        e = decay(z)
        loss = 0.0 if alone else max(z, 0.0) + log1p(e)
        own = 0.0 if alone else (1.0 if z > 0 else e) / (1.0 + e)
        return (
            loss,
            own / (1.0 if alone else sum_p),
            own / (1.0 if alone else sum_n),
            top_p,
            top_n,
        )

    @staticmethod
    def slopes(
        s: Any, y: Any, own_p: Any, own_n: Any, top_p: Any, top_n: Any, m: Any, gamma: Any
    ) -> Any:
        alpha_p, alpha_n = max(1 + m - s, 0), max(s + m, 0)
        pull = -gamma * alpha_p * own_p * exp(-gamma * alpha_p * (s - (1 - m)) - top_p)
        push = gamma * alpha_n * own_n * exp(gamma * alpha_n * (s - m) - top_n)
        return ((pull if y > 0 else 0 * s) + (push if y < 0 else 0 * s)), 0 * s


def class_sizes(labels: Any) -> Any:
    """How many there are of each one's class, itself included."""
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return sizes[inverse]


def pair_layout(loss: Loss, given: Given, losses: int) -> Layout:
    """Two tensors (N, D), and so many losses for each pair."""
    one, other = loss.required()
    shape = given[one].shape
    if len(shape) != 2 or given[other].shape != shape:
        raise ShapeError(
            f"{loss.name}: {one} {tuple_text(shape)} and {other} "
            f"{tuple_text(given[other].shape)} must both be (N, D)",
            field=other,
        )
    rows = losses * shape[0]
    shapes = {name: given[name].shape for name in given}
    return Layout((rows,), shapes, rows, width=max(rows, 1), batch=rows)
