"""Losses of a student and a teacher: how they are drawn, their formulas, who else defines them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from ..model import VECTORS, WIDE, Array, Case, Entry, Rows, Shape, Tensors
from ..peers import Peer

log_softmax = torch.nn.functional.log_softmax
kl_div = torch.nn.functional.kl_div


def students(rng: np.random.Generator, shape: Shape) -> Tensors:
    student = 2 * rng.normal(size=shape)
    return {"student_logits": student, "teacher_logits": student + 2 * rng.normal(size=shape)}


@dataclass(frozen=True)
class Softened:
    """Probabilities of logits divided by a temperature.

    off: what roundings do to log p, as a scale; rough: what torch's do, which divides first.
    """

    log_p: Array
    p: Array
    off: Array
    rough: Array

    @classmethod
    def of(cls, x: Array, temperature: float) -> "Softened":
        top = x.max(-1, keepdims=True)
        depth = (top - x) / temperature
        total = np.exp(-depth).sum(-1, keepdims=True)
        log_p = -depth - np.log(total)
        p = np.exp(log_p)
        # each exponential is off by its depth, their sum by the mean of these
        off = 1 + depth + np.log(total) + (p * depth).sum(-1, keepdims=True)
        return cls(log_p, p, off, off + (abs(x) + abs(top)) / temperature)


def distillation_kl_loss(
    student_logits: Array, teacher_logits: Array, temperature: float = 1.0
) -> Rows:
    t = temperature
    s, q = Softened.of(student_logits, t), Softened.of(teacher_logits, t)
    lead = q.log_p - s.log_p
    loss = (q.p * lead).sum(-1, keepdims=True)

    def scales(s_off: Array, q_off: Array) -> tuple[Array, Array, Array]:
        of_loss = (q.p * (s_off + q_off + abs(lead) * q_off)).sum(-1, keepdims=True)
        in_student = s.p * s_off + q.p * q_off
        in_teacher = q.p * (s_off + q_off + (abs(lead) + abs(loss)) * q_off + of_loss)
        return t * t * of_loss[..., 0], t * in_student, t * in_teacher

    of_loss, in_student, in_teacher = scales(s.off, q.off)
    rough, rough_student, rough_teacher = scales(s.rough, q.rough)
    return Rows(
        (t * t * loss[..., 0], of_loss),
        {
            "student_logits": (t * (s.p - q.p), in_student),
            "teacher_logits": (t * q.p * (lead - loss), in_teacher),
        },
        cancelled=rough,
        torch={"student_logits": rough_student, "teacher_logits": rough_teacher},
    )


def generalized_jsd_loss(
    student_logits: Array, teacher_logits: Array, beta: float = 0.5, temperature: float = 1.0
) -> Rows:
    s, q = Softened.of(student_logits, temperature), Softened.of(teacher_logits, temperature)
    lead = q.log_p - s.log_p
    # of the loss; pull: p times its derivative in p, and q times that in q; of_p, of_q: their sizes
    if beta == 0:
        terms = pull_q = q.p * lead
        pull_p, of_p, of_q = -q.p, 0 * s.p, q.p
    elif beta == 1:
        terms = pull_p = -s.p * lead
        pull_q, of_p, of_q = -s.p, s.p, 0 * q.p
    else:
        of_p, of_q = (1 - WIDE(beta)) * s.p, beta * q.p
        log_m = np.log(of_p + of_q)
        pull_p, pull_q = of_p * (s.log_p - log_m), of_q * (q.log_p - log_m)
        terms = pull_p + pull_q
    pulls = (pull_p, s), (pull_q, q)

    def scales(s_off: Array, q_off: Array) -> tuple[Array, Array, Array]:
        off = s_off + q_off
        of_loss = (abs(terms) + of_p + of_q) * off
        if 0 < beta < 1:
            of_loss = (abs(pull_p) + abs(pull_q) + of_p + of_q) * off
        in_logits = []
        for (pull, to), size, own in zip(pulls, (of_p, of_q), (s_off, q_off), strict=True):
            of_pull = (abs(pull) + size) * off
            of_through = abs(pull.sum(-1, keepdims=True)) * own + of_pull.sum(-1, keepdims=True)
            in_logits.append((of_pull + to.p * of_through) / temperature)
        return of_loss.sum(-1), *in_logits

    of_loss, *in_logits = scales(s.off, q.off)
    rough, *rough_logits = scales(s.rough, q.rough)
    slopes = [(pull - to.p * pull.sum(-1, keepdims=True)) / temperature for pull, to in pulls]
    names = ("student_logits", "teacher_logits")
    return Rows(
        (terms.sum(-1), of_loss),
        dict(zip(names, zip(slopes, in_logits, strict=True), strict=True)),
        cancelled=rough,
        torch=dict(zip(names, rough_logits, strict=True)),
    )


def _generalized_jsd(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    beta: float = 0.5,
    temperature: float = 1.0,
) -> torch.Tensor:
    """As trl.experimental.gkd of TRL 1.16 defines it, added up over the classes."""
    log_p = log_softmax(student_logits / temperature, -1)
    log_q = log_softmax(teacher_logits / temperature, -1)
    if beta in (0, 1):
        pair = (log_p, log_q) if beta == 0 else (log_q, log_p)
        return kl_div(*pair, reduction="none", log_target=True).sum(-1)
    parts = [log_p + float(np.log1p(-beta)), log_q + float(np.log(beta))]
    log_m = torch.stack(parts).logsumexp(0)
    of_q = kl_div(log_m, log_q, reduction="none", log_target=True)
    of_p = kl_div(log_m, log_p, reduction="none", log_target=True)
    return (beta * of_q + (1 - beta) * of_p).sum(-1)


def _distillation_kl(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """As the paper defines it."""
    log_p = log_softmax(student_logits / temperature, -1)
    log_q = log_softmax(teacher_logits / temperature, -1)
    return kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1) * temperature**2


ENTRIES: Final = {
    "distillation_kl_loss": Entry(
        students,
        ("student_logits", "teacher_logits"),
        VECTORS,
        [{"temperature": 0.3}, {"temperature": 4.0}],
        (9, 7),
        more=[
            Case("distillation_kl_loss", (2, 3, 5)),
            Case("distillation_kl_loss", (4, 130), {"temperature": 2.0}),
        ],
    ),
    "generalized_jsd_loss": Entry(
        students,
        ("student_logits", "teacher_logits"),
        [(7,), (1, 1), (5, 2), (4, 63), (3, 511), (3, 512), (3, 513), (2, 2049), (0, 4), (8193, 1)],
        [
            *({"beta": beta} for beta in (0.0, 0.1, 0.9, 1.0)),
            {"temperature": 0.3},
            {"temperature": 4.0, "beta": 0.0},
            {"temperature": 4.0, "beta": 1.0},
        ],
        (9, 7),
        more=[Case("generalized_jsd_loss", (2, 3, 5), {"beta": beta}) for beta in (0.0, 0.5, 1.0)],
    ),
}

FORMULAS: Final = (distillation_kl_loss, generalized_jsd_loss)

PEERS: Final = {
    "distillation_kl_loss": Peer(_distillation_kl),
    "generalized_jsd_loss": Peer(_generalized_jsd),
}
