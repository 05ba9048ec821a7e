"""The losses as functions, torch.nn.functional's among them, at a client's target.

Made by `make gen` (scripts/generate.py) from lossd/losses. Do not edit.
"""

from lossd_client import nn
from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.module import Named

__all__ = [
    "adaptive_log_softmax_with_loss",
    "arcface_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "box_iou_loss",
    "categorical_hinge_loss",
    "circle_loss",
    "cispo_loss",
    "complete_box_iou_loss",
    "contrastive_loss",
    "cosface_loss",
    "cosine_embedding_loss",
    "cpo_loss",
    "cross_entropy",
    "ctc_loss",
    "dice_loss",
    "distance_box_iou_loss",
    "distillation_kl_loss",
    "dpo_loss",
    "focal_tversky_loss",
    "gaussian_nll_loss",
    "generalized_box_iou_loss",
    "generalized_dice_loss",
    "generalized_jsd_loss",
    "grpo_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "importance_sampling_loss",
    "info_nce_loss",
    "ipo_loss",
    "jaccard_loss",
    "kl_div",
    "kto_loss",
    "l1_loss",
    "linear_cross_entropy",
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
    "nt_xent_loss",
    "orpo_loss",
    "poisson_nll_loss",
    "poly1_cross_entropy_loss",
    "ppo_clip_loss",
    "quantile_loss",
    "sigmoid_focal_loss",
    "simpo_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax_focal_loss",
    "squared_hinge_loss",
    "supcon_loss",
    "symmetric_cross_entropy_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "tversky_loss",
]


def adaptive_log_softmax_with_loss(
    input: ArrayLike,
    target: ArrayLike,
    head_weight: ArrayLike,
    tail_weight: ArrayLike,
    cutoffs: ArrayLike,
    head_bias: ArrayLike | None = None,
    div_value: float = 4.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy over very many classes, the rare ones in clusters with layers of their own.

    Args:
        input: Features x, (N, D) or (D).
        target: Class indices, (N) or ().
        head_weight: The head's weight, (cutoffs[0] + K, D).
        tail_weight: The clusters' layers, of each U (H, D), then V, flat.
        cutoffs: First class of each cluster, then the number of classes, (K + 1).
        head_bias: The head's bias, (cutoffs[0] + K).
        div_value: By how much each cluster's inner layer is narrower. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.AdaptiveLogSoftmaxWithLoss`.
    """
    criterion = nn.AdaptiveLogSoftmaxWithLoss.of(
        head_weight,
        tail_weight,
        cutoffs,
        head_bias=head_bias,
        div_value=div_value,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def arcface_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 28.6,
    scale: float = 64.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Softmax cross entropy of cosines, after the angle to the label's class is widened.

    Args:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        margin: What the label's angle is widened by, m, in degrees. >= 0 and <= 180.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ArcFaceLoss`.
    """
    criterion = nn.ArcFaceLoss(
        margin=margin,
        scale=scale,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of probabilities.

    Args:
        input: Probabilities x in [0, 1], (*).
        target: Probabilities y in [0, 1], (*).
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.BCELoss`.
    """
    criterion = nn.BCELoss(
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of logits: a sigmoid and BCELoss in one, without their overflow.

    Args:
        input: Logits x, (*).
        target: Probabilities y, (*).
        weight: Factor of each loss, broadcast to (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        pos_weight: Factor p of the positive part, broadcast to (*).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.BCEWithLogitsLoss`.
    """
    criterion = nn.BCEWithLogitsLoss(
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        pos_weight=pos_weight,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def box_iou_loss(
    boxes1: ArrayLike,
    boxes2: ArrayLike,
    reduction: str = "mean",
    eps: float = 1e-07,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """One minus the intersection over the union of two boxes.

    Args:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.IoULoss`.
    """
    criterion = nn.IoULoss(
        reduction=reduction,
        eps=eps,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(boxes1, boxes2, sample_weight=sample_weight)


def categorical_hinge_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of several classes with a distribution as target: the best wrong score counts.

    Args:
        input: Scores x, (*, C).
        target: Probabilities y, usually 1 for the class and 0 else.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CategoricalHingeLoss`.
    """
    criterion = nn.CategoricalHingeLoss(
        reduction=reduction, normalizer=normalizer, zero_if_empty=zero_if_empty, client=client
    )
    return criterion(input, target, sample_weight=sample_weight)


def circle_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    m: float = 0.4,
    gamma: float = 80.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Circle loss: the farther a similarity is from where it should be, the harder it is pulled.

    Args:
        embeddings: Embeddings x, (N, D), of the unit vectors z.
        labels: The class of each, (N).
        m: The relaxation factor m.
        gamma: The scale of similarities. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CircleLoss`.
    """
    criterion = nn.CircleLoss(
        m=m,
        gamma=gamma,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(embeddings, labels, sample_weight=sample_weight)


def cispo_loss(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    advantages: ArrayLike,
    clip_low_threshold: float = 0.0,
    clip_high_threshold: float = 5.0,
    reduction: str = "mean",
    *,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Policy gradient that weighs each token by its clipped ratio: no token's gradient is lost.

    Args:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        clip_low_threshold: Least weight l of a token. >= 0.
        clip_high_threshold: Largest weight h of a token. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CISPOLoss`.
    """
    criterion = nn.CISPOLoss(
        clip_low_threshold=clip_low_threshold,
        clip_high_threshold=clip_high_threshold,
        reduction=reduction,
        mask=mask,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(log_probs, old_log_probs, advantages, sample_weight=sample_weight)


def complete_box_iou_loss(
    boxes1: ArrayLike,
    boxes2: ArrayLike,
    reduction: str = "mean",
    eps: float = 1e-07,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """DIoULoss, and the difference of the aspect ratios where boxes overlap much.

    Args:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CIoULoss`.
    """
    criterion = nn.CIoULoss(
        reduction=reduction,
        eps=eps,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(boxes1, boxes2, sample_weight=sample_weight)


def contrastive_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    distance_function: Named = None,
    margin: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar pairs (y = 1) cost their squared distance, others what lacks to `margin`, squared.

    Args:
        input1: First vectors x1, (N, D) or (D).
        input2: Second vectors x2, (N, D) or (D).
        target: 1 for similar, 0 for dissimilar pairs, (N) or ().
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'manhattan'. 'pairwise' by default.
        margin: Distance m from which dissimilar pairs cost nothing. >= 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ContrastiveLoss`.
    """
    criterion = nn.ContrastiveLoss(
        distance_function=distance_function,
        margin=margin,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input1, input2, target, sample_weight=sample_weight)


def cosface_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 0.35,
    scale: float = 64.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Softmax cross entropy of cosines, after the label's is lowered.

    Args:
        input: Cosines x of an embedding and each class's centre, (C) or (N, C).
        target: Class indices in [0, C), the input's shape without C.
        margin: What the label's cosine is lowered by, m. >= 0.
        scale: Factor s of all cosines. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CosFaceLoss`.
    """
    criterion = nn.CosFaceLoss(
        margin=margin,
        scale=scale,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar vectors (y = 1) cost 1 - cos, dissimilar ones (y = -1) their cosine above `margin`.

    Args:
        input1: First vectors x1, (N, D) or (D).
        input2: Second vectors x2, (N, D) or (D).
        target: 1 for similar, -1 for dissimilar pairs, (N) or ().
        margin: Cosine m up to which dissimilar pairs cost nothing, in [-1, 1].
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CosineEmbeddingLoss`.
    """
    criterion = nn.CosineEmbeddingLoss(
        margin=margin,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input1, input2, target, sample_weight=sample_weight)


def cpo_loss(
    policy_chosen_logps: ArrayLike,
    policy_rejected_logps: ArrayLike,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: Named = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Contrastive preference optimization: DPO without a reference.

    Args:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        beta: Factor β of the difference. > 0.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the difference costs. one of 'sigmoid', 'hinge', 'ipo'. 'sigmoid' by default.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CPOLoss`.
    """
    criterion = nn.CPOLoss(
        beta=beta,
        label_smoothing=label_smoothing,
        loss_type=loss_type,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight)


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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CrossEntropyLoss`.
    """
    criterion = nn.CrossEntropyLoss(
        weight=weight,
        size_average=size_average,
        ignore_index=ignore_index,
        reduce=reduce,
        reduction=reduction,
        label_smoothing=label_smoothing,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.CTCLoss`.
    """
    criterion = nn.CTCLoss(
        blank=blank,
        reduction=reduction,
        zero_infinity=zero_infinity,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(log_probs, targets, input_lengths, target_lengths, sample_weight=sample_weight)


def dice_loss(
    input: ArrayLike,
    target: ArrayLike,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    reduction: str = "mean",
    smooth_nr: float = 1e-05,
    smooth_dr: float = 1e-05,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """One minus the Dice score of each class: twice the overlap over the sum of the volumes.

    Args:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.DiceLoss`.
    """
    criterion = nn.DiceLoss(
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        squared_pred=squared_pred,
        reduction=reduction,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def distance_box_iou_loss(
    boxes1: ArrayLike,
    boxes2: ArrayLike,
    reduction: str = "mean",
    eps: float = 1e-07,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """1 - IoU, and the squared distance of the centres over that of the enclosing diagonal.

    Args:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.DIoULoss`.
    """
    criterion = nn.DIoULoss(
        reduction=reduction,
        eps=eps,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(boxes1, boxes2, sample_weight=sample_weight)


def distillation_kl_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Divergence of a student's softened probabilities from a teacher's.

    Args:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.DistillationKLLoss`.
    """
    criterion = nn.DistillationKLLoss(
        temperature=temperature,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(student_logits, teacher_logits, sample_weight=sample_weight)


def dpo_loss(
    policy_chosen_logps: ArrayLike,
    policy_rejected_logps: ArrayLike,
    reference_chosen_logps: ArrayLike,
    reference_rejected_logps: ArrayLike,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: Named = None,
    discopop_tau: float = 0.05,
    reduction: str = "mean",
    *,
    f_divergence_type: Named = None,
    f_alpha_divergence_coef: float = 0.5,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Direct preference optimization: prefer the chosen answer more than the reference does.

    Args:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        reference_chosen_logps: The reference's log-probabilities c_ref of the preferred answers, (*).
        reference_rejected_logps: The reference's log-probabilities r_ref of the rejected answers, (*).
        beta: Factor β of the margin over the reference. > 0.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the margin costs. one of 'sigmoid', 'robust', 'hinge', 'ipo', 'exo_pair', 'nca_pair', 'bco_pair', 'sppo_hard', 'apo_zero', 'apo_down', 'discopop', 'aot', 'aot_unpaired', 'sigmoid_norm'. 'sigmoid' by default.
        discopop_tau: Temperature τ of 'discopop'. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        f_divergence_type: What holds the policy to the reference. one of 'reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'. 'reverse_kl' by default.
        f_alpha_divergence_coef: Coefficient a of 'alpha_divergence'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.DPOLoss`.
    """
    criterion = nn.DPOLoss(
        beta=beta,
        label_smoothing=label_smoothing,
        loss_type=loss_type,
        discopop_tau=discopop_tau,
        reduction=reduction,
        f_divergence_type=f_divergence_type,
        f_alpha_divergence_coef=f_alpha_divergence_coef,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
        sample_weight=sample_weight,
    )


def focal_tversky_loss(
    input: ArrayLike,
    target: ArrayLike,
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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Tversky loss of each class to the power 1 / `gamma`: small regions count more.

    Args:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.FocalTverskyLoss`.
    """
    criterion = nn.FocalTverskyLoss(
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        reduction=reduction,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Negative log-likelihood under normal distributions of predicted mean and variance.

    Args:
        input: Expected values x, (*).
        target: True values y, (*).
        var: Variances σ², like input or fewer.
        full: Whether to add the constant ½ log 2π.
        eps: Least variance.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GaussianNLLLoss`.
    """
    criterion = nn.GaussianNLLLoss(
        full=full,
        eps=eps,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, var, sample_weight=sample_weight)


def generalized_box_iou_loss(
    boxes1: ArrayLike,
    boxes2: ArrayLike,
    reduction: str = "mean",
    eps: float = 1e-07,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """1 - IoU, and the part of the smallest enclosing box C that is in neither box.

    Args:
        boxes1: Predicted boxes A (x1, y1, x2, y2), (*, 4).
        boxes2: True boxes B (x1, y1, x2, y2), (*, 4).
        reduction: 'none', 'mean', 'sum', 'sample'.
        eps: Added to denominators, against divisions by 0. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GIoULoss`.
    """
    criterion = nn.GIoULoss(
        reduction=reduction,
        eps=eps,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(boxes1, boxes2, sample_weight=sample_weight)


def generalized_dice_loss(
    input: ArrayLike,
    target: ArrayLike,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    w_type: Named = None,
    reduction: str = "mean",
    smooth_nr: float = 1e-05,
    smooth_dr: float = 1e-05,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """One minus the Dice score of all classes of a sample, each weighed by its true volume.

    Args:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        w_type: A class's weight, by its volume. one of 'square', 'simple', 'uniform'. 'square' by default.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GeneralizedDiceLoss`.
    """
    criterion = nn.GeneralizedDiceLoss(
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        w_type=w_type,
        reduction=reduction,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def generalized_jsd_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    beta: float = 0.5,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Generalised Jensen-Shannon divergence of a student's and a teacher's probabilities.

    Args:
        student_logits: Logits x, (*, C).
        teacher_logits: Logits y, (*, C).
        beta: Share of the teacher in the mixture. >= 0 and <= 1.
        temperature: What logits are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GeneralizedJSDLoss`.
    """
    criterion = nn.GeneralizedJSDLoss(
        beta=beta,
        temperature=temperature,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(student_logits, teacher_logits, sample_weight=sample_weight)


def grpo_loss(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    advantages: ArrayLike,
    mask: ArrayLike,
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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Group relative policy optimization: PPO's clipped loss of tokens, averaged over sequences.

    Args:
        log_probs: Log-probabilities x of the tokens, (N, T).
        old_log_probs: Those of the policy that drew the tokens, x_old, (N, T).
        advantages: How much better than expected, A, (N) or (N, T).
        mask: m: 1 for tokens that count, 0 for others, (N, T).
        beta: Factor β of the divergence; 0 without ref_log_probs. >= 0.
        epsilon_low: How far below 1 the ratio is clipped. >= 0.
        epsilon_high: How far above 1 the ratio is clipped. >= 0.
        delta: Largest ratio δ before it is clipped, 0 for no bound; matters where A < 0. >= 0.
        loss_type: What losses are divided by. one of 'grpo', 'bnpo', 'dr_grpo', 'dapo'. 'dapo' by default.
        importance_sampling_level: What has a ratio of its own. one of 'token', 'sequence'. 'token' by default.
        max_completion_length: Divisor of 'dr_grpo', 0 for T. >= 0.
        reduction: 'none', 'mean', 'sum'.
        ref_log_probs: Log-probabilities x_ref of the reference policy, (N, T).
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.GRPOLoss`.
    """
    criterion = nn.GRPOLoss(
        beta=beta,
        epsilon_low=epsilon_low,
        epsilon_high=epsilon_high,
        delta=delta,
        loss_type=loss_type,
        importance_sampling_level=importance_sampling_level,
        max_completion_length=max_completion_length,
        reduction=reduction,
        ref_log_probs=ref_log_probs,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(log_probs, old_log_probs, advantages, mask, sample_weight=sample_weight)


def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Similar pairs (y = 1) cost their distance, dissimilar ones (y = -1) what lacks to `margin`.

    Args:
        input: Distances x, (*).
        target: 1 for similar, -1 for dissimilar pairs, (*).
        margin: Distance m from which dissimilar pairs cost nothing.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HingeEmbeddingLoss`.
    """
    criterion = nn.HingeEmbeddingLoss(
        margin=margin,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def hinge_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of scores of two classes: the loss of a support vector machine.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 or 0 for the other, (*).
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HingeLoss`.
    """
    criterion = nn.HingeLoss(
        reduction=reduction, normalizer=normalizer, zero_if_empty=zero_if_empty, client=client
    )
    return criterion(input, target, sample_weight=sample_weight)


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Quadratic below `delta`, linear above with slope `delta`.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        reduction: 'none', 'mean', 'sum', 'sample'.
        delta: Where the quadratic part meets the linear, in units of x. > 0.
        weight: Factor w of each loss, of the input's shape.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.HuberLoss`.
    """
    criterion = nn.HuberLoss(
        reduction=reduction,
        delta=delta,
        weight=weight,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def importance_sampling_loss(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    advantages: ArrayLike,
    reduction: str = "mean",
    *,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Policy gradient with tokens of an older policy: advantage times the probabilities' ratio.

    Args:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ImportanceSamplingLoss`.
    """
    criterion = nn.ImportanceSamplingLoss(
        reduction=reduction,
        mask=mask,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(log_probs, old_log_probs, advantages, sample_weight=sample_weight)


def info_nce_loss(
    query: ArrayLike,
    key: ArrayLike,
    temperature: float = 0.1,
    symmetric: bool = False,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Each query finds its key among all keys of the batch; `symmetric`, and each key its query.

    Args:
        query: Queries, (N, D), of the unit vectors q.
        key: Keys, (N, D), of the unit vectors k, each right for the query beside it.
        temperature: What cosines are divided by, τ. > 0.
        symmetric: Whether keys look for their queries too.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.InfoNCELoss`.
    """
    criterion = nn.InfoNCELoss(
        temperature=temperature,
        symmetric=symmetric,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(query, key, sample_weight=sample_weight)


def ipo_loss(
    policy_chosen_logps: ArrayLike,
    policy_rejected_logps: ArrayLike,
    reference_chosen_logps: ArrayLike,
    reference_rejected_logps: ArrayLike,
    beta: float = 0.1,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Identity preference optimization: the pair's margin over the reference should be 1/(2β).

    Args:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        reference_chosen_logps: The reference's log-probabilities c_ref of the preferred answers, (*).
        reference_rejected_logps: The reference's log-probabilities r_ref of the rejected answers, (*).
        beta: Regularization β, the paper's τ. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.IPOLoss`.
    """
    criterion = nn.IPOLoss(
        beta=beta,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
        sample_weight=sample_weight,
    )


def jaccard_loss(
    input: ArrayLike,
    target: ArrayLike,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    reduction: str = "mean",
    smooth_nr: float = 1e-05,
    smooth_dr: float = 1e-05,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """One minus the Jaccard index of each class: the intersection over the union.

    Args:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        squared_pred: Whether the denominator is of squares.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.JaccardLoss`.
    """
    criterion = nn.JaccardLoss(
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        squared_pred=squared_pred,
        reduction=reduction,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities from a target distribution.

    Args:
        input: Log-probabilities x, (*).
        target: Probabilities y (their logarithms if log_target), (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'batchmean', 'sum', 'sample'.
        log_target: Whether target holds log-probabilities.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.KLDivLoss`.
    """
    criterion = nn.KLDivLoss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        log_target=log_target,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def kto_loss(
    policy_logps: ArrayLike,
    reference_logps: ArrayLike,
    target: ArrayLike,
    kl: ArrayLike,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Kahneman-Tversky optimization: answers that are good or bad on their own, not in pairs.

    Args:
        policy_logps: Log-probabilities x of the answers, (*).
        reference_logps: The reference's log-probabilities x_ref, (*).
        target: Whether an answer is desirable: 1, or 0, (*).
        kl: Divergence that gains and losses are measured from, ().
        beta: Factor β of the log-ratio. > 0.
        desirable_weight: Weight of desirable answers. >= 0.
        undesirable_weight: Weight of undesirable answers. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.KTOLoss`.
    """
    criterion = nn.KTOLoss(
        beta=beta,
        desirable_weight=desirable_weight,
        undesirable_weight=undesirable_weight,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(policy_logps, reference_logps, target, kl, sample_weight=sample_weight)


def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean absolute error: the loss of a median.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.L1Loss`.
    """
    criterion = nn.L1Loss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        weight=weight,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def linear_cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: object = None,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy of a linear layer's logits, which are never all there at once.

    Args:
        input: Features x, (N, D) or (D).
        linear_weight: The layer's weight W, (C, D) or (C, d1, …, dK, D).
        target: Class indices in [0, C), (N, d1, …, dK), or probabilities (N, C, d1, …, dK).
        linear_bias: The layer's bias b, linear_weight's shape without D.
        weight: Factor w of each class, (C).
        reduction: 'none', 'mean', 'sum'.
        ignore_index: Index of rows to leave out. -100 by default.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        options: accepted as in PyTorch, and not needed.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.LinearCrossEntropyLoss`.
    """
    criterion = nn.LinearCrossEntropyLoss.of(
        linear_weight,
        linear_bias=linear_bias,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def listwise_softmax_loss(
    input: ArrayLike,
    target: ArrayLike,
    temperature: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Cross entropy between the relevance of a list's items and the softmax of their scores.

    Args:
        input: Scores x, (*, L).
        target: Relevance y of the items, or a negative number for none.
        temperature: What scores are divided by, T. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ListwiseSoftmaxLoss`.
    """
    criterion = nn.ListwiseSoftmaxLoss(
        temperature=temperature,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def log_cosh_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Quadratic for small differences, linear for large ones, and smooth between.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.LogCoshLoss`.
    """
    criterion = nn.LogCoshLoss(
        reduction=reduction, normalizer=normalizer, zero_if_empty=zero_if_empty, client=client
    )
    return criterion(input, target, sample_weight=sample_weight)


def mape_loss(
    input: ArrayLike,
    target: ArrayLike,
    eps: float = 1e-07,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean absolute percentage error: 100 times the difference relative to the true value.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        eps: Least magnitude to divide by. > 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MAPELoss`.
    """
    criterion = nn.MAPELoss(
        eps=eps,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """The first score should be above the second by `margin` where y = 1, below where y = -1.

    Args:
        input1: First scores, (*).
        input2: Second scores, (*).
        target: 1 if the first ranks higher, -1 if the second does, (*).
        margin: By how much the scores must differ, m.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MarginRankingLoss`.
    """
    criterion = nn.MarginRankingLoss(
        margin=margin,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input1, input2, target, sample_weight=sample_weight)


def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean squared error: the loss of a mean.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        weight: Factor w of each loss, of the input's shape; the mean divides by their sum.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MSELoss`.
    """
    criterion = nn.MSELoss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        weight=weight,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def msle_loss(
    input: ArrayLike,
    target: ArrayLike,
    eps: float = 1e-07,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        eps: Least value. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MSLELoss`.
    """
    criterion = nn.MSLELoss(
        eps=eps,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of several classes: the label's score should lead all others by `margin`.

    Args:
        input: Scores x, (N, C) or (C).
        target: Class indices in [0, C), (N) or ().
        p: Power of the hinge. one of 1, 2.
        margin: By how much the label's score must lead, m.
        weight: Factor w of each class, (C).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiMarginLoss`.
    """
    criterion = nn.MultiMarginLoss(
        p=p,
        margin=margin,
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def multilabel_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Hinge loss of several labels at once: each one's score should lead all others by 1.

    Args:
        input: Scores x, (N, C) or (C).
        target: Labels y in [0, C), then -1, of the input's shape.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiLabelMarginLoss`.
    """
    criterion = nn.MultiLabelMarginLoss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.MultiLabelSoftMarginLoss`.
    """
    criterion = nn.MultiLabelSoftMarginLoss(
        weight=weight,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.NLLLoss`.
    """
    criterion = nn.NLLLoss(
        weight=weight,
        size_average=size_average,
        ignore_index=ignore_index,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def nt_xent_loss(
    embeddings1: ArrayLike,
    embeddings2: ArrayLike,
    temperature: float = 0.1,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Normalised temperature-scaled cross entropy: two views of a sample find each other.

    Args:
        embeddings1: Embeddings x of one view, (N, D), of the unit vectors z.
        embeddings2: Embeddings of the other view, (N, D), likewise.
        temperature: What cosines are divided by, τ. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.NTXentLoss`.
    """
    criterion = nn.NTXentLoss(
        temperature=temperature,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(embeddings1, embeddings2, sample_weight=sample_weight)


def orpo_loss(
    policy_chosen_logps: ArrayLike,
    policy_rejected_logps: ArrayLike,
    beta: float = 0.1,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Odds ratio preference optimization: the odds of an answer against those of the rejected one.

    Args:
        policy_chosen_logps: Mean log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Mean log-probabilities r of the rejected answers, (*).
        beta: Factor of the loss; the paper's λ. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.ORPOLoss`.
    """
    criterion = nn.ORPOLoss(
        beta=beta,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight)


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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.PoissonNLLLoss`.
    """
    criterion = nn.PoissonNLLLoss(
        log_input=log_input,
        full=full,
        size_average=size_average,
        eps=eps,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def poly1_cross_entropy_loss(
    input: ArrayLike,
    target: ArrayLike,
    epsilon: float = 2.0,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.Poly1CrossEntropyLoss`.
    """
    criterion = nn.Poly1CrossEntropyLoss(
        epsilon=epsilon,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def ppo_clip_loss(
    log_probs: ArrayLike,
    old_log_probs: ArrayLike,
    advantages: ArrayLike,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
    reduction: str = "mean",
    *,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Clipped surrogate of PPO: no gain from a ratio of probabilities beyond the clip.

    Args:
        log_probs: Log-probabilities x of the tokens, (N, T) or (*).
        old_log_probs: Those of the policy that drew the tokens, x_old, the same shape.
        advantages: How much better than expected, A, for each token or each sequence (N).
        epsilon_low: How far below 1 the ratio is clipped. >= 0.
        epsilon_high: How far above 1 the ratio is clipped. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        mask: m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by its sum, or by 1 if that is less.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.PPOClipLoss`.
    """
    criterion = nn.PPOClipLoss(
        epsilon_low=epsilon_low,
        epsilon_high=epsilon_high,
        reduction=reduction,
        mask=mask,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(log_probs, old_log_probs, advantages, sample_weight=sample_weight)


def quantile_loss(
    input: ArrayLike,
    target: ArrayLike,
    quantile: float = 0.5,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Pinball loss: the loss of a quantile, as L1Loss is the median's.

    Args:
        input: Predicted quantiles x, (*).
        target: True values y, (*).
        quantile: Which quantile, q. > 0 and < 1.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.QuantileLoss`.
    """
    criterion = nn.QuantileLoss(
        quantile=quantile,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def sigmoid_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Binary cross entropy of logits in which well classified examples hardly count.

    Args:
        input: Logits x, (*).
        target: Probabilities y, usually 0 or 1, (*).
        alpha: Weight of the positives, or -1 for none. >= -1 and <= 1.
        gamma: How little easy examples count. >= 0.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SigmoidFocalLoss`.
    """
    criterion = nn.SigmoidFocalLoss(
        alpha=alpha,
        gamma=gamma,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def simpo_loss(
    policy_chosen_logps: ArrayLike,
    policy_rejected_logps: ArrayLike,
    beta: float = 0.1,
    gamma: float = 0.5,
    label_smoothing: float = 0.0,
    loss_type: Named = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Simple preference optimization: the mean log-probabilities should differ by a margin.

    Args:
        policy_chosen_logps: Log-probabilities c of the preferred answers, (*).
        policy_rejected_logps: Log-probabilities r of the rejected answers, (*).
        beta: Factor β of the difference. > 0.
        gamma: What β times the difference should be at least; TRL's simpo_gamma.
        label_smoothing: Share ε of pairs given the wrong way. >= 0 and < 0.5.
        loss_type: What the difference costs. one of 'sigmoid', 'hinge'. 'sigmoid' by default.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SimPOLoss`.
    """
    criterion = nn.SimPOLoss(
        beta=beta,
        gamma=gamma,
        label_smoothing=label_smoothing,
        loss_type=loss_type,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(policy_chosen_logps, policy_rejected_logps, sample_weight=sample_weight)


def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Quadratic below `beta`, linear above: squared error that outliers do not dominate.

    Args:
        input: Predictions x, (*).
        target: True values y, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        beta: Where the quadratic part meets the linear, in units of x. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SmoothL1Loss`.
    """
    criterion = nn.SmoothL1Loss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        beta=beta,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Logistic loss of scores of two classes.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 for the other, (*).
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SoftMarginLoss`.
    """
    criterion = nn.SoftMarginLoss(
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def softmax_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    gamma: float = 2.0,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SoftmaxFocalLoss`.
    """
    criterion = nn.SoftmaxFocalLoss(
        gamma=gamma,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


def squared_hinge_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Squared hinge loss of scores of two classes.

    Args:
        input: Scores x, (*).
        target: 1 for one class, -1 or 0 for the other, (*).
        reduction: 'none', 'mean', 'sum', 'sample'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SquaredHingeLoss`.
    """
    criterion = nn.SquaredHingeLoss(
        reduction=reduction, normalizer=normalizer, zero_if_empty=zero_if_empty, client=client
    )
    return criterion(input, target, sample_weight=sample_weight)


def supcon_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    temperature: float = 0.1,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """Supervised contrastive loss: embeddings of one class attract, against all others.

    Args:
        embeddings: Embeddings x, (N, D), of the unit vectors z.
        labels: The class of each, (N).
        temperature: What cosines are divided by, τ. > 0.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SupConLoss`.
    """
    criterion = nn.SupConLoss(
        temperature=temperature,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(embeddings, labels, sample_weight=sample_weight)


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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
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
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.SymmetricCrossEntropyLoss`.
    """
    criterion = nn.SymmetricCrossEntropyLoss(
        alpha=alpha,
        beta=beta,
        label_clamp=label_clamp,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)


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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """An anchor should be nearer to its positive than to its negative by `margin`.

    Args:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        margin: By how much the distances must differ, m. > 0.
        p: Order of the norm: any number, inf for the largest component.
        eps: Added to each component of a difference, ε.
        swap: Whether the positive may stand in for the anchor.
        size_average: deprecated; use reduction.
        reduce: deprecated; use reduction.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.TripletMarginLoss`.
    """
    criterion = nn.TripletMarginLoss(
        margin=margin,
        p=p,
        eps=eps,
        swap=swap,
        size_average=size_average,
        reduce=reduce,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(anchor, positive, negative, sample_weight=sample_weight)


def triplet_margin_with_distance_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    distance_function: Named = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """TripletMarginLoss with another distance, given by its name.

    Args:
        anchor: Points a, (N, D) or (D).
        positive: Points p that should be near, as anchor.
        negative: Points n that should be far, as anchor.
        distance_function: Name of the distance. one of 'pairwise', 'cosine', 'squared_euclidean', 'manhattan'. 'pairwise' by default.
        margin: By how much the distances must differ, m. > 0.
        swap: Whether the positive may stand in for the anchor.
        reduction: 'none', 'mean', 'sum'.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.TripletMarginWithDistanceLoss`.
    """
    criterion = nn.TripletMarginWithDistanceLoss(
        distance_function=distance_function,
        margin=margin,
        swap=swap,
        reduction=reduction,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(anchor, positive, negative, sample_weight=sample_weight)


def tversky_loss(
    input: ArrayLike,
    target: ArrayLike,
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
    sample_weight: ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
    client: AnyClient | None = None,
) -> Tensor:
    """One minus the Tversky index of each class: overlap that weighs the two kinds of errors.

    Args:
        input: Predictions x, (N, C, d1, …, dK).
        target: True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.
        include_background: Whether class 0 counts.
        to_onehot_y: Whether the target holds the class of each voxel.
        sigmoid: Whether the predictions are logits, of classes that may overlap.
        softmax: Whether they are logits of classes that exclude each other.
        alpha: Weight of false positives. >= 0.
        beta: Weight of false negatives. >= 0.
        reduction: 'none', 'mean', 'sum'.
        smooth_nr: Added to the numerator, ε_n. >= 0.
        smooth_dr: Added to the denominator, ε_d. >= 0.
        sample_weight: Factor of each sample's losses, the first dimensions of their shape.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as usual.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    See `lossd_client.nn.TverskyLoss`.
    """
    criterion = nn.TverskyLoss(
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        alpha=alpha,
        beta=beta,
        reduction=reduction,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        normalizer=normalizer,
        zero_if_empty=zero_if_empty,
        client=client,
    )
    return criterion(input, target, sample_weight=sample_weight)
