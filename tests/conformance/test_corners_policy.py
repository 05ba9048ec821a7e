"""Corners of policy losses: clips, masks, what overflows, and what is refused."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import ParameterError, ShapeError

from lossd.engine import evaluate

from . import test_corners as corners
from .test_corners import DTYPES, INF, NAN, Corner, near

TOKEN_LOSSES = ("importance_sampling_loss", "ppo_clip_loss", "cispo_loss")
TYPES = ("grpo", "bnpo", "dr_grpo", "dapo")


def one(x: float, a: float, old: float = 0.0) -> dict[str, list[float]]:
    return {"log_probs": [x], "old_log_probs": [old], "advantages": [a]}


E = float(np.e)
TOKENS = [
    Corner("gain beyond the clip", "ppo_clip_loss", one(1.0, 2.0), -2.4, {"log_probs": [0]}),
    Corner("no gain below the clip", "ppo_clip_loss", one(-1.0, 2.0), -2 / E,
           {"log_probs": [-2 / E]}),
    Corner("a bad token that is more likely", "ppo_clip_loss", one(1.0, -2.0), 2 * E,
           {"log_probs": [2 * E]}),
    Corner("a bad token that is hardly likely", "ppo_clip_loss", one(-1.0, -2.0), 1.6,
           {"log_probs": [0]}),
    Corner("the very end of both clips", "ppo_clip_loss", one(-3.0, 2.0, -3.0), -2,
           {"log_probs": [-2]}, {"epsilon_low": 0.0, "epsilon_high": 0.0}),
    Corner("the same for a bad token", "ppo_clip_loss", one(-3.0, -2.0, -3.0), 2,
           {"log_probs": [2]}, {"epsilon_low": 0.0, "epsilon_high": 0.0}),
    Corner("no advantage", "ppo_clip_loss", one(1.0, 0.0), 0, {"log_probs": [0]}),
    Corner("a ratio that overflows; PyTorch's slope is 0 · ∞", "ppo_clip_loss", one(1000.0, 1.0),
           -1.2, {"log_probs": [0]}, torch=False),
    Corner("a token that cannot come any more", "ppo_clip_loss", one(-INF, 1.0), 0,
           {"log_probs": [0]}),
    Corner("nan", "ppo_clip_loss", one(NAN, 1.0), NAN, {"log_probs": [NAN]}, torch=False),
    Corner("a token that cannot come any more", "importance_sampling_loss", one(-INF, 1.0), 0,
           {"log_probs": [0]}),
    Corner("beyond the upper clip", "cispo_loss", one(2.0, 3.0), -30, {"log_probs": [-15]}),
    Corner("below the lower clip", "cispo_loss", one(-2.0, 3.0), 3, {"log_probs": [-1.5]},
           {"clip_low_threshold": 0.5}),
    Corner("a ratio that overflows", "cispo_loss", one(1000.0, 1.0), -5000, {"log_probs": [-5]}),
    *(
        Corner("the mean is over tokens that count", loss,
               {"log_probs": [-1.0, -1], "old_log_probs": [-1.0, -1], "advantages": [3.0, 1],
                "mask": [1, 0]}, loss_of_it, {"log_probs": [-3, 0]})
        for loss, loss_of_it in zip(TOKEN_LOSSES, (-3, -3, 3), strict=True)
    ),
    *(
        Corner("no token counts", loss, {**one(-1.0, 1.0), "mask": [0]}, 0, {"log_probs": [0]})
        for loss in TOKEN_LOSSES
    ),
]  # fmt: skip

TWO = {"log_probs": [[0.0, 0], [0, 0]], "old_log_probs": [[0.0, 0], [0, 0]]}
SEQUENCES = [
    Corner("averages of sequences", "grpo_loss",
           {**TWO, "advantages": [1.0, 4], "mask": [[1, 0], [1, 1]]}, -2.5,
           {"log_probs": [[-0.5, 0], [-1, -1]]}, {"loss_type": "grpo"}),
    *(
        Corner("the average of all tokens", "grpo_loss",
               {**TWO, "advantages": [1.0, 4], "mask": [[1, 0], [1, 1]]}, -3,
               {"log_probs": [[-1 / 3, 0], [-4 / 3, -4 / 3]]}, {"loss_type": kind})
        for kind in ("bnpo", "dapo")
    ),
    Corner("a constant divisor", "grpo_loss",
           {**TWO, "advantages": [1.0, 4], "mask": [[1, 0], [1, 1]]}, -9 / 8,
           {"log_probs": [[-1 / 8, 0], [-0.5, -0.5]]},
           {"loss_type": "dr_grpo", "max_completion_length": 4}),
    Corner("the width as divisor", "grpo_loss",
           {**TWO, "advantages": [1.0, 4], "mask": [[1, 0], [1, 1]]}, -9 / 4,
           parameters={"loss_type": "dr_grpo"}),
    Corner("sums of sequences", "grpo_loss",
           {**TWO, "advantages": [1.0, 4], "mask": [[1, 0], [1, 1]]}, [-1, -8],
           {"log_probs": [[-1, 0], [-4, -4]]}, reduction="none"),
    *(
        Corner("a sequence without tokens", "grpo_loss",
               {**TWO, "advantages": [1.0, 4], "mask": [[0, 0], [1, 1]]},
               {"grpo": -2, "dr_grpo": -2}.get(kind, -4), parameters={"loss_type": kind})
        for kind in TYPES
    ),
    *(
        Corner("no token counts", "grpo_loss",
               {**TWO, "advantages": [1.0, 4], "mask": [[0, 0], [0, 0]]}, 0,
               {"log_probs": [[0, 0], [0, 0]]},
               {"loss_type": kind, "importance_sampling_level": level})
        for kind in TYPES for level in ("token", "sequence")
    ),
    Corner("a bad token above delta", "grpo_loss",
           {"log_probs": [[1.0]], "old_log_probs": [[0.0]], "advantages": [-1.0], "mask": [[1]]},
           1.5, {"log_probs": [[0]]}, {"delta": 1.5}),
    Corner("a good token above a delta below the clip", "grpo_loss",
           {"log_probs": [[1.0]], "old_log_probs": [[0.0]], "advantages": [1.0], "mask": [[1]]},
           -1.125, {"log_probs": [[0]]}, {"delta": 1.125}),
    Corner("one sequence, no batch", "grpo_loss",
           {"log_probs": [0.0, 0], "old_log_probs": [0.0, 0], "advantages": 2.0, "mask": [1, 1]},
           -2, {"log_probs": [-1, -1]}),
    Corner("sequences that cancel out share their one ratio", "grpo_loss",
           {"log_probs": [[1.0, -1]], "old_log_probs": [[0.0, 0]], "advantages": [2.0],
            "mask": [[1, 1]]}, -2, {"log_probs": [[-1, -1]]},
           {"importance_sampling_level": "sequence"}),
    Corner("sequences without steps", "grpo_loss",
           {"log_probs": np.zeros((2, 0)), "old_log_probs": np.zeros((2, 0)),
            "advantages": [1.0, 2], "mask": np.zeros((2, 0))}, 0),
    Corner("an empty batch of sequences", "grpo_loss",
           {"log_probs": np.zeros((0, 2)), "old_log_probs": np.zeros((0, 2)),
            "advantages": np.zeros(0), "mask": np.zeros((0, 2))}, NAN,
           parameters={"loss_type": "grpo"}),
    Corner("an empty batch of tokens", "grpo_loss",
           {"log_probs": np.zeros((0, 2)), "old_log_probs": np.zeros((0, 2)),
            "advantages": np.zeros(0), "mask": np.zeros((0, 2))}, 0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", [*TOKENS, *SEQUENCES], ids=str)
def test_policy_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    corners.test_corner(corner, dtype)


GARBAGE = [NAN, INF, -INF]


@pytest.mark.parametrize("loss", [*TOKEN_LOSSES, "grpo_loss"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_what_is_masked_may_be_anything(loss: str, level: str) -> None:
    """Loss and gradient have the bits that they have with numbers there."""
    rng = np.random.default_rng(1)
    drawn = {n: rng.normal(size=(5, 7)).astype(np.float32) for n in ("log_probs", "old_log_probs")}
    drawn |= {"advantages": drawn["log_probs"] - 0.1, "mask": rng.uniform(size=(5, 7)) < 0.6}
    parameters: dict[str, Any] = {}
    if loss == "grpo_loss":
        drawn["ref_log_probs"] = drawn["old_log_probs"] + np.float32(0.3)
        parameters = {"beta": 0.1, "importance_sampling_level": level}
    spoiled = {n: v.copy() for n, v in drawn.items()}
    for name in drawn.keys() - {"mask"}:
        spoiled[name][~drawn["mask"]] = np.resize(GARBAGE, int((~drawn["mask"]).sum()))
    got, expected = (
        evaluate(loss, tensors, parameters=parameters, gradients=["log_probs"])
        for tensors in (spoiled, drawn)
    )
    assert got.loss == expected.loss
    gradient = got.gradients["log_probs"]
    np.testing.assert_array_equal(gradient, expected.gradients["log_probs"])
    assert not gradient[~drawn["mask"]].any()


def test_the_divergence_keeps_its_digits_where_it_is_small() -> None:
    x = np.float32([[-1.0, -2, -3]])
    d = np.float32([[1e-3, -1e-4, 0.25]])
    tensors = {
        "log_probs": x,
        "old_log_probs": x,
        "advantages": np.zeros(1, np.float32),
        "mask": np.ones((1, 3), np.float32),
        "ref_log_probs": x + d,
    }
    got = evaluate("grpo_loss", tensors, parameters={"beta": 1.0}, gradients=["log_probs"])
    exact = (x + d).astype(np.float64) - x
    near(got.loss, np.mean(np.expm1(exact) - exact), 4, "loss")
    near(got.gradients["log_probs"], -np.expm1(exact) / 3, 4, "gradient")


def shaped(**shapes: tuple[int, ...]) -> dict[str, npt.NDArray[Any]]:
    own = dict.fromkeys(("log_probs", "old_log_probs", "mask"), (2, 3))
    return {n: np.zeros(s, np.float32) for n, s in (own | {"advantages": (2,)} | shapes).items()}


@pytest.mark.parametrize("loss", [*TOKEN_LOSSES, "grpo_loss"])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            {"old_log_probs": (3,)},
            r"old_log_probs \(3,\) must have the shape of log_probs \(2, 3\)",
        ),
        ({"mask": (2, 1)}, r"mask \(2, 1\) must have the shape of log_probs \(2, 3\)"),
        ({"advantages": (3,)}, r"advantages \(3,\) does not fit log_probs \(2, 3\)"),
        ({"advantages": ()}, r"advantages \(\) does not fit log_probs \(2, 3\)"),
    ],
)
def test_tensors_of_tokens_that_do_not_fit(loss: str, shapes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=f"{loss}: {message}") as caught:
        evaluate(loss, shaped(**shapes))
    assert caught.value.field == next(iter(shapes))


def test_grpo_needs_tokens_in_a_row() -> None:
    with pytest.raises(ShapeError, match=r"log_probs \(\) must be \(N, T\) or \(T\)"):
        evaluate("grpo_loss", {n: np.float32(0) for n in shaped()})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beta": 0.1}, "beta = 0.1 must be above 0 with ref_log_probs, and 0 without"),
        ({"beta": -0.1}, "beta = -0.1 .* must be >= 0"),
        ({"loss_type": "ppo"}, "must be one of 'grpo', 'bnpo', 'dr_grpo', 'dapo'"),
        ({"importance_sampling_level": "word"}, "must be one of 'token', 'sequence'"),
        ({"max_completion_length": -1}, "max_completion_length = -1 .* must be >= 0"),
        ({"epsilon_low": NAN}, "epsilon_low = nan"),
    ],
)
def test_parameters_of_grpo_outside_their_range(parameters: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        evaluate("grpo_loss", shaped(), parameters=parameters)
    assert caught.value.field == next(iter(parameters))


def test_a_reference_needs_a_beta() -> None:
    with pytest.raises(ParameterError, match=r"beta = 0\.0 must be above 0 with ref_log_probs"):
        evaluate("grpo_loss", shaped(ref_log_probs=(2, 3)))


def test_clips_of_cispo_must_be_in_order() -> None:
    with pytest.raises(ParameterError, match=r"clip_low_threshold = 2\.0 must be at most"):
        evaluate(
            "cispo_loss",
            shaped(),
            parameters={"clip_low_threshold": 2.0, "clip_high_threshold": 1.0},
        )


@pytest.mark.parametrize("beta", [0.0, 0.2])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_sequence_without_tokens_may_hold_anything(level: str, beta: float) -> None:
    names = ("log_probs", "old_log_probs", *(["ref_log_probs"] if beta else []))
    tensors: dict[str, Any] = {name: np.full((2, 3), -1.0) for name in names}
    tensors["log_probs"][1] = NAN
    tensors |= {"advantages": np.array([0.5, NAN]), "mask": np.array([[1, 1, 0], [0, 0, 0]])}
    parameters = {"importance_sampling_level": level, "beta": beta}
    got = evaluate("grpo_loss", tensors, parameters=parameters, gradients=["log_probs"])
    assert got.loss == -0.5
    assert got.gradients["log_probs"].tolist() == [[-0.25, -0.25, 0], [0, 0, 0]]
