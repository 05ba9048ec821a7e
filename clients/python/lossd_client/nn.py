"""torch.nn's losses and some that it lacks, computed at a client's target.

Made by `make gen` (scripts/generate.py) from lossd/losses. Do not edit.
"""

from collections.abc import Mapping
from typing import ClassVar

from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.module import Loss, Named
from lossd_client.wire import Parameter

__all__ = [
    "ArcFaceLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CategoricalHingeLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DistillationKLLoss",
    "GaussianNLLLoss",
    "GeneralizedJSDLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "ListwiseSoftmaxLoss",
    "LogCoshLoss",
    "MAPELoss",
    "MSELoss",
    "MSLELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "Poly1CrossEntropyLoss",
    "QuantileLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "SoftmaxFocalLoss",
    "SquaredHingeLoss",
    "SymmetricCrossEntropyLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class ArcFaceLoss(Loss):
    r"""Softmax cross entropy of cosines, after the angle to the label's class is widened.

    .. math:: \ell = -\log \frac{e^{s \cos(\theta_y + m)}}{e^{s \cos(\theta_y + m)} + \sum_{c \ne y} e^{s x_c}},\ \theta_y = \arccos x_y

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK), cosines; target: the same without C (any integer
        type).

    pytorch-metric-learning's loss of the cosines: there the loss normalises embeddings and owns
    the matrix of class centres, here both are the caller's. `margin` is in degrees, as there.
    Where angle and margin exceed 180 degrees, the label's cosine is lowered by margin · sin(margin)
    (in radians) instead, which keeps the loss monotonic. The label's cosine is clamped to [-1, 1],
    and has no gradient beyond. At 1 the slope of its angle would be infinite: that part is left
    out there.

    Args:
        margin: What the label's angle is widened by, in degrees. >= 0 and <= 180.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: Deng et al., ArcFace: additive angular margin loss for deep face recognition, https://arxiv.org/abs/1801.07698

    Example:
        >>> criterion = nn.ArcFaceLoss(scale=8.0, client=client)
        >>> round(criterion([[0.9, 0.2, -0.5], [0.1, 0.3, 0.2]], [0, 1]).item(), 6)
        1.796338
    """

    name = "arcface_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"margin": 28.6, "scale": 64.0}
    margin: float
    scale: float

    def __init__(
        self,
        margin: float = 28.6,
        scale: float = 64.0,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "scale": scale},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class BCELoss(Loss):
    r"""Binary cross entropy of probabilities.

    .. math:: \ell = -w\,[\,y \log x + (1 - y) \log(1 - x)\,]

    Shape:
        input, target: any, (*), the same; weight: broadcast to them.

    Logarithms are clamped at -100, so that input 0 with target 1 costs 100 and not infinity, and
    the denominator of the gradient at 1e-12. The mean divides by the number of elements, whatever
    the weight. Values outside [0, 1], NaN included, are an error. `BCEWithLogitsLoss` is the
    better choice where logits are at hand.

    Args:
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Probabilities x in [0, 1], (*).
        target: Probabilities y in [0, 1], (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.BCELoss.html

    Example:
        >>> nn.BCELoss(client=client)([0.3, 0.9, 0.6, 0.1], [0.0, 1, 1, 0]).item()
        0.26955538988113403
    """

    name = "binary_cross_entropy"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    weight: ArrayLike | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class BCEWithLogitsLoss(Loss):
    r"""Binary cross entropy of logits: a sigmoid and BCELoss in one, without their overflow.

    .. math:: \ell = -w\,[\,p\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))\,]

    Shape:
        input, target: any, (*), the same; weight, pos_weight: broadcast to them.

    `pos_weight` multiplies the positive part: above 1 it raises recall, below 1 precision. The
    mean divides by the number of elements, whatever the weights. An infinite logit that agrees
    with its target gives NaN and gradient 0, as in PyTorch.

    Args:
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        pos_weight: Factor p of the positive part, broadcast to (*).
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (*).
        target: Probabilities y, (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.BCEWithLogitsLoss.html

    Example:
        >>> import numpy as np
        >>> criterion = nn.BCEWithLogitsLoss(pos_weight=np.ones(64), client=client)
        >>> round(criterion(np.full((10, 64), 1.5), np.ones((10, 64))).item(), 8)
        0.20141328
    """

    name = "binary_cross_entropy_with_logits"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ("weight", "pos_weight")
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    weight: ArrayLike | None
    pos_weight: ArrayLike | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: ArrayLike | None = None,
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight, "pos_weight": pos_weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class CTCLoss(Loss):
    r"""Connectionist temporal classification: all alignments of a target with a longer input.

    .. math:: \ell = -\log \sum_{\pi \in B^{-1}(y)} \prod_t p_{t, \pi_t}

    Shape:
        log_probs: (T, N, C) or (T, C); targets: (N, S), (S) or all of them one after another,
        any integer type; input_lengths, target_lengths: (N) or (). The loss is (N) or ().

    The mean divides each loss by its target's length (1 if that is 0), then by N. A target that
    does not fit into its input gives inf and a gradient of NaN, with `zero_infinity` 0 and 0.
    The gradient is the one of logits of which log_probs are the log_softmax, as in PyTorch.
    Labels that are the blank or no class are an error. Computed with probabilities of float64
    that have an exponent of their own: as exact as logarithms, and they do not underflow.

    Args:
        blank: Class that stands for no label. >= 0.
        reduction: 'none', 'mean', 'sum'.
        zero_infinity: Whether a target that does not fit costs 0.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities, (T, N, C) or (T, C).
        targets: Labels y, (N, S) padded, or concatenated.
        input_lengths: Steps of each input, at most T, (N) or ().
        target_lengths: Labels of each target, (N) or ().

    Gradients: log_probs.

    Reference: Graves et al., Connectionist temporal classification, 2006, doi:10.1145/1143844.1143891

    Example:
        >>> import numpy as np
        >>> x = np.log(np.full((3, 1, 2), 0.5, np.float32))
        >>> round(nn.CTCLoss(client=client)(x, [[1]], [3], [1]).item(), 6)
        0.287682
    """

    name = "ctc_loss"
    inputs = ("log_probs", "targets", "input_lengths", "target_lengths")
    differentiable = ("log_probs",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"blank": 0, "zero_infinity": False}
    blank: int
    zero_infinity: bool

    def __init__(
        self,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"blank": blank, "zero_infinity": zero_infinity},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(
        self,
        log_probs: ArrayLike,
        targets: ArrayLike,
        input_lengths: ArrayLike,
        target_lengths: ArrayLike,
    ) -> Tensor:
        return self._call(log_probs, targets, input_lengths, target_lengths)  # type: ignore[no-any-return]


class CategoricalHingeLoss(Loss):
    r"""Hinge loss of several classes with a distribution as target: the best wrong score counts.

    .. math:: \ell = \max\left(0,\ 1 + \max_c (1 - y_c) x_c - \sum_c y_c x_c\right)

    Shape:
        input, target: (*, C), broadcast together; the loss has their shape without C.

    Wrong classes that share the best score share its gradient; at the kink the gradient is that
    of the active side.

    Args:
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*, C).
        target: Probabilities y, usually 1 for the class and 0 else.

    Gradients: input, target.

    Reference: https://keras.io/api/losses/hinge_losses/#categoricalhinge-class

    Example:
        >>> criterion = nn.CategoricalHingeLoss(client=client)
        >>> criterion([[0.5, 2.0, 1.0]], [[0, 0, 1]]).item()
        2.0
    """

    name = "categorical_hinge_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(self, reduction: str = "mean", *, client: AnyClient | None = None) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class ContrastiveLoss(Loss):
    r"""Similar pairs (y = 1) cost their squared distance, others what lacks to `margin`, squared.

    .. math:: \ell = \tfrac12 \left[\, y\, d^2 + (1 - y) \max(0,\ m - d)^2 \,\right]

    Shape:
        input1, input2: (N, D) or (D); target: (N) or ().

    sentence-transformers' loss of the embeddings: half of each square, as in the paper, and a
    target in [0, 1] weighs the two parts. Its default there is distance_function='cosine' with
    a margin of 0.5.

    Distances: 'pairwise', the Euclidean norm of the difference plus 1e-6 in each component, as
    torch.nn.PairwiseDistance has it, which gives equal vectors a (finite) gradient; 'cosine',
    1 - cos; 'manhattan', the sum of the magnitudes of the same difference.

    Args:
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'manhattan'. 'pairwise' by default.
        margin: Distance m from which dissimilar pairs cost nothing. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First vectors, (N, D) or (D).
        input2: Second vectors, (N, D) or (D).
        target: 1 for similar, 0 for dissimilar pairs, (N) or ().

    Gradients: input1, input2.

    Reference: Hadsell et al., Dimensionality reduction by learning an invariant mapping, 2006, doi:10.1109/CVPR.2006.100

    Example:
        >>> criterion = nn.ContrastiveLoss(client=client)
        >>> round(criterion([[0.0, 0], [0, 0]], [[3.0, 4], [0, 0.5]], [1, 0]).item(), 4)
        6.3125
    """

    name = "contrastive_loss"
    inputs = ("input1", "input2", "target")
    differentiable = ("input1", "input2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"distance_function": "pairwise", "margin": 1.0}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "distance_function": ("pairwise", "cosine", "manhattan")
    }
    distance_function: str
    margin: float

    def __init__(
        self,
        distance_function: Named = None,
        margin: float = 1.0,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"distance_function": distance_function, "margin": margin},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input1: ArrayLike, input2: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input1, input2, target)  # type: ignore[no-any-return]


class CosFaceLoss(Loss):
    r"""Softmax cross entropy of cosines, after the label's is lowered.

    .. math:: \ell = -\log \frac{e^{s (x_y - m)}}{e^{s (x_y - m)} + \sum_{c \ne y} e^{s x_c}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK), cosines; target: the same without C (any integer
        type).

    pytorch-metric-learning's loss of the cosines: there the loss normalises embeddings and owns
    the matrix of class centres, here both are the caller's. `margin` is a cosine.

    Args:
        margin: What the label's cosine is lowered by. >= 0.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: Wang et al., CosFace: large margin cosine loss for deep face recognition, https://arxiv.org/abs/1801.09414

    Example:
        >>> criterion = nn.CosFaceLoss(scale=8.0, client=client)
        >>> round(criterion([[0.9, 0.2, -0.5], [0.1, 0.3, 0.2]], [0, 1]).item(), 6)
        1.259809
    """

    name = "cosface_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"margin": 0.35, "scale": 64.0}
    margin: float
    scale: float

    def __init__(
        self,
        margin: float = 0.35,
        scale: float = 64.0,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "scale": scale},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class CosineEmbeddingLoss(Loss):
    r"""Similar vectors (y = 1) cost 1 - cos, dissimilar ones (y = -1) their cosine above `margin`.

    .. math:: \ell = 1 - \cos(x_1, x_2) \text{ where } y = 1,\ \max(0, \cos(x_1, x_2) - m) \text{ where } y = -1

    Shape:
        input1, input2: (N, D) or (D); target: (N) or ().

    1e-12 is added to both squared norms, so that a zero vector has a (steep) finite gradient. A
    target that is neither 1 nor -1 gives 0.

    Args:
        margin: Cosine up to which dissimilar pairs cost nothing, in [-1, 1].
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First vectors, (N, D) or (D).
        input2: Second vectors, (N, D) or (D).
        target: 1 for similar, -1 for dissimilar pairs, (N) or ().

    Gradients: input1, input2.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.CosineEmbeddingLoss.html

    Example:
        >>> criterion = nn.CosineEmbeddingLoss(client=client)
        >>> criterion([[1.0, 0], [1, 0]], [[0.0, 1], [2, 0]], [1, -1]).item()
        1.0
    """

    name = "cosine_embedding_loss"
    inputs = ("input1", "input2", "target")
    differentiable = ("input1", "input2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"margin": 0.0}
    margin: float

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input1: ArrayLike, input2: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input1, input2, target)  # type: ignore[no-any-return]


class CrossEntropyLoss(Loss):
    r"""Cross entropy of logits with class indices or class probabilities.

    .. math:: \ell = -w_y \log \frac{e^{x_y}}{\sum_c e^{x_c}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (indices, any integer
        type), or the input's shape (probabilities, floating); weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. With indices the mean divides by
    the sum of the weights at the targets (NaN where that is 0: every row ignored, an empty
    batch); with probabilities by the number of rows.

    Args:
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        ignore_index: Index of rows to leave out.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C) without C, or probabilities like input.

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.CrossEntropyLoss.html

    Example:
        >>> criterion = nn.CrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        0.6422
    """

    name = "cross_entropy"
    inputs = ("input", "target")
    differentiable = ("input", "target", "weight")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"ignore_index": -100, "label_smoothing": 0.0}
    ignore_index: int
    label_smoothing: float
    weight: ArrayLike | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index, "label_smoothing": label_smoothing},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class DistillationKLLoss(Loss):
    r"""Divergence of a student's softened probabilities from a teacher's.

    .. math:: \ell = T^2 \sum_c q_c \log \frac{q_c}{p_c},\ p = \mathrm{softmax}(x / T),\ q = \mathrm{softmax}(y / T)

    Shape:
        student_logits, teacher_logits: (*, C), the same; the loss has their shape without C.

    Both are divided by `temperature` before the softmax, and the loss is multiplied by its
    square, so that gradients keep their size. A class that the teacher leaves out (logit -inf)
    adds nothing, where PyTorch's kl_div gives NaN. One that only the student leaves out gives
    inf.

    Args:
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).

    Gradients: student_logits, teacher_logits.

    Reference: Hinton et al., Distilling the knowledge in a neural network, https://arxiv.org/abs/1503.02531

    Example:
        >>> criterion = nn.DistillationKLLoss(temperature=2.0, client=client)
        >>> round(criterion([[1.0, 2.0, 0.5]], [[2.0, 1.0, 0.0]]).item(), 5)
        0.41852
    """

    name = "distillation_kl_loss"
    inputs = ("student_logits", "teacher_logits")
    differentiable = ("student_logits", "teacher_logits")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"temperature": 1.0}
    temperature: float

    def __init__(
        self, temperature: float = 1.0, reduction: str = "mean", *, client: AnyClient | None = None
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, student_logits: ArrayLike, teacher_logits: ArrayLike) -> Tensor:
        return self._call(student_logits, teacher_logits)  # type: ignore[no-any-return]


class GaussianNLLLoss(Loss):
    r"""Negative log-likelihood under normal distributions of predicted mean and variance.

    .. math:: \ell = \tfrac{1}{2}\left(\log v + (x - y)^2 / v\right),\ v = \max(\sigma^2, \varepsilon)

    Shape:
        input, target: any, (*), broadcast together; var: the input's shape, the same with one
        dimension of 1, the same without the last dimension, or one number.

    Variances below `eps` count as `eps`, and their gradient is taken there; negative ones are an
    error. `full` adds the constant ½ log 2π.

    Args:
        full: Whether to add the constant ½ log 2π.
        eps: Least variance.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Expected values x, (*).
        target: True values y, (*).
        var: Variances, like input or fewer.

    Gradients: input, target, var.

    Reference: Nix and Weigend, 1994, doi:10.1109/ICNN.1994.374138

    Example:
        >>> nn.GaussianNLLLoss(client=client)([0.0, 1.0], [1.0, 1.0], [1.0, 1.0]).item()
        0.25
    """

    name = "gaussian_nll_loss"
    inputs = ("input", "target", "var")
    differentiable = ("input", "target", "var")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"full": False, "eps": 1e-06}
    full: bool
    eps: float

    def __init__(
        self,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"full": full, "eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike, var: ArrayLike) -> Tensor:
        return self._call(input, target, var)  # type: ignore[no-any-return]


class GeneralizedJSDLoss(Loss):
    r"""Generalised Jensen-Shannon divergence of a student's and a teacher's probabilities.

    .. math:: \ell = \beta \sum_c q_c \log \frac{q_c}{m_c} + (1 - \beta) \sum_c p_c \log \frac{p_c}{m_c},\ m = \beta q + (1 - \beta) p,\ p = \mathrm{softmax}(x / T),\ q = \mathrm{softmax}(y / T)

    Shape:
        student_logits, teacher_logits: (*, C), the same; the loss has their shape without C.

    TRL's loss of its GKD trainer, one for each row, which the trainer adds up for 'batchmean'.
    `beta=0` is the divergence of the student from the teacher, as in DistillationKLLoss without
    its factor; `beta=1` the other way round. The teacher is fixed, as the trainer has it: the
    gradient is the student's. A class that either leaves out (logit -inf) adds nothing to its
    part, where TRL gives NaN.

    Args:
        beta: Share of the teacher in the mixture. >= 0 and <= 1.
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).

    Gradients: student_logits.

    Reference: Agarwal et al., On-policy distillation of language models: learning from self-generated mistakes, https://arxiv.org/abs/2306.13649

    Example:
        >>> criterion = nn.GeneralizedJSDLoss(client=client)
        >>> round(criterion([[1.0, 2.0, 0.5]], [[2.0, 1.0, 0.0]]).item(), 5)
        0.10121
    """

    name = "generalized_jsd_loss"
    inputs = ("student_logits", "teacher_logits")
    differentiable = ("student_logits",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"beta": 0.5, "temperature": 1.0}
    beta: float
    temperature: float

    def __init__(
        self,
        beta: float = 0.5,
        temperature: float = 1.0,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta, "temperature": temperature},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, student_logits: ArrayLike, teacher_logits: ArrayLike) -> Tensor:
        return self._call(student_logits, teacher_logits)  # type: ignore[no-any-return]


class HingeEmbeddingLoss(Loss):
    r"""Similar pairs (y = 1) cost their distance, dissimilar ones (y = -1) what lacks to `margin`.

    .. math:: \ell = x \text{ where } y = 1,\ \max(0, m - x) \text{ where } y = -1

    Shape:
        input, target: any, (*); broadcast together.

    Where the target is neither 1 nor -1 both parts are added.

    Args:
        margin: Distance m from which dissimilar pairs cost nothing.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Distances x, (*).
        target: 1 for similar, -1 for dissimilar pairs, (*).

    Gradients: input.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.HingeEmbeddingLoss.html

    Example:
        >>> nn.HingeEmbeddingLoss(client=client)([-0.3, 0.8, 0.6, -0.1], [-1, 1, 1, -1]).item()
        0.949999988079071
    """

    name = "hinge_embedding_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"margin": 1.0}
    margin: float

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class HingeLoss(Loss):
    r"""Hinge loss of scores of two classes: the loss of a support vector machine.

    .. math:: \ell = \max(0,\ 1 - y x)

    Shape:
        input, target: any, (*); broadcast together.

    At the kink the gradient is that of the active side.

    Args:
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).

    Gradients: input, target.

    Reference: https://keras.io/api/losses/hinge_losses/#hinge-class

    Example:
        >>> nn.HingeLoss(client=client)([0.5, -2.0], [1, 1]).item()
        1.75
    """

    name = "hinge_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(self, reduction: str = "mean", *, client: AnyClient | None = None) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class HuberLoss(Loss):
    r"""Quadratic below `delta`, linear above with slope `delta`.

    .. math:: \ell = \tfrac{1}{2}(x - y)^2 \text{ where } |x - y| \le \delta,\ \delta(|x - y| - \tfrac{1}{2}\delta) \text{ elsewhere}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Args:
        reduction: 'none', 'mean', 'sum'.
        delta: Where the quadratic part meets the linear, in units of x. > 0.
        weight: Factor w of each loss, of the input's shape.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732

    Example:
        >>> nn.HuberLoss(delta=2.0, client=client)([0.0, 3.0], [0.5, 0.0]).item()
        2.0625
    """

    name = "huber_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target", "weight")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"delta": 1.0}
    delta: float
    weight: ArrayLike | None

    def __init__(
        self,
        reduction: str = "mean",
        delta: float = 1.0,
        *,
        weight: ArrayLike | None = None,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"delta": delta},
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class KLDivLoss(Loss):
    r"""Kullback-Leibler divergence of log-probabilities from a target distribution.

    .. math:: \ell = y\,(\log y - x)

    Shape:
        input, target: any, (*); broadcast together.

    `reduction='mean'` divides by the number of elements, which is not the divergence: use
    'batchmean', which divides by the size of the first dimension. A target of 0 gives 0.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'batchmean', 'sum'.
        log_target: Whether target holds log-probabilities.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Log-probabilities x, (*).
        target: Probabilities y (their logarithms if log_target), (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.KLDivLoss.html

    Example:
        >>> import numpy as np
        >>> criterion = nn.KLDivLoss(reduction="batchmean", client=client)
        >>> x = np.array([[-1.13533, -1.13533, -1.03533]], np.float32)
        >>> round(criterion(x, np.array([[0.2, 0.3, 0.5]], np.float32)).item(), 5)
        0.05568
    """

    name = "kl_div"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"log_target": False}
    advice: ClassVar[Mapping[str, str]] = {
        "mean": "kl_div: reduction='mean' divides by the number of elements, which is not the divergence; use 'batchmean'"
    }
    log_target: bool

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"log_target": log_target},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class L1Loss(Loss):
    r"""Mean absolute error: the loss of a median.

    .. math:: \ell = |x - y|

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.L1Loss.html

    Example:
        >>> nn.L1Loss(client=client)([2.5, 5, 3], [3, 5, 2.5]).item()
        0.3333333432674408
    """

    name = "l1_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target", "weight")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    weight: ArrayLike | None

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        weight: ArrayLike | None = None,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class ListwiseSoftmaxLoss(Loss):
    r"""Cross entropy between the relevance of a list's items and the softmax of their scores.

    .. math:: \ell = -\sum_i y_i \log \frac{e^{x_i / T}}{\sum_j e^{x_j / T}}

    Shape:
        input, target: (*, L), broadcast together; the loss has their shape without L.

    TensorFlow Ranking's SoftmaxLoss: labels are used as they are, so that a list counts by the
    sum of its labels, and one without relevant items costs 0. Items with a negative label are
    padding, whatever their scores: they are left out (TensorFlow Ranking counts them with a
    probability of about 1e-10), and their gradients are 0.

    Args:
        temperature: What scores are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*, L).
        target: Relevance y of the items, or a negative number for none.

    Gradients: input, target.

    Reference: https://www.tensorflow.org/ranking/api_docs/python/tfr/keras/losses/SoftmaxLoss

    Example:
        >>> criterion = nn.ListwiseSoftmaxLoss(client=client)
        >>> round(criterion([[0.5, 2.0, 1.0, 9.0]], [[0, 2, 1, -1]]).item(), 5)
        2.39311
    """

    name = "listwise_softmax_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"temperature": 1.0}
    temperature: float

    def __init__(
        self, temperature: float = 1.0, reduction: str = "mean", *, client: AnyClient | None = None
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class LogCoshLoss(Loss):
    r"""Quadratic for small differences, linear for large ones, and smooth between.

    .. math:: \ell = \log \cosh(x - y)

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Exact for small differences too, where `d + softplus(-2d) - log 2` loses all its digits.

    Args:
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: https://keras.io/api/losses/regression_losses/#logcosh-class

    Example:
        >>> round(nn.LogCoshLoss(client=client)([0.0, 3.0], [0.5, 0.0]).item(), 4)
        1.2147
    """

    name = "log_cosh_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(self, reduction: str = "mean", *, client: AnyClient | None = None) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MAPELoss(Loss):
    r"""Mean absolute percentage error: 100 times the difference relative to the true value.

    .. math:: \ell = 100\,\frac{|x - y|}{\max(|y|, \varepsilon)}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    True values nearer to 0 than `eps` count as `eps`.

    Args:
        eps: Least magnitude to divide by. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: https://keras.io/api/losses/regression_losses/#meanabsolutepercentageerror-class

    Example:
        >>> nn.MAPELoss(client=client)([1.5, 8.0], [1.0, 10.0]).item()
        35.0
    """

    name = "mape_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self, eps: float = 1e-07, reduction: str = "mean", *, client: AnyClient | None = None
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MSELoss(Loss):
    r"""Mean squared error: the loss of a mean.

    .. math:: \ell = (x - y)^2

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html

    Example:
        >>> nn.MSELoss(client=client)([2.5, 5, 3], [3, 5, 2.5]).item()
        0.1666666716337204
    """

    name = "mse_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target", "weight")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    weight: ArrayLike | None

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        weight: ArrayLike | None = None,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MSLELoss(Loss):
    r"""Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    .. math:: \ell = (\log(1 + x) - \log(1 + y))^2

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Values below `eps` count as `eps` and have the gradient 0.

    Args:
        eps: Least value. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: https://keras.io/api/losses/regression_losses/#meansquaredlogarithmicerror-class

    Example:
        >>> round(nn.MSLELoss(client=client)([1.0, 3.0], [0.0, 3.0]).item(), 4)
        0.2402
    """

    name = "msle_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self, eps: float = 1e-07, reduction: str = "mean", *, client: AnyClient | None = None
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MarginRankingLoss(Loss):
    r"""The first score should be above the second by `margin` where y = 1, below where y = -1.

    .. math:: \ell = \max(0, -y(x_1 - x_2) + m)

    Shape:
        input1, input2, target: the same number of dimensions; broadcast together.

    At the kink the gradient is that of the active side.

    Args:
        margin: By how much the scores must differ.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First scores, (*).
        input2: Second scores, (*).
        target: 1 if the first ranks higher, -1 if the second does, (*).

    Gradients: input1, input2, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.MarginRankingLoss.html

    Example:
        >>> nn.MarginRankingLoss(margin=0.5, client=client)([1.0, 2.0], [1.5, 0.0], [1, 1]).item()
        0.5
    """

    name = "margin_ranking_loss"
    inputs = ("input1", "input2", "target")
    differentiable = ("input1", "input2", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"margin": 0.0}
    margin: float

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input1: ArrayLike, input2: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input1, input2, target)  # type: ignore[no-any-return]


class MultiLabelMarginLoss(Loss):
    r"""Hinge loss of several labels at once: each one's score should lead all others by 1.

    .. math:: \ell = \frac{1}{C} \sum_{y} \sum_{c \notin y} \max(0,\ 1 - x_y + x_c)

    Shape:
        input: (N, C) or (C); target: the same, any signed integer type. A row of target holds
        its labels first; -1 ends them.

    At the kink the gradient is 0.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C) or (C).
        target: Labels y in [0, C), then -1, of the input's shape.

    Gradients: input.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiLabelMarginLoss.html

    Example:
        >>> criterion = nn.MultiLabelMarginLoss(client=client)
        >>> round(criterion([[0.1, 0.2, 0.4, 0.8]], [[3, 0, -1, 1]]).item(), 6)
        0.85
    """

    name = "multilabel_margin_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MultiLabelSoftMarginLoss(Loss):
    r"""Binary cross entropy of each label's score, averaged over the labels.

    .. math:: \ell = -\frac{1}{C} \sum_c w_c\,[\,y_c \log \sigma(x_c) + (1 - y_c) \log(1 - \sigma(x_c))\,]

    Shape:
        input, target: (N, C), or (*, C), broadcast together; weight: (C). The loss has their
        shape without C.

    Args:
        weight: Factor w of each label, (C).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C).
        target: 1 for labels that apply, 0 for others, (N, C).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiLabelSoftMarginLoss.html

    Example:
        >>> criterion = nn.MultiLabelSoftMarginLoss(client=client)
        >>> round(criterion([[0.5, -1.0, 2.0]], [[1, 0, 1]]).item(), 6)
        0.304756
    """

    name = "multilabel_soft_margin_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    weight: ArrayLike | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class MultiMarginLoss(Loss):
    r"""Hinge loss of several classes: the label's score should lead all others by `margin`.

    .. math:: \ell = \frac{w_y}{C} \sum_{c \ne y} \max(0,\ m - x_y + x_c)^p

    Shape:
        input: (N, C) or (C); target: (N) or (), any integer type; weight: (C).

    `p` is 1 or 2. At the kink the gradient is 0. The mean divides by N, whatever the weights.

    Args:
        p: Power of the hinge. one of 1, 2.
        margin: By how much the label's score must lead.
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C) or (C).
        target: Class indices in [0, C), (N) or ().

    Gradients: input.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiMarginLoss.html

    Example:
        >>> round(nn.MultiMarginLoss(client=client)([[0.1, 0.2, 0.4, 0.8]], [3]).item(), 6)
        0.325
    """

    name = "multi_margin_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"p": 1, "margin": 1.0}
    p: int
    margin: float
    weight: ArrayLike | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"p": p, "margin": margin},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class NLLLoss(Loss):
    r"""Negative log-likelihood of log-probabilities.

    .. math:: \ell = -w_y x_y

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. The mean divides by the sum of
    the weights at the targets (NaN where that is 0).

    Args:
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        ignore_index: Index of rows to leave out.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Log-probabilities x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.NLLLoss.html

    Example:
        >>> nn.NLLLoss(client=client)([[-0.5, -1.0], [-2.0, -0.25]], [0, 1]).item()
        0.375
    """

    name = "nll_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"ignore_index": -100}
    ignore_index: int
    weight: ArrayLike | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class NLLLoss2d(NLLLoss):
    """Deprecated, in PyTorch too: use `NLLLoss`."""

    deprecated = "NLLLoss2d is deprecated; use NLLLoss instead"


class PoissonNLLLoss(Loss):
    r"""Negative log-likelihood of counts under a Poisson distribution.

    .. math:: \ell = e^x - y x \text{ if log\_input, else } x - y \log(x + \varepsilon)

    Shape:
        input, target: any, (*); broadcast together.

    `full` adds Stirling's approximation of log(y!) where the target is above 1. Its gradient with
    respect to a target of 0 is 0; PyTorch's is NaN.

    Args:
        log_input: Whether input holds logarithms.
        full: Whether to add Stirling's approximation of log(y!).
        size_average: deprecated; use reduction.
        eps: Added to input in its logarithm, if that is to be taken.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Expected counts x, or their logarithms, (*).
        target: Counts y, (*).

    Gradients: input, target.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.PoissonNLLLoss.html

    Example:
        >>> nn.PoissonNLLLoss(client=client)([0.0, 1.0], [1.0, 2.0]).item()
        0.8591408729553223
    """

    name = "poisson_nll_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"log_input": True, "full": False, "eps": 1e-08}
    log_input: bool
    full: bool
    eps: float

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-08,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"log_input": log_input, "full": full, "eps": eps},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, log_input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(log_input, target)  # type: ignore[no-any-return]


class Poly1CrossEntropyLoss(Loss):
    r"""Cross entropy of logits with another weight of the first term of its series in 1 - p.

    .. math:: \ell = w_y\,[-\log p_y + \varepsilon (1 - p_y)],\ p = \mathrm{softmax}(x)

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    With `epsilon=0` it is CrossEntropyLoss, and the mean divides as it does there: by the sum of
    the weights at the targets. `weight` multiplies both terms. Rows whose target is
    `ignore_index` give 0 and do not count. A class with the logit -inf is left out.

    Args:
        epsilon: What is added to the first term's weight, 1. >= -1.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: Leng et al., PolyLoss: a polynomial expansion perspective of classification loss functions, https://arxiv.org/abs/2204.12511

    Example:
        >>> criterion = nn.Poly1CrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        1.58917
    """

    name = "poly1_cross_entropy_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"ignore_index": -100, "epsilon": 2.0}
    ignore_index: int
    epsilon: float
    weight: ArrayLike | None

    def __init__(
        self,
        epsilon: float = 2.0,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index, "epsilon": epsilon},
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class QuantileLoss(Loss):
    r"""Pinball loss: the loss of a quantile, as L1Loss is the median's.

    .. math:: \ell = \max(q\,(y - x),\ (q - 1)(y - x))

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Args:
        quantile: Which quantile, q. > 0 and < 1.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predicted quantiles x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: Koenker and Bassett, Regression quantiles, 1978, doi:10.2307/1913643

    Example:
        >>> nn.QuantileLoss(0.75, client=client)([1.0, 2.0], [3.0, 1.0]).item()
        0.875
    """

    name = "quantile_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"quantile": 0.5}
    quantile: float

    def __init__(
        self, quantile: float = 0.5, reduction: str = "mean", *, client: AnyClient | None = None
    ) -> None:
        self._configure(
            parameters={"quantile": quantile},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SigmoidFocalLoss(Loss):
    r"""Binary cross entropy of logits in which well classified examples hardly count.

    .. math:: \ell = -\alpha_t (1 - p_t)^\gamma \log p_t,\ p_t = y\,\sigma(x) + (1 - y)(1 - \sigma(x))

    Shape:
        input, target: any, (*), the same.

    `alpha` in [0, 1] weighs the positives, 1 - alpha the negatives; -1 weighs nothing. With
    `gamma=0` it is BCEWithLogitsLoss.

    Args:
        alpha: Weight of the positives, or -1 for none. >= -1 and <= 1.
        gamma: How little easy examples count. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (*).
        target: Probabilities y, usually 0 or 1, (*).

    Gradients: input, target.

    Reference: Lin et al., Focal loss for dense object detection, https://arxiv.org/abs/1708.02002

    Example:
        >>> criterion = nn.SigmoidFocalLoss(client=client)
        >>> round(criterion([2.0, -1.0, 0.0], [1.0, 0.0, 1.0]).item(), 5)
        0.02026
    """

    name = "sigmoid_focal_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"alpha": 0.25, "gamma": 2.0}
    alpha: float
    gamma: float

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"alpha": alpha, "gamma": gamma},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SmoothL1Loss(Loss):
    r"""Quadratic below `beta`, linear above: squared error that outliers do not dominate.

    .. math:: \ell = \tfrac{1}{2}(x - y)^2/\beta \text{ where } |x - y| < \beta,\ |x - y| - \tfrac{1}{2}\beta \text{ elsewhere}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    It is the Huber loss divided by `beta`. With `beta=0` it is L1Loss, subgradient 0 included.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        beta: Where the quadratic part meets the linear, in units of x. >= 0.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).

    Gradients: input, target.

    Reference: Girshick, Fast R-CNN, 2015, https://arxiv.org/abs/1504.08083

    Example:
        >>> nn.SmoothL1Loss(client=client)([0.0, 3.0], [0.5, 0.0]).item()
        1.3125
    """

    name = "smooth_l1_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"beta": 1.0}
    beta: float

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SoftMarginLoss(Loss):
    r"""Logistic loss of scores of two classes.

    .. math:: \ell = \log(1 + e^{-y x})

    Shape:
        input, target: any, (*); broadcast together.

    Computed as a softplus, which is finite where PyTorch's exponential overflows.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).

    Gradients: input.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.SoftMarginLoss.html

    Example:
        >>> nn.SoftMarginLoss(client=client)([0.0, -200.0], [1, 1]).item()
        100.34657287597656
    """

    name = "soft_margin_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SoftmaxFocalLoss(Loss):
    r"""Cross entropy of logits in which well classified rows hardly count.

    .. math:: \ell = -w_y (1 - p_y)^\gamma \log p_y,\ p_c = \frac{e^{x_c}}{\sum_j e^{x_j}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    The loss is one for each row: MONAI's, for one-hot targets and without `alpha`, summed over
    the classes. With `gamma=0` it is CrossEntropyLoss, and the mean divides as it does there: by
    the sum of the weights at the targets. Rows whose target is `ignore_index` give 0 and do not
    count. A class with the logit -inf is left out. Exact where the label's probability is nearly
    1, as 1 - p is added up and not subtracted; at p = 1 the gradient is 0 for every gamma.

    Args:
        gamma: How little easy rows count. >= 0.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: Lin et al., Focal loss for dense object detection, https://arxiv.org/abs/1708.02002

    Example:
        >>> criterion = nn.SoftmaxFocalLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        0.144954
    """

    name = "softmax_focal_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"ignore_index": -100, "gamma": 2.0}
    ignore_index: int
    gamma: float
    weight: ArrayLike | None

    def __init__(
        self,
        gamma: float = 2.0,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index, "gamma": gamma},
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SquaredHingeLoss(Loss):
    r"""Squared hinge loss of scores of two classes.

    .. math:: \ell = \max(0,\ 1 - y x)^2

    Shape:
        input, target: any, (*); broadcast together.

    Args:
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).

    Gradients: input, target.

    Reference: https://keras.io/api/losses/hinge_losses/#squaredhinge-class

    Example:
        >>> nn.SquaredHingeLoss(client=client)([0.5, -2.0], [1, 1]).item()
        4.625
    """

    name = "squared_hinge_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}

    def __init__(self, reduction: str = "mean", *, client: AnyClient | None = None) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class SymmetricCrossEntropyLoss(Loss):
    r"""Cross entropy of logits plus reverse cross entropy, which noisy labels mislead less.

    .. math:: \ell = w_y\,[-\alpha \log p_y - \beta A (1 - p_y)],\ p = \mathrm{softmax}(x),\ A = \log(\text{label\_clamp})

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    In the reverse cross entropy the logarithm of the labels is taken, whose zeros count as
    `label_clamp`, as in the authors' code: its logarithm is the paper's A. The code's clamp of
    the probabilities at 1e-7, which adds as much for each class without a gradient, is left out
    as in the paper. `weight` multiplies both terms, and the mean divides as CrossEntropyLoss's:
    by the sum of the weights at the targets. Rows whose target is `ignore_index` give 0 and do
    not count. A class with the logit -inf is left out.

    Args:
        alpha: Weight of the cross entropy. >= 0.
        beta: Weight of the reverse cross entropy. >= 0.
        label_clamp: What the labels' zeros count as. > 0 and <= 1.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.

    Gradients: input.

    Reference: Wang et al., Symmetric cross entropy for robust learning with noisy labels, https://arxiv.org/abs/1908.06112

    Example:
        >>> criterion = nn.SymmetricCrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        4.425179
    """

    name = "symmetric_cross_entropy_loss"
    inputs = ("input", "target")
    differentiable = ("input",)
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "ignore_index": -100,
        "alpha": 0.1,
        "beta": 1.0,
        "label_clamp": 0.0001,
    }
    ignore_index: int
    alpha: float
    beta: float
    label_clamp: float
    weight: ArrayLike | None

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        label_clamp: float = 0.0001,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "ignore_index": ignore_index,
                "alpha": alpha,
                "beta": beta,
                "label_clamp": label_clamp,
            },
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Tensor:
        return self._call(input, target)  # type: ignore[no-any-return]


class TripletMarginLoss(Loss):
    r"""An anchor should be nearer to its positive than to its negative by `margin`.

    .. math:: \ell = \max(0,\ \|a - p + \varepsilon\|_p - \|a - n + \varepsilon\|_p + m)

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D.

    The distance is the p-norm of the difference plus `eps` in each component. With `swap` the
    distance from positive to negative is used where it is the smaller one. Where all three are
    the same point the loss is the margin and the gradients stay finite.

    Args:
        margin: By how much the distances must differ. > 0.
        p: Order of the norm: any number, inf for the largest component.
        eps: Added to each component of a difference.
        swap: Whether the positive may stand in for the anchor.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.

    Gradients: anchor, positive, negative.

    Reference: Balntas et al., Learning local feature descriptors with triplets and shallow convolutional neural networks, 2016, doi:10.5244/C.30.119

    Example:
        >>> nn.TripletMarginLoss(client=client)([[0.0, 0]], [[0.0, 1]], [[3.0, 4]]).item()
        0.0
    """

    name = "triplet_margin_loss"
    inputs = ("anchor", "positive", "negative")
    differentiable = ("anchor", "positive", "negative")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "margin": 1.0,
        "p": 2.0,
        "eps": 1e-06,
        "swap": False,
    }
    margin: float
    p: float
    eps: float
    swap: bool

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-06,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "p": p, "eps": eps, "swap": swap},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            client=client,
        )

    def __call__(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> Tensor:
        return self._call(anchor, positive, negative)  # type: ignore[no-any-return]


class TripletMarginWithDistanceLoss(Loss):
    r"""TripletMarginLoss with another distance, given by its name.

    .. math:: \ell = \max(0,\ d(a, p) - d(a, n) + m)

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D.

    Distances: 'pairwise', the Euclidean norm of the difference plus 1e-6 in each component, as
    torch.nn.PairwiseDistance has it; 'cosine', 1 - cos; 'squared_euclidean'; 'manhattan'. A
    function cannot be sent to a server: of PyTorch's, pairwise_distance is known by itself.

    Args:
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'squared_euclidean', 'manhattan'. 'pairwise' by default.
        margin: By how much the distances must differ. > 0.
        swap: Whether the positive may stand in for the anchor.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.

    Gradients: anchor, positive, negative.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.TripletMarginWithDistanceLoss.html

    Example:
        >>> criterion = nn.TripletMarginWithDistanceLoss(
        ...     distance_function="manhattan", client=client
        ... )
        >>> criterion([[0.0, 0]], [[0.0, 1]], [[1.0, 0.5]]).item()
        0.5
    """

    name = "triplet_margin_with_distance_loss"
    inputs = ("anchor", "positive", "negative")
    differentiable = ("anchor", "positive", "negative")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "distance_function": "pairwise",
        "margin": 1.0,
        "swap": False,
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "distance_function": ("pairwise", "cosine", "squared_euclidean", "manhattan")
    }
    distance_function: str
    margin: float
    swap: bool

    def __init__(
        self,
        distance_function: Named = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
        *,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"distance_function": distance_function, "margin": margin, "swap": swap},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            client=client,
        )

    def __call__(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> Tensor:
        return self._call(anchor, positive, negative)  # type: ignore[no-any-return]
