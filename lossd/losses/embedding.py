"""Losses that compare scores or vectors with each other: margins, cosines, triplets."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from lossd_client.errors import ParameterError, ShapeError
from lossd_client.limits import Limits

from lossd.mathfns import inlined, log, sign
from lossd.spec import Elementwise, Given, Layout, Loss, Vectors, param, tensor

COSINE_EPS = 9.999999960041972e-13
"""Added to both squared norms of a cosine: 1e-12 as a float32, as PyTorch has it."""

PAIRWISE_EPS = 1e-6
"""Added to each component of a difference, as torch.nn.PairwiseDistance does."""


@inlined
def step(h: Any) -> Any:
    """Slope of max(h, 0): 1 at 0 as a clamp passes the gradient at equality; NaN for NaN."""
    return 1 if h >= 0 else (max(h, 0))


class HingeEmbeddingLoss(Elementwise):
    r"""Similar pairs (y = 1) cost their distance, dissimilar ones (y = -1) what lacks to `margin`.

    Shape:
        input, target: any, (*); broadcast together.

    Where the target is neither 1 nor -1 both parts are added.

    Example:
        >>> nn.HingeEmbeddingLoss(client=client)([-0.3, 0.8, 0.6, -0.1], [-1, 1, 1, -1]).item()
        0.949999988079071
    """

    name = "hinge_embedding_loss"
    signature = ("margin", "size_average", "reduce", "reduction")
    formula = r"\ell = x \text{ where } y = 1,\ \max(0, m - x) \text{ where } y = -1"
    gradient = (r"\partial_x \ell = 1 \text{ where } y = 1,\ -[\,x \le m\,] \text{ where } y = -1",)
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.HingeEmbeddingLoss.html"

    input = tensor("element", "Distances x, (*).", grad=True)
    target = tensor("element", "1 for similar, -1 for dissimilar pairs, (*).", constant=True)
    margin: float = param(1.0, "Distance m from which dissimilar pairs cost nothing.")

    @staticmethod
    def math(x: Any, y: Any, margin: Any) -> Any:
        h = margin - x
        similar = x if y != -1 else 0
        apart = max(h, 0) if y != 1 else 0
        slope = (1 if y != -1 else 0) - (step(h) if y != 1 else 0)
        return (similar + apart if y == y else y), (slope if y == y else y)  # noqa: PLR0124  NaN


class MarginRankingLoss(Elementwise):
    r"""The first score should be above the second by `margin` where y = 1, below where y = -1.

    Shape:
        input1, input2, target: the same number of dimensions; broadcast together.

    At the kink the gradient is that of the active side.

    Example:
        >>> nn.MarginRankingLoss(margin=0.5, client=client)([1.0, 2.0], [1.5, 0.0], [1, 1]).item()
        0.5
    """

    name = "margin_ranking_loss"
    integers = "alone"
    signature = ("margin", "size_average", "reduce", "reduction")
    formula = r"\ell = \max(0, -y(x_1 - x_2) + m)"
    gradient = (
        (
            r"\partial_{x_1} \ell = -\partial_{x_2} \ell = -y\,a,\ \partial_y \ell = -(x_1 - "
            r"x_2)\,a,\ a = [\,m - y (x_1 - x_2) \ge 0\,]"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MarginRankingLoss.html"
    broadcast = "same rank"

    input1 = tensor("element", "First scores, (*).", grad=True)
    input2 = tensor("element", "Second scores, (*).", grad=True)
    target = tensor(
        "element", "1 if the first ranks higher, -1 if the second does, (*).", grad=True
    )
    margin: float = param(0.0, "By how much the scores must differ, m.")

    @staticmethod
    def math(x1: Any, x2: Any, y: Any, margin: Any) -> Any:
        d = x1 - x2
        h = -y * d + margin
        active = step(h)
        return max(h, 0), -y * active, y * active, -d * active


class _Pairs(Vectors):
    """What losses of pairs have in common: their tensors' shapes."""

    def layout(self, given: Given) -> Layout:
        rank = len(given["target"].shape)
        if rank > 1:
            raise ShapeError(
                f"{self.name}: target {given['target'].shape} must be (N) or ()", field="target"
            )
        for name in ("input1", "input2"):
            if len(given[name].shape) != rank + 1:
                wanted = "(N, D)" if rank else "(D)"
                raise ShapeError(
                    f"{self.name}: {name} {given[name].shape} must be {wanted} for target "
                    f"{given['target'].shape}",
                    field=name,
                )
        if given["input1"].shape[-1] != given["input2"].shape[-1]:
            raise ShapeError(
                f"{self.name}: input1 {given['input1'].shape}, input2 {given['input2'].shape} "
                "must have vectors of the same length",
                field="input2",
            )
        return self.rows_of(given)


class CosineEmbeddingLoss(_Pairs):
    r"""Similar vectors (y = 1) cost 1 - cos, dissimilar ones (y = -1) their cosine above `margin`.

    Shape:
        input1, input2: (N, D) or (D); target: (N) or ().

    1e-12 is added to both squared norms, so that a zero vector has a (steep) finite gradient. A
    target that is neither 1 nor -1 gives 0.

    Example:
        >>> criterion = nn.CosineEmbeddingLoss(client=client)
        >>> criterion([[1.0, 0], [1, 0]], [[0.0, 1], [2, 0]], [1, -1]).item()
        1.0
    """

    name = "cosine_embedding_loss"
    integers = "alone"
    signature = ("margin", "size_average", "reduce", "reduction")
    formula = (
        r"\ell = 1 - \cos(x_1, x_2) \text{ where } y = 1,"
        r"\ \max(0, \cos(x_1, x_2) - m) \text{ where } y = -1"
    )
    gradient = (
        (
            r"\partial_{x_1} \ell = k \left(\frac{x_2}{|x_1| |x_2|} - \cos(x_1, x_2) "
            r"\frac{x_1}{|x_1|^2}\right),\ \partial_{x_2} \ell = k \left(\frac{x_1}{|x_1| |x_2|} "
            r"- \cos(x_1, x_2) \frac{x_2}{|x_2|^2}\right)"
        ),
        r"k = -1 \text{ where } y = 1,\ [\,\cos(x_1, x_2) \ge m\,] \text{ where } y = -1",
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.CosineEmbeddingLoss.html"

    input1 = tensor("vector", "First vectors x1, (N, D) or (D).", grad=True)
    input2 = tensor("vector", "Second vectors x2, (N, D) or (D).", grad=True)
    target = tensor("scalar", "1 for similar, -1 for dissimilar pairs, (N) or ().", constant=True)
    margin: float = param(0.0, "Cosine m up to which dissimilar pairs cost nothing, in [-1, 1].")

    @staticmethod
    def terms(x1: Any, x2: Any, margin: Any) -> Any:
        return x1 * x2, x1 * x1, x2 * x2

    @staticmethod
    def combine(y: Any, dot: Any, sq1: Any, sq2: Any, margin: Any) -> Any:
        sq1 += COSINE_EPS
        sq2 += COSINE_EPS
        norm = math.sqrt(sq1) * math.sqrt(sq2)
        cos = dot / norm
        loss, slope = cos * 0.0, cos * 0.0
        if y != y:  # noqa: PLR0124  NaN
            loss, slope = y, y
        if y == 1:
            loss, slope = 1.0 - cos, slope - 1.0
        elif y == -1:
            loss, slope = max(cos - margin, 0.0), step(cos - margin) * 1.0
        return loss, slope / norm, -slope * cos / sq1, -slope * cos / sq2

    @staticmethod
    def slopes(x1: Any, x2: Any, k: Any, k1: Any, k2: Any, margin: Any) -> Any:
        return k * x2 + k1 * x1, k * x1 + k2 * x2


@inlined
def triplet(near: Any, far: Any, swapped: Any, margin: Any, swap: Any) -> Any:
    """max(margin + near - far, 0) and its slopes in near, far and swapped.

    With `swap`, far is the smaller of far and swapped; at a tie each gets half of the slope.
    """
    to_far = 1.0
    if swap > 0:
        to_far = 1.0 if far < swapped else (0.0 if swapped < far else 0.5)
        far = min(far, swapped)
    h = margin + near - far
    active = 1.0 * step(h)
    return max(h, 0.0), active, -active * to_far, -active * (1.0 - to_far)


class _Triplets(Vectors):
    """What losses of triplets have in common: their tensors' shapes."""

    def layout(self, given: Given) -> Layout:
        ranks = [len(given[name].shape) for name in self.tensors]
        if len(set(ranks)) > 1:
            raise ShapeError(
                f"{self.name}: {self._shapes(given)} must all be (N, D) or (D)",
                field=next(n for n, r in zip(self.tensors, ranks, strict=True) if r != max(ranks)),
            )
        if not ranks[0]:
            line = {name: replace(given[name], shape=(1,)) for name in self.tensors}
            return replace(self.rows_of(line), views=dict.fromkeys(line, (1,)))
        anchor, positive, negative = (given[name].shape[-1] for name in self.tensors)
        # torch does not broadcast them to the anchor before it takes the distance between them
        if self.values.get("swap") and positive == negative == 1 != anchor:
            raise ShapeError(
                f"{self.name}: {self._shapes(given)}: with swap, positive and negative must have "
                "vectors of the anchor's length",
                field="positive",
            )
        return self.rows_of(given)

    def _shapes(self, given: Given) -> str:
        return ", ".join(f"{name} {given[name].shape}" for name in self.tensors)


class TripletMarginLoss(_Triplets):
    r"""An anchor should be nearer to its positive than to its negative by `margin`.

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D. Numbers, (), are points on a line.

    The distance is the p-norm of the difference plus `eps` in each component. With `swap` the
    distance from positive to negative is used where it is the smaller one. Where all three are
    the same point the loss is the margin and the gradients stay finite.

    Example:
        >>> nn.TripletMarginLoss(client=client)([[0.0, 0]], [[0.0, 1]], [[3.0, 4]]).item()
        0.0
    """

    name = "triplet_margin_loss"
    integers = "alone"
    signature = ("margin", "p", "eps", "swap", "size_average", "reduce", "reduction")
    early: ClassVar = {"margin": Limits(gt=0)}
    formula = r"\ell = \max(0,\ \|a - p + \varepsilon\|_p - \|a - n + \varepsilon\|_p + m)"
    gradient = (
        (
            r"\partial_a \ell = u(a - p + \varepsilon) - u(a - n + \varepsilon),\ \partial_p "
            r"\ell = -u(a - p + \varepsilon),\ \partial_n \ell = u(a - n + \varepsilon) \text{ "
            r"where the maximum's second argument is} \ge 0"
        ),
        (
            r"u(v)_i = \mathrm{sign}(v_i) \left(\frac{|v_i|}{\|v\|_p}\right)^{p - 1} \text{; of "
            r"infinite } p,\ \mathrm{sign}(v_i) / k \text{ for the } k \text{ largest (smallest) "
            r"components; of } p = 0,\ 0"
        ),
        (
            r"\text{with swap, where } \|p - n + \varepsilon\|_p < \|a - n + \varepsilon\|_p "
            r"\text{: } p \text{ takes the place of } a \text{ in the terms with } n"
        ),
    )
    reference = (
        "Balntas et al., Learning local feature descriptors with triplets and shallow "
        "convolutional neural networks, 2016, doi:10.5244/C.30.119"
    )

    anchor = tensor("vector", "Points a, (N, D) or (D).", grad=True)
    positive = tensor("vector", "Points p that should be near, as anchor.", grad=True)
    negative = tensor("vector", "Points n that should be far, as anchor.", grad=True)
    margin: float = param(1.0, "By how much the distances must differ, m.", gt=0)
    p: float = param(2.0, "Order of the norm: any number, inf for the largest component.")
    eps: float = param(1e-6, "Added to each component of a difference, ε.")
    swap: bool = param(False, "Whether the positive may stand in for the anchor.")

    def lower(self, given: Given) -> Loss:
        if math.isnan(self.p):
            raise ParameterError(f"{self.name}: p = nan must be a number or inf", field="p")
        if self.p == 2:
            return self
        kind = {1.0: _Triplet1, 0.0: _Triplet0}.get(self.p, _TripletPower)
        return (_TripletExtreme if math.isinf(self.p) else kind)(**self.values)

    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        ap, an, pn = a - p + eps, a - n + eps, (p - n + eps if swap > 0 else 0)
        return ap * ap, an * an, pn * pn

    @staticmethod
    def combine(ap: Any, an: Any, pn: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        ap, an, pn = math.sqrt(ap), math.sqrt(an), math.sqrt(pn)
        loss, k_ap, k_an, k_pn = triplet(ap, an, pn, margin, swap)
        return (
            loss,
            k_ap / ap if ap != 0 else 0.0,
            k_an / an if an != 0 else 0.0,
            k_pn / pn if pn != 0 else 0.0,
        )

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        ap, an = k_ap * (a - p + eps), k_an * (a - n + eps)
        pn = k_pn * (p - n + eps) if swap > 0 else 0
        return ap + an, pn - ap, -an - pn


class _Triplet1(TripletMarginLoss):
    """p = 1: the sum of magnitudes."""

    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        return abs(a - p + eps), abs(a - n + eps), abs(p - n + eps if swap > 0 else 0)

    @staticmethod
    def combine(ap: Any, an: Any, pn: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        return triplet(ap, an, pn, margin, swap)

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        ap, an = k_ap * sign(a - p + eps), k_an * sign(a - n + eps)
        pn = k_pn * sign(p - n + eps) if swap > 0 else 0
        return ap + an, pn - ap, -an - pn


class _Triplet0(TripletMarginLoss):
    """p = 0: how many components differ; its gradient is 0."""

    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        pn = p - n + eps if swap > 0 else 0
        return 1 if a - p + eps != 0 else 0, 1 if a - n + eps != 0 else 0, 1 if pn != 0 else 0

    @staticmethod
    def combine(ap: Any, an: Any, pn: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        loss, _, _, _ = triplet(ap, an, pn, margin, swap)
        return loss, 0.0, 0.0, 0.0

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        return 0, 0, 0


@inlined
def power(x: Any, order: Any, rest: Any) -> Any:
    """The power order + rest, which float32 cannot add, of x ≥ 0."""
    whole = order + rest
    rest = rest - (whole - order)
    found = x**whole
    # rest is so small that x^rest is a line
    return found * (1 + rest * log(x)) if rest != 0 and 0 < x < math.inf else found


def in_float32(x: float) -> tuple[float, float]:
    """A number as one that float32 has, and the rest."""
    with np.errstate(over="ignore"):
        rounded = float(np.float32(x))
    return (rounded, x - rounded) if math.isfinite(rounded) else (x, 0.0)


class _TripletPower(TripletMarginLoss):
    """Any other finite p: (Σ |v|^p)^(1/p)."""

    def constants(self, layout: Layout) -> tuple[float, ...]:
        powers = (*in_float32(self.p), *in_float32(self.p - 1))
        return self.margin, *powers, self.eps, float(self.swap)

    @staticmethod
    def terms(
        a: Any, p: Any, n: Any, margin: Any, order: Any, rest: Any, less: Any, less_rest: Any,
        eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        ap, an, pn = a - p + eps, a - n + eps, (p - n + eps if swap > 0 else 1)
        return power(abs(ap), order, rest), power(abs(an), order, rest), power(abs(pn), order, rest)

    @staticmethod
    def combine(
        ap: Any, an: Any, pn: Any, margin: Any, order: Any, rest: Any, less: Any, less_rest: Any,
        eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        whole = order + rest
        ap, an, pn = ap ** (1 / whole), an ** (1 / whole), pn ** (1 / whole)
        loss, k_ap, k_an, k_pn = triplet(ap, an, pn, margin, swap)
        return (
            loss,
            k_ap * ap ** (1 - whole) if ap != 0 else 0.0,
            k_an * an ** (1 - whole) if an != 0 else 0.0,
            k_pn * pn ** (1 - whole) if pn != 0 else 0.0,
        )

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any,
        margin: Any, order: Any, rest: Any, less: Any, less_rest: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        ap, an, pn = a - p + eps, a - n + eps, (p - n + eps if swap > 0 else 0)
        ap = k_ap * sign(ap) * power(abs(ap), less, less_rest) if ap != 0 else 0
        an = k_an * sign(an) * power(abs(an), less, less_rest) if an != 0 else 0
        pn = k_pn * sign(pn) * power(abs(pn), less, less_rest) if pn != 0 else 0
        return ap + an, pn - ap, -an - pn


@inlined
def magnitude(v: Any, order: Any) -> Any:
    """|v|, negated for p = -∞ so that the maximum is taken either way."""
    return abs(v) if order > 0 else -abs(v)


class _TripletExtreme(TripletMarginLoss):
    """p = ±∞: the largest or smallest magnitude; components that share it share the slope."""

    @staticmethod
    def peaks(a: Any, p: Any, n: Any, margin: Any, order: Any, eps: Any, swap: Any) -> Any:
        pn = p - n + eps if swap > 0 else 0
        return magnitude(a - p + eps, order), magnitude(a - n + eps, order), magnitude(pn, order)

    @staticmethod
    def terms(
        a: Any, p: Any, n: Any, top_ap: Any, top_an: Any, top_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        pn = p - n + eps if swap > 0 else 0
        return (
            1 if magnitude(a - p + eps, order) == top_ap else 0,
            1 if magnitude(a - n + eps, order) == top_an else 0,
            1 if magnitude(pn, order) == top_pn else 0,
        )

    @staticmethod
    def combine(
        top_ap: Any, top_an: Any, top_pn: Any, n_ap: Any, n_an: Any, n_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        loss, k_ap, k_an, k_pn = triplet(abs(top_ap), abs(top_an), abs(top_pn), margin, swap)
        return loss, k_ap / n_ap, k_an / n_an, k_pn / n_pn, top_ap, top_an, top_pn

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any,
        top_ap: Any, top_an: Any, top_pn: Any,
        margin: Any, order: Any, eps: Any, swap: Any,
    ) -> Any:  # fmt: skip
        ap, an, pn = a - p + eps, a - n + eps, (p - n + eps if swap > 0 else 0)
        ap = k_ap * (sign(ap) if magnitude(ap, order) == top_ap else 0)  # NaN · 0 is NaN
        an = k_an * (sign(an) if magnitude(an, order) == top_an else 0)
        pn = k_pn * (sign(pn) if magnitude(pn, order) == top_pn else 0) if swap > 0 else 0
        return ap + an, pn - ap, -an - pn


class TripletMarginWithDistanceLoss(_Triplets):
    r"""TripletMarginLoss with another distance, given by its name.

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D. Numbers, (), are points on a line.

    Distances: 'pairwise', the Euclidean norm of the difference plus 1e-6 in each component, as
    torch.nn.PairwiseDistance has it; 'cosine', 1 - cos; 'squared_euclidean'; 'manhattan'. A
    function cannot be sent to a server: of PyTorch's, pairwise_distance is known by itself.

    Example:
        >>> criterion = nn.TripletMarginWithDistanceLoss(
        ...     distance_function="manhattan", client=client
        ... )
        >>> criterion([[0.0, 0]], [[0.0, 1]], [[1.0, 0.5]]).item()
        0.5
    """

    name = "triplet_margin_with_distance_loss"
    integers = "alone"
    signature = ("*", "distance_function", "margin", "swap", "reduction")
    early: ClassVar = {"margin": Limits(gt=0)}
    formula = r"\ell = \max(0,\ d(a, p) - d(a, n) + m)"
    gradient = (
        (
            r"\partial_a \ell = \partial_a d(a, p) - \partial_a d(a, n),\ \partial_p \ell = "
            r"\partial_p d(a, p),\ \partial_n \ell = -\partial_n d(a, n) \text{ where the "
            r"maximum's second argument is} \ge 0"
        ),
        (
            r"\text{with swap, where } d(p, n) < d(a, n) \text{: } p \text{ takes the place of } "
            r"a \text{ in the terms with } n"
        ),
        (
            r"\partial_x d(x, y) = \frac{x - y + \varepsilon}{d} \text{ for 'pairwise' with } "
            r"\varepsilon = 10^{-6},\ 2\,(x - y) \text{ for 'squared\_euclidean'},\ "
            r"\mathrm{sign}(x - y) \text{ for 'manhattan'};\ \partial_y d = -\partial_x d"
        ),
        (
            r"\text{for 'cosine', } \partial_x d(x, y) = \cos(x, y) \frac{x}{|x|^2} - "
            r"\frac{y}{|x| |y|}"
        ),
    )
    reference = (
        "https://docs.pytorch.org/docs/2.13/generated/torch.nn.TripletMarginWithDistanceLoss.html"
    )

    anchor = tensor("vector", "Points a, (N, D) or (D).", grad=True)
    positive = tensor("vector", "Points p that should be near, as anchor.", grad=True)
    negative = tensor("vector", "Points n that should be far, as anchor.", grad=True)
    distance_function: str = param(
        "pairwise",
        "Name of the distance.",
        choices=("pairwise", "cosine", "squared_euclidean", "manhattan"),
    )
    margin: float = param(1.0, "By how much the distances must differ, m.", gt=0)
    swap: bool = param(False, "Whether the positive may stand in for the anchor.")

    def lower(self, given: Given) -> Loss:
        kinds = {"cosine": _TripletCosine, "squared_euclidean": _TripletSquared}
        kinds |= {"manhattan": _TripletManhattan, "pairwise": _TripletPairwise}
        return kinds[self.distance_function](**self.values)


class _TripletPairwise(TripletMarginWithDistanceLoss):
    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.margin, 2.0, PAIRWISE_EPS, float(self.swap)

    terms = staticmethod(TripletMarginLoss.terms)
    combine = staticmethod(TripletMarginLoss.combine)
    slopes = staticmethod(TripletMarginLoss.slopes)


class _TripletManhattan(TripletMarginWithDistanceLoss):
    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, swap: Any) -> Any:
        return abs(a - p), abs(a - n), (abs(p - n) if swap > 0 else 0)

    @staticmethod
    def combine(ap: Any, an: Any, pn: Any, margin: Any, swap: Any) -> Any:
        return triplet(ap, an, pn, margin, swap)

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any, margin: Any, swap: Any
    ) -> Any:
        ap, an = k_ap * sign(a - p), k_an * sign(a - n)
        pn = k_pn * sign(p - n) if swap > 0 else 0
        return ap + an, pn - ap, -an - pn


class _TripletSquared(TripletMarginWithDistanceLoss):
    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, swap: Any) -> Any:
        ap, an, pn = a - p, a - n, (p - n if swap > 0 else 0)
        return ap * ap, an * an, pn * pn

    @staticmethod
    def combine(ap: Any, an: Any, pn: Any, margin: Any, swap: Any) -> Any:
        return triplet(ap, an, pn, margin, swap)

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, k_ap: Any, k_an: Any, k_pn: Any, margin: Any, swap: Any
    ) -> Any:
        ap, an = 2 * k_ap * (a - p), 2 * k_an * (a - n)
        pn = 2 * k_pn * (p - n) if swap > 0 else 0
        return ap + an, pn - ap, -an - pn


@inlined
def cosine_distance(dot: Any, square1: Any, square2: Any) -> Any:
    """1 - cos, and what its slopes are made of: 1 / |x||y|, cos / |x|², cos / |y|².

    Norms below 1e-8 count as that, and have their slope nevertheless, as in PyTorch.
    """
    norm1, norm2 = math.sqrt(square1), math.sqrt(square2)
    least1, least2 = max(norm1, 1e-8), max(norm2, 1e-8)
    cos = dot / (least1 * least2)
    own1 = cos / (least1 * norm1) if norm1 != 0 else 0.0
    own2 = cos / (least2 * norm2) if norm2 != 0 else 0.0
    return 1.0 - cos, 1.0 / (least1 * least2), own1, own2


class _TripletCosine(TripletMarginWithDistanceLoss):
    @staticmethod
    def terms(a: Any, p: Any, n: Any, margin: Any, swap: Any) -> Any:
        return a * p, a * n, p * n, a * a, p * p, n * n

    @staticmethod
    def combine(
        ap: Any, an: Any, pn: Any, aa: Any, pp: Any, nn: Any, margin: Any, swap: Any
    ) -> Any:
        ap, by_ap, a_ap, p_ap = cosine_distance(ap, aa, pp)
        an, by_an, a_an, n_an = cosine_distance(an, aa, nn)
        pn, by_pn, p_pn, n_pn = cosine_distance(pn, pp, nn)
        loss, k_ap, k_an, k_pn = triplet(ap, an, pn, margin, swap)
        return (
            loss,
            -k_ap * by_ap,
            -k_an * by_an,
            -k_pn * by_pn,
            k_ap * a_ap + k_an * a_an,
            k_ap * p_ap + k_pn * p_pn,
            k_an * n_an + k_pn * n_pn,
        )

    @staticmethod
    def slopes(
        a: Any, p: Any, n: Any, ap: Any, an: Any, pn: Any, aa: Any, pp: Any, nn: Any,
        margin: Any, swap: Any,
    ) -> Any:  # fmt: skip
        return (
            ap * p + an * n + aa * a,
            ap * a + pn * n + pp * p,
            an * a + pn * p + nn * n,
        )


@inlined
def contrast(d: Any, y: Any, margin: Any) -> Any:
    """The loss of a pair at the distance d, and its slope there."""
    lack = max(margin - d, 0.0)
    return 0.5 * (y * d * d + (1.0 - y) * lack * lack), y * d - (1.0 - y) * lack


class ContrastiveLoss(_Pairs):
    r"""Similar pairs (y = 1) cost their squared distance, others what lacks to `margin`, squared.

    Shape:
        input1, input2: (N, D) or (D); target: (N) or ().

    sentence-transformers' loss of the embeddings: half of each square, as in the paper, and a
    target in [0, 1] weighs the two parts. Its default there is distance_function='cosine' with
    a margin of 0.5.

    Distances: 'pairwise', the Euclidean norm of the difference plus 1e-6 in each component, as
    torch.nn.PairwiseDistance has it, which gives equal vectors a (finite) gradient; 'cosine',
    1 - cos; 'manhattan', the sum of the magnitudes of the same difference.

    Example:
        >>> criterion = nn.ContrastiveLoss(client=client)
        >>> round(criterion([[0.0, 0], [0, 0]], [[3.0, 4], [0, 0.5]], [1, 0]).item(), 4)
        6.3125
    """

    name = "contrastive_loss"
    library = "sentence_transformers.losses"
    signature = ("distance_function", "margin", "reduction")
    formula = r"\ell = \tfrac12 \left[\, y\, d^2 + (1 - y) \max(0,\ m - d)^2 \,\right]"
    gradient = (
        (
            r"\partial_{x_1} \ell = k\,\partial_{x_1} d,\ \partial_{x_2} \ell = "
            r"k\,\partial_{x_2} d,\ k = y\,d - (1 - y) \max(0,\ m - d)"
        ),
        (
            r"\partial_{x_1} d = -\partial_{x_2} d = \frac{x_1 - x_2 + \varepsilon}{d} \text{ "
            r"for 'pairwise'},\ \mathrm{sign}(x_1 - x_2 + \varepsilon) \text{ for 'manhattan', } "
            r"\varepsilon = 10^{-6}"
        ),
        (
            r"\text{for 'cosine', } \partial_{x_1} d = \cos(x_1, x_2) \frac{x_1}{|x_1|^2} - "
            r"\frac{x_2}{|x_1| |x_2|} \text{ and the same with both exchanged}"
        ),
    )
    reference = (
        "Hadsell et al., Dimensionality reduction by learning an invariant mapping, 2006, "
        "doi:10.1109/CVPR.2006.100"
    )

    input1 = tensor("vector", "First vectors x1, (N, D) or (D).", grad=True)
    input2 = tensor("vector", "Second vectors x2, (N, D) or (D).", grad=True)
    target = tensor("scalar", "1 for similar, 0 for dissimilar pairs, (N) or ().")
    distance_function: str = param(
        "pairwise", "Name of the distance.", choices=("pairwise", "cosine", "manhattan")
    )
    margin: float = param(1.0, "Distance m from which dissimilar pairs cost nothing.", ge=0)

    def lower(self, given: Given) -> Loss:
        kinds = {"cosine": _ContrastiveCosine, "manhattan": _ContrastiveManhattan}
        kind = kinds.get(self.distance_function)
        return kind(**self.values) if kind else self

    @staticmethod
    def terms(x1: Any, x2: Any, margin: Any) -> Any:
        d = x1 - x2 + PAIRWISE_EPS
        return (d * d,)

    @staticmethod
    def combine(y: Any, square: Any, margin: Any) -> Any:
        d = math.sqrt(square)
        loss, slope = contrast(d, y, margin)
        return loss, slope / d if d != 0 else 0.0

    @staticmethod
    def slopes(x1: Any, x2: Any, k: Any, margin: Any) -> Any:
        slope = k * (x1 - x2 + PAIRWISE_EPS)
        return slope, -slope


class _ContrastiveManhattan(ContrastiveLoss):
    @staticmethod
    def terms(x1: Any, x2: Any, margin: Any) -> Any:
        return (abs(x1 - x2 + PAIRWISE_EPS),)

    @staticmethod
    def combine(y: Any, d: Any, margin: Any) -> Any:
        return contrast(d, y, margin)

    @staticmethod
    def slopes(x1: Any, x2: Any, k: Any, margin: Any) -> Any:
        slope = k * sign(x1 - x2 + PAIRWISE_EPS)
        return slope, -slope


class _ContrastiveCosine(ContrastiveLoss):
    @staticmethod
    def terms(x1: Any, x2: Any, margin: Any) -> Any:
        return x1 * x2, x1 * x1, x2 * x2

    @staticmethod
    def combine(y: Any, dot: Any, square1: Any, square2: Any, margin: Any) -> Any:
        d, by_dot, own1, own2 = cosine_distance(dot, square1, square2)
        loss, slope = contrast(d, y, margin)
        return loss, -slope * by_dot, slope * own1, slope * own2

    @staticmethod
    def slopes(x1: Any, x2: Any, k: Any, k1: Any, k2: Any, margin: Any) -> Any:
        return k * x2 + k1 * x1, k * x1 + k2 * x2
