"""The losses as functions, torch.nn.functional's among them, at a client's target.

Made by `make gen` (scripts/generate.py) from lossd/losses. Do not edit.
"""

from lossd_client import nn
from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.module import Named

__all__ = [
    "arcface_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "categorical_hinge_loss",
    "contrastive_loss",
    "cosface_loss",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "distillation_kl_loss",
    "gaussian_nll_loss",
    "generalized_jsd_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "listwise_softmax_loss",
    "log_cosh_loss",
    "mape_loss",
    "margin_ranking_loss",
    "mse_loss",
    "msle_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "poly1_cross_entropy_loss",
    "quantile_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax_focal_loss",
    "squared_hinge_loss",
    "symmetric_cross_entropy_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def arcface_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 28.6,
    scale: float = 64.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Softmax cross entropy of cosines, after the angle to the label's class is widened.

    Args:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        margin: What the label's angle is widened by, in degrees. >= 0 and <= 180.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ArcFaceLoss`.
    """
    return nn.ArcFaceLoss(margin=margin, scale=scale, reduction=reduction, client=client)(
        input, target
    )


def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of probabilities.

    Args:
        input: Probabilities x in [0, 1], (*).
        target: Probabilities y in [0, 1], (*).
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.BCELoss`.
    """
    return nn.BCELoss(
        weight=weight, size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input, target)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of logits: a sigmoid and BCELoss in one, without their overflow.

    Args:
        input: Logits x, (*).
        target: Probabilities y, (*).
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        pos_weight: Factor p of the positive part, broadcast to (*).
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.BCEWithLogitsLoss`.
    """
    return nn.BCEWithLogitsLoss(
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        pos_weight=pos_weight,
        client=client,
    )(input, target)


def categorical_hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", *, client: AnyClient | None = None
) -> Tensor:
    """Hinge loss of several classes with a distribution as target: the best wrong score counts.

    Args:
        input: Scores x, (*, C).
        target: Probabilities y, usually 1 for the class and 0 else.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CategoricalHingeLoss`.
    """
    return nn.CategoricalHingeLoss(reduction=reduction, client=client)(input, target)


def contrastive_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    distance_function: Named = None,
    margin: float = 1.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar pairs (y = 1) cost their squared distance, others what lacks to `margin`, squared.

    Args:
        input1: First vectors, (N, D) or (D).
        input2: Second vectors, (N, D) or (D).
        target: 1 for similar, 0 for dissimilar pairs, (N) or ().
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'manhattan'. 'pairwise' by default.
        margin: Distance m from which dissimilar pairs cost nothing. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ContrastiveLoss`.
    """
    return nn.ContrastiveLoss(
        distance_function=distance_function, margin=margin, reduction=reduction, client=client
    )(input1, input2, target)


def cosface_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 0.35,
    scale: float = 64.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Softmax cross entropy of cosines, after the label's is lowered.

    Args:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        margin: What the label's cosine is lowered by. >= 0.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CosFaceLoss`.
    """
    return nn.CosFaceLoss(margin=margin, scale=scale, reduction=reduction, client=client)(
        input, target
    )


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar vectors (y = 1) cost 1 - cos, dissimilar ones (y = -1) their cosine above `margin`.

    Args:
        input1: First vectors, (N, D) or (D).
        input2: Second vectors, (N, D) or (D).
        target: 1 for similar, -1 for dissimilar pairs, (N) or ().
        margin: Cosine up to which dissimilar pairs cost nothing, in [-1, 1].
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CosineEmbeddingLoss`.
    """
    return nn.CosineEmbeddingLoss(
        margin=margin, size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input1, input2, target)


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy of logits with class indices or class probabilities.

    Args:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C) without C, or probabilities like input.
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        ignore_index: Index of rows to leave out.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CrossEntropyLoss`.
    """
    return nn.CrossEntropyLoss(
        weight=weight,
        size_average=size_average,
        ignore_index=ignore_index,
        reduce=reduce,
        reduction=reduction,
        label_smoothing=label_smoothing,
        client=client,
    )(input, target)


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Connectionist temporal classification: all alignments of a target with a longer input.

    Args:
        log_probs: Log-probabilities, (T, N, C) or (T, C).
        targets: Labels y, (N, S) padded, or concatenated.
        input_lengths: Steps of each input, at most T, (N) or ().
        target_lengths: Labels of each target, (N) or ().
        blank: Class that stands for no label. >= 0.
        reduction: 'none', 'mean', 'sum'.
        zero_infinity: Whether a target that does not fit costs 0.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CTCLoss`.
    """
    return nn.CTCLoss(blank=blank, reduction=reduction, zero_infinity=zero_infinity, client=client)(
        log_probs, targets, input_lengths, target_lengths
    )


def distillation_kl_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Divergence of a student's softened probabilities from a teacher's.

    Args:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.DistillationKLLoss`.
    """
    return nn.DistillationKLLoss(temperature=temperature, reduction=reduction, client=client)(
        student_logits, teacher_logits
    )


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Negative log-likelihood under normal distributions of predicted mean and variance.

    Args:
        input: Expected values x, (*).
        target: True values y, (*).
        var: Variances, like input or fewer.
        full: Whether to add the constant ½ log 2π.
        eps: Least variance.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GaussianNLLLoss`.
    """
    return nn.GaussianNLLLoss(full=full, eps=eps, reduction=reduction, client=client)(
        input, target, var
    )


def generalized_jsd_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    beta: float = 0.5,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Generalised Jensen-Shannon divergence of a student's and a teacher's probabilities.

    Args:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        beta: Share of the teacher in the mixture. >= 0 and <= 1.
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GeneralizedJSDLoss`.
    """
    return nn.GeneralizedJSDLoss(
        beta=beta, temperature=temperature, reduction=reduction, client=client
    )(student_logits, teacher_logits)


def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar pairs (y = 1) cost their distance, dissimilar ones (y = -1) what lacks to `margin`.

    Args:
        input: Distances x, (*).
        target: 1 for similar, -1 for dissimilar pairs, (*).
        margin: Distance m from which dissimilar pairs cost nothing.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HingeEmbeddingLoss`.
    """
    return nn.HingeEmbeddingLoss(
        margin=margin, size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input, target)


def hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", *, client: AnyClient | None = None
) -> Tensor:
    """Hinge loss of scores of two classes: the loss of a support vector machine.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HingeLoss`.
    """
    return nn.HingeLoss(reduction=reduction, client=client)(input, target)


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: ArrayLike | None = None,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Quadratic below `delta`, linear above with slope `delta`.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        reduction: 'none', 'mean', 'sum'.
        delta: Where the quadratic part meets the linear, in units of x. > 0.
        weight: Factor w of each loss, of the input's shape.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HuberLoss`.
    """
    return nn.HuberLoss(reduction=reduction, delta=delta, weight=weight, client=client)(
        input, target
    )


def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities from a target distribution.

    Args:
        input: Log-probabilities x, (*).
        target: Probabilities y (their logarithms if log_target), (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'batchmean', 'sum'.
        log_target: Whether target holds log-probabilities.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.KLDivLoss`.
    """
    return nn.KLDivLoss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        log_target=log_target,
        client=client,
    )(input, target)


def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean absolute error: the loss of a median.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.L1Loss`.
    """
    return nn.L1Loss(
        size_average=size_average, reduce=reduce, reduction=reduction, weight=weight, client=client
    )(input, target)


def listwise_softmax_loss(
    input: ArrayLike,
    target: ArrayLike,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy between the relevance of a list's items and the softmax of their scores.

    Args:
        input: Scores x, (*, L).
        target: Relevance y of the items, or a negative number for none.
        temperature: What scores are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ListwiseSoftmaxLoss`.
    """
    return nn.ListwiseSoftmaxLoss(temperature=temperature, reduction=reduction, client=client)(
        input, target
    )


def log_cosh_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", *, client: AnyClient | None = None
) -> Tensor:
    """Quadratic for small differences, linear for large ones, and smooth between.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.LogCoshLoss`.
    """
    return nn.LogCoshLoss(reduction=reduction, client=client)(input, target)


def mape_loss(
    input: ArrayLike,
    target: ArrayLike,
    eps: float = 1e-07,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean absolute percentage error: 100 times the difference relative to the true value.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        eps: Least magnitude to divide by. > 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MAPELoss`.
    """
    return nn.MAPELoss(eps=eps, reduction=reduction, client=client)(input, target)


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """The first score should be above the second by `margin` where y = 1, below where y = -1.

    Args:
        input1: First scores, (*).
        input2: Second scores, (*).
        target: 1 if the first ranks higher, -1 if the second does, (*).
        margin: By how much the scores must differ.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MarginRankingLoss`.
    """
    return nn.MarginRankingLoss(
        margin=margin, size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input1, input2, target)


def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean squared error: the loss of a mean.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MSELoss`.
    """
    return nn.MSELoss(
        size_average=size_average, reduce=reduce, reduction=reduction, weight=weight, client=client
    )(input, target)


def msle_loss(
    input: ArrayLike,
    target: ArrayLike,
    eps: float = 1e-07,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        eps: Least value. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MSLELoss`.
    """
    return nn.MSLELoss(eps=eps, reduction=reduction, client=client)(input, target)


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of several classes: the label's score should lead all others by `margin`.

    Args:
        input: Scores x, (N, C) or (C).
        target: Class indices in [0, C), (N) or ().
        p: Power of the hinge. one of 1, 2.
        margin: By how much the label's score must lead.
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiMarginLoss`.
    """
    return nn.MultiMarginLoss(
        p=p,
        margin=margin,
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        client=client,
    )(input, target)


def multilabel_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of several labels at once: each one's score should lead all others by 1.

    Args:
        input: Scores x, (N, C) or (C).
        target: Labels y in [0, C), then -1, of the input's shape.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiLabelMarginLoss`.
    """
    return nn.MultiLabelMarginLoss(
        size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input, target)


def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of each label's score, averaged over the labels.

    Args:
        input: Scores x, (N, C).
        target: 1 for labels that apply, 0 for others, (N, C).
        weight: Factor w of each label, (C).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiLabelSoftMarginLoss`.
    """
    return nn.MultiLabelSoftMarginLoss(
        weight=weight, size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input, target)


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Negative log-likelihood of log-probabilities.

    Args:
        input: Log-probabilities x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        ignore_index: Index of rows to leave out.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.NLLLoss`.
    """
    return nn.NLLLoss(
        weight=weight,
        size_average=size_average,
        ignore_index=ignore_index,
        reduce=reduce,
        reduction=reduction,
        client=client,
    )(input, target)


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-08,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Negative log-likelihood of counts under a Poisson distribution.

    Args:
        input: Expected counts x, or their logarithms, (*).
        target: Counts y, (*).
        log_input: Whether input holds logarithms.
        full: Whether to add Stirling's approximation of log(y!).
        size_average: deprecated; use reduction.
        eps: Added to input in its logarithm, if that is to be taken.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.PoissonNLLLoss`.
    """
    return nn.PoissonNLLLoss(
        log_input=log_input,
        full=full,
        size_average=size_average,
        eps=eps,
        reduce=reduce,
        reduction=reduction,
        client=client,
    )(input, target)


def poly1_cross_entropy_loss(
    input: ArrayLike,
    target: ArrayLike,
    epsilon: float = 2.0,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy of logits with another weight of the first term of its series in 1 - p.

    Args:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        epsilon: What is added to the first term's weight, 1. >= -1.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.Poly1CrossEntropyLoss`.
    """
    return nn.Poly1CrossEntropyLoss(
        epsilon=epsilon,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        client=client,
    )(input, target)


def quantile_loss(
    input: ArrayLike,
    target: ArrayLike,
    quantile: float = 0.5,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Pinball loss: the loss of a quantile, as L1Loss is the median's.

    Args:
        input: Predicted quantiles x, (*).
        target: True values y, (*).
        quantile: Which quantile, q. > 0 and < 1.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.QuantileLoss`.
    """
    return nn.QuantileLoss(quantile=quantile, reduction=reduction, client=client)(input, target)


def sigmoid_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of logits in which well classified examples hardly count.

    Args:
        input: Logits x, (*).
        target: Probabilities y, usually 0 or 1, (*).
        alpha: Weight of the positives, or -1 for none. >= -1 and <= 1.
        gamma: How little easy examples count. >= 0.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SigmoidFocalLoss`.
    """
    return nn.SigmoidFocalLoss(alpha=alpha, gamma=gamma, reduction=reduction, client=client)(
        input, target
    )


def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Quadratic below `beta`, linear above: squared error that outliers do not dominate.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        beta: Where the quadratic part meets the linear, in units of x. >= 0.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SmoothL1Loss`.
    """
    return nn.SmoothL1Loss(
        size_average=size_average, reduce=reduce, reduction=reduction, beta=beta, client=client
    )(input, target)


def soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Logistic loss of scores of two classes.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SoftMarginLoss`.
    """
    return nn.SoftMarginLoss(
        size_average=size_average, reduce=reduce, reduction=reduction, client=client
    )(input, target)


def softmax_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    gamma: float = 2.0,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy of logits in which well classified rows hardly count.

    Args:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        gamma: How little easy rows count. >= 0.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SoftmaxFocalLoss`.
    """
    return nn.SoftmaxFocalLoss(
        gamma=gamma, weight=weight, ignore_index=ignore_index, reduction=reduction, client=client
    )(input, target)


def squared_hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", *, client: AnyClient | None = None
) -> Tensor:
    """Squared hinge loss of scores of two classes.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SquaredHingeLoss`.
    """
    return nn.SquaredHingeLoss(reduction=reduction, client=client)(input, target)


def symmetric_cross_entropy_loss(
    input: ArrayLike,
    target: ArrayLike,
    alpha: float = 0.1,
    beta: float = 1.0,
    label_clamp: float = 0.0001,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy of logits plus reverse cross entropy, which noisy labels mislead less.

    Args:
        input: Logits x, (C), (N, C) or (N, C, d1, …, dK).
        target: Class indices in [0, C), the input's shape without C.
        alpha: Weight of the cross entropy. >= 0.
        beta: Weight of the reverse cross entropy. >= 0.
        label_clamp: What the labels' zeros count as. > 0 and <= 1.
        weight: Factor w of each class, (C).
        ignore_index: Index of rows to leave out.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SymmetricCrossEntropyLoss`.
    """
    return nn.SymmetricCrossEntropyLoss(
        alpha=alpha,
        beta=beta,
        label_clamp=label_clamp,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        client=client,
    )(input, target)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """An anchor should be nearer to its positive than to its negative by `margin`.

    Args:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        margin: By how much the distances must differ. > 0.
        p: Order of the norm: any number, inf for the largest component.
        eps: Added to each component of a difference.
        swap: Whether the positive may stand in for the anchor.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.TripletMarginLoss`.
    """
    return nn.TripletMarginLoss(
        margin=margin,
        p=p,
        eps=eps,
        swap=swap,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        client=client,
    )(anchor, positive, negative)


def triplet_margin_with_distance_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    distance_function: Named = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
    *,
    client: AnyClient | None = None,
) -> Tensor:
    """TripletMarginLoss with another distance, given by its name.

    Args:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'squared_euclidean', 'manhattan'. 'pairwise' by default.
        margin: By how much the distances must differ. > 0.
        swap: Whether the positive may stand in for the anchor.
        reduction: 'none', 'mean', 'sum'.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.TripletMarginWithDistanceLoss`.
    """
    return nn.TripletMarginWithDistanceLoss(
        distance_function=distance_function,
        margin=margin,
        swap=swap,
        reduction=reduction,
        client=client,
    )(anchor, positive, negative)
