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
    "BCELoss",
    "BCEWithLogitsLoss",
    "CIoULoss",
    "CTCLoss",
    "CategoricalHingeLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "GIoULoss",
    "GaussianNLLLoss",
    "GeneralizedDiceLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "IoULoss",
    "JaccardLoss",
    "KLDivLoss",
    "L1Loss",
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
    "QuantileLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "SquaredHingeLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "TverskyLoss",
]


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Probabilities x in [0, 1], (*).
        target: Probabilities y in [0, 1], (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        pos_weight: Factor p of the positive part, broadcast to (*).
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (*).
        target: Probabilities y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight, "pos_weight": pos_weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class CIoULoss(Loss):
    r"""DIoULoss, and the difference of the aspect ratios where boxes overlap much.

    .. math:: \ell = 1 - \mathrm{IoU} + \frac{\rho^2(a, b)}{c^2 + \epsilon} + \alpha v,\ v = \frac{4}{\pi^2} \left(\arctan \frac{w_b}{h_b} - \arctan \frac{w_a}{h_a}\right)^2,\ \alpha = \frac{v}{1 - \mathrm{IoU} + v + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    The weight alpha counts as constant in the gradient. `eps` is added to all three denominators
    (torchvision adds its default to the first two). A box without width and height, NaN in
    torchvision, has the angle 0. Where ends of both boxes coincide, either gets half of the
    gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error (torchvision answers
    something). The mean of no boxes is NaN, with `zero_if_empty` 0 as in torchvision.

    Args:
        reduction: 'none', 'mean', 'sum'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes (x1, y1, x2, y2), (*, 4).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: boxes1, boxes2.

    Reference: Zheng et al., Distance-IoU loss, https://arxiv.org/abs/1911.08287

    Example:
        >>> criterion = nn.CIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 1.0]], [[1.0, 0.0, 3.0, 2.0]]).item(), 6)
        0.898245
    """

    name = "complete_box_iou_loss"
    inputs = ("boxes1", "boxes2")
    differentiable = ("boxes1", "boxes2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self,
        reduction: str = "mean",
        eps: float = 1e-07,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, boxes1: ArrayLike, boxes2: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            boxes1, boxes2, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities, (T, N, C) or (T, C).
        targets: Labels y, (N, S) padded, or concatenated.
        input_lengths: Steps of each input, at most T, (N) or ().
        target_lengths: Labels of each target, (N) or ().
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"blank": blank, "zero_infinity": zero_infinity},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        log_probs: ArrayLike,
        targets: ArrayLike,
        input_lengths: ArrayLike,
        target_lengths: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            log_probs, targets, input_lengths, target_lengths, sample_weight=sample_weight
        )


class CategoricalHingeLoss(Loss):
    r"""Hinge loss of several classes with a distribution as target: the best wrong score counts.

    .. math:: \ell = \max\left(0,\ 1 + \max_c (1 - y_c) x_c - \sum_c y_c x_c\right)

    Shape:
        input, target: (*, C), broadcast together; the loss has their shape without C.

    Wrong classes that share the best score share its gradient; at the kink the gradient is that
    of the active side.

    Args:
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*, C).
        target: Probabilities y, usually 1 for the class and 0 else.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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

    def __init__(
        self,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First vectors, (N, D) or (D).
        input2: Second vectors, (N, D) or (D).
        target: 1 for similar, -1 for dissimilar pairs, (N) or ().
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        input1: ArrayLike,
        input2: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input1, input2, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C) without C, or probabilities like input.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index, "label_smoothing": label_smoothing},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class DIoULoss(Loss):
    r"""1 - IoU, and the squared distance of the centres over that of the enclosing diagonal.

    .. math:: \ell = 1 - \mathrm{IoU} + \frac{\rho^2(a, b)}{c^2 + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Where ends of both boxes coincide, either gets half of the gradient, as by PyTorch's autograd.
    x2 < x1 or y2 < y1 is an error (torchvision answers something). The mean of no boxes is NaN,
    with `zero_if_empty` 0 as in torchvision.

    Args:
        reduction: 'none', 'mean', 'sum'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes (x1, y1, x2, y2), (*, 4).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: boxes1, boxes2.

    Reference: Zheng et al., Distance-IoU loss, https://arxiv.org/abs/1911.08287

    Example:
        >>> criterion = nn.DIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        0.968254
    """

    name = "distance_box_iou_loss"
    inputs = ("boxes1", "boxes2")
    differentiable = ("boxes1", "boxes2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self,
        reduction: str = "mean",
        eps: float = 1e-07,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, boxes1: ArrayLike, boxes2: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            boxes1, boxes2, sample_weight=sample_weight
        )


class DiceLoss(Loss):
    r"""One minus the Dice score of each class: twice the overlap over the sum of the volumes.

    .. math:: \ell = 1 - \frac{2 \sum x y + \epsilon_n}{\sum x + \sum y + \epsilon_d}

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    `squared_pred` takes squares in the denominator. A class that neither predictions nor target
    have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0. With
    `include_background=False` the losses are (N, C - 1). Soft targets are multiplied as they are.

    Args:
        include_background: Whether class 0 counts.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator. >= 0.
        smooth_dr: Added to the denominator. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: input, target.

    Reference: https://docs.monai.io/en/stable/losses.html#diceloss

    Example:
        >>> criterion = nn.DiceLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.105263
    """

    name = "dice_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "include_background": True,
        "sigmoid": False,
        "softmax": False,
        "squared_pred": False,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    include_background: bool
    sigmoid: bool
    softmax: bool
    squared_pred: bool
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        squared_pred: bool = False,
        reduction: str = "mean",
        smooth_nr: float = 1e-05,
        smooth_dr: float = 1e-05,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "include_background": include_background,
                "sigmoid": sigmoid,
                "softmax": softmax,
                "squared_pred": squared_pred,
                "smooth_nr": smooth_nr,
                "smooth_dr": smooth_dr,
            },
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class FocalTverskyLoss(Loss):
    r"""Tversky loss of each class to the power 1 / `gamma`: small regions count more.

    .. math:: \ell = (1 - \mathrm{TI})^{1 / \gamma}

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    Parameters, shapes and smoothing are TverskyLoss's, the power the paper's, taken class by
    class; other implementations name that power itself gamma (0.75 for the 4/3 of the paper,
    whose alpha weighs the false negatives). Where the loss is 0, and its slope not finite, the
    gradient is 0.

    Args:
        include_background: Whether class 0 counts.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        alpha: Weight of false positives. >= 0.
        beta: Weight of false negatives. >= 0.
        gamma: How much classes that are nearly right still count. > 0.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator. >= 0.
        smooth_dr: Added to the denominator. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: input, target.

    Reference: Abraham and Khan, A novel focal Tversky loss function with improved attention U-Net for lesion segmentation, https://arxiv.org/abs/1810.07842

    Example:
        >>> criterion = nn.FocalTverskyLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.208596
    """

    name = "focal_tversky_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "include_background": True,
        "sigmoid": False,
        "softmax": False,
        "alpha": 0.3,
        "beta": 0.7,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
        "gamma": 1.3333333333333333,
    }
    include_background: bool
    sigmoid: bool
    softmax: bool
    alpha: float
    beta: float
    smooth_nr: float
    smooth_dr: float
    gamma: float

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.3333333333333333,
        reduction: str = "mean",
        smooth_nr: float = 1e-05,
        smooth_dr: float = 1e-05,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "include_background": include_background,
                "sigmoid": sigmoid,
                "softmax": softmax,
                "alpha": alpha,
                "beta": beta,
                "smooth_nr": smooth_nr,
                "smooth_dr": smooth_dr,
                "gamma": gamma,
            },
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class GIoULoss(Loss):
    r"""1 - IoU, and the part of the smallest enclosing box C that is in neither box.

    .. math:: \ell = 1 - \mathrm{IoU} + \frac{|C| - |A \cup B|}{|C| + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Boxes that do not meet are drawn to each other. Where ends of both boxes coincide, either gets
    half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error (torchvision
    answers something). The mean of no boxes is NaN, with `zero_if_empty` 0 as in torchvision.

    Args:
        reduction: 'none', 'mean', 'sum'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes (x1, y1, x2, y2), (*, 4).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: boxes1, boxes2.

    Reference: Rezatofighi et al., Generalized intersection over union, https://arxiv.org/abs/1902.09630

    Example:
        >>> criterion = nn.GIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        1.079365
    """

    name = "generalized_box_iou_loss"
    inputs = ("boxes1", "boxes2")
    differentiable = ("boxes1", "boxes2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self,
        reduction: str = "mean",
        eps: float = 1e-07,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, boxes1: ArrayLike, boxes2: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            boxes1, boxes2, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Expected values x, (*).
        target: True values y, (*).
        var: Variances, like input or fewer.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"full": full, "eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        input: ArrayLike,
        target: ArrayLike,
        var: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, var, sample_weight=sample_weight
        )


class GeneralizedDiceLoss(Loss):
    r"""One minus the Dice score of all classes of a sample, each weighed by its true volume.

    .. math:: \ell = 1 - \frac{2 \sum_c w_c \sum x_c y_c + \epsilon_n}{\sum_c w_c \left(\sum x_c + \sum y_c\right) + \epsilon_d}

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N).

    `w_type` is the weight of a class: 'square' is 1 over the square of its volume in the target,
    'simple' 1 over it, 'uniform' 1. A class that a sample's target does not have gets the largest
    weight of that sample, 0 if it has none. `include_background=False` leaves class 0 out.

    Args:
        include_background: Whether class 0 counts.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        w_type: A class's weight, by its volume. one of 'square', 'simple', 'uniform'. 'square' by default.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator. >= 0.
        smooth_dr: Added to the denominator. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: input, target.

    Reference: https://docs.monai.io/en/stable/losses.html#generalizeddiceloss

    Example:
        >>> criterion = nn.GeneralizedDiceLoss(client=client)
        >>> x = [[[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]]]
        >>> round(criterion(x, [[[1, 1, 0], [0, 0, 1]]]).item(), 6)
        0.15873
    """

    name = "generalized_dice_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "include_background": True,
        "sigmoid": False,
        "softmax": False,
        "w_type": "square",
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"w_type": ("square", "simple", "uniform")}
    include_background: bool
    sigmoid: bool
    softmax: bool
    w_type: str
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        w_type: Named = None,
        reduction: str = "mean",
        smooth_nr: float = 1e-05,
        smooth_dr: float = 1e-05,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "include_background": include_background,
                "sigmoid": sigmoid,
                "softmax": softmax,
                "w_type": w_type,
                "smooth_nr": smooth_nr,
                "smooth_dr": smooth_dr,
            },
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Distances x, (*).
        target: 1 for similar, -1 for dissimilar pairs, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class HingeLoss(Loss):
    r"""Hinge loss of scores of two classes: the loss of a support vector machine.

    .. math:: \ell = \max(0,\ 1 - y x)

    Shape:
        input, target: any, (*); broadcast together.

    At the kink the gradient is that of the active side.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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

    def __init__(
        self,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class HuberLoss(Loss):
    r"""Quadratic below `delta`, linear above with slope `delta`.

    .. math:: \ell = \tfrac{1}{2}(x - y)^2 \text{ where } |x - y| \le \delta,\ \delta(|x - y| - \tfrac{1}{2}\delta) \text{ elsewhere}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        delta: Where the quadratic part meets the linear, in units of x. > 0.
        weight: Factor w of each loss, of the input's shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"delta": delta},
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class IoULoss(Loss):
    r"""One minus the intersection over the union of two boxes.

    .. math:: \ell = 1 - \mathrm{IoU},\ \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B| + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    It is the first term of torchvision's three losses, which has no function for it alone. Boxes
    that do not meet give a loss of 1 and no gradient. Where ends of both boxes coincide, either
    gets half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error.

    Args:
        reduction: 'none', 'mean', 'sum'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes (x1, y1, x2, y2), (*, 4).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: boxes1, boxes2.

    Reference: Yu et al., UnitBox, https://arxiv.org/abs/1608.01471

    Example:
        >>> criterion = nn.IoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        0.857143
    """

    name = "box_iou_loss"
    inputs = ("boxes1", "boxes2")
    differentiable = ("boxes1", "boxes2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"eps": 1e-07}
    eps: float

    def __init__(
        self,
        reduction: str = "mean",
        eps: float = 1e-07,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, boxes1: ArrayLike, boxes2: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            boxes1, boxes2, sample_weight=sample_weight
        )


class JaccardLoss(Loss):
    r"""One minus the Jaccard index of each class: the intersection over the union.

    .. math:: \ell = 1 - \frac{2 \sum x y + \epsilon_n}{2 (\sum x + \sum y - \sum x y) + \epsilon_d}

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    It is MONAI's `DiceLoss(jaccard=True)`, whose numerator and denominator are twice those of
    the index. `squared_pred` takes squares in the denominator. A class that neither predictions
    nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0.
    With `include_background=False` the losses are (N, C - 1).

    Args:
        include_background: Whether class 0 counts.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator. >= 0.
        smooth_dr: Added to the denominator. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: input, target.

    Reference: https://docs.monai.io/en/stable/losses.html#diceloss

    Example:
        >>> criterion = nn.JaccardLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.190476
    """

    name = "jaccard_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "include_background": True,
        "sigmoid": False,
        "softmax": False,
        "squared_pred": False,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    include_background: bool
    sigmoid: bool
    softmax: bool
    squared_pred: bool
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        squared_pred: bool = False,
        reduction: str = "mean",
        smooth_nr: float = 1e-05,
        smooth_dr: float = 1e-05,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "include_background": include_background,
                "sigmoid": sigmoid,
                "softmax": softmax,
                "squared_pred": squared_pred,
                "smooth_nr": smooth_nr,
                "smooth_dr": smooth_dr,
            },
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Log-probabilities x, (*).
        target: Probabilities y (their logarithms if log_target), (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"log_target": log_target},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class L1Loss(Loss):
    r"""Mean absolute error: the loss of a median.

    .. math:: \ell = |x - y|

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class LogCoshLoss(Loss):
    r"""Quadratic for small differences, linear for large ones, and smooth between.

    .. math:: \ell = \log \cosh(x - y)

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Exact for small differences too, where `d + softplus(-2d) - log 2` loses all its digits.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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

    def __init__(
        self,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class MAPELoss(Loss):
    r"""Mean absolute percentage error: 100 times the difference relative to the true value.

    .. math:: \ell = 100\,\frac{|x - y|}{\max(|y|, \varepsilon)}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    True values nearer to 0 than `eps` count as `eps`.

    Args:
        eps: Least magnitude to divide by. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        self,
        eps: float = 1e-07,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class MSELoss(Loss):
    r"""Mean squared error: the loss of a mean.

    .. math:: \ell = (x - y)^2

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class MSLELoss(Loss):
    r"""Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    .. math:: \ell = (\log(1 + x) - \log(1 + y))^2

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Values below `eps` count as `eps` and have the gradient 0.

    Args:
        eps: Least value. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        self,
        eps: float = 1e-07,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"eps": eps},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First scores, (*).
        input2: Second scores, (*).
        target: 1 if the first ranks higher, -1 if the second does, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        input1: ArrayLike,
        input2: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input1, input2, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C) or (C).
        target: Labels y in [0, C), then -1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C).
        target: 1 for labels that apply, 0 for others, (N, C).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (N, C) or (C).
        target: Class indices in [0, C), (N) or ().
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"p": p, "margin": margin},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Log-probabilities x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index},
            options={"weight": weight},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Expected counts x, or their logarithms, (*).
        target: Counts y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"log_input": log_input, "full": full, "eps": eps},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, log_input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            log_input, target, sample_weight=sample_weight
        )


class QuantileLoss(Loss):
    r"""Pinball loss: the loss of a quantile, as L1Loss is the median's.

    .. math:: \ell = \max(q\,(y - x),\ (q - 1)(y - x))

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Args:
        quantile: Which quantile, q. > 0 and < 1.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predicted quantiles x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        self,
        quantile: float = 0.5,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"quantile": quantile},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (*).
        target: Probabilities y, usually 0 or 1, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"alpha": alpha, "gamma": gamma},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class SmoothL1Loss(Loss):
    r"""Quadratic below `beta`, linear above: squared error that outliers do not dominate.

    .. math:: \ell = \tfrac{1}{2}(x - y)^2/\beta \text{ where } |x - y| < \beta,\ |x - y| - \tfrac{1}{2}\beta \text{ elsewhere}

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    It is the Huber loss divided by `beta`. With `beta=0` it is L1Loss, subgradient 0 included.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        beta: Where the quadratic part meets the linear, in units of x. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (*).
        target: True values y, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class SoftMarginLoss(Loss):
    r"""Logistic loss of scores of two classes.

    .. math:: \ell = \log(1 + e^{-y x})

    Shape:
        input, target: any, (*); broadcast together.

    Computed as a softplus, which is finite where PyTorch's exponential overflows.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


class SquaredHingeLoss(Loss):
    r"""Squared hinge loss of scores of two classes.

    .. math:: \ell = \max(0,\ 1 - y x)^2

    Shape:
        input, target: any, (*); broadcast together.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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

    def __init__(
        self,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "p": p, "eps": eps, "swap": swap},
            options={},
            reduction=reduction,
            size_average=size_average,
            reduce=reduce,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        anchor: ArrayLike,
        positive: ArrayLike,
        negative: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            anchor, positive, negative, sample_weight=sample_weight
        )


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"distance_function": distance_function, "margin": margin, "swap": swap},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self,
        anchor: ArrayLike,
        positive: ArrayLike,
        negative: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            anchor, positive, negative, sample_weight=sample_weight
        )


class TverskyLoss(Loss):
    r"""One minus the Tversky index of each class: overlap that weighs the two kinds of errors.

    .. math:: \ell = 1 - \frac{\sum x y + \epsilon_n}{\sum x y + \alpha \sum x (1 - y) + \beta \sum (1 - x) y + \epsilon_d}

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    `alpha = beta = 0.5` is the Dice score, `alpha = beta = 1` the Jaccard index. A class that
    neither predictions nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same,
    NaN where both are 0. With `include_background=False` the losses are (N, C - 1).

    Args:
        include_background: Whether class 0 counts.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        alpha: Weight of false positives. >= 0.
        beta: Weight of false negatives. >= 0.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator. >= 0.
        smooth_dr: Added to the denominator. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: input, target.

    Reference: https://docs.monai.io/en/stable/losses.html#tverskyloss

    Example:
        >>> criterion = nn.TverskyLoss(alpha=0.3, beta=0.7, client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.123711
    """

    name = "tversky_loss"
    inputs = ("input", "target")
    differentiable = ("input", "target")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "include_background": True,
        "sigmoid": False,
        "softmax": False,
        "alpha": 0.5,
        "beta": 0.5,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    include_background: bool
    sigmoid: bool
    softmax: bool
    alpha: float
    beta: float
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str = "mean",
        smooth_nr: float = 1e-05,
        smooth_dr: float = 1e-05,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "include_background": include_background,
                "sigmoid": sigmoid,
                "softmax": softmax,
                "alpha": alpha,
                "beta": beta,
                "smooth_nr": smooth_nr,
                "smooth_dr": smooth_dr,
            },
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        return self._call(  # type: ignore[no-any-return]
            input, target, sample_weight=sample_weight
        )
