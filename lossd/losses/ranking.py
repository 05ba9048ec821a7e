"""Losses of ranked lists."""

from typing import Any

from lossd_client.errors import ShapeError

from lossd.losses.classification import LOWEST
from lossd.mathfns import LOWER, lifted_decay, log
from lossd.spec import Given, Layout, Vectors, param, tensor, tuple_text


class ListwiseSoftmaxLoss(Vectors):
    r"""Cross entropy between the relevance of a list's items and the softmax of their scores.

    Shape:
        input, target: (*, L), broadcast together; the loss has their shape without L.

    TensorFlow Ranking's SoftmaxLoss: labels are used as they are, so that a list counts by the
    sum of its labels, and one without relevant items costs 0. Items with a negative label are
    padding, whatever their scores: they are left out (TensorFlow Ranking counts them with a
    probability of about 1e-10), and their gradients are 0.

    Example:
        >>> criterion = nn.ListwiseSoftmaxLoss(client=client)
        >>> round(criterion([[0.5, 2.0, 1.0, 9.0]], [[0, 2, 1, -1]]).item(), 5)
        2.39311
    """

    name = "listwise_softmax_loss"
    library = "tfr.keras.losses"
    signature = ("temperature", "reduction")
    formula = r"\ell = -\sum_i y_i \log \frac{e^{x_i / T}}{\sum_j e^{x_j / T}}"
    gradient = (
        (
            r"\partial_{x_i} \ell = \frac{1}{T} \left(p_i \sum_j y_j - y_i\right),\ "
            r"\partial_{y_i} \ell = -\log p_i,\ p = \mathrm{softmax}(x / T) \text{ of the items "
            r"with } y \ge 0;\ 0 \text{ for others}"
        ),
    )
    reference = "https://www.tensorflow.org/ranking/api_docs/python/tfr/keras/losses/SoftmaxLoss"

    input = tensor("vector", "Scores x, (*, L).", grad=True)
    target = tensor("vector", "Relevance y of the items, or a negative number for none.", grad=True)
    temperature: float = param(1.0, "What scores are divided by, T.", gt=0)

    def layout(self, given: Given) -> Layout:
        for name in self.required():
            if not given[name].shape or not given[name].shape[-1]:
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(given[name].shape)} must be (*, L)",
                    field=name,
                )
        return self.rows_of(given)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return (1 / self.temperature,)

    @staticmethod
    def peaks(x: Any, y: Any, share: Any) -> Any:
        return (LOWEST if y < 0 else x,)

    keep = True

    @staticmethod
    def terms(x: Any, y: Any, top: Any, share: Any) -> Any:
        depth = (top - x) * share
        e = lifted_decay(depth)
        return (0 if y < 0 else e), (max(y, 0)), (0 if y < 0 else y * depth)

    @staticmethod
    def combine(top: Any, s: Any, total: Any, spread: Any, share: Any) -> Any:
        s = s * LOWER
        log_s = log(s) if s != 0 else 0.0  # without items
        k = share * total / s if s != 0 else 0.0
        return spread + total * log_s, k, top, log_s

    @staticmethod
    def slopes(e: Any, x: Any, y: Any, k: Any, top: Any, log_s: Any, share: Any) -> Any:
        nll = (top - x) * share + log_s
        return (0 if y < 0 else e * LOWER * k - share * y), (0 if y < 0 else nll)
