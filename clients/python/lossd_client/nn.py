"""torch.nn's losses and some that it lacks, computed at a client's target.

Made by `make gen` (scripts/generate.py) from lossd/losses. Do not edit.
"""

from collections.abc import Mapping
from typing import ClassVar

from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.limits import Limits
from lossd_client.module import Loss, Named
from lossd_client.owning import AdaptiveLogSoftmaxWithLoss, LinearCrossEntropyLoss
from lossd_client.wire import Parameter

__all__ = [
    "AdaptiveLogSoftmaxWithLoss",
    "ArcFaceLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CISPOLoss",
    "CIoULoss",
    "CPOLoss",
    "CTCLoss",
    "CategoricalHingeLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DPOLoss",
    "DiceLoss",
    "DistillationKLLoss",
    "FocalTverskyLoss",
    "GIoULoss",
    "GRPOLoss",
    "GaussianNLLLoss",
    "GeneralizedDiceLoss",
    "GeneralizedJSDLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "IPOLoss",
    "ImportanceSamplingLoss",
    "InfoNCELoss",
    "IoULoss",
    "JaccardLoss",
    "KLDivLoss",
    "KTOLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
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
    "NTXentLoss",
    "ORPOLoss",
    "PPOClipLoss",
    "PoissonNLLLoss",
    "Poly1CrossEntropyLoss",
    "QuantileLoss",
    "SigmoidFocalLoss",
    "SimPOLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "SoftmaxFocalLoss",
    "SquaredHingeLoss",
    "SupConLoss",
    "SymmetricCrossEntropyLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "TverskyLoss",
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
        margin: What the label's angle is widened by, m, in degrees. >= 0 and <= 180.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"margin": Limits(ge=0, le=180), "scale": Limits(gt=0)}
    margin: float
    scale: float

    def __init__(
        self,
        margin: float = 28.6,
        scale: float = 64.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "scale": scale},
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class CISPOLoss(Loss):
    r"""Policy gradient that weighs each token by its clipped ratio: no token's gradient is lost.

    .. math:: \ell = -w A x,\ w = \mathrm{clip}(e^{x - x_\mathrm{old}},\ l,\ h) \text{ without gradient}

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    The weight w is a constant for the gradient, which is -w A. The clips are bounds of the ratio
    itself: MiniMax-M1's are 1 - ε and 1 + ε, TRL's `epsilon_high` is `clip_high_threshold`. There
    is no gradient with respect to the old log-probabilities. Tokens where the mask is 0 have loss
    and gradient 0, whatever the other tensors hold there.

    Args:
        clip_low_threshold: Least weight l of a token. >= 0.
        clip_high_threshold: Largest weight h of a token. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: log_probs.

    Reference: MiniMax-M1, 2025, https://arxiv.org/abs/2506.13585

    Example:
        >>> criterion = nn.CISPOLoss(clip_high_threshold=2.0, client=client)
        >>> criterion([-1.0, -2.0], [-1.0, -4.0], [0.5, 1.0]).item()
        2.25
    """

    name = "cispo_loss"
    inputs = ("log_probs", "old_log_probs", "advantages")
    differentiable = ("log_probs",)
    options = ("mask",)
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "clip_low_threshold": 0.0,
        "clip_high_threshold": 5.0,
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "clip_low_threshold": Limits(ge=0),
        "clip_high_threshold": Limits(gt=0),
    }
    clip_low_threshold: float
    clip_high_threshold: float
    mask: ArrayLike | None

    def __init__(
        self,
        clip_low_threshold: float = 0.0,
        clip_high_threshold: float = 5.0,
        reduction: str = "mean",
        *,
        mask: ArrayLike | None = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "clip_low_threshold": clip_low_threshold,
                "clip_high_threshold": clip_high_threshold,
            },
            options={"mask": mask},
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
        old_log_probs: ArrayLike,
        advantages: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(log_probs, old_log_probs, advantages, sample_weight=sample_weight)
        return loss


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
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(ge=0)}
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
        loss: Tensor = self._call(boxes1, boxes2, sample_weight=sample_weight)
        return loss


class CPOLoss(Loss):
    r"""Contrastive preference optimization: DPO without a reference.

    .. math:: \ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),\ z = \beta\,(c - r)

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the sum over its tokens; with 'ipo' TRL takes the mean. The
    cross entropy of the preferred answers, which TRL adds times `cpo_alpha`, is for the caller to
    add. `loss_type` 'hinge' has gradient 0 at its kink; it and 'ipo' know no label smoothing.

    Args:
        beta: Factor β of the difference. > 0.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the difference costs. one of 'sigmoid', 'hinge', 'ipo'. 'sigmoid' by default.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_chosen_logps, policy_rejected_logps.

    Reference: Xu et al., Contrastive preference optimization, https://arxiv.org/abs/2401.08417

    Example:
        >>> round(nn.CPOLoss(client=client)([-10.0], [-15.0]).item(), 6)
        0.474077
    """

    name = "cpo_loss"
    inputs = ("policy_chosen_logps", "policy_rejected_logps")
    differentiable = ("policy_chosen_logps", "policy_rejected_logps")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "beta": 0.1,
        "label_smoothing": 0.0,
        "loss_type": "sigmoid",
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"loss_type": ("sigmoid", "hinge", "ipo")}
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(gt=0),
        "label_smoothing": Limits(ge=0, lt=0.5),
    }
    beta: float
    label_smoothing: float
    loss_type: str

    def __init__(
        self,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        loss_type: Named = None,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta, "label_smoothing": label_smoothing, "loss_type": loss_type},
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
        policy_chosen_logps: ArrayLike,
        policy_rejected_logps: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight
        )
        return loss


class CTCLoss(Loss):
    r"""Connectionist temporal classification: all alignments of a target with a longer input.

    .. math:: \ell = -\log \sum_{\pi \in B^{-1}(y)} \prod_t p_{t, \pi_t}

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
        loss: Tensor = self._call(
            log_probs, targets, input_lengths, target_lengths, sample_weight=sample_weight
        )
        return loss


class CategoricalHingeLoss(Loss):
    r"""Hinge loss of several classes with a distribution as target: the best wrong score counts.

    .. math:: \ell = \max\left(0,\ 1 + \max_c (1 - y_c) x_c - \sum_c y_c x_c\right)

    Shape:
        input, target: (*, C), broadcast together; the loss has their shape without C.

    Wrong classes that share the best score share its gradient; at the kink the gradient is that
    of the active side. Targets are used as they are: one that does not sum to 1 is no error.

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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class CircleLoss(Loss):
    r"""Circle loss: the farther a similarity is from where it should be, the harder it is pulled.

    .. math:: \ell_i = \log\Big(1 + \sum_n e^{\gamma \alpha_n (s_n - m)} \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)}\Big),\ \alpha_n = [s_n + m]_+,\ \alpha_p = [1 + m - s_p]_+

    Shape:
        embeddings: (N, D); labels: (N), any integer type. The loss is (N).

    Embeddings are normalised here. One that has no other of its class, or none of another class,
    gives 0 and does not count in the mean, which is NaN where all are (pytorch-metric-learning's is
    0 there, and leaves out losses that are exactly 0). The factors alpha have no gradient of their
    own.

    Args:
        m: The relaxation factor m.
        gamma: The scale of similarities. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        embeddings: Embeddings x, (N, D), of the unit vectors z.
        labels: The class of each, (N).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: embeddings.

    Reference: Sun et al., Circle loss, https://arxiv.org/abs/2002.10857

    Example:
        >>> criterion = nn.CircleLoss(m=0.25, gamma=4.0, client=client)
        >>> x = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
        >>> round(criterion(x, [0, 0, 1]).item(), 6)
        1.765319
    """

    name = "circle_loss"
    inputs = ("embeddings", "labels")
    differentiable = ("embeddings",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"m": 0.4, "gamma": 80.0}
    limits: ClassVar[Mapping[str, Limits]] = {"gamma": Limits(gt=0)}
    m: float
    gamma: float

    def __init__(
        self,
        m: float = 0.4,
        gamma: float = 80.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"m": m, "gamma": gamma},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, embeddings: ArrayLike, labels: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        loss: Tensor = self._call(embeddings, labels, sample_weight=sample_weight)
        return loss


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First vectors x1, (N, D) or (D).
        input2: Second vectors x2, (N, D) or (D).
        target: 1 for similar, 0 for dissimilar pairs, (N) or ().
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"margin": Limits(ge=0)}
    distance_function: str
    margin: float

    def __init__(
        self,
        distance_function: Named = None,
        margin: float = 1.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"distance_function": distance_function, "margin": margin},
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
        input1: ArrayLike,
        input2: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(input1, input2, target, sample_weight=sample_weight)
        return loss


class CosFaceLoss(Loss):
    r"""Softmax cross entropy of cosines, after the label's is lowered.

    .. math:: \ell = -\log \frac{e^{s (x_y - m)}}{e^{s (x_y - m)} + \sum_{c \ne y} e^{s x_c}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK), cosines; target: the same without C (any integer
        type).

    pytorch-metric-learning's loss of the cosines: there the loss normalises embeddings and owns
    the matrix of class centres, here both are the caller's. `margin` is a cosine.

    Args:
        margin: What the label's cosine is lowered by, m. >= 0.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"margin": Limits(ge=0), "scale": Limits(gt=0)}
    margin: float
    scale: float

    def __init__(
        self,
        margin: float = 0.35,
        scale: float = 64.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"margin": margin, "scale": scale},
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class CosineEmbeddingLoss(Loss):
    r"""Similar vectors (y = 1) cost 1 - cos, dissimilar ones (y = -1) their cosine above `margin`.

    .. math:: \ell = 1 - \cos(x_1, x_2) \text{ where } y = 1,\ \max(0, \cos(x_1, x_2) - m) \text{ where } y = -1

    Shape:
        input1, input2: (N, D) or (D); target: (N) or ().

    1e-12 is added to both squared norms, so that a zero vector has a (steep) finite gradient. A
    target that is neither 1 nor -1 gives 0.

    Args:
        margin: Cosine m up to which dissimilar pairs cost nothing, in [-1, 1].
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input1: First vectors x1, (N, D) or (D).
        input2: Second vectors x2, (N, D) or (D).
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
    constants = ("target",)
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
        loss: Tensor = self._call(input1, input2, target, sample_weight=sample_weight)
        return loss


class CrossEntropyLoss(Loss):
    r"""Cross entropy of logits with class indices or class probabilities.

    .. math:: \ell = -w_y \log \frac{e^{x_y}}{\sum_c e^{x_c}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (indices, any integer
        type), or the input's shape (probabilities, floating); weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. With indices the mean divides by
    the sum of the weights at the targets (NaN where that is 0: every row ignored, an empty
    batch); with probabilities by the number of rows. Probabilities are used as they are: a row of
    them that does not sum to 1, or has values below 0, is no error, as in PyTorch.

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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class DIoULoss(Loss):
    r"""1 - IoU, and the squared distance of the centres over that of the enclosing diagonal.

    .. math:: \ell = 1 - \mathrm{IoU} + \frac{\rho^2(a, b)}{c^2 + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Where ends of both boxes coincide, either gets half of the gradient, as by PyTorch's autograd.
    x2 < x1 or y2 < y1 is an error (torchvision answers something). The mean of no boxes is NaN,
    with `zero_if_empty` 0 as in torchvision.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(ge=0)}
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
        loss: Tensor = self._call(boxes1, boxes2, sample_weight=sample_weight)
        return loss


class DPOLoss(Loss):
    r"""Direct preference optimization: prefer the chosen answer more than the reference does.

    .. math:: \ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),\ z = \beta\,[(c - c_\mathrm{ref}) - (r - r_\mathrm{ref})]

    Shape:
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
        reference_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the sum over its tokens, for 'ipo' and 'sigmoid_norm' the mean,
    as TRL takes it there. `loss_type` is one
    of TRL's, all but 'sft', which is NLLLoss of the preferred answers' tokens. 'sigmoid' with
    `label_smoothing` is conservative DPO, 'sigmoid_norm' is 'sigmoid' of means, 'robust' takes the
    expected bias of wrong labels away, and 'exo_pair' needs a `label_smoothing` above 0; beside
    these, 'aot' and 'aot_unpaired' know one. 'hinge' has gradient 0 at its kink.

    'aot' sorts the batch, along its first dimension: the policy's differences of the two answers,
    and the reference's; 'aot_unpaired' sorts the log-ratios to the reference of the preferred
    answers, and of the rejected ones. The n-th loss is that of the n-th smallest of both.

    `f_divergence_type` compares scores of the two answers in place of their log-ratios u:
    'forward_kl' 1 - exp(-u), 'js_divergence' log(2 sigmoid(u)), 'alpha_divergence'
    (exp((a - 1) u) - 1) / (a - 1) with the coefficient a and an exponent of at most 80 (of float16
    too, where TRL takes 11); within 1e-6 of a = 1 it is u itself. As in TRL, 'sigmoid', 'robust',
    'hinge', 'exo_pair' and 'discopop' have it; 'ipo' and 'sigmoid_norm', for which TRL divides the
    scores of sums by the tokens, do not: means do not tell the sums.

    The reference has gradients, too: those of the policy with the other sign. Without a reference
    (the former `reference_free`) give 0 for both of its tensors; CPOLoss takes none.

    Args:
        beta: Factor β of the margin over the reference. > 0.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the margin costs. one of 'sigmoid', 'robust', 'hinge', 'ipo', 'exo_pair', 'nca_pair', 'bco_pair', 'sppo_hard', 'apo_zero', 'apo_down', 'discopop', 'aot', 'aot_unpaired', 'sigmoid_norm'. 'sigmoid' by default.
        discopop_tau: Temperature τ of 'discopop'. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        f_divergence_type: What holds the policy to the reference. one of 'reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'. 'reverse_kl' by default.
        f_alpha_divergence_coef: Coefficient a of 'alpha_divergence'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        reference_chosen_logps: The reference's log-probabilities c_ref of the preferred answers, (*).
        reference_rejected_logps: The reference's log-probabilities r_ref of the rejected answers, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps.

    Reference: Rafailov et al., Direct preference optimization, https://arxiv.org/abs/2305.18290

    Example:
        >>> criterion = nn.DPOLoss(client=client)
        >>> round(criterion([-10.0], [-15.0], [-11.0], [-14.0]).item(), 6)
        0.598139
    """

    name = "dpo_loss"
    inputs = (
        "policy_chosen_logps",
        "policy_rejected_logps",
        "reference_chosen_logps",
        "reference_rejected_logps",
    )
    differentiable = (
        "policy_chosen_logps",
        "policy_rejected_logps",
        "reference_chosen_logps",
        "reference_rejected_logps",
    )
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "beta": 0.1,
        "label_smoothing": 0.0,
        "loss_type": "sigmoid",
        "discopop_tau": 0.05,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "loss_type": (
            "sigmoid",
            "robust",
            "hinge",
            "ipo",
            "exo_pair",
            "nca_pair",
            "bco_pair",
            "sppo_hard",
            "apo_zero",
            "apo_down",
            "discopop",
            "aot",
            "aot_unpaired",
            "sigmoid_norm",
        ),
        "f_divergence_type": ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"),
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(gt=0),
        "label_smoothing": Limits(ge=0, lt=0.5),
        "discopop_tau": Limits(gt=0),
    }
    beta: float
    label_smoothing: float
    loss_type: str
    discopop_tau: float
    f_divergence_type: str
    f_alpha_divergence_coef: float

    def __init__(
        self,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        loss_type: Named = None,
        discopop_tau: float = 0.05,
        reduction: str = "mean",
        *,
        f_divergence_type: Named = None,
        f_alpha_divergence_coef: float = 0.5,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "beta": beta,
                "label_smoothing": label_smoothing,
                "loss_type": loss_type,
                "discopop_tau": discopop_tau,
                "f_divergence_type": f_divergence_type,
                "f_alpha_divergence_coef": f_alpha_divergence_coef,
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
        self,
        policy_chosen_logps: ArrayLike,
        policy_rejected_logps: ArrayLike,
        reference_chosen_logps: ArrayLike,
        reference_rejected_logps: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_chosen_logps,
            policy_rejected_logps,
            reference_chosen_logps,
            reference_rejected_logps,
            sample_weight=sample_weight,
        )
        return loss


class DiceLoss(Loss):
    r"""One minus the Dice score of each class: twice the overlap over the sum of the volumes.

    .. math:: \ell = 1 - \frac{2 \sum x y + \epsilon_n}{\sum x + \sum y + \epsilon_d}

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    `squared_pred` takes squares in the denominator. A class that neither predictions nor target
    have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0. With
    `include_background=False` the losses are (N, C - 1). Soft targets are multiplied as they are.
    With `to_onehot_y` the target holds the class of each voxel, of any type of number; MONAI's
    wants the dimension of 1. Where the input has one class alone, it changes nothing, as there.
    One class alone with `include_background=False` or `softmax` is an error; MONAI warns, and
    ignores them.

    Args:
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        "to_onehot_y": False,
        "sigmoid": False,
        "softmax": False,
        "squared_pred": False,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    limits: ClassVar[Mapping[str, Limits]] = {"smooth_nr": Limits(ge=0), "smooth_dr": Limits(ge=0)}
    include_background: bool
    to_onehot_y: bool
    sigmoid: bool
    softmax: bool
    squared_pred: bool
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
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
                "to_onehot_y": to_onehot_y,
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(gt=0)}
    temperature: float

    def __init__(
        self,
        temperature: float = 1.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
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
        student_logits: ArrayLike,
        teacher_logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(student_logits, teacher_logits, sample_weight=sample_weight)
        return loss


class FocalTverskyLoss(Loss):
    r"""Tversky loss of each class to the power 1 / `gamma`: small regions count more.

    .. math:: \ell = (1 - \mathrm{TI})^{1 / \gamma}

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    Parameters, shapes and smoothing are TverskyLoss's, the power the paper's, taken class by
    class; other implementations name that power itself gamma (0.75 for the 4/3 of the paper,
    whose alpha weighs the false negatives). Where the loss is 0, and its slope not finite, the
    gradient is 0.

    Args:
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        alpha: Weight of false positives. >= 0.
        beta: Weight of false negatives. >= 0.
        gamma: How much classes that are nearly right still count. > 0.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        "to_onehot_y": False,
        "sigmoid": False,
        "softmax": False,
        "alpha": 0.3,
        "beta": 0.7,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
        "gamma": 1.3333333333333333,
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "alpha": Limits(ge=0),
        "beta": Limits(ge=0),
        "smooth_nr": Limits(ge=0),
        "smooth_dr": Limits(ge=0),
        "gamma": Limits(gt=0),
    }
    include_background: bool
    to_onehot_y: bool
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
        to_onehot_y: bool = False,
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
                "to_onehot_y": to_onehot_y,
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class GIoULoss(Loss):
    r"""1 - IoU, and the part of the smallest enclosing box C that is in neither box.

    .. math:: \ell = 1 - \mathrm{IoU} + \frac{|C| - |A \cup B|}{|C| + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Boxes that do not meet are drawn to each other. Where ends of both boxes coincide, either gets
    half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error (torchvision
    answers something). The mean of no boxes is NaN, with `zero_if_empty` 0 as in torchvision.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(ge=0)}
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
        loss: Tensor = self._call(boxes1, boxes2, sample_weight=sample_weight)
        return loss


class GRPOLoss(Loss):
    r"""Group relative policy optimization: PPO's clipped loss of tokens, averaged over sequences.

    .. math:: \ell = \frac{1}{D} \sum_t m_t \left[\,-\min(r_t A_t,\ \mathrm{clip}(r_t,\ 1 - \varepsilon_\mathrm{low},\ 1 + \varepsilon_\mathrm{high})\,A_t) + \beta\,(e^{d_t} - d_t - 1)\,\right],\ r_t = e^{x_t - x_{\mathrm{old},t}},\ d_t = x_{\mathrm{ref},t} - x_t

    Shape:
        log_probs, old_log_probs, mask, ref_log_probs: (N, T), or (*, T), the same; advantages: (N),
        or (N, T). The loss is (N).

    A sequence's loss is the sum over its tokens, divided as `loss_type` says: 'grpo' by their
    number, 'dr_grpo' by `max_completion_length`; 'bnpo' and 'dapo' divide by nothing, and their
    mean is over the tokens of the batch (in TRL, 'dapo' counts those of all processes). Where
    there are no tokens, 1 takes the place of their number. Tokens where the mask is 0 have loss
    and gradient 0, whatever the other tensors hold there. The normalizers 'valid' and 'weights'
    count tokens where the mean is over tokens, and else sequences that have any.

    `beta` adds the estimate of the divergence from a reference, which is exact for small
    differences too. `importance_sampling_level='sequence'` is GSPO: all tokens of a sequence
    share the geometric mean of their ratios. The gradient is 0 beyond a clip, and that of the
    ratio at its very ends; there is none with respect to old and reference log-probabilities. On
    fresh samples `old_log_probs` is `log_probs` itself.

    Args:
        beta: Factor β of the divergence; 0 without ref_log_probs. >= 0.
        epsilon_low: How far below 1 the ratio is clipped. >= 0.
        epsilon_high: How far above 1 the ratio is clipped. >= 0.
        delta: Largest ratio δ before it is clipped, 0 for no bound; matters where A < 0. >= 0.
        loss_type: What losses are divided by. one of 'grpo', 'bnpo', 'dr_grpo', 'dapo'. 'dapo' by default.
        importance_sampling_level: What has a ratio of its own. one of 'token', 'sequence'. 'token' by default.
        max_completion_length: Divisor of 'dr_grpo', 0 for T. >= 0.
        reduction: 'none', 'mean', 'sum'.
        ref_log_probs: Log-probabilities x_ref of the reference policy, (N, T).
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities x of the tokens, (N, T).
        old_log_probs: Those of the policy that drew the tokens, x_old, (N, T).
        advantages: How much better than expected, A, (N) or (N, T).
        mask: m: 1 for tokens that count, 0 for others, (N, T).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: log_probs.

    Reference: Shao et al., DeepSeekMath, 2024, https://arxiv.org/abs/2402.03300

    Example:
        >>> criterion = nn.GRPOLoss(loss_type="grpo", client=client)
        >>> x = [[-1.0, -2.0, 0.0], [-1.0, -1.0, -3.0]]
        >>> criterion(x, x, [1.0, -0.5], [[1, 1, 0], [1, 1, 1]]).item()
        -0.25
    """

    name = "grpo_loss"
    inputs = ("log_probs", "old_log_probs", "advantages", "mask")
    differentiable = ("log_probs",)
    options = ("ref_log_probs",)
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "beta": 0.0,
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "delta": 0.0,
        "loss_type": "dapo",
        "importance_sampling_level": "token",
        "max_completion_length": 0,
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo"),
        "importance_sampling_level": ("token", "sequence"),
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(ge=0),
        "epsilon_low": Limits(ge=0),
        "epsilon_high": Limits(ge=0),
        "delta": Limits(ge=0),
        "max_completion_length": Limits(ge=0),
    }
    beta: float
    epsilon_low: float
    epsilon_high: float
    delta: float
    loss_type: str
    importance_sampling_level: str
    max_completion_length: int
    ref_log_probs: ArrayLike | None

    def __init__(
        self,
        beta: float = 0.0,
        epsilon_low: float = 0.2,
        epsilon_high: float = 0.2,
        delta: float = 0.0,
        loss_type: Named = None,
        importance_sampling_level: Named = None,
        max_completion_length: int = 0,
        reduction: str = "mean",
        *,
        ref_log_probs: ArrayLike | None = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "beta": beta,
                "epsilon_low": epsilon_low,
                "epsilon_high": epsilon_high,
                "delta": delta,
                "loss_type": loss_type,
                "importance_sampling_level": importance_sampling_level,
                "max_completion_length": max_completion_length,
            },
            options={"ref_log_probs": ref_log_probs},
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
        old_log_probs: ArrayLike,
        advantages: ArrayLike,
        mask: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            log_probs, old_log_probs, advantages, mask, sample_weight=sample_weight
        )
        return loss


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
        var: Variances σ², like input or fewer.
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
        *,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
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
        loss: Tensor = self._call(input, target, var, sample_weight=sample_weight)
        return loss


class GeneralizedDiceLoss(Loss):
    r"""One minus the Dice score of all classes of a sample, each weighed by its true volume.

    .. math:: \ell = 1 - \frac{2 \sum_c w_c \sum x_c y_c + \epsilon_n}{\sum_c w_c \left(\sum x_c + \sum y_c\right) + \epsilon_d}

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N).

    `w_type` is the weight of a class: 'square' is 1 over the square of its volume in the target,
    'simple' 1 over it, 'uniform' 1. A class that a sample's target does not have gets the largest
    weight of that sample, 0 if it has none. `include_background=False` leaves class 0 out.

    Args:
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        w_type: A class's weight, by its volume. one of 'square', 'simple', 'uniform'. 'square' by default.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        "to_onehot_y": False,
        "sigmoid": False,
        "softmax": False,
        "w_type": "square",
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"w_type": ("square", "simple", "uniform")}
    limits: ClassVar[Mapping[str, Limits]] = {"smooth_nr": Limits(ge=0), "smooth_dr": Limits(ge=0)}
    include_background: bool
    to_onehot_y: bool
    sigmoid: bool
    softmax: bool
    w_type: str
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
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
                "to_onehot_y": to_onehot_y,
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class GeneralizedJSDLoss(Loss):
    r"""Generalised Jensen-Shannon divergence of a student's and a teacher's probabilities.

    .. math:: \ell = \beta \sum_c q_c \log \frac{q_c}{m_c} + (1 - \beta) \sum_c p_c \log \frac{p_c}{m_c},\ m = \beta q + (1 - \beta) p,\ p = \mathrm{softmax}(x / T),\ q = \mathrm{softmax}(y / T)

    Shape:
        student_logits, teacher_logits: (*, C), the same; the loss has their shape without C.

    TRL's loss of its GKD trainer, one for each row, which the trainer adds up for 'batchmean'.
    `beta=0` is the divergence of the student from the teacher, as in DistillationKLLoss without
    its factor; `beta=1` the other way round. The teacher has a gradient, too, which the trainer
    makes no use of. A class that either leaves out (logit -inf) adds nothing to its part, where
    TRL gives NaN.

    Args:
        beta: Share of the teacher in the mixture. >= 0 and <= 1.
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: student_logits, teacher_logits.

    Reference: Agarwal et al., On-policy distillation of language models: learning from self-generated mistakes, https://arxiv.org/abs/2306.13649

    Example:
        >>> criterion = nn.GeneralizedJSDLoss(client=client)
        >>> round(criterion([[1.0, 2.0, 0.5]], [[2.0, 1.0, 0.0]]).item(), 5)
        0.10121
    """

    name = "generalized_jsd_loss"
    inputs = ("student_logits", "teacher_logits")
    differentiable = ("student_logits", "teacher_logits")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"beta": 0.5, "temperature": 1.0}
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(ge=0, le=1),
        "temperature": Limits(gt=0),
    }
    beta: float
    temperature: float

    def __init__(
        self,
        beta: float = 0.5,
        temperature: float = 1.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta, "temperature": temperature},
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
        student_logits: ArrayLike,
        teacher_logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(student_logits, teacher_logits, sample_weight=sample_weight)
        return loss


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
    constants = ("target",)
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class HingeLoss(Loss):
    r"""Hinge loss of scores of two classes: the loss of a support vector machine.

    .. math:: \ell = \max(0,\ 1 - y x)

    Shape:
        input, target: any, (*); broadcast together.

    Labels may be 0 and 1, too: 0 is taken for -1. Keras does so where a call has no other labels
    than 0 and 1. At the kink the gradient is that of the active side.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 or 0 for the other, (*).
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
    limits: ClassVar[Mapping[str, Limits]] = {"delta": Limits()}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class IPOLoss(Loss):
    r"""Identity preference optimization: the pair's margin over the reference should be 1/(2β).

    .. math:: \ell = \left((c - c_\mathrm{ref}) - (r - r_\mathrm{ref}) - \tfrac{1}{2\beta}\right)^2

    Shape:
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
        reference_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens, as the paper's authors and TRL have it.

    Args:
        beta: Regularization β, the paper's τ. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        reference_chosen_logps: The reference's log-probabilities c_ref of the preferred answers, (*).
        reference_rejected_logps: The reference's log-probabilities r_ref of the rejected answers, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps.

    Reference: Azar et al., 2023, https://arxiv.org/abs/2310.12036

    Example:
        >>> round(nn.IPOLoss(client=client)([-0.5], [-1.5], [-0.75], [-1.0]).item(), 4)
        18.0625
    """

    name = "ipo_loss"
    inputs = (
        "policy_chosen_logps",
        "policy_rejected_logps",
        "reference_chosen_logps",
        "reference_rejected_logps",
    )
    differentiable = (
        "policy_chosen_logps",
        "policy_rejected_logps",
        "reference_chosen_logps",
        "reference_rejected_logps",
    )
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"beta": 0.1}
    limits: ClassVar[Mapping[str, Limits]] = {"beta": Limits(gt=0)}
    beta: float

    def __init__(
        self,
        beta: float = 0.1,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta},
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
        policy_chosen_logps: ArrayLike,
        policy_rejected_logps: ArrayLike,
        reference_chosen_logps: ArrayLike,
        reference_rejected_logps: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_chosen_logps,
            policy_rejected_logps,
            reference_chosen_logps,
            reference_rejected_logps,
            sample_weight=sample_weight,
        )
        return loss


class ImportanceSamplingLoss(Loss):
    r"""Policy gradient with tokens of an older policy: advantage times the probabilities' ratio.

    .. math:: \ell = -e^{x - x_\mathrm{old}} A

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    Tinker's `importance_sampling` is this with reduction='sum'. There is no gradient with respect
    to the old log-probabilities. Tokens where the mask is 0 have loss and gradient 0, whatever the
    other tensors hold there.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: log_probs.

    Reference: https://tinker-docs.thinkingmachines.ai/tinker/losses

    Example:
        >>> criterion = nn.ImportanceSamplingLoss(client=client)
        >>> criterion([-1.0, -2.0], [-1.0, -2.0], [0.5, -2.0]).item()
        0.75
    """

    name = "importance_sampling_loss"
    inputs = ("log_probs", "old_log_probs", "advantages")
    differentiable = ("log_probs",)
    options = ("mask",)
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    mask: ArrayLike | None

    def __init__(
        self,
        reduction: str = "mean",
        *,
        mask: ArrayLike | None = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={},
            options={"mask": mask},
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
        old_log_probs: ArrayLike,
        advantages: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(log_probs, old_log_probs, advantages, sample_weight=sample_weight)
        return loss


class InfoNCELoss(Loss):
    r"""Each query finds its key among all keys of the batch; `symmetric`, and each key its query.

    .. math:: \ell_i = -\log \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_i \cdot k_j / \tau}}

    Shape:
        query, key: (N, D). The loss is (N), the mean of both directions if symmetric.

    Rows are normalised here. With `symmetric` it is the loss of CLIP.

    Args:
        temperature: What cosines are divided by, τ. > 0.
        symmetric: Whether keys look for their queries too.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        query: Queries, (N, D), of the unit vectors q.
        key: Keys, (N, D), of the unit vectors k, each right for the query beside it.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: query, key.

    Reference: van den Oord et al., Representation learning with contrastive predictive coding, https://arxiv.org/abs/1807.03748

    Example:
        >>> criterion = nn.InfoNCELoss(temperature=0.5, client=client)
        >>> x = [[1.0, 0.0], [0.0, 1.0]]
        >>> round(criterion(x, x).item(), 6)
        0.126928
    """

    name = "info_nce_loss"
    inputs = ("query", "key")
    differentiable = ("query", "key")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"temperature": 0.1, "symmetric": False}
    limits: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(gt=0)}
    temperature: float
    symmetric: bool

    def __init__(
        self,
        temperature: float = 0.1,
        symmetric: bool = False,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"temperature": temperature, "symmetric": symmetric},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, query: ArrayLike, key: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        loss: Tensor = self._call(query, key, sample_weight=sample_weight)
        return loss


class IoULoss(Loss):
    r"""One minus the intersection over the union of two boxes.

    .. math:: \ell = 1 - \mathrm{IoU},\ \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B| + \epsilon}

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    It is the first term of torchvision's three losses, which has no function for it alone. Boxes
    that do not meet give a loss of 1 and no gradient. Where ends of both boxes coincide, either
    gets half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(ge=0)}
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
        loss: Tensor = self._call(boxes1, boxes2, sample_weight=sample_weight)
        return loss


class JaccardLoss(Loss):
    r"""One minus the Jaccard index of each class: the intersection over the union.

    .. math:: \ell = 1 - \frac{2 \sum x y + \epsilon_n}{2 (\sum x + \sum y - \sum x y) + \epsilon_d}

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    It is MONAI's `DiceLoss(jaccard=True)`, whose numerator and denominator are twice those of
    the index. `squared_pred` takes squares in the denominator. A class that neither predictions
    nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0.
    With `include_background=False` the losses are (N, C - 1).

    Args:
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        "to_onehot_y": False,
        "sigmoid": False,
        "softmax": False,
        "squared_pred": False,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    limits: ClassVar[Mapping[str, Limits]] = {"smooth_nr": Limits(ge=0), "smooth_dr": Limits(ge=0)}
    include_background: bool
    to_onehot_y: bool
    sigmoid: bool
    softmax: bool
    squared_pred: bool
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
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
                "to_onehot_y": to_onehot_y,
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class KLDivLoss(Loss):
    r"""Kullback-Leibler divergence of log-probabilities from a target distribution.

    .. math:: \ell = y\,(\log y - x)

    Shape:
        input, target: any, (*); broadcast together.

    `reduction='mean'` divides by the number of elements, which is not the divergence: use
    'batchmean', which divides by the size of the first dimension. A target of 0 gives 0. Targets
    are used as they are: that they sum to 1 is not checked; one below 0 gives NaN, as in PyTorch.

    Args:
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'batchmean', 'sum', 'sample'.
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class KTOLoss(Loss):
    r"""Kahneman-Tversky optimization: answers that are good or bad on their own, not in pairs.

    .. math:: \ell = w_y\,[1 - \sigma(\pm\beta\,(x - x_\mathrm{ref} - \max(\mathrm{kl}, 0)))],\ + \text{ where } y \ne 0

    Shape:
        policy_logps, reference_logps, target, kl: any, (*); broadcast together. kl is usually (),
        one number for the batch.

    An answer's log-probability is the sum over its tokens. `kl` is the reference point, an estimate
    of the policy's divergence from the reference; values below 0 count as 0, and there is no
    gradient with respect to it. With kl = 0 this is TRL's 'apo_zero_unpaired'. A target of 0 is
    undesirable, any other desirable.

    Args:
        beta: Factor β of the log-ratio. > 0.
        desirable_weight: Weight of desirable answers. >= 0.
        undesirable_weight: Weight of undesirable answers. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_logps: Log-probabilities x of the answers, (*).
        reference_logps: The reference's log-probabilities x_ref, (*).
        target: Whether an answer is desirable: 1, or 0, (*).
        kl: Divergence that gains and losses are measured from, ().
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_logps, reference_logps.

    Reference: Ethayarajh et al., KTO, 2024, https://arxiv.org/abs/2402.01306

    Example:
        >>> criterion = nn.KTOLoss(client=client)
        >>> round(criterion([-10.0, -15.0], [-11.0, -14.0], [1, 0], 0.5).item(), 6)
        0.475036
    """

    name = "kto_loss"
    inputs = ("policy_logps", "reference_logps", "target", "kl")
    differentiable = ("policy_logps", "reference_logps")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "beta": 0.1,
        "desirable_weight": 1.0,
        "undesirable_weight": 1.0,
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(gt=0),
        "desirable_weight": Limits(ge=0),
        "undesirable_weight": Limits(ge=0),
    }
    beta: float
    desirable_weight: float
    undesirable_weight: float

    def __init__(
        self,
        beta: float = 0.1,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "beta": beta,
                "desirable_weight": desirable_weight,
                "undesirable_weight": undesirable_weight,
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
        self,
        policy_logps: ArrayLike,
        reference_logps: ArrayLike,
        target: ArrayLike,
        kl: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_logps, reference_logps, target, kl, sample_weight=sample_weight
        )
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*, L).
        target: Relevance y of the items, or a negative number for none.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(gt=0)}
    temperature: float

    def __init__(
        self,
        temperature: float = 1.0,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(gt=0)}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class MSLELoss(Loss):
    r"""Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    .. math:: \ell = (\log(1 + \max(x, \varepsilon)) - \log(1 + \max(y, \varepsilon)))^2

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
    limits: ClassVar[Mapping[str, Limits]] = {"eps": Limits(ge=0)}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class MarginRankingLoss(Loss):
    r"""The first score should be above the second by `margin` where y = 1, below where y = -1.

    .. math:: \ell = \max(0, -y(x_1 - x_2) + m)

    Shape:
        input1, input2, target: the same number of dimensions; broadcast together.

    At the kink the gradient is that of the active side.

    Args:
        margin: By how much the scores must differ, m.
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
        loss: Tensor = self._call(input1, input2, target, sample_weight=sample_weight)
        return loss


class MultiLabelMarginLoss(Loss):
    r"""Hinge loss of several labels at once: each one's score should lead all others by 1.

    .. math:: \ell = \frac{1}{C} \sum_{y} \sum_{c \notin y} \max(0,\ 1 - x_y + x_c)

    Shape:
        input: (N, C) or (C), or () for one class; target: the same, any signed integer type. A
        row of target holds its labels first; -1 ends them.

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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class MultiLabelSoftMarginLoss(Loss):
    r"""Binary cross entropy of each label's score, averaged over the labels.

    .. math:: \ell = -\frac{1}{C} \sum_c w_c\,[\,y_c \log \sigma(x_c) + (1 - y_c) \log(1 - \sigma(x_c))\,]

    Shape:
        input, target: (N, C), or (*, C), broadcast together; weight: (C), or what is broadcast
        with them. The loss has their shape without the input's last dimension.

    Where shapes differ, C is the input's last dimension, as in PyTorch. A target of infinity gives
    an infinite loss of the score's other sign; PyTorch's is NaN.

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
    differentiable = ("input", "target", "weight")
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class MultiMarginLoss(Loss):
    r"""Hinge loss of several classes: the label's score should lead all others by `margin`.

    .. math:: \ell = \frac{w_y}{C} \sum_{c \ne y} \max(0,\ m - x_y + x_c)^p

    Shape:
        input: (N, C) or (C), or () for one class; target: (N), of one sample also (), any integer
        type; weight: (C). The loss has the target's shape.

    `p` is 1 or 2. At the kink the gradient is 0. The mean divides by N, whatever the weights.

    Args:
        p: Power of the hinge. one of 1, 2.
        margin: By how much the label's score must lead, m.
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
    limits: ClassVar[Mapping[str, Limits]] = {"p": Limits(choices=(1, 2)), "weight": Limits(rank=1)}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class NLLLoss2d(NLLLoss):
    """Deprecated, in PyTorch too: use `NLLLoss`."""

    deprecated = "NLLLoss2d is deprecated; use NLLLoss instead"


class NTXentLoss(Loss):
    r"""Normalised temperature-scaled cross entropy: two views of a sample find each other.

    .. math:: \ell_i = -\log \frac{e^{z_i \cdot z_{i'} / \tau}}{\sum_{a \ne i} e^{z_i \cdot z_a / \tau}}

    Shape:
        embeddings1, embeddings2: (N, D), two views of the same N samples. The loss is (2 N): of
        the first views, then of the second.

    Embeddings are normalised here. Each of the 2 N is compared with all others; the one other view
    of its sample is the right answer.

    Args:
        temperature: What cosines are divided by, τ. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        embeddings1: Embeddings x of one view, (N, D), of the unit vectors z.
        embeddings2: Embeddings of the other view, (N, D), likewise.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: embeddings1, embeddings2.

    Reference: Chen et al., A simple framework for contrastive learning, https://arxiv.org/abs/2002.05709

    Example:
        >>> criterion = nn.NTXentLoss(temperature=0.5, client=client)
        >>> x = [[1.0, 0.0], [0.0, 1.0]]
        >>> round(criterion(x, x).item(), 6)
        0.239545
    """

    name = "nt_xent_loss"
    inputs = ("embeddings1", "embeddings2")
    differentiable = ("embeddings1", "embeddings2")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"temperature": 0.1}
    limits: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(gt=0)}
    temperature: float

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
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
        embeddings1: ArrayLike,
        embeddings2: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(embeddings1, embeddings2, sample_weight=sample_weight)
        return loss


class ORPOLoss(Loss):
    r"""Odds ratio preference optimization: the odds of an answer against those of the rejected one.

    .. math:: \ell = -\beta \log \sigma\!\left(\log \frac{e^c}{1 - e^c} - \log \frac{e^r}{1 - e^r}\right)

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens, and not above 0: others are an error.
    This is the term of the odds ratio; the cross entropy of the preferred answers, to which the
    paper adds it, is for the caller to add. At 0, where the odds are infinite, the gradient is
    not a number.

    Args:
        beta: Factor of the loss; the paper's λ. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_chosen_logps: Mean log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Mean log-probabilities r of the rejected answers, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_chosen_logps, policy_rejected_logps.

    Reference: Hong et al., ORPO, 2024, https://arxiv.org/abs/2403.07691

    Example:
        >>> round(nn.ORPOLoss(client=client)([-0.5], [-1.5]).item(), 6)
        0.017086
    """

    name = "orpo_loss"
    inputs = ("policy_chosen_logps", "policy_rejected_logps")
    differentiable = ("policy_chosen_logps", "policy_rejected_logps")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"beta": 0.1}
    limits: ClassVar[Mapping[str, Limits]] = {"beta": Limits(ge=0)}
    beta: float

    def __init__(
        self,
        beta: float = 0.1,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"beta": beta},
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
        policy_chosen_logps: ArrayLike,
        policy_rejected_logps: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight
        )
        return loss


class PPOClipLoss(Loss):
    r"""Clipped surrogate of PPO: no gain from a ratio of probabilities beyond the clip.

    .. math:: \ell = -\min(r A,\ \mathrm{clip}(r,\ 1 - \varepsilon_\mathrm{low},\ 1 + \varepsilon_\mathrm{high})\,A),\ r = e^{x - x_\mathrm{old}}

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    The gradient is 0 beyond the clip, and that of the ratio at its very ends. There is none with
    respect to the old log-probabilities. Tokens where the mask is 0 have loss and gradient 0,
    whatever the other tensors hold there.

    Args:
        epsilon_low: How far below 1 the ratio is clipped. >= 0.
        epsilon_high: How far above 1 the ratio is clipped. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: log_probs.

    Reference: Schulman et al., Proximal policy optimization, https://arxiv.org/abs/1707.06347

    Example:
        >>> criterion = nn.PPOClipLoss(client=client)
        >>> round(criterion([-1.0, -2.0], [-1.5, -2.0], [1.0, -2.0]).item(), 6)
        0.4
    """

    name = "ppo_clip_loss"
    inputs = ("log_probs", "old_log_probs", "advantages")
    differentiable = ("log_probs",)
    options = ("mask",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"epsilon_low": 0.2, "epsilon_high": 0.2}
    limits: ClassVar[Mapping[str, Limits]] = {
        "epsilon_low": Limits(ge=0),
        "epsilon_high": Limits(ge=0),
    }
    epsilon_low: float
    epsilon_high: float
    mask: ArrayLike | None

    def __init__(
        self,
        epsilon_low: float = 0.2,
        epsilon_high: float = 0.2,
        reduction: str = "mean",
        *,
        mask: ArrayLike | None = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"epsilon_low": epsilon_low, "epsilon_high": epsilon_high},
            options={"mask": mask},
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
        old_log_probs: ArrayLike,
        advantages: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(log_probs, old_log_probs, advantages, sample_weight=sample_weight)
        return loss


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
        loss: Tensor = self._call(log_input, target, sample_weight=sample_weight)
        return loss


class Poly1CrossEntropyLoss(Loss):
    r"""Cross entropy of logits with another weight of the first term of its series in 1 - p.

    .. math:: \ell = w_y\,[-\log p_y + \varepsilon (1 - p_y)],\ p = \mathrm{softmax}(x)

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    With `epsilon=0` it is CrossEntropyLoss for finite logits, and the mean divides as it does
    there: by the sum of the weights at the targets. `weight` multiplies both terms. Rows whose
    target is `ignore_index` give 0 and do not count. A class with the logit -inf is left out; a
    label with the logit +inf costs 0.

    `label_smoothing` spreads that share of the target evenly over the classes, in both terms, as
    the paper's code does: the loss is the sum over the classes, each by its share of the target
    and its own weight.

    Args:
        epsilon: What is added to the first term's weight, 1. >= -1.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "ignore_index": -100,
        "epsilon": 2.0,
        "label_smoothing": 0.0,
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "epsilon": Limits(ge=-1),
        "label_smoothing": Limits(ge=0, le=1),
    }
    ignore_index: int
    epsilon: float
    label_smoothing: float
    weight: ArrayLike | None

    def __init__(
        self,
        epsilon: float = 2.0,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "ignore_index": ignore_index,
                "epsilon": epsilon,
                "label_smoothing": label_smoothing,
            },
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


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
    limits: ClassVar[Mapping[str, Limits]] = {"quantile": Limits(gt=0, lt=1)}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SigmoidFocalLoss(Loss):
    r"""Binary cross entropy of logits in which well classified examples hardly count.

    .. math:: \ell = \alpha_t (1 - p_t)^\gamma H,\ p_t = y\,\sigma(x) + (1 - y)(1 - \sigma(x)),\ H = -y \log \sigma(x) - (1 - y) \log(1 - \sigma(x))

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
    limits: ClassVar[Mapping[str, Limits]] = {"alpha": Limits(ge=-1, le=1), "gamma": Limits(ge=0)}
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SimPOLoss(Loss):
    r"""Simple preference optimization: the mean log-probabilities should differ by a margin.

    .. math:: \ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),\ z = \beta\,(c - r) - \gamma

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens. `loss_type` 'hinge' has gradient 0 at
    its kink and knows no label smoothing.

    Args:
        beta: Factor β of the difference. > 0.
        gamma: What β times the difference should be at least; TRL's simpo_gamma.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the difference costs. one of 'sigmoid', 'hinge'. 'sigmoid' by default.
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: policy_chosen_logps, policy_rejected_logps.

    Reference: Meng et al., SimPO, 2024, https://arxiv.org/abs/2405.14734

    Example:
        >>> round(nn.SimPOLoss(beta=2.0, gamma=1.0, client=client)([-0.5], [-1.5]).item(), 6)
        0.313262
    """

    name = "simpo_loss"
    inputs = ("policy_chosen_logps", "policy_rejected_logps")
    differentiable = ("policy_chosen_logps", "policy_rejected_logps")
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {
        "beta": 0.1,
        "gamma": 0.5,
        "label_smoothing": 0.0,
        "loss_type": "sigmoid",
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"loss_type": ("sigmoid", "hinge")}
    limits: ClassVar[Mapping[str, Limits]] = {
        "beta": Limits(gt=0),
        "label_smoothing": Limits(ge=0, lt=0.5),
    }
    beta: float
    gamma: float
    label_smoothing: float
    loss_type: str

    def __init__(
        self,
        beta: float = 0.1,
        gamma: float = 0.5,
        label_smoothing: float = 0.0,
        loss_type: Named = None,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={
                "beta": beta,
                "gamma": gamma,
                "label_smoothing": label_smoothing,
                "loss_type": loss_type,
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
        self,
        policy_chosen_logps: ArrayLike,
        policy_rejected_logps: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Tensor:
        loss: Tensor = self._call(
            policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight
        )
        return loss


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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SoftMarginLoss(Loss):
    r"""Logistic loss of scores of two classes.

    .. math:: \ell = \log(1 + e^{-y x})

    Shape:
        input: any, (*); target: the same, or what is broadcast to it.

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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SoftmaxFocalLoss(Loss):
    r"""Cross entropy of logits in which well classified rows hardly count.

    .. math:: \ell = -w_y (1 - p_y)^\gamma \log p_y,\ p_c = \frac{e^{x_c}}{\sum_j e^{x_j}}

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    The loss is one for each row: MONAI's, for one-hot targets and without `alpha`, summed over the
    classes. With `gamma=0` it is CrossEntropyLoss for finite logits, and the mean divides as it
    does there: by the sum of the weights at the targets. Rows whose target is `ignore_index` give 0
    and do not count. A class with the logit -inf is left out; a label with the logit +inf costs 0.
    Exact where the label's probability is nearly 1, as 1 - p is added up and not subtracted; at p =
    1 the gradient is 0 for every gamma.

    Args:
        gamma: How little easy rows count. >= 0.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {"gamma": Limits(ge=0)}
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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"ignore_index": ignore_index, "gamma": gamma},
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SquaredHingeLoss(Loss):
    r"""Squared hinge loss of scores of two classes.

    .. math:: \ell = \max(0,\ 1 - y x)^2

    Shape:
        input, target: any, (*); broadcast together.

    Labels may be 0 and 1, too: 0 is taken for -1. Keras does so where a call has no other labels
    than 0 and 1.

    Args:
        reduction: 'none', 'mean', 'sum', 'sample'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Scores x, (*).
        target: 1 for one class, -1 or 0 for the other, (*).
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class SupConLoss(Loss):
    r"""Supervised contrastive loss: embeddings of one class attract, against all others.

    .. math:: \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log \frac{e^{z_i \cdot z_p / \tau}}{\sum_{a \ne i} e^{z_i \cdot z_a / \tau}}

    Shape:
        embeddings: (N, D); labels: (N), any integer type. The loss is (N).

    Embeddings are normalised here. One that is alone in its class gives 0 and does not count in
    the mean, which is NaN where all are. pytorch-metric-learning's mean is 0 there, and where all
    are of one class; it leaves out losses that are exactly 0, which count here.

    Args:
        temperature: What cosines are divided by, τ. > 0.
        reduction: 'none', 'mean', 'sum'.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        embeddings: Embeddings x, (N, D), of the unit vectors z.
        labels: The class of each, (N).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

    Gradients: embeddings.

    Reference: Khosla et al., Supervised contrastive learning, https://arxiv.org/abs/2004.11362

    Example:
        >>> criterion = nn.SupConLoss(temperature=0.5, client=client)
        >>> round(criterion([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 0, 1]).item(), 6)
        0.126928
    """

    name = "supcon_loss"
    inputs = ("embeddings", "labels")
    differentiable = ("embeddings",)
    options = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {"temperature": 0.1}
    limits: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(gt=0)}
    temperature: float

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str = "mean",
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self._configure(
            parameters={"temperature": temperature},
            options={},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, embeddings: ArrayLike, labels: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        loss: Tensor = self._call(embeddings, labels, sample_weight=sample_weight)
        return loss


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
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.

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
    limits: ClassVar[Mapping[str, Limits]] = {
        "alpha": Limits(ge=0),
        "beta": Limits(ge=0),
        "label_clamp": Limits(gt=0, le=1),
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
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
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
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss


class TripletMarginLoss(Loss):
    r"""An anchor should be nearer to its positive than to its negative by `margin`.

    .. math:: \ell = \max(0,\ \|a - p + \varepsilon\|_p - \|a - n + \varepsilon\|_p + m)

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D. Numbers, (), are points on a line.

    The distance is the p-norm of the difference plus `eps` in each component. With `swap` the
    distance from positive to negative is used where it is the smaller one. Where all three are
    the same point the loss is the margin and the gradients stay finite.

    Args:
        margin: By how much the distances must differ, m. > 0.
        p: Order of the norm: any number, inf for the largest component.
        eps: Added to each component of a difference, ε.
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
    limits: ClassVar[Mapping[str, Limits]] = {"margin": Limits(gt=0)}
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
        loss: Tensor = self._call(anchor, positive, negative, sample_weight=sample_weight)
        return loss


class TripletMarginWithDistanceLoss(Loss):
    r"""TripletMarginLoss with another distance, given by its name.

    .. math:: \ell = \max(0,\ d(a, p) - d(a, n) + m)

    Shape:
        anchor, positive, negative: (N, D) or (D) (more leading dimensions too), broadcast
        together; the loss has their shape without D. Numbers, (), are points on a line.

    Distances: 'pairwise', the Euclidean norm of the difference plus 1e-6 in each component, as
    torch.nn.PairwiseDistance has it; 'cosine', 1 - cos; 'squared_euclidean'; 'manhattan'. A
    function cannot be sent to a server: of PyTorch's, pairwise_distance is known by itself.

    Args:
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'squared_euclidean', 'manhattan'. 'pairwise' by default.
        margin: By how much the distances must differ, m. > 0.
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
    limits: ClassVar[Mapping[str, Limits]] = {"margin": Limits(gt=0)}
    distance_function: str
    margin: float
    swap: bool

    def __init__(
        self,
        *,
        distance_function: Named = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
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
        loss: Tensor = self._call(anchor, positive, negative, sample_weight=sample_weight)
        return loss


class TverskyLoss(Loss):
    r"""One minus the Tversky index of each class: overlap that weighs the two kinds of errors.

    .. math:: \ell = 1 - \frac{\sum x y + \epsilon_n}{\sum x y + \alpha \sum x (1 - y) + \beta \sum (1 - x) y + \epsilon_d}

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    `alpha = beta = 0.5` is the Dice score, `alpha = beta = 1` the Jaccard index. A class that
    neither predictions nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same,
    NaN where both are 0. With `include_background=False` the losses are (N, C - 1).

    Args:
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        alpha: Weight of false positives. >= 0.
        beta: Weight of false negatives. >= 0.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        "to_onehot_y": False,
        "sigmoid": False,
        "softmax": False,
        "alpha": 0.5,
        "beta": 0.5,
        "smooth_nr": 1e-05,
        "smooth_dr": 1e-05,
    }
    limits: ClassVar[Mapping[str, Limits]] = {
        "alpha": Limits(ge=0),
        "beta": Limits(ge=0),
        "smooth_nr": Limits(ge=0),
        "smooth_dr": Limits(ge=0),
    }
    include_background: bool
    to_onehot_y: bool
    sigmoid: bool
    softmax: bool
    alpha: float
    beta: float
    smooth_nr: float
    smooth_dr: float

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
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
                "to_onehot_y": to_onehot_y,
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
        loss: Tensor = self._call(input, target, sample_weight=sample_weight)
        return loss
