"""Losses between the logits of a student and of a teacher."""

import math
from typing import Any, ClassVar

import numpy as np
from lossd_client.errors import ShapeError

from lossd.compiled.divergences import divergence
from lossd.losses.classification import LOWEST
from lossd.mathfns import decay, exp, log
from lossd.spec import (
    Given,
    Layout,
    Loss,
    Operand,
    Prepared,
    Samples,
    Shape,
    Vectors,
    param,
    tensor,
    tuple_text,
)


def shape_of(loss: Loss, given: Given) -> Shape:
    """The shape of both tensors of logits.

    Raises:
        ShapeError: they differ, or have no classes.
    """
    student, teacher = given["student_logits"].shape, given["teacher_logits"].shape
    if not student or not student[-1]:
        raise ShapeError(
            f"{loss.name}: student_logits {tuple_text(student)} must be (*, C)",
            field="student_logits",
        )
    if teacher != student:
        raise ShapeError(
            f"{loss.name}: teacher_logits {tuple_text(teacher)} must have the shape of "
            f"student_logits {tuple_text(student)}",
            field="teacher_logits",
        )
    return student


class DistillationKLLoss(Vectors):
    r"""Divergence of a student's softened probabilities from a teacher's.

    Shape:
        student_logits, teacher_logits: (*, C), the same; the loss has their shape without C.

    Both are divided by `temperature` before the softmax, and the loss is multiplied by its
    square, so that gradients keep their size. A class that the teacher leaves out (logit -inf)
    adds nothing, where PyTorch's kl_div gives NaN. One that only the student leaves out gives
    inf.

    Example:
        >>> criterion = nn.DistillationKLLoss(temperature=2.0, client=client)
        >>> round(criterion([[1.0, 2.0, 0.5]], [[2.0, 1.0, 0.0]]).item(), 5)
        0.41852
    """

    name = "distillation_kl_loss"
    library = "Hinton et al."
    signature = ("temperature", "reduction")
    formula = (
        r"\ell = T^2 \sum_c q_c \log \frac{q_c}{p_c},\ p = \mathrm{softmax}(x / T),"
        r"\ q = \mathrm{softmax}(y / T)"
    )
    gradient = (
        (
            r"\partial_{x_c} \ell = T\,(p_c - q_c),\ \partial_{y_c} \ell = T\,q_c \left(\log "
            r"\frac{q_c}{p_c} - \frac{\ell}{T^2}\right)"
        ),
    )
    reference = (
        "Hinton et al., Distilling the knowledge in a neural network, "
        "https://arxiv.org/abs/1503.02531"
    )

    student_logits = tensor("vector", "Logits x, (*, C).", grad=True)
    teacher_logits = tensor("vector", "Logits y, (*, C).", grad=True)
    temperature: float = param(1.0, "What logits are divided by, T.", gt=0)

    def layout(self, given: Given) -> Layout:
        shape_of(self, given)
        return self.rows_of(given)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.temperature, 1 / self.temperature

    @staticmethod
    def peaks(x: Any, y: Any, t: Any, share: Any) -> Any:
        return x, y

    keep = True

    @staticmethod
    def terms(x: Any, y: Any, top_x: Any, top_y: Any, t: Any, share: Any) -> Any:
        e_y = exp((y - top_y) * share)
        lead = e_y * (((y - top_y) - (x - top_x)) * share)
        return exp((x - top_x) * share), e_y, (lead if y != LOWEST else e_y)

    @staticmethod
    def combine(top_x: Any, top_y: Any, s_x: Any, s_y: Any, lead: Any, t: Any, share: Any) -> Any:
        shift = log(s_x) - log(s_y)  # log q - log p, less the difference of the logits
        divergence = lead / s_y + shift
        return t * t * divergence, t / s_x, t / s_y, top_x, top_y, shift - divergence

    @staticmethod
    def slopes(
        e: Any, x: Any, y: Any, k_x: Any, k_y: Any, top_x: Any, top_y: Any, shift: Any,
        t: Any, share: Any,
    ) -> Any:  # fmt: skip
        q = k_y * exp((y - top_y) * share)
        lead = q * (((y - top_y) - (x - top_x)) * share + shift)
        return k_x * e - q, (lead if y != LOWEST else q)


def mixed(log_p: Any, log_q: Any, p: Any, q: Any, beta: Any, rest: Any, one: Any) -> Any:
    """KL(q, m) · beta + KL(p, m) · (1 - beta), of the mixture m = beta · q + (1 - beta) · p."""
    lead = log_q - log_p
    # log(max(p, q) / m): the larger is divided out, so that neither overflows nor vanishes
    e = decay(lead)
    own = beta if lead <= 0 else rest
    short = (e - one) * own  # exactly 0 where p is q
    above = -log(one + short if short + short > -one else e * own + (rest if lead <= 0 else beta))
    of_p = rest * p * (above if lead <= 0 else above - lead)
    of_q = beta * q * (above + lead if lead <= 0 else above)
    of_p, of_q = (of_p if log_p != LOWEST else p), (of_q if log_q != LOWEST else q)
    return of_p + of_q, of_p, of_q


def from_teacher(log_p: Any, log_q: Any, p: Any, q: Any, beta: Any, rest: Any, one: Any) -> Any:
    """KL(q, p)."""
    loss = q * (log_q - log_p) if log_q != LOWEST else q
    return loss, -q, loss


def from_student(log_p: Any, log_q: Any, p: Any, q: Any, beta: Any, rest: Any, one: Any) -> Any:
    """KL(p, q)."""
    loss = p * (log_p - log_q) if log_p != LOWEST else p
    return loss, loss, -p


class GeneralizedJSDLoss(Samples):
    r"""Generalised Jensen-Shannon divergence of a student's and a teacher's probabilities.

    Shape:
        student_logits, teacher_logits: (*, C), the same; the loss has their shape without C.

    TRL's loss of its GKD trainer, one for each row, which the trainer adds up for 'batchmean'.
    `beta=0` is the divergence of the student from the teacher, as in DistillationKLLoss without
    its factor; `beta=1` the other way round. The teacher has a gradient, too, which the trainer
    makes no use of. A class that either leaves out (logit -inf) adds nothing to its part, where
    TRL gives NaN.

    Example:
        >>> criterion = nn.GeneralizedJSDLoss(client=client)
        >>> round(criterion([[1.0, 2.0, 0.5]], [[2.0, 1.0, 0.0]]).item(), 5)
        0.10121
    """

    name = "generalized_jsd_loss"
    library = "trl.experimental.gkd"
    signature = ("beta", "temperature", "reduction")
    formula = (
        r"\ell = \beta \sum_c q_c \log \frac{q_c}{m_c}"
        r" + (1 - \beta) \sum_c p_c \log \frac{p_c}{m_c},\ m = \beta q + (1 - \beta) p,"
        r"\ p = \mathrm{softmax}(x / T),\ q = \mathrm{softmax}(y / T)"
    )
    gradient = (
        (
            r"\partial_{x_c} \ell = \frac{1 - \beta}{T}\,p_c \left(\log \frac{p_c}{m_c} - \sum_j "
            r"p_j \log \frac{p_j}{m_j}\right),\ \partial_{y_c} \ell = \frac{\beta}{T}\,q_c "
            r"\left(\log \frac{q_c}{m_c} - \sum_j q_j \log \frac{q_j}{m_j}\right)"
        ),
        (
            r"\beta = 0: \ \ell = \sum_c q_c \log \frac{q_c}{p_c},\ \partial_{x_c} \ell = "
            r"\frac{p_c - q_c}{T},\ \partial_{y_c} \ell = \frac{q_c}{T} \left(\log "
            r"\frac{q_c}{p_c} - \ell\right)"
        ),
        (
            r"\beta = 1: \ \ell = \sum_c p_c \log \frac{p_c}{q_c},\ \partial_{x_c} \ell = "
            r"\frac{p_c}{T} \left(\log \frac{p_c}{q_c} - \ell\right),\ \partial_{y_c} \ell = "
            r"\frac{q_c - p_c}{T}"
        ),
    )
    reference = (
        "Agarwal et al., On-policy distillation of language models: learning from self-generated "
        "mistakes, https://arxiv.org/abs/2306.13649"
    )

    student_logits = tensor("whole", "Logits x, (*, C).", grad=True)
    teacher_logits = tensor("whole", "Logits y, (*, C).", grad=True)
    beta: float = param(0.5, "Share of the teacher in the mixture.", ge=0, le=1)
    temperature: float = param(1.0, "What logits are divided by, T.", gt=0)

    operands: ClassVar = (("student_logits", Operand(2)), ("teacher_logits", Operand(2)))

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        logits = np.zeros((1, 1), np.float32)
        return {"student_logits": logits, "teacher_logits": logits}

    def lower(self, given: Given) -> Loss:
        kinds: dict[Any, Any] = {0.0: _FromTeacher, 1.0: _FromStudent}
        kind = kinds.get(self.beta)
        return kind(**self.values) if kind else self

    def layout(self, given: Given) -> Layout:
        shape = shape_of(self, given)
        rows = math.prod(shape[:-1])
        shapes = dict.fromkeys(given, shape)
        batch = shape[0] if shape[:-1] else 1
        return Layout(shape[:-1], shapes, rows, width=shape[-1], batch=batch)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.beta, 1 / self.temperature

    def prepare(self, arrays: Any, layout: Layout, reduction: str) -> Prepared:
        shape = layout.rows, layout.width
        logits = {name: arrays[name].reshape(shape) for name, _ in self.operands}
        return Prepared(logits, np.ones(layout.rows))

    sample = staticmethod(divergence(mixed))


class _FromTeacher(GeneralizedJSDLoss):
    sample = staticmethod(divergence(from_teacher))


class _FromStudent(GeneralizedJSDLoss):
    sample = staticmethod(divergence(from_student))
