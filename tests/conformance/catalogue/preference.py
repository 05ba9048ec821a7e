"""Losses of preferences: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from ..model import ELEMENTWISE, WIDE, Array, Case, Entry, Number, Rows, Shape, Tensors, exact
from ..peers import Peer

CHOSEN, REJECTED = "policy_chosen_logps", "policy_rejected_logps"
REF_CHOSEN, REF_REJECTED = "reference_chosen_logps", "reference_rejected_logps"


def means(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    """Mean log-probabilities of tokens."""
    sizes = {CHOSEN: shape, REJECTED: shape if other is None else other}
    return {name: np.asarray(-rng.gamma(1, 1.5, s) - 0.01) for name, s in sizes.items()}


def sums(
    rng: np.random.Generator, shape: Shape, other: Shape | None = None, spread: float = 6.0
) -> Tensors:
    """Log-probabilities of answers, and a reference's that are like them."""
    ref = {REF_CHOSEN: shape, REF_REJECTED: shape if other is None else other}
    drawn = {name: np.asarray(-rng.uniform(5, 40, s)) for name, s in ref.items()}
    policy = {
        CHOSEN: drawn[REF_CHOSEN] + spread * rng.normal(size=ref[REF_CHOSEN]),
        REJECTED: drawn[REF_REJECTED] + spread * rng.normal(size=ref[REF_REJECTED]),
    }
    return {name: np.asarray(value) for name, value in (policy | drawn).items()}


def mean_ratios(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    """Mean log-probabilities of tokens, and a reference's that are like them."""
    return {name: np.asarray(value / 12) for name, value in sums(rng, shape, other).items()}


def judged(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    given, kl = others or (shape, shape)
    x = -rng.uniform(5, 40, shape)
    drawn = {"policy_logps": x, "reference_logps": x + 6 * rng.normal(size=shape)}
    drawn |= {"target": rng.integers(0, 2, given), "kl": rng.normal(size=kl)}
    return {name: np.asarray(value) for name, value in drawn.items()}


def sp(z: Array) -> Array:
    return np.logaddexp(0, z)


def sigmoid(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))


def bell(z: Array) -> Array:
    """The sigmoid's slope."""
    return np.exp(-np.logaddexp(0, z) - np.logaddexp(0, -z))


def _margin(
    z: Array, size: Array, loss: Number, slope: Number, bend: Array, beta: Any, **torch: Array
) -> tuple[Number, Number, dict[str, Array]]:
    """Loss and slope of a margin that is off by eps · size: its roundings go on with it."""
    loss = loss[0], loss[1] + abs(slope[0]) * size
    slope = beta * slope[0], beta * (slope[1] + abs(bend) * size)
    return loss, slope, torch


def _logistic(z: Array, size: Array, k: Any, beta: Any) -> Any:
    loss = (1 - k) * sp(-z) + k * sp(z), abs(1 - k) * sp(-z) + abs(k) * sp(z)
    slope = k - sigmoid(-z), abs(k) + sigmoid(-z)
    return _margin(z, size, loss, slope, bell(z), beta)


def _hinge(z: Array, size: Array, beta: Any) -> Any:
    h = 1 - z
    loss = np.maximum(h, 0), np.where(h > 0, 1 + abs(z), 0)
    return _margin(z, size, loss, exact(np.where(h > 0, WIDE(-1), 0)), 0 * z, beta)


def _square(d: Array, size: Array) -> Any:
    return _margin(d, size, exact(d**2), exact(2 * d), 2 + 0 * d, 1)


def _pair(made: Any, names: tuple[str, ...] = (CHOSEN, REJECTED)) -> Rows:
    """A loss of a difference, with slopes of both signs."""
    loss, slope, extra = made
    signs = {CHOSEN: 1, REJECTED: -1, REF_CHOSEN: -1, REF_REJECTED: 1}
    slopes = {name: (signs[name] * slope[0], slope[1]) for name in names}
    more = dict.fromkeys(names, extra.get("slope", 0 * slope[0]))
    return Rows(loss, slopes, cancelled=extra.get("loss", 0), torch=more)


FOUR: Final = (CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED)


def _four(loss: Number, chosen: Number, rejected: Number, lost: Any = 0, slope: Any = 0) -> Rows:
    """A loss of two log-ratios to the reference."""
    slopes = {
        CHOSEN: chosen,
        REJECTED: rejected,
        REF_CHOSEN: (-chosen[0], chosen[1]),
        REF_REJECTED: (-rejected[0], rejected[1]),
    }
    more = dict.fromkeys(FOUR, slope + 0 * loss[0])
    return Rows(loss, slopes, cancelled=lost, torch=more)


def cpo_loss(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
) -> Rows:
    d = policy_chosen_logps - policy_rejected_logps
    z, size = beta * d, beta * abs(d)
    if loss_type == "ipo":
        return _pair(_square(d - 1 / WIDE(2 * beta), abs(d) + 1 / WIDE(2 * beta)))
    if loss_type == "hinge":
        return _pair(_hinge(z, size, beta))
    return _pair(_logistic(z, size, WIDE(label_smoothing), beta))


def simpo_loss(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    beta: float = 0.1,
    gamma: float = 0.5,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
) -> Rows:
    d = policy_chosen_logps - policy_rejected_logps
    z, size = beta * d - gamma, beta * abs(d) + abs(gamma)
    if loss_type == "hinge":
        return _pair(_hinge(z, size, beta))
    return _pair(_logistic(z, size, WIDE(label_smoothing), beta))


def orpo_loss(policy_chosen_logps: Array, policy_rejected_logps: Array, beta: float = 0.1) -> Rows:
    def odds(x: Array) -> tuple[Array, Array, Array]:
        rest = -np.expm1(x)
        return x - np.log(rest), abs(x) + abs(np.log(rest)) + 1, 1 / rest

    chosen, chosen_size, in_chosen = odds(policy_chosen_logps)
    rejected, rejected_size, in_rejected = odds(policy_rejected_logps)
    z, size = chosen - rejected, chosen_size + rejected_size
    loss, (slope, scale), _ = _logistic(z, size, 0, beta)
    slopes = {
        CHOSEN: (slope * in_chosen, (scale + abs(slope)) * in_chosen),
        REJECTED: (-slope * in_rejected, (scale + abs(slope)) * in_rejected),
    }
    return Rows((beta * loss[0], beta * loss[1]), slopes)


def ipo_loss(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    beta: float = 0.1,
) -> Rows:
    u = policy_chosen_logps - reference_chosen_logps
    v = policy_rejected_logps - reference_rejected_logps
    target = 1 / WIDE(2 * beta)
    return _pair(_square(u - v - target, abs(u) + abs(v) + target), FOUR)


def _sorted(one: Array, other: Array, beta: Any, e: Any, pairs: tuple[Any, Any]) -> Rows:
    """The smoothed loss of two parts (N) that are sorted; pairs: what each is a difference of."""
    orders = [np.argsort(part, kind="stable") for part in (one, other)]
    a, b = (part[order] for part, order in zip((one, other), orders, strict=True))
    loss, slope, _ = _logistic(beta * (a - b), beta * (abs(a) + abs(b)), e, beta)
    slopes = {}
    for names, order, sign in zip(pairs, orders, (1, -1), strict=True):
        at = order[:, None] == np.arange(len(one))  # row n is of the element that comes n-th
        for name, back in zip(names, (1, -1), strict=True):
            slopes[name] = back * sign * at * slope[0][:, None], at * slope[1][:, None]
    return Rows(loss, slopes)


def _compared(loss_type: str, z: Array, size: Array, e: Any, beta: Any, tau: Any) -> Any:
    """A loss of a margin alone, and its slope."""
    match loss_type:
        case "sigmoid":
            return _logistic(z, size, e, beta)
        case "sigmoid_norm":
            return _logistic(z, size, 0, beta)
        case "robust":
            return _logistic(z, size, -e / (1 - 2 * e), beta)
        case "hinge":
            return _hinge(z, size, beta)
        case "exo_pair":
            q, p, log_c, log_r = sigmoid(z), sigmoid(-z), np.log1p(-e), np.log(e)
            terms = q * (sp(-z) + abs(log_c)) + p * (sp(z) + abs(log_r))
            loss = -q * (sp(-z) + log_c) - p * (sp(z) + log_r)
            wide = abs(z) + abs(log_c) + abs(log_r)
            slope = bell(z) * (z - log_c + log_r), bell(z) * wide
            made = _margin(z, size, (loss, terms), slope, bell(z) * (1 + wide), beta)
            lost = {
                "slope": beta * (2 + wide + sp(z) + sp(-z))
            }  # 1 - sigmoid, and terms of both sides
            return *made[:2], lost
        case "discopop":
            return _discopop(z, size, beta, tau)
    return None


def _discopop(z: Array, size: Array, beta: Any, discopop_tau: Any) -> Any:
    share, other = sigmoid(z / discopop_tau), sigmoid(-z / discopop_tau)
    grown = np.exp(-z + np.minimum(z, 0) / discopop_tau) * sigmoid(abs(z) / discopop_tau)
    logistic = sp(-z) * other
    loss = logistic + grown
    slope = -sigmoid(-z) * other - logistic * share / discopop_tau
    slope += grown * (other / discopop_tau - 1)
    terms = sigmoid(-z) * other + logistic * share / discopop_tau
    terms += grown * (other / discopop_tau + 1)
    deep = 1 + size * (1 + 1 / WIDE(discopop_tau))  # what a rounding of z does to exponentials
    lost = {  # 1 - sigmoid is a difference there
        "loss": sp(-z) + np.exp(-z),
        "slope": beta * (1 + (sp(-z) + np.exp(-z)) / discopop_tau),
    }
    return (loss, loss * deep), (beta * slope, beta * terms * deep), lost


def _score(u: Array, kind: str, alpha: float) -> tuple[Number, Number]:
    """The score of a log-ratio, and its slope."""
    if kind == "js_divergence":
        slope = sigmoid(-u)
        scale = np.log(2) + sp(-u) + slope * abs(u)
        return (np.log(WIDE(2)) - sp(-u), scale), (slope, slope * (1 + abs(u)))
    a = WIDE(alpha - 1 if kind == "alpha_divergence" else -1)
    t, below = a * u, (a * u <= 80) | (kind == "forward_kl")
    grown = np.expm1(np.where(below, t, 80))
    slope = np.where(below, np.exp(t), 0)
    return (grown / a, (grown + 2) / abs(a) + slope * abs(u)), (slope, slope * (1 + abs(t)))


def _scored(
    u: Array, v: Array, kind: str, alpha: float, loss_type: str, e: Any, beta: Any, tau: Any
) -> Rows:
    """A loss of the difference of two scores."""
    (s, s_size), in_s = _score(u, kind, alpha)
    (t, t_size), in_t = _score(v, kind, alpha)
    size = beta * (s_size + t_size)
    loss, slope, lost = _compared(loss_type, beta * (s - t), size, e, beta, tau)

    def through(inner: Number) -> Number:
        return slope[0] * inner[0], slope[1] * inner[0] + abs(slope[0]) * inner[1]

    chosen, (rejected, rejected_scale) = through(in_s), through(in_t)
    more = lost.get("slope", 0) * np.maximum(in_s[0], in_t[0])
    return _four(loss, chosen, (-rejected, rejected_scale), lost.get("loss", 0), more)


def dpo_loss(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
    discopop_tau: float = 0.05,
    f_divergence_type: str = "reverse_kl",
    f_alpha_divergence_coef: float = 0.5,
) -> Rows:
    u = policy_chosen_logps - reference_chosen_logps
    v = policy_rejected_logps - reference_rejected_logps
    a, b, e = beta * u, beta * v, WIDE(label_smoothing)
    z, size = a - b, abs(a) + abs(b)
    half = 1 / WIDE(2 * beta)
    if f_divergence_type != "reverse_kl" and f_alpha_divergence_coef != 1:
        kind, alpha = f_divergence_type, f_alpha_divergence_coef
        return _scored(u, v, kind, alpha, loss_type, e, beta, discopop_tau)
    if (made := _compared(loss_type, z, size, e, beta, discopop_tau)) is not None:
        return _pair(made, FOUR)
    match loss_type:
        case "aot":
            policy = policy_chosen_logps - policy_rejected_logps
            reference = reference_chosen_logps - reference_rejected_logps
            return _sorted(policy, reference, beta, e, (FOUR[:2], FOUR[2:]))
        case "aot_unpaired":
            return _sorted(u, v, beta, e, (FOUR[::2], FOUR[1::2]))
        case "ipo":
            return _pair(_square(u - v - half, abs(u) + abs(v) + half), FOUR)
        case "nca_pair":
            loss = sp(-a) + 0.5 * sp(a) + 0.5 * sp(b)
            in_a, in_b = 0.5 * sigmoid(a) - sigmoid(-a), 0.5 * sigmoid(b)
            scale = loss + abs(in_a * a) + abs(in_b * b)
            a_scale = 0.5 * sigmoid(a) + sigmoid(-a) + 1.5 * bell(a) * abs(a)
            b_scale = in_b + 0.5 * bell(b) * abs(b)
            return _four(
                (loss, scale), (beta * in_a, beta * a_scale), (beta * in_b, beta * b_scale)
            )
        case "bco_pair":
            loss = sp(-a) + sp(b)
            scale = loss + sigmoid(-a) * abs(a) + sigmoid(b) * abs(b)
            a_scale, b_scale = sigmoid(-a) * (1 + abs(a)), sigmoid(b) * (1 + abs(b))
            return _four(
                (loss, scale),
                (-beta * sigmoid(-a), beta * a_scale),
                (beta * sigmoid(b), beta * b_scale),
            )
        case "sppo_hard":
            win, lose = u - half, v + half
            win_size, lose_size = abs(u) + half, abs(v) + half
            scale = win**2 + lose**2 + 2 * abs(win) * win_size + 2 * abs(lose) * lose_size
            return _four(
                (win**2 + lose**2, scale), (2 * win, 2 * win_size), (2 * lose, 2 * lose_size)
            )
        case "apo_zero":
            loss = sigmoid(-a) + sigmoid(b)
            scale = sigmoid(-a) * (1 + abs(a)) + sigmoid(b) * (1 + abs(b))
            return _four(
                (loss, scale),
                (-beta * bell(a), beta * bell(a) * (1 + abs(a))),
                (beta * bell(b), beta * bell(b) * (1 + abs(b))),
                1,
                beta,  # 1 - sigmoid is a difference there
            )
        case "apo_down":
            loss = sigmoid(a) + sigmoid(-z)
            scale = sigmoid(a) * (1 + abs(a)) + sigmoid(-z) * (1 + size)
            down = beta * bell(z), beta * bell(z) * (1 + size)
            chosen = beta * bell(a) - down[0], beta * bell(a) * (1 + abs(a)) + down[1]
            return _four((loss, scale), chosen, down, 1, beta)
    raise AssertionError(loss_type)


def kto_loss(
    policy_logps: Array,
    reference_logps: Array,
    target: Array,
    kl: Array,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Rows:
    u, kl = policy_logps - reference_logps, np.maximum(kl, 0)
    sign = np.where(target != 0, WIDE(1), -1)
    weight = np.where(target != 0, desirable_weight, WIDE(undesirable_weight))
    z, size = sign * beta * (u - kl), beta * (abs(u) + kl)
    loss, slope = weight * sigmoid(-z), -sign * weight * beta * bell(z)
    steep = abs(slope) * (1 + size)
    lost = weight * beta + 0 * u  # 1 - sigmoid is a difference there
    return Rows(
        (loss, loss * (1 + size)),
        {"policy_logps": (slope, steep), "reference_logps": (-slope, steep)},
        cancelled=weight,
        torch={"policy_logps": lost, "reference_logps": lost},
    )


def _smoothed(z: torch.Tensor, e: float) -> torch.Tensor:
    return -logsigmoid(z) * (1 - e) - logsigmoid(-z) * e


def _cpo(
    c: torch.Tensor,
    r: torch.Tensor,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
) -> torch.Tensor:
    """CPOTrainer.cpo_loss of TRL 1.16."""
    if loss_type == "hinge":
        return torch.relu(1 - beta * (c - r))
    if loss_type == "ipo":
        return (c - r - 1 / (2 * beta)) ** 2
    return _smoothed(beta * (c - r), label_smoothing)


def _simpo(
    c: torch.Tensor,
    r: torch.Tensor,
    beta: float = 0.1,
    gamma: float = 0.5,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
) -> torch.Tensor:
    """The same with loss_type="simpo"; the hinge is that of the paper's own trainer."""
    z = beta * (c - r - gamma / beta)
    return torch.relu(1 - z) if loss_type == "hinge" else _smoothed(z, label_smoothing)


def _log1mexp(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < -np.log(2), torch.log1p(-torch.exp(x)), torch.log(-torch.expm1(x)))


def _orpo(c: torch.Tensor, r: torch.Tensor, beta: float = 0.1) -> torch.Tensor:
    """ORPOTrainer.odds_ratio_loss of TRL 1.16, with the sign it is added with."""
    return -beta * logsigmoid((c - r) - (_log1mexp(c) - _log1mexp(r)))


def _dpo(
    c: torch.Tensor,
    r: torch.Tensor,
    c_ref: torch.Tensor,
    r_ref: torch.Tensor,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
    discopop_tau: float = 0.05,
    f_divergence_type: str = "reverse_kl",
    f_alpha_divergence_coef: float = 0.5,
) -> torch.Tensor:
    """DPOTrainer._compute_loss of TRL 1.16; its 'sigmoid' has no label smoothing any more."""
    u, v, e = c - c_ref, r - r_ref, label_smoothing

    def score(ratio: torch.Tensor) -> torch.Tensor:
        match f_divergence_type:
            case "forward_kl":
                return 1 - torch.exp(-ratio)
            case "js_divergence":
                return float(np.log(2)) + logsigmoid(ratio)
            case "alpha_divergence" if abs(f_alpha_divergence_coef - 1) >= 1e-6:
                factor = f_alpha_divergence_coef - 1
                return (torch.exp((factor * ratio).clamp(max=80)) - 1) / factor
        return ratio

    a, b, z = beta * u, beta * v, beta * (score(u) - score(v))
    match loss_type:
        case "sigmoid":
            return _smoothed(z, e)
        case "sigmoid_norm":
            return -logsigmoid(z)
        case "aot":
            policy, reference = (c - r).sort(0).values, (c_ref - r_ref).sort(0).values
            return _smoothed(beta * (policy - reference), e)
        case "aot_unpaired":
            return _smoothed(beta * (u.sort(0).values - v.sort(0).values), e)
        case "robust":
            return (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)
        case "hinge":
            return torch.relu(1 - z)
        case "ipo":
            return (u - v - 1 / (2 * beta)) ** 2
        case "exo_pair":
            log_c, log_r = float(np.log1p(-e)), float(np.log(e))
            chosen = torch.sigmoid(z) * (logsigmoid(z) - log_c)
            return chosen + torch.sigmoid(-z) * (logsigmoid(-z) - log_r)
        case "nca_pair":
            return -logsigmoid(a) - 0.5 * logsigmoid(-a) - 0.5 * logsigmoid(-b)
        case "bco_pair":
            return -logsigmoid(a) - logsigmoid(-b)
        case "sppo_hard":
            return (u - 0.5 / beta) ** 2 + (v + 0.5 / beta) ** 2
        case "apo_zero":
            return 1 - torch.sigmoid(a) + torch.sigmoid(b)
        case "apo_down":
            return torch.sigmoid(a) + 1 - torch.sigmoid(z)
    share = torch.sigmoid(z / discopop_tau)
    return -logsigmoid(z) * (1 - share) + torch.exp(-z) * share


def _ipo(*tensors: torch.Tensor, beta: float = 0.1) -> torch.Tensor:
    return _dpo(*tensors, beta=beta, loss_type="ipo")


def _kto(
    x: torch.Tensor,
    ref: torch.Tensor,
    target: torch.Tensor,
    kl: torch.Tensor,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> torch.Tensor:
    """KTOTrainer._compute_loss of TRL 1.16, in the order of the batch."""
    d = beta * (x - ref - kl.detach().clamp(min=0))
    desirable = desirable_weight * (1 - torch.sigmoid(d))
    return torch.where(target.bool(), desirable, undesirable_weight * (1 - torch.sigmoid(-d)))


SMOOTHINGS: Final = [{"label_smoothing": e} for e in (0.1, 0.4)]

DIVERGENCES: Final = [
    {"f_divergence_type": "forward_kl"},
    {"f_divergence_type": "js_divergence"},
    *(
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": alpha}
        for alpha in (0.5, 1.0, 1.5)
    ),
]

ENTRIES: Final = {
    "cpo_loss": Entry(
        means,
        (CHOSEN, REJECTED),
        ELEMENTWISE,
        [{"beta": 2.0}, *SMOOTHINGS, *({"loss_type": t, "beta": 0.6} for t in ("hinge", "ipo"))],
        options=[{"other": (5, 1)}],
    ),
    "simpo_loss": Entry(
        means,
        (CHOSEN, REJECTED),
        ELEMENTWISE,
        [{"beta": 2.0, "gamma": 1.0}, *SMOOTHINGS, {"loss_type": "hinge", "beta": 0.6}],
        options=[{"other": (5, 1)}],
    ),
    "orpo_loss": Entry(
        means, (CHOSEN, REJECTED), ELEMENTWISE, [{"beta": 1.0}], options=[{"other": (5, 1)}]
    ),
    "ipo_loss": Entry(mean_ratios, FOUR, ELEMENTWISE, [{"beta": 0.3}], options=[{"other": (5, 1)}]),
    "dpo_loss": Entry(
        sums,
        FOUR,
        ELEMENTWISE,
        [
            *SMOOTHINGS,
            {"loss_type": "robust"},
            *(
                {"loss_type": t, "beta": 0.3, "label_smoothing": 0.1}
                for t in ("robust", "exo_pair")
            ),
            *(
                {"loss_type": t, "beta": 0.3}
                for t in ("hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard")
            ),
            *({"loss_type": t} for t in ("apo_zero", "apo_down", "discopop", "sigmoid_norm")),
            {"loss_type": "discopop", "discopop_tau": 0.5},
        ],
        options=[{"other": (5, 1)}],
        more=[
            Case("dpo_loss", (513,), {"loss_type": "discopop"}),
            *(
                Case("dpo_loss", (count,), {"loss_type": kind, "beta": 0.3, "label_smoothing": e})
                for kind in ("aot", "aot_unpaired")
                for e in (0.0, 0.1)
                for count in (1, 33, 129)
            ),
            *(
                Case("dpo_loss", (count,), {"beta": 0.3, **kind, **divergence}, {"spread": 1.5})
                for kind in (
                    {},
                    {"label_smoothing": 0.1},
                    {"loss_type": "robust"},
                    {"loss_type": "robust", "label_smoothing": 0.1},
                    {"loss_type": "hinge"},
                    {"loss_type": "exo_pair", "label_smoothing": 0.1},
                    {"loss_type": "discopop"},
                )
                for divergence in DIVERGENCES
                for count in (33, 513)
            ),
        ],
    ),
    "kto_loss": Entry(
        judged,
        ("policy_logps", "reference_logps"),
        ELEMENTWISE,
        [{"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5}],
        options=[{"others": ((3, 5, 7), ())}, {"others": ((7,), (3, 1, 1))}],
    ),
}

FORMULAS: Final = (cpo_loss, simpo_loss, orpo_loss, ipo_loss, dpo_loss, kto_loss)

PEERS: Final = {
    "cpo_loss": Peer(_cpo),
    "simpo_loss": Peer(_simpo),
    "orpo_loss": Peer(_orpo),
    "ipo_loss": Peer(_ipo),
    "dpo_loss": Peer(_dpo),
    "kto_loss": Peer(_kto),
}
