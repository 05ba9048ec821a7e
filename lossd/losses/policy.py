"""Losses of policies that are trained on their own tokens, from the tokens' log-probabilities."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from lossd_client.errors import ParameterError, ShapeError

from lossd.mathfns import exp, inlined
from lossd.spec import (
    Elementwise,
    Given,
    Layout,
    Loss,
    Shape,
    Vectors,
    param,
    sum_of,
    tensor,
    tuple_text,
)  # fmt: skip


@inlined
def bounded(ratio: Any, a: Any, low: Any, high: Any, ceiling: Any) -> Any:
    """The smaller of ratio·a and clip(ratio)·a as a factor of a, and that factor's slope in ratio.

    Where a is positive the ratio is clipped at `high`, where it is negative at `low` and `ceiling`.
    """
    good = a > 0
    weight = min(max(ratio, 0 if good else low), high if good else ceiling)
    return weight, (0 * a if abs(weight - ratio) > 0 else 1 + 0 * a)


@inlined
def clipped(x: Any, old: Any, a: Any, low: Any, high: Any, ceiling: Any) -> Any:
    """PPO's loss of a token and its slope in x: the ratio's slope is the ratio itself."""
    weight, slope = bounded(exp(x - old), a, low, high, ceiling)
    loss = -a * weight
    return loss, slope * loss


@inlined
def k3(x: Any, ref: Any) -> Any:
    """Schulman's third estimate of KL(x ‖ ref), e^d - d - 1 for d = ref - x, and its slope in x."""
    d = ref - x
    # the difference loses its digits where d is small: there the series
    c = min(max(d, -0.5), 0.5)
    s = 1 + c * (1 / 13) * (1 + c * (1 / 14) * (1 + c * (1 / 15)))
    s = 1 + c * (1 / 10) * (1 + c * (1 / 11) * (1 + c * (1 / 12) * s))
    s = 1 + c * (1 / 7) * (1 + c * (1 / 8) * (1 + c * (1 / 9) * s))
    s = 1 + c * (1 / 4) * (1 + c * (1 / 5) * (1 + c * (1 / 6) * s))
    near = 0.5 * c * c * (1 + c * (1 / 3) * s)
    kl = near if abs(d) <= 0.5 else exp(d) - d - 1
    return kl, -d - kl


@inlined
def kept(value: Any, m: Any) -> Any:
    """m·value, and 0 where m is, whatever the value."""
    return m * value if m != 0 else 0


def token_views(loss: Loss, given: Given) -> dict[str, Shape]:
    """The view of advantages that have one value for each sequence, if they do.

    Raises:
        ShapeError: a tensor does not fit log_probs.
    """
    shape = given["log_probs"].shape
    for name, kind in given.items():
        if kind.shape != shape and name != "advantages":
            raise ShapeError(
                f"{loss.name}: {name} {tuple_text(kind.shape)} must have the shape of log_probs "
                f"{tuple_text(shape)}",
                field=name,
            )
    own = given["advantages"].shape
    if own == shape:
        return {}
    column = (*shape[:-1], 1)
    if not shape or own not in (shape[:-1], column):
        raise ShapeError(
            f"{loss.name}: advantages {tuple_text(own)} does not fit log_probs "
            f"{tuple_text(shape)}: it must have its shape, or that without the last dimension",
            field="advantages",
        )
    return {"advantages": column}


class _OfTokens(Elementwise):
    """One loss for each token."""

    counted = ("mask",)
    masked = "mask"
    log_probs = tensor("element", "Log-probabilities x of the tokens, (N, T) or (*).", grad=True)
    old_log_probs = tensor(
        "element", "Those of the policy that drew the tokens, x_old, the same shape."
    )
    advantages = tensor(
        "element", "How much better than expected, A, for each token or each sequence (N)."
    )
    mask = tensor(
        "element",
        "m: 1 for tokens that count, 0 for others, of the shape of log_probs; the mean divides by "
        "its sum, or by 1 if that is less.",
        optional=True,
    )

    def layout(self, given: Given) -> Layout:
        shape = given["log_probs"].shape
        return Layout(
            output=shape,
            shapes=dict.fromkeys(given, shape),
            rows=math.prod(shape),
            batch=shape[0] if shape else 1,
            views=token_views(self, given),
        )

    def count(self, arrays: Any, layout: Layout) -> float:
        return max(sum_of(arrays["mask"]), 1.0) if "mask" in arrays else float(layout.rows)


class ImportanceSamplingLoss(_OfTokens):
    r"""Policy gradient with tokens of an older policy: advantage times the probabilities' ratio.

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    Tinker's `importance_sampling` is this with reduction='sum'. There is no gradient with respect
    to the old log-probabilities. Tokens where the mask is 0 have loss and gradient 0, whatever the
    other tensors hold there.

    Example:
        >>> criterion = nn.ImportanceSamplingLoss(client=client)
        >>> criterion([-1.0, -2.0], [-1.0, -2.0], [0.5, -2.0]).item()
        0.75
    """

    name = "importance_sampling_loss"
    library = "tinker"
    signature = ("reduction",)
    formula = r"\ell = -e^{x - x_\mathrm{old}} A"
    gradient = (
        r"\partial_x \ell = \ell = -e^{x - x_\mathrm{old}} A",
        r"\text{with a mask } m,\ m\,\ell \text{ and } m\,\partial_x \ell",
    )
    reference = "https://tinker-docs.thinkingmachines.ai/tinker/losses"

    def lower(self, given: Given) -> Loss:
        return _MaskedImportanceSampling() if "mask" in given else self

    @staticmethod
    def math(x: Any, old: Any, a: Any) -> Any:
        loss = -a * exp(x - old)
        return loss, loss


class _MaskedImportanceSampling(ImportanceSamplingLoss):
    @staticmethod
    def math(x: Any, old: Any, a: Any, m: Any) -> Any:
        loss = kept(-a * exp(x - old), m)
        return loss, loss


class PPOClipLoss(_OfTokens):
    r"""Clipped surrogate of PPO: no gain from a ratio of probabilities beyond the clip.

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    The gradient is 0 beyond the clip, and that of the ratio at its very ends. There is none with
    respect to the old log-probabilities. Tokens where the mask is 0 have loss and gradient 0,
    whatever the other tensors hold there.

    Example:
        >>> criterion = nn.PPOClipLoss(client=client)
        >>> round(criterion([-1.0, -2.0], [-1.5, -2.0], [1.0, -2.0]).item(), 6)
        0.4
    """

    name = "ppo_clip_loss"
    library = "trl"
    signature = ("epsilon_low", "epsilon_high", "reduction")
    formula = (
        r"\ell = -\min(r A,\ \mathrm{clip}(r,\ 1 - \varepsilon_\mathrm{low},"
        r"\ 1 + \varepsilon_\mathrm{high})\,A),\ r = e^{x - x_\mathrm{old}}"
    )
    gradient = (
        (
            r"\partial_x \ell = -r A \text{ where } r \le 1 + \varepsilon_\mathrm{high} \text{ "
            r"if } A > 0 \text{, where } r \ge 1 - \varepsilon_\mathrm{low} \text{ if } A < 0,\ "
            r"0 \text{ elsewhere}"
        ),
        r"\text{with a mask } m,\ m\,\ell \text{ and } m\,\partial_x \ell",
    )
    reference = "Schulman et al., Proximal policy optimization, https://arxiv.org/abs/1707.06347"

    epsilon_low: float = param(0.2, "How far below 1 the ratio is clipped.", ge=0)
    epsilon_high: float = param(0.2, "How far above 1 the ratio is clipped.", ge=0)

    def lower(self, given: Given) -> Loss:
        return _MaskedPPOClip(**self.values) if "mask" in given else self

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return 1 - self.epsilon_low, 1 + self.epsilon_high, math.inf

    @staticmethod
    def math(x: Any, old: Any, a: Any, low: Any, high: Any, ceiling: Any) -> Any:
        return clipped(x, old, a, low, high, ceiling)


class _MaskedPPOClip(PPOClipLoss):
    @staticmethod
    def math(x: Any, old: Any, a: Any, m: Any, low: Any, high: Any, ceiling: Any) -> Any:
        loss, slope = clipped(x, old, a, low, high, ceiling)
        return kept(loss, m), kept(slope, m)


class CISPOLoss(_OfTokens):
    r"""Policy gradient that weighs each token by its clipped ratio: no token's gradient is lost.

    Shape:
        log_probs, old_log_probs: any, (N, T) or (*), the same; advantages: their shape, or (N) with
        one value for each sequence; mask: their shape.

    The weight w is a constant for the gradient, which is -w A. The clips are bounds of the ratio
    itself: MiniMax-M1's are 1 - ε and 1 + ε, TRL's `epsilon_high` is `clip_high_threshold`. There
    is no gradient with respect to the old log-probabilities. Tokens where the mask is 0 have loss
    and gradient 0, whatever the other tensors hold there.

    Example:
        >>> criterion = nn.CISPOLoss(clip_high_threshold=2.0, client=client)
        >>> criterion([-1.0, -2.0], [-1.0, -4.0], [0.5, 1.0]).item()
        2.25
    """

    name = "cispo_loss"
    library = "tinker"
    signature = ("clip_low_threshold", "clip_high_threshold", "reduction")
    formula = (
        r"\ell = -w A x,\ w = \mathrm{clip}(e^{x - x_\mathrm{old}},\ l,\ h)"
        r" \text{ without gradient}"
    )
    gradient = (
        r"\partial_x \ell = -w A",
        r"\text{with a mask } m,\ m\,\ell \text{ and } m\,\partial_x \ell",
    )
    reference = "MiniMax-M1, 2025, https://arxiv.org/abs/2506.13585"

    clip_low_threshold: float = param(0.0, "Least weight l of a token.", ge=0)
    clip_high_threshold: float = param(5.0, "Largest weight h of a token.", gt=0)

    def lower(self, given: Given) -> Loss:
        if self.clip_low_threshold > self.clip_high_threshold:
            raise ParameterError(
                f"{self.name}: clip_low_threshold = {self.clip_low_threshold} must be at most "
                f"clip_high_threshold = {self.clip_high_threshold}",
                field="clip_low_threshold",
            )
        return _MaskedCISPO(**self.values) if "mask" in given else self

    @staticmethod
    def math(x: Any, old: Any, a: Any, low: Any, high: Any) -> Any:
        slope = -a * min(max(exp(x - old), low), high)
        return slope * x, slope


class _MaskedCISPO(CISPOLoss):
    @staticmethod
    def math(x: Any, old: Any, a: Any, m: Any, low: Any, high: Any) -> Any:
        slope = -a * min(max(exp(x - old), low), high)
        return kept(slope * x, m), kept(slope, m)


class GRPOLoss(Vectors):
    r"""Group relative policy optimization: PPO's clipped loss of tokens, averaged over sequences.

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

    Example:
        >>> criterion = nn.GRPOLoss(loss_type="grpo", client=client)
        >>> x = [[-1.0, -2.0, 0.0], [-1.0, -1.0, -3.0]]
        >>> criterion(x, x, [1.0, -0.5], [[1, 1, 0], [1, 1, 1]]).item()
        -0.25
    """

    name = "grpo_loss"
    library = "trl"
    signature = (
        "beta",
        "epsilon_low",
        "epsilon_high",
        "delta",
        "loss_type",
        "importance_sampling_level",
        "max_completion_length",
        "reduction",
    )
    formula = (
        r"\ell = \frac{1}{D} \sum_t m_t \left[\,-\min(r_t A_t,\ \mathrm{clip}(r_t,"
        r"\ 1 - \varepsilon_\mathrm{low},\ 1 + \varepsilon_\mathrm{high})\,A_t)"
        r" + \beta\,(e^{d_t} - d_t - 1)\,\right],"
        r"\ r_t = e^{x_t - x_{\mathrm{old},t}},\ d_t = x_{\mathrm{ref},t} - x_t"
    )
    gradient = (
        (
            r"\partial_{x_t} \ell = \frac{m_t}{D} \left[\,-c_t\,r_t A_t + \beta\,(1 - "
            r"e^{d_t})\,\right],\ c_t = 0 \text{ where } A_t > 0,\ r_t > 1 + "
            r"\varepsilon_\mathrm{high} \text{ or } A_t < 0,\ r_t < 1 - \varepsilon_\mathrm{low} "
            r"\text{, else } 1"
        ),
        (
            r"D = \max(\sum_t m_t,\ 1) \text{ for 'grpo', max\_completion\_length or } T \text{ "
            r"for 'dr\_grpo', } 1 \text{ for 'bnpo' and 'dapo'}"
        ),
        (
            r"\text{with } \delta > 0,\ \min(r_t, \delta) \text{ takes the place of } r_t \text{ "
            r"in } r_t A_t, \text{ and } c_t = 0 \text{ where that is the smaller one and } r_t "
            r"> \delta"
        ),
        (
            r"\text{for 'sequence', } r = e^{\sum_s m_s (x_s - x_{\mathrm{old},s}) / \sum_s "
            r"m_s}: \ \partial_{x_t} \ell = \frac{m_t}{D} \left[\,-\frac{r}{\sum_s m_s} \sum_s "
            r"m_s c_s A_s + \beta\,(1 - e^{d_t})\,\right]"
        ),
    )
    reference = "Shao et al., DeepSeekMath, 2024, https://arxiv.org/abs/2402.03300"
    counted = ("mask",)
    masked = "mask"
    keep = True  # the first term is the token's slope, before the sequence's factor

    log_probs = tensor("vector", "Log-probabilities x of the tokens, (N, T).", grad=True)
    old_log_probs = tensor("vector", "Those of the policy that drew the tokens, x_old, (N, T).")
    advantages = tensor("vector", "How much better than expected, A, (N) or (N, T).")
    mask = tensor("vector", "m: 1 for tokens that count, 0 for others, (N, T).")
    ref_log_probs = tensor(
        "vector", "Log-probabilities x_ref of the reference policy, (N, T).", optional=True
    )
    beta: float = param(0.0, "Factor β of the divergence; 0 without ref_log_probs.", ge=0)
    epsilon_low: float = param(0.2, "How far below 1 the ratio is clipped.", ge=0)
    epsilon_high: float = param(0.2, "How far above 1 the ratio is clipped.", ge=0)
    delta: float = param(
        0.0, "Largest ratio δ before it is clipped, 0 for no bound; matters where A < 0.", ge=0
    )
    loss_type: str = param(
        "dapo", "What losses are divided by.", choices=("grpo", "bnpo", "dr_grpo", "dapo")
    )
    importance_sampling_level: str = param(
        "token", "What has a ratio of its own.", choices=("token", "sequence")
    )
    max_completion_length: int = param(0, "Divisor of 'dr_grpo', 0 for T.", ge=0)

    def lower(self, given: Given) -> Loss:
        if bool(self.beta) != ("ref_log_probs" in given):
            raise ParameterError(
                f"{self.name}: beta = {self.beta} must be above 0 with ref_log_probs, and 0 "
                "without",
                field="beta",
            )
        if self.importance_sampling_level == "token":
            return self if self.beta else _WithoutReference(**self.values)
        shape, advantages = given["log_probs"].shape, given["advantages"].shape
        if advantages in (shape[:-1], (*shape[:-1], 1)) and advantages != shape:
            return (_GSPOOfSequences if self.beta else _GSPOOfSequencesAlone)(**self.values)
        return (_GSPO if self.beta else _GSPOWithoutReference)(**self.values)

    def layout(self, given: Given) -> Layout:
        shape = given["log_probs"].shape
        if not shape:
            raise ShapeError(f"{self.name}: log_probs () must be (N, T) or (T)", field="log_probs")
        return Layout(
            output=shape[:-1],
            shapes=dict.fromkeys(given, shape),
            rows=math.prod(shape[:-1]),
            width=shape[-1],
            batch=shape[0],
            views=token_views(self, given),
        )

    @property
    def by_tokens(self) -> bool:
        """Whether the mean is over tokens, not over sequences."""
        return self.loss_type in ("bnpo", "dapo")

    def count(self, arrays: Any, layout: Layout) -> float:
        return max(sum_of(arrays["mask"]), 1.0) if self.by_tokens else float(layout.rows)

    def units(self, arrays: Any, layout: Layout, weighed: bool) -> Any:
        """Tokens, or sequences that have any."""
        tokens = super().units(arrays, layout, weighed and self.by_tokens)
        return tokens if self.by_tokens else (tokens > 0).astype(np.float64)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        high, delta = 1 + self.epsilon_high, self.delta or math.inf
        # a sequence's sum is divided by max(counted · its tokens, least)
        counted, least = 0.0, 1.0
        if self.loss_type == "grpo":
            counted = 1.0
        elif self.loss_type == "dr_grpo":
            least = float(self.max_completion_length or max(layout.width, 1))
        low = 1 - self.epsilon_low
        return low, min(high, delta), max(high, delta), self.beta, counted, least

    @staticmethod
    def terms(x: Any, old: Any, a: Any, m: Any, ref: Any, *params: Any) -> Any:
        low, high, ceiling, beta, _, _ = params
        loss, slope = clipped(x, old, a, low, high, ceiling)
        kl, in_kl = k3(x, ref)
        return kept(slope + beta * in_kl, m), kept(loss + beta * kl, m), m

    @staticmethod
    def combine(slopes: Any, total: Any, tokens: Any, *params: Any) -> Any:
        _, _, _, _, counted, least = params
        share = 1 / max(counted * tokens, least)
        return share * total, share

    @staticmethod
    def slopes(
        slope: Any, x: Any, old: Any, a: Any, m: Any, ref: Any, share: Any, *params: Any
    ) -> Any:
        return (share * slope,)


class _WithoutReference(GRPOLoss):
    """GRPO with β = 0."""

    @staticmethod
    def terms(x: Any, old: Any, a: Any, m: Any, *params: Any) -> Any:
        low, high, ceiling, _, _, _ = params
        loss, slope = clipped(x, old, a, low, high, ceiling)
        return kept(slope, m), kept(loss, m), m

    @staticmethod
    def slopes(slope: Any, x: Any, old: Any, a: Any, m: Any, share: Any, *params: Any) -> Any:
        return (share * slope,)


@inlined
def gspo(
    ratios: Any, tokens: Any, gains: Any, losses: Any, low: Any, high: Any, ceiling: Any
) -> Any:
    """The clipped loss of a sequence's tokens, summed, and its slope in each log-probability.

    ratios: the sum of the logarithms of the tokens' ratios; gains, losses: the sums of the
    positive and of the negative advantages.
    """
    number = max(tokens, 1)
    ratio = exp(ratios / number)
    up, in_up = bounded(ratio, 1.0, low, high, ceiling)
    down, in_down = bounded(ratio, -1.0, low, high, ceiling)
    slope = -(in_up * gains + in_down * losses) * ratio / number
    return -(up * gains + down * losses), slope


class _GSPO(GRPOLoss):
    """GRPO with one ratio for each sequence."""

    @staticmethod
    def terms(x: Any, old: Any, a: Any, m: Any, ref: Any, *params: Any) -> Any:
        _, _, _, beta, _, _ = params
        kl, in_kl = k3(x, ref)
        ratio, gain, loss = kept(x - old, m), kept(max(a, 0), m), kept(min(a, 0), m)
        return kept(beta * in_kl, m), kept(beta * kl, m), ratio, m, gain, loss

    @staticmethod
    def combine(
        slopes: Any, kl: Any, ratios: Any, tokens: Any, gains: Any, losses: Any, *params: Any
    ) -> Any:
        low, high, ceiling, _, counted, least = params
        loss, slope = gspo(ratios, tokens, gains, losses, low, high, ceiling)
        share = 1 / max(counted * tokens, least)
        return share * (loss + kl), share, share * slope

    @staticmethod
    def slopes(
        slope: Any, x: Any, old: Any, a: Any, m: Any, ref: Any, share: Any, k: Any, *params: Any
    ) -> Any:
        return (share * slope + kept(k, m),)


class _GSPOWithoutReference(_WithoutReference):
    """GRPO with one ratio for each sequence and β = 0."""

    keep = False

    @staticmethod
    def terms(x: Any, old: Any, a: Any, m: Any, *params: Any) -> Any:
        return kept(x - old, m), m, kept(max(a, 0), m), kept(min(a, 0), m)

    @staticmethod
    def combine(ratios: Any, tokens: Any, gains: Any, losses: Any, *params: Any) -> Any:
        low, high, ceiling, _, counted, least = params
        loss, slope = gspo(ratios, tokens, gains, losses, low, high, ceiling)
        share = 1 / max(counted * tokens, least)
        return share * loss, share * slope

    @staticmethod
    def slopes(x: Any, old: Any, a: Any, m: Any, k: Any, *params: Any) -> Any:
        return (kept(k, m),)


def of_sequences(layout: Layout) -> Layout:
    """The layout, with advantages that are one for each row, not spread over its tokens."""
    own = {"advantages": layout.output}
    return replace(layout, shapes={**layout.shapes, **own}, views=own)


class _GSPOOfSequences(_GSPO):
    """GSPO with one advantage for each sequence."""

    advantages = tensor("scalar", "How much better than expected, (N).")

    def layout(self, given: Given) -> Layout:
        return of_sequences(super().layout(given))

    @staticmethod
    def terms(x: Any, old: Any, m: Any, ref: Any, *params: Any) -> Any:
        _, _, _, beta, _, _ = params
        kl, in_kl = k3(x, ref)
        return kept(beta * in_kl, m), kept(beta * kl, m), kept(x - old, m), m

    @staticmethod
    def combine(a: Any, slopes: Any, kl: Any, ratios: Any, tokens: Any, *params: Any) -> Any:
        low, high, ceiling, _, counted, least = params
        gains, losses = kept(max(a, 0.0), tokens), kept(min(a, 0.0), tokens)
        loss, slope = gspo(ratios, tokens, gains, losses, low, high, ceiling)
        share = 1 / max(counted * tokens, least)
        return share * (loss + kl), share, share * slope

    @staticmethod
    def slopes(
        slope: Any, x: Any, old: Any, m: Any, ref: Any, share: Any, k: Any, *params: Any
    ) -> Any:
        return (share * slope + kept(k, m),)


class _GSPOOfSequencesAlone(_GSPOWithoutReference):
    """The same with β = 0."""

    advantages = tensor("scalar", "How much better than expected, (N).")

    def layout(self, given: Given) -> Layout:
        return of_sequences(super().layout(given))

    @staticmethod
    def terms(x: Any, old: Any, m: Any, *params: Any) -> Any:
        return kept(x - old, m), m

    @staticmethod
    def combine(a: Any, ratios: Any, tokens: Any, *params: Any) -> Any:
        low, high, ceiling, _, counted, least = params
        gains, losses = kept(max(a, 0.0), tokens), kept(min(a, 0.0), tokens)
        loss, slope = gspo(ratios, tokens, gains, losses, low, high, ceiling)
        share = 1 / max(counted * tokens, least)
        return share * loss, share * slope

    @staticmethod
    def slopes(x: Any, old: Any, m: Any, k: Any, *params: Any) -> Any:
        return (kept(k, m),)
