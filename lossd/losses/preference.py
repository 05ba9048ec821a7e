"""Losses of preferred and rejected answers, from the log-probabilities of whole answers."""

import math
from typing import Any, ClassVar, Final

import numpy as np
from lossd_client.errors import ParameterError

from lossd.mathfns import decay_both, exp, inlined, log, sigmoid, softplus, softplus_tail
from lossd.spec import Composed, Elementwise, Given, Layout, Loss, Work, param, tensor

NEAR: Final = 1e-6  # coefficients of 'alpha_divergence' as near to 1 are the reverse KL, as in TRL
EXPONENT: Final = 80.0  # of 'alpha_divergence' at most, as in TRL


@inlined
def smoothed(z: Any, k: Any) -> Any:
    """softplus(-z) + k·z, logistic loss with labels of 1 - k, and its slope; k is not 0."""
    return (k if z >= 0 else 1 - k) * abs(z) + softplus_tail(z), k - sigmoid(-z)


@inlined
def hinge(z: Any) -> Any:
    """max(1 - z, 0) and its slope, 0 at the kink."""
    h = max(1 - z, 0)
    return h, (-1 if h > 0 else h)


@inlined
def exo(z: Any, log_chosen: Any, log_rejected: Any) -> Any:
    """KL divergence of a smoothed label, of these logarithms, from a sigmoid, and its slope."""
    z = min(max(z, -1e4), 1e4)  # beyond, one of the two is 0
    q, p = sigmoid(z), sigmoid(-z)
    loss = -q * (softplus(-z) + log_chosen) - p * (softplus(z) + log_rejected)
    return loss, q * p * (z - log_chosen + log_rejected)


@inlined
def discopop(z: Any, tau: Any) -> Any:
    """A blend of the logistic and the exponential loss, and its slope."""
    w = z / tau
    share, other = sigmoid(w), sigmoid(-w)
    # e^-z times the sigmoid of w, where e^-z alone overflows
    grown = exp(-z if z >= 0 else w - z) * sigmoid(abs(w))
    logistic = softplus(-z) * other
    slope = -sigmoid(-z) * other - logistic * (share / tau) + grown * (other / tau - 1)
    return logistic + grown, slope


@inlined
def of_margin(loss: Any, slope: Any) -> Any:
    """A loss of (chosen - reference) - (rejected - reference), with all four slopes."""
    return loss, slope, -slope, -slope, slope


@inlined
def of_ratios(loss: Any, chosen: Any, rejected: Any) -> Any:
    """A loss of two logarithms of ratios to the reference, with all four slopes."""
    return loss, chosen, rejected, -chosen, -rejected


@inlined
def score(u: Any, a: Any, cap: Any) -> Any:
    """A log-ratio's score by an f-divergence, less a constant, and its slope.

    (e^(a·u) - 1) / a with an exponent of at most `cap`; where a is 0, log sigmoid(u).
    """
    t = min(a * u, cap)
    p = exp(t)
    _, rest = decay_both(t)
    # e^t - 1, of which nothing is lost where t is nearly 0
    grown = (p * rest if t >= 0 else -rest) if abs(t) < 1 else p - 1
    slope = 0 if a * u > cap else p
    return (-softplus(-u) if a == 0 else grown / a), (sigmoid(-u) if a == 0 else slope)


@inlined
def lead_of_scores(c: Any, r: Any, c_ref: Any, r_ref: Any, a: Any, cap: Any) -> Any:
    """By how much the chosen answer's score is above the rejected one's, and both their slopes."""
    chosen, in_chosen = score(c - c_ref, a, cap)
    rejected, in_rejected = score(r - r_ref, a, cap)
    return chosen - rejected, in_chosen, in_rejected


@inlined
def of_scores(loss: Any, slope: Any, in_chosen: Any, in_rejected: Any) -> Any:
    """A loss of the difference of two scores, with all four slopes."""
    # where a margin is more than met, a score that has overflowed changes nothing
    chosen = 0 if slope == 0 else slope * in_chosen
    rejected = 0 if slope == 0 else slope * in_rejected
    return loss, chosen, -rejected, -chosen, rejected


class _Pairs(Elementwise):
    """Losses of pairs of answers."""

    policy_chosen_logps = tensor(
        "element", "Log-probabilities c of the preferred answers, (*).", grad=True
    )
    policy_rejected_logps = tensor(
        "element", "Log-probabilities r of the rejected answers, (*).", grad=True
    )


class _ReferredPairs(_Pairs):
    """Losses of pairs of answers that a reference policy has rated, too."""

    reference_chosen_logps = tensor(
        "element",
        "The reference's log-probabilities c_ref of the preferred answers, (*).",
        grad=True,
    )
    reference_rejected_logps = tensor(
        "element",
        "The reference's log-probabilities r_ref of the rejected answers, (*).",
        grad=True,
    )


class CPOLoss(_Pairs):
    r"""Contrastive preference optimization: DPO without a reference.

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the sum over its tokens; with 'ipo' TRL takes the mean. The
    cross entropy of the preferred answers, which TRL adds times `cpo_alpha`, is for the caller to
    add. `loss_type` 'hinge' has gradient 0 at its kink; it and 'ipo' know no label smoothing.

    Example:
        >>> round(nn.CPOLoss(client=client)([-10.0], [-15.0]).item(), 6)
        0.474077
    """

    name = "cpo_loss"
    library = "trl"
    signature = ("beta", "label_smoothing", "loss_type", "reduction")
    formula = (
        r"\ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),"
        r"\ z = \beta\,(c - r)"
    )
    gradient = (
        (
            r"\partial_c \ell = -\partial_r \ell = \beta\,\partial_z \ell,\ \partial_z \ell = "
            r"-(1 - \varepsilon)\,\sigma(-z) + \varepsilon\,\sigma(z)"
        ),
        (
            r"\text{'hinge', } \ell = \max(0,\ 1 - z): \ \partial_z \ell = -[\,z < 1\,];\ "
            r"\text{'ipo', } \ell = (c - r - \tfrac{1}{2 \beta})^2: \ \partial_c \ell = "
            r"-\partial_r \ell = 2\,(c - r - \tfrac{1}{2 \beta})"
        ),
    )
    reference = "Xu et al., Contrastive preference optimization, https://arxiv.org/abs/2401.08417"

    beta: float = param(0.1, "Factor β of the difference.", gt=0)
    label_smoothing: float = param(0.0, "Share ε of pairs given the wrong way.", ge=0, lt=0.5)
    loss_type: str = param(
        "sigmoid", "What the difference costs.", choices=("sigmoid", "hinge", "ipo")
    )

    def lower(self, given: Given) -> Loss:
        kinds = {"sigmoid": _SmoothedCPO, "hinge": _HingeCPO, "ipo": _IPOWithoutReference}
        plain = self.loss_type == "sigmoid" and not self.label_smoothing
        return self if plain else kinds[self.loss_type](**self.values)

    @staticmethod
    def math(c: Any, r: Any, beta: Any, k: Any) -> Any:
        z = beta * (c - r)
        slope = -beta * sigmoid(-z)
        return softplus(-z), slope, -slope


class _SmoothedCPO(CPOLoss):
    @staticmethod
    def math(c: Any, r: Any, beta: Any, k: Any) -> Any:
        loss, slope = smoothed(beta * (c - r), k)
        return loss, beta * slope, -beta * slope


class _HingeCPO(CPOLoss):
    @staticmethod
    def math(c: Any, r: Any, beta: Any, k: Any) -> Any:
        loss, slope = hinge(beta * (c - r))
        return loss, beta * slope, -beta * slope


class _IPOWithoutReference(CPOLoss):
    @staticmethod
    def math(c: Any, r: Any, beta: Any, k: Any) -> Any:
        d = c - r - 0.5 / beta
        return d * d, 2 * d, -2 * d


class SimPOLoss(_Pairs):
    r"""Simple preference optimization: the mean log-probabilities should differ by a margin.

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens. `loss_type` 'hinge' has gradient 0 at
    its kink and knows no label smoothing.

    Example:
        >>> round(nn.SimPOLoss(beta=2.0, gamma=1.0, client=client)([-0.5], [-1.5]).item(), 6)
        0.313262
    """

    name = "simpo_loss"
    library = "trl"
    signature = ("beta", "gamma", "label_smoothing", "loss_type", "reduction")
    formula = (
        r"\ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),"
        r"\ z = \beta\,(c - r) - \gamma"
    )
    gradient = (
        (
            r"\partial_c \ell = -\partial_r \ell = \beta\,\partial_z \ell,\ \partial_z \ell = "
            r"-(1 - \varepsilon)\,\sigma(-z) + \varepsilon\,\sigma(z)"
        ),
        r"\text{'hinge', } \ell = \max(0,\ 1 - z): \ \partial_z \ell = -[\,z < 1\,]",
    )
    reference = "Meng et al., SimPO, 2024, https://arxiv.org/abs/2405.14734"

    beta: float = param(0.1, "Factor β of the difference.", gt=0)
    gamma: float = param(0.5, "What β times the difference should be at least; TRL's simpo_gamma.")
    label_smoothing: float = param(0.0, "Share ε of pairs given the wrong way.", ge=0, lt=0.5)
    loss_type: str = param("sigmoid", "What the difference costs.", choices=("sigmoid", "hinge"))

    def lower(self, given: Given) -> Loss:
        if self.loss_type == "hinge":
            return _HingeSimPO(**self.values)
        return _SmoothedSimPO(**self.values) if self.label_smoothing else self

    @staticmethod
    def math(c: Any, r: Any, beta: Any, gamma: Any, k: Any) -> Any:
        z = beta * (c - r) - gamma
        slope = -beta * sigmoid(-z)
        return softplus(-z), slope, -slope


class _SmoothedSimPO(SimPOLoss):
    @staticmethod
    def math(c: Any, r: Any, beta: Any, gamma: Any, k: Any) -> Any:
        loss, slope = smoothed(beta * (c - r) - gamma, k)
        return loss, beta * slope, -beta * slope


class _HingeSimPO(SimPOLoss):
    @staticmethod
    def math(c: Any, r: Any, beta: Any, gamma: Any, k: Any) -> Any:
        loss, slope = hinge(beta * (c - r) - gamma)
        return loss, beta * slope, -beta * slope


@inlined
def log_odds(x: Any) -> Any:
    """log(p / (1 - p)) for p = e^x, and its slope 1 / (1 - p)."""
    _, rest = decay_both(x)
    return x - log(rest), 1 / rest


class ORPOLoss(_Pairs):
    r"""Odds ratio preference optimization: the odds of an answer against those of the rejected one.

    Shape:
        policy_chosen_logps, policy_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens, and not above 0: others are an error.
    This is the term of the odds ratio; the cross entropy of the preferred answers, to which the
    paper adds it, is for the caller to add. At 0, where the odds are infinite, the gradient is
    not a number.

    Example:
        >>> round(nn.ORPOLoss(client=client)([-0.5], [-1.5]).item(), 6)
        0.017086
    """

    name = "orpo_loss"
    library = "trl"
    signature = ("beta", "reduction")
    formula = (
        r"\ell = -\beta \log \sigma\!\left(\log \frac{e^c}{1 - e^c}"
        r" - \log \frac{e^r}{1 - e^r}\right)"
    )
    gradient = (
        (
            r"\partial_c \ell = -\frac{\beta\,\sigma(-z)}{1 - e^c},\ \partial_r \ell = "
            r"\frac{\beta\,\sigma(-z)}{1 - e^r},\ z = \log \frac{e^c}{1 - e^c} - \log "
            r"\frac{e^r}{1 - e^r}"
        ),
    )
    reference = "Hong et al., ORPO, 2024, https://arxiv.org/abs/2403.07691"

    policy_chosen_logps = tensor(
        "element",
        "Mean log-probabilities c of the preferred answers, (*).",
        grad=True,
        within=(-math.inf, 0),
        nan=True,
    )
    policy_rejected_logps = tensor(
        "element",
        "Mean log-probabilities r of the rejected answers, (*).",
        grad=True,
        within=(-math.inf, 0),
        nan=True,
    )
    beta: float = param(0.1, "Factor of the loss; the paper's λ.", ge=0)

    @staticmethod
    def math(c: Any, r: Any, beta: Any) -> Any:
        chosen, in_chosen = log_odds(c)
        rejected, in_rejected = log_odds(r)
        z = chosen - rejected
        slope = -beta * sigmoid(-z)
        return beta * softplus(-z), slope * in_chosen, -slope * in_rejected


class IPOLoss(_ReferredPairs):
    r"""Identity preference optimization: the pair's margin over the reference should be 1/(2β).

    Shape:
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
        reference_rejected_logps: any, (*); broadcast together.

    An answer's log-probability is the mean over its tokens, as the paper's authors and TRL have it.

    Example:
        >>> round(nn.IPOLoss(client=client)([-0.5], [-1.5], [-0.75], [-1.0]).item(), 4)
        18.0625
    """

    name = "ipo_loss"
    library = "trl"
    signature = ("beta", "reduction")
    formula = (
        r"\ell = \left((c - c_\mathrm{ref}) - (r - r_\mathrm{ref}) - \tfrac{1}{2\beta}\right)^2"
    )
    gradient = (
        (
            r"\partial_c \ell = -\partial_{c_\mathrm{ref}} \ell = -\partial_r \ell = "
            r"\partial_{r_\mathrm{ref}} \ell = 2 \left((c - c_\mathrm{ref}) - (r - "
            r"r_\mathrm{ref}) - \tfrac{1}{2 \beta}\right)"
        ),
    )
    reference = "Azar et al., 2023, https://arxiv.org/abs/2310.12036"

    beta: float = param(0.1, "Regularization β, the paper's τ.", gt=0)

    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any) -> Any:
        d = (c - c_ref) - (r - r_ref) - 0.5 / beta
        return of_margin(d * d, 2 * d)


class DPOLoss(_ReferredPairs):
    r"""Direct preference optimization: prefer the chosen answer more than the reference does.

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

    Example:
        >>> criterion = nn.DPOLoss(client=client)
        >>> round(criterion([-10.0], [-15.0], [-11.0], [-14.0]).item(), 6)
        0.598139
    """

    name = "dpo_loss"
    library = "trl"
    signature = (
        "beta",
        "label_smoothing",
        "loss_type",
        "discopop_tau",
        "reduction",
        "*",
        "f_divergence_type",
        "f_alpha_divergence_coef",
    )
    formula = (
        r"\ell = -(1 - \varepsilon) \log \sigma(z) - \varepsilon \log \sigma(-z),"
        r"\ z = \beta\,[(c - c_\mathrm{ref}) - (r - r_\mathrm{ref})]"
    )
    gradient = (
        (
            r"\partial_c \ell = -\partial_{c_\mathrm{ref}} \ell = -\partial_r \ell = "
            r"\partial_{r_\mathrm{ref}} \ell = \beta\,\partial_z \ell,\ \partial_z \ell = -(1 - "
            r"\varepsilon)\,\sigma(-z) + \varepsilon\,\sigma(z)"
        ),
        r"\text{'sigmoid\_norm': } \varepsilon = 0",
        (
            r"\text{'robust': } -\tfrac{\varepsilon}{1 - 2 \varepsilon} \text{ takes the place "
            r"of } \varepsilon"
        ),
        r"\text{'hinge': } \ell = \max(0,\ 1 - z),\ \partial_z \ell = -[\,z < 1\,]",
        (
            r"\text{'ipo': } \ell = \left(\tfrac{z}{\beta} - \tfrac{1}{2 \beta}\right)^2,\ "
            r"\partial_z \ell = \tfrac{2}{\beta} \left(\tfrac{z}{\beta} - \tfrac{1}{2 "
            r"\beta}\right)"
        ),
        (
            r"\text{'exo\_pair': } \ell = \sigma(z) \log \tfrac{\sigma(z)}{1 - \varepsilon} + "
            r"\sigma(-z) \log \tfrac{\sigma(-z)}{\varepsilon},\ \partial_z \ell = "
            r"\sigma(z)\,\sigma(-z) \left(z - \log \tfrac{1 - \varepsilon}{\varepsilon}\right)"
        ),
        (
            r"\text{'discopop': } \ell = \sigma(-\tfrac{z}{\tau}) \log(1 + e^{-z}) + "
            r"\sigma(\tfrac{z}{\tau})\,e^{-z},\ \partial_z \ell = "
            r"-\sigma(-\tfrac{z}{\tau})\,\sigma(-z) - \sigma(\tfrac{z}{\tau})\,e^{-z} + "
            r"\tfrac{1}{\tau}\,\sigma(\tfrac{z}{\tau})\,\sigma(-\tfrac{z}{\tau}) \left(e^{-z} - "
            r"\log(1 + e^{-z})\right)"
        ),
        (
            r"\text{of } a = \beta\,(c - c_\mathrm{ref}) \text{ and } b = \beta\,(r - "
            r"r_\mathrm{ref}), \text{ the reference's with the other sign:}"
        ),
        (
            r"\text{'nca\_pair': } \ell = -\log \sigma(a) - \tfrac12 \log \sigma(-a) - \tfrac12 "
            r"\log \sigma(-b),\ \partial_c \ell = \beta \left(\tfrac12 \sigma(a) - "
            r"\sigma(-a)\right),\ \partial_r \ell = \tfrac{\beta}{2} \sigma(b)"
        ),
        (
            r"\text{'bco\_pair': } \ell = -\log \sigma(a) - \log \sigma(-b),\ \partial_c \ell = "
            r"-\beta\,\sigma(-a),\ \partial_r \ell = \beta\,\sigma(b)"
        ),
        (
            r"\text{'sppo\_hard': } \ell = \left(\tfrac{a}{\beta} - \tfrac{1}{2 \beta}\right)^2 "
            r"+ \left(\tfrac{b}{\beta} + \tfrac{1}{2 \beta}\right)^2,\ \partial_c \ell = 2 "
            r"\left(\tfrac{a}{\beta} - \tfrac{1}{2 \beta}\right),\ \partial_r \ell = 2 "
            r"\left(\tfrac{b}{\beta} + \tfrac{1}{2 \beta}\right)"
        ),
        (
            r"\text{'apo\_zero': } \ell = \sigma(-a) + \sigma(b),\ \partial_c \ell = "
            r"-\beta\,\sigma(a)\,\sigma(-a),\ \partial_r \ell = \beta\,\sigma(b)\,\sigma(-b)"
        ),
        (
            r"\text{'apo\_down': } \ell = \sigma(a) + \sigma(-z),\ \partial_c \ell = "
            r"\beta\,[\,\sigma(a)\,\sigma(-a) - \sigma(z)\,\sigma(-z)\,],\ \partial_r \ell = "
            r"\beta\,\sigma(z)\,\sigma(-z)"
        ),
        r"\text{'aot' and 'aot\_unpaired': as 'sigmoid', with the two sorted parts in } z",
        (
            r"\text{with an f-divergence, } z = \beta\,[f(c - c_\mathrm{ref}) - f(r - "
            r"r_\mathrm{ref})],\ \partial_c \ell = \beta\,f'(c - c_\mathrm{ref})\,\partial_z "
            r"\ell,\ \partial_r \ell = -\beta\,f'(r - r_\mathrm{ref})\,\partial_z \ell"
        ),
        (
            r"\text{'forward\_kl': } f'(u) = e^{-u};\ \text{'js\_divergence': } f'(u) = "
            r"\sigma(-u);\ \text{'alpha\_divergence': } f'(u) = e^{(a - 1) u}"
        ),
    )
    reference = "Rafailov et al., Direct preference optimization, https://arxiv.org/abs/2305.18290"

    beta: float = param(0.1, "Factor β of the margin over the reference.", gt=0)
    label_smoothing: float = param(0.0, "Share ε of pairs given the wrong way.", ge=0, lt=0.5)
    loss_type: str = param(
        "sigmoid",
        "What the margin costs.",
        choices=(
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
    )
    discopop_tau: float = param(0.05, "Temperature τ of 'discopop'.", gt=0)
    f_divergence_type: str = param(
        "reverse_kl",
        "What holds the policy to the reference.",
        choices=("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"),
    )
    f_alpha_divergence_coef: float = param(0.5, "Coefficient a of 'alpha_divergence'.")

    def lower(self, given: Given) -> Loss:
        if self.f_divergence_type != "reverse_kl":
            self._check_divergence()
        if self.loss_type == "ipo":
            return IPOLoss(beta=self.beta)
        if self.loss_type == "exo_pair" and not self.label_smoothing:
            raise ParameterError(
                f"{self.name}: label_smoothing = 0.0 must be above 0 for loss_type = 'exo_pair'",
                field="label_smoothing",
            )
        if self.loss_type in ("aot", "aot_unpaired"):
            return _AOT(**self.values)
        unsmoothed = self.loss_type in ("sigmoid", "robust") and not self.label_smoothing
        if unsmoothed or self.loss_type == "sigmoid_norm":
            kind: type[DPOLoss] = DPOLoss
        else:
            kind = _KINDS[self.loss_type]
        return (_SCORED[kind] if self._scored else kind)(**self.values)

    @property
    def _scored(self) -> bool:
        """Whether what is compared is not the log-ratios themselves."""
        if self.f_divergence_type == "alpha_divergence":
            return abs(self.f_alpha_divergence_coef - 1) >= NEAR
        return self.f_divergence_type != "reverse_kl"

    def _check_divergence(self) -> None:
        if not math.isfinite(self.f_alpha_divergence_coef):
            raise ParameterError(
                f"{self.name}: f_alpha_divergence_coef = {self.f_alpha_divergence_coef} must be "
                "finite",
                field="f_alpha_divergence_coef",
            )
        if _KINDS.get(self.loss_type) in _SCORED:
            return
        means = self.loss_type in ("ipo", "sigmoid_norm")
        why = "takes means over tokens" if means else "does not compare the two answers alone"
        raise ParameterError(
            f"{self.name}: f_divergence_type = {self.f_divergence_type!r} must be 'reverse_kl' for "
            f"loss_type = {self.loss_type!r}, which {why}",
            field="f_divergence_type",
        )

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.beta, self.label_smoothing

    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        z = beta * ((c - c_ref) - (r - r_ref))
        return of_margin(softplus(-z), -beta * sigmoid(-z))


class _SmoothedDPO(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        loss, slope = smoothed(beta * ((c - c_ref) - (r - r_ref)), k)
        return of_margin(loss, beta * slope)


class _RobustDPO(_SmoothedDPO):
    """The logistic loss, less what wrong labels add to it: a smoothing below 0."""

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.beta, -self.label_smoothing / (1 - 2 * self.label_smoothing)


class _HingeDPO(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        loss, slope = hinge(beta * ((c - c_ref) - (r - r_ref)))
        return of_margin(loss, beta * slope)


class _ExoPair(DPOLoss):
    def constants(self, layout: Layout) -> tuple[float, ...]:
        e = self.label_smoothing
        return self.beta, math.log1p(-e), math.log(e)

    @staticmethod
    def math(
        c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, log_chosen: Any, log_rejected: Any
    ) -> Any:
        loss, slope = exo(beta * ((c - c_ref) - (r - r_ref)), log_chosen, log_rejected)
        return of_margin(loss, beta * slope)


class _NCAPair(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        a, b = beta * (c - c_ref), beta * (r - r_ref)
        chosen = (0.5 if a >= 0 else 1) * abs(a) + 1.5 * softplus_tail(a)
        loss = chosen + 0.5 * softplus(b)
        return of_ratios(loss, beta * (0.5 * sigmoid(a) - sigmoid(-a)), beta * (0.5 * sigmoid(b)))


class _BCOPair(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        a, b = beta * (c - c_ref), beta * (r - r_ref)
        return of_ratios(softplus(-a) + softplus(b), -beta * sigmoid(-a), beta * sigmoid(b))


class _SPPOHard(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        win, lose = c - c_ref - 0.5 / beta, r - r_ref + 0.5 / beta
        return of_ratios(win * win + lose * lose, 2 * win, 2 * lose)


class _APOZero(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        a, b = beta * (c - c_ref), beta * (r - r_ref)
        chosen, rejected = sigmoid(-a), sigmoid(b)
        return of_ratios(
            chosen + rejected, -beta * chosen * sigmoid(a), beta * rejected * sigmoid(-b)
        )


class _APODown(DPOLoss):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any) -> Any:
        a = beta * (c - c_ref)
        z = beta * ((c - c_ref) - (r - r_ref))
        chosen, apart = sigmoid(a), sigmoid(-z)
        rejected = beta * apart * sigmoid(z)
        return of_ratios(chosen + apart, beta * chosen * sigmoid(-a) - rejected, rejected)


class _DiscoPOP(DPOLoss):
    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.beta, self.discopop_tau

    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, tau: Any) -> Any:
        loss, slope = discopop(beta * ((c - c_ref) - (r - r_ref)), tau)
        return of_margin(loss, beta * slope)


class _OfScores(DPOLoss):
    """A loss of the difference of two scores that an f-divergence gives, not of log-ratios."""

    def constants(self, layout: Layout) -> tuple[float, ...]:
        a, cap = {
            "forward_kl": (-1.0, math.inf),
            "js_divergence": (0.0, math.inf),
            "alpha_divergence": (self.f_alpha_divergence_coef - 1, EXPONENT),
        }[self.f_divergence_type]
        return *super().constants(layout), a, cap


class _LogisticOfScores(_OfScores):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any, a: Any, cap: Any) -> Any:
        lead, in_chosen, in_rejected = lead_of_scores(c, r, c_ref, r_ref, a, cap)
        z = beta * lead
        return of_scores(softplus(-z), -beta * sigmoid(-z), in_chosen, in_rejected)


class _SmoothedOfScores(_OfScores, _SmoothedDPO):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any, a: Any, cap: Any) -> Any:
        lead, in_chosen, in_rejected = lead_of_scores(c, r, c_ref, r_ref, a, cap)
        loss, slope = smoothed(beta * lead, k)
        return of_scores(loss, beta * slope, in_chosen, in_rejected)


class _RobustOfScores(_OfScores, _RobustDPO):
    # of two constants more
    math = _SmoothedOfScores.math  # type: ignore[assignment]


class _HingeOfScores(_OfScores, _HingeDPO):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, k: Any, a: Any, cap: Any) -> Any:
        lead, in_chosen, in_rejected = lead_of_scores(c, r, c_ref, r_ref, a, cap)
        loss, slope = hinge(beta * lead)
        return of_scores(loss, beta * slope, in_chosen, in_rejected)


class _ExoPairOfScores(_OfScores, _ExoPair):
    @staticmethod
    def math(
        c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, log_chosen: Any, log_rejected: Any,
        a: Any, cap: Any,
    ) -> Any:  # fmt: skip
        lead, in_chosen, in_rejected = lead_of_scores(c, r, c_ref, r_ref, a, cap)
        loss, slope = exo(beta * lead, log_chosen, log_rejected)
        return of_scores(loss, beta * slope, in_chosen, in_rejected)


class _DiscoPOPOfScores(_OfScores, _DiscoPOP):
    @staticmethod
    def math(c: Any, r: Any, c_ref: Any, r_ref: Any, beta: Any, tau: Any, a: Any, cap: Any) -> Any:
        lead, in_chosen, in_rejected = lead_of_scores(c, r, c_ref, r_ref, a, cap)
        loss, slope = discopop(beta * lead, tau)
        return of_scores(loss, beta * slope, in_chosen, in_rejected)


class _AOT(Composed):
    """The smoothed loss of differences whose two parts are sorted over the batch."""

    tensors = DPOLoss.tensors
    params = DPOLoss.params

    # the two parts, each a difference of two tensors
    parts: ClassVar = {
        "aot": (
            ("policy_chosen_logps", "policy_rejected_logps"),
            ("reference_chosen_logps", "reference_rejected_logps"),
        ),
        "aot_unpaired": (
            ("policy_chosen_logps", "reference_chosen_logps"),
            ("policy_rejected_logps", "reference_rejected_logps"),
        ),
    }

    def layout(self, given: Given) -> Layout:
        return DPOLoss(**self.values).layout(given)

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        output = work.layout.output
        given = {n: np.broadcast_to(x, output or (1,)) for n, x in work.arrays.items()}
        parts = self.parts[str(self.values["loss_type"])]
        ratios = [given[plus] - given[minus] for plus, minus in parts]
        orders = [np.argsort(ratio, 0, kind="stable") for ratio in ratios]
        names = tuple(CPOLoss.tensors)
        ranked = {
            name: np.take_along_axis(ratio, order, 0)
            for name, ratio, order in zip(names, ratios, orders, strict=True)
        }
        loss = CPOLoss(beta=self.values["beta"], label_smoothing=self.values["label_smoothing"])
        losses, slopes = work.rows(loss, ranked, names if work.wanted else (), work.slopes)
        made: dict[str, Any] = {}
        for name, (plus, minus), order in zip(slopes, parts, orders, strict=False):
            slope = np.empty_like(slopes[name])
            np.put_along_axis(slope, order, slopes[name], 0)
            made |= {plus: slope.reshape(output), minus: -slope.reshape(output)}
        return losses, made


_KINDS: dict[str, type[DPOLoss]] = {
    "sigmoid": _SmoothedDPO,
    "robust": _RobustDPO,
    "hinge": _HingeDPO,
    "exo_pair": _ExoPair,
    "nca_pair": _NCAPair,
    "bco_pair": _BCOPair,
    "sppo_hard": _SPPOHard,
    "apo_zero": _APOZero,
    "apo_down": _APODown,
    "discopop": _DiscoPOP,
}

_SCORED: dict[type[DPOLoss], type[_OfScores]] = {
    DPOLoss: _LogisticOfScores,
    _SmoothedDPO: _SmoothedOfScores,
    _RobustDPO: _RobustOfScores,
    _HingeDPO: _HingeOfScores,
    _ExoPair: _ExoPairOfScores,
    _DiscoPOP: _DiscoPOPOfScores,
}


class KTOLoss(Elementwise):
    r"""Kahneman-Tversky optimization: answers that are good or bad on their own, not in pairs.

    Shape:
        policy_logps, reference_logps, target, kl: any, (*); broadcast together. kl is usually (),
        one number for the batch.

    An answer's log-probability is the sum over its tokens. `kl` is the reference point, an estimate
    of the policy's divergence from the reference; values below 0 count as 0, and there is no
    gradient with respect to it. With kl = 0 this is TRL's 'apo_zero_unpaired'. A target of 0 is
    undesirable, any other desirable.

    Example:
        >>> criterion = nn.KTOLoss(client=client)
        >>> round(criterion([-10.0, -15.0], [-11.0, -14.0], [1, 0], 0.5).item(), 6)
        0.475036
    """

    name = "kto_loss"
    library = "trl"
    signature = ("beta", "desirable_weight", "undesirable_weight", "reduction")
    formula = (
        r"\ell = w_y\,[1 - \sigma(\pm\beta\,(x - x_\mathrm{ref} - \max(\mathrm{kl}, 0)))],"
        r"\ + \text{ where } y \ne 0"
    )
    gradient = (
        (
            r"\partial_x \ell = -\partial_{x_\mathrm{ref}} \ell = \mp "
            r"\beta\,w_y\,\sigma(z)\,\sigma(-z),\ z = \pm\beta\,(x - x_\mathrm{ref} - "
            r"\max(\mathrm{kl}, 0)),\ - \text{ and } + \text{ where } y \ne 0"
        ),
        r"w_y: \text{desirable\_weight where } y \ne 0, \text{ undesirable\_weight elsewhere}",
    )
    reference = "Ethayarajh et al., KTO, 2024, https://arxiv.org/abs/2402.01306"

    policy_logps = tensor("element", "Log-probabilities x of the answers, (*).", grad=True)
    reference_logps = tensor("element", "The reference's log-probabilities x_ref, (*).", grad=True)
    target = tensor("element", "Whether an answer is desirable: 1, or 0, (*).")
    kl = tensor("element", "Divergence that gains and losses are measured from, ().")
    beta: float = param(0.1, "Factor β of the log-ratio.", gt=0)
    desirable_weight: float = param(1.0, "Weight of desirable answers.", ge=0)
    undesirable_weight: float = param(1.0, "Weight of undesirable answers.", ge=0)

    @staticmethod
    def math(x: Any, ref: Any, y: Any, kl: Any, beta: Any, desirable: Any, undesirable: Any) -> Any:
        sign = 1 if y != 0 else -1
        weight = (desirable if y != 0 else undesirable) + 0 * y
        z = sign * beta * (x - ref - max(kl, 0))
        loss = weight * sigmoid(-z)
        slope = -sign * beta * loss * sigmoid(z)
        return loss, slope, -slope
