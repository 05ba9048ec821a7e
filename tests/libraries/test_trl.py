"""Losses of preferences, policies and distillation, as TRL 1.16 defines them.

The trainers' own methods are called, with no more around them than a model that answers given
log-probabilities, and a process that is alone. An answer is one token after a prompt of one, so
that sums over its tokens and means of them are its log-probability.
"""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from trl import DPOTrainer, GRPOTrainer, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.gkd import GKDTrainer
from trl.experimental.orpo import ORPOTrainer

from tests.conformance.model import Case

from .agreement import BOTH, Answer, answers, assert_matches, each_case, of

ALONE = SimpleNamespace(
    device="cpu",
    num_processes=1,
    gather=lambda x: x,
    gather_for_metrics=lambda x: x,
    reduce=lambda x, reduction: x,
)


def trainer(**options: Any) -> Any:
    """What the trainers' methods look up, as it is while a model is evaluated."""
    return SimpleNamespace(
        model=SimpleNamespace(training=False),
        accelerator=ALONE,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
        **options,
    )


def tokens(log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch of answers of one token, each after a prompt of one."""
    ids = torch.zeros(len(log_probs), 2, dtype=torch.long)
    return {
        "input_ids": ids,
        "attention_mask": ids + 1,
        "completion_mask": torch.tensor([0, 1]).expand_as(ids),
    }


def outputs(log_probs: torch.Tensor) -> SimpleNamespace:
    """What a model answers: log-probabilities, and statistics that losses make no use of."""
    x = log_probs[:, None]
    nothing = torch.zeros_like(x)
    return SimpleNamespace(log_probs=x, entropy=nothing, mean_logits=nothing, is_top1=nothing > 0)


def flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [x.reshape(-1) for x in torch.broadcast_tensors(*tensors)]


def dpo(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reference_chosen_logps: torch.Tensor,
    reference_rejected_logps: torch.Tensor,
    reduction: str,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
    discopop_tau: float = 0.05,
    f_divergence_type: str = "reverse_kl",
    f_alpha_divergence_coef: float = 0.5,
) -> torch.Tensor:
    chosen, rejected, ref_chosen, ref_rejected = flat(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    made = outputs(torch.cat([chosen, rejected]))
    inputs = tokens(made.log_probs)
    inputs |= {"ref_chosen_logps": ref_chosen, "ref_rejected_logps": ref_rejected}
    this = trainer(
        beta=beta,
        label_smoothing=label_smoothing,
        loss_types=[loss_type],
        loss_weights=[1.0],
        args=SimpleNamespace(discopop_tau=discopop_tau),
        f_divergence_type=f_divergence_type,
        f_alpha_divergence_coef=f_alpha_divergence_coef,
        ld_alpha=None,
        use_weighting=False,
    )
    return DPOTrainer._compute_loss(this, lambda **_: made, inputs, return_outputs=False)


def unsmoothed(case: Case) -> bool:
    """Whether there are pairs; TRL's 'sigmoid' has no label smoothing any more."""
    smoothed = "label_smoothing" in case.parameters and "loss_type" not in case.parameters
    return 0 not in case.shape and not smoothed


@answers
@each_case(of("dpo_loss", "ipo_loss", where=unsmoothed))
def test_dpo_matches_trl(case: Case, answer: Answer) -> None:
    kind = case.parameters.get("loss_type")
    library = ipo if case.loss == "ipo_loss" else dpo
    # its logarithms of the smoothed labels are float32, and its scores
    single = kind == "exo_pair" or "f_alpha_divergence_coef" in case.parameters
    assert_matches(answer, case, library, "mean", np.float32 if single else np.float64)


def ipo(**options: Any) -> torch.Tensor:
    return dpo(loss_type="ipo", **options)


def one_by_one(reduction: str, label_smoothing: float, **pairs: torch.Tensor) -> torch.Tensor:
    """Smoothed DPO of each pair: 'aot' is that of sorted differences, the same for one alone."""
    shape = pairs["policy_chosen_logps"].shape
    made = [
        dpo(
            **dict(zip(pairs, pair, strict=True)),
            reduction="mean",
            loss_type="aot_unpaired",
            label_smoothing=label_smoothing,
        )
        for pair in zip(*(flat(x)[0] for x in pairs.values()), strict=True)
    ]
    return torch.stack(made).reshape(shape)


@answers
@each_case(of("dpo_loss", where=lambda c: set(c.parameters) == {"label_smoothing"}))
def test_smoothed_dpo_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, one_by_one, "none")


def cpo(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reduction: str,
    beta: float = 0.1,
    gamma: float = 0.5,
    label_smoothing: float = 0.0,
    loss_type: str = "sigmoid",
) -> torch.Tensor:
    this = trainer(
        beta=beta,
        simpo_gamma=gamma,
        label_smoothing=label_smoothing,
        loss_type=loss_type,
        alpha=0.0,
    )
    return CPOTrainer.cpo_loss(this, policy_chosen_logps, policy_rejected_logps)[0]


def simpo(**options: Any) -> torch.Tensor:
    return cpo(loss_type="simpo", **options)


@answers
@each_case(of("cpo_loss", where=lambda case: 0 not in case.shape))
def test_cpo_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, cpo, "none")


@answers
@each_case(of("simpo_loss", where=lambda c: 0 not in c.shape and "loss_type" not in c.parameters))
def test_simpo_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, simpo, "none")


def orpo(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reduction: str,
    beta: float = 0.1,
) -> torch.Tensor:
    """With the sign that the trainer adds it with."""
    method = ORPOTrainer.odds_ratio_loss
    return -method(trainer(beta=beta), policy_chosen_logps, policy_rejected_logps)[0]


@answers
@each_case(of("orpo_loss", where=lambda case: 0 not in case.shape))
def test_orpo_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, orpo, "none", np.float32)  # it computes in float32


def kto(
    policy_logps: torch.Tensor,
    reference_logps: torch.Tensor,
    target: torch.Tensor,
    kl: torch.Tensor,
    reduction: str,
    **options: Any,
) -> torch.Tensor:
    """The trainer's estimate of the KL is that of one more answer, whose log-ratio is `kl`."""
    x, ref, labels = flat(policy_logps, reference_logps, target)
    batch = tokens(x) | {"label": labels.bool(), "ref_logps": ref}
    batch |= {f"KL_{name}": value for name, value in tokens(kl.reshape(1)).items()}
    batch["ref_KL_logps"] = torch.zeros_like(kl.reshape(1))
    parameters = {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, **options}
    this = trainer(loss_type="kto", calculate_KL=True, **parameters)
    this._compute_kl_logps = lambda model, inputs: KTOTrainer._compute_kl_logps(this, model, inputs)

    def model(input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        return outputs(kl.reshape(1) if input_ids is batch["KL_input_ids"] else x)

    return KTOTrainer._compute_loss(this, model, batch, return_outputs=False)


RATED = [
    Case("kto_loss", shape, parameters, {"others": (shape, ())})
    for shape in [(1,), (64,), (513,), (3, 5, 7)]
    for parameters in [
        {},
        {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5},
    ]
]


@answers
@each_case(RATED)
def test_kto_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, kto, "mean")


def policy(
    log_probs: torch.Tensor,
    old_log_probs: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor | None = None,
    ref_log_probs: torch.Tensor | None = None,
    *,
    loss_type: str = "dapo",
    beta: float = 0.0,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
    delta: float = 0.0,
    importance_sampling_level: str = "token",
    max_completion_length: int = 0,
) -> torch.Tensor:
    """The loss of sequences (N, T), in the steps that the trainer's loss takes after its model."""
    mask = torch.ones_like(log_probs) if mask is None else mask
    if mask.dtype == torch.bool:
        mask = mask.long()  # as the trainer has it
    this = trainer(
        beta=beta,
        loss_type=loss_type,
        epsilon_low=epsilon_low,
        epsilon_high=epsilon_high,
        importance_sampling_level=importance_sampling_level,
        max_completion_length=max_completion_length or log_probs.shape[-1],
        args=SimpleNamespace(delta=delta or None, use_bias_correction_kl=False),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        _entropy_bonus_enabled=False,
    )
    this._get_per_token_logps_and_entropies = lambda *_, **__: (
        log_probs,
        torch.zeros_like(log_probs),
        None,
    )
    inputs = {
        "prompt_ids": torch.zeros(len(mask), 1),
        "prompt_mask": torch.ones(len(mask), 1),
        "completion_ids": torch.zeros_like(log_probs),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old_log_probs,
        "ref_per_token_logps": ref_log_probs,
        "num_items_in_batch": mask.sum(),
    }
    return GRPOTrainer._compute_loss(this, None, inputs)


def in_sequences(case: Case) -> bool:
    return len(case.shape) == 2 and 0 not in case.shape


def grpo(reduction: str, **options: Any) -> torch.Tensor:
    return policy(**options)


@answers
@each_case(of("grpo_loss", where=in_sequences))
def test_grpo_matches_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, grpo, "mean")


def of_tokens(
    log_probs: torch.Tensor,
    old_log_probs: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """A loss of tokens: rows are sequences, each with an advantage or one for each token."""
    rows = (-1, log_probs.shape[-1] if log_probs.ndim else 1)
    by_token = advantages.shape == log_probs.shape
    return policy(
        log_probs.reshape(rows),
        old_log_probs.reshape(rows),
        advantages.reshape(rows if by_token else -1),
        None if mask is None else mask.reshape(rows),
        **options,
    )


def ppo_clip(reduction: str, **options: Any) -> torch.Tensor:
    return of_tokens(loss_type="bnpo", **options)


def cispo(reduction: str, clip_high_threshold: float = 5.0, **options: Any) -> torch.Tensor:
    return of_tokens(loss_type="cispo", epsilon_high=clip_high_threshold, **options)


def importance_sampling(reduction: str, **options: Any) -> torch.Tensor:
    """Without a clip."""
    return of_tokens(loss_type="bnpo", epsilon_low=1.0, epsilon_high=np.inf, **options)


TOKENS = {
    "ppo_clip_loss": ppo_clip,
    "cispo_loss": cispo,
    "importance_sampling_loss": importance_sampling,
}


def unclipped_below(case: Case) -> bool:
    """Whether there are tokens; TRL's CISPO has no lower clip."""
    return 0 not in case.shape and "clip_low_threshold" not in case.parameters


@answers
@each_case(of(*TOKENS, where=unclipped_below))
def test_losses_of_tokens_match_trl(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, TOKENS[case.loss], "mean")


def jsd(student_logits: torch.Tensor, teacher_logits: torch.Tensor, **options: Any) -> torch.Tensor:
    reduction = "batchmean" if options.pop("reduction") == "mean" else "none"
    made = GKDTrainer.generalized_jsd_loss(
        student_logits, teacher_logits, reduction=reduction, **options
    )
    return made.sum(-1) if reduction == "none" else made


def distillation(temperature: float = 1.0, **options: Any) -> torch.Tensor:
    """The divergence of the teacher alone, times the temperature's square, as the paper has it."""
    return temperature**2 * jsd(beta=0, temperature=temperature, **options)


DISTILLED = {"generalized_jsd_loss": jsd, "distillation_kl_loss": distillation}


@BOTH
@answers
@each_case(of(*DISTILLED, where=in_sequences))
def test_distillation_matches_trl(case: Case, answer: Answer, reduction: str) -> None:
    assert_matches(answer, case, DISTILLED[case.loss], reduction)
