"""Corner cases of the losses of a batch of embeddings."""

from typing import Any

import numpy as np
import pytest
from lossd_client.errors import DTypeError, ParameterError, ShapeError

from lossd.engine import evaluate

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.mark.parametrize("name", ["supcon_loss", "circle_loss"])
def test_embeddings_that_are_alone_do_not_count(name: str) -> None:
    labels = np.array([0, 0, 1, 1, 2, 3])
    losses = evaluate(name, {"embeddings": X, "labels": labels}, reduction="none").loss
    np.testing.assert_array_equal(losses[4:], 0)
    mean = evaluate(name, {"embeddings": X, "labels": labels}).loss
    np.testing.assert_allclose(mean, losses[:4].mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["supcon_loss", "circle_loss"])
def test_a_mean_without_pairs_is_nan_or_0(name: str) -> None:
    given = {"embeddings": X, "labels": np.arange(6)}
    assert np.isnan(evaluate(name, given).loss)
    zero = evaluate(name, given, gradients=["embeddings"], zero_if_empty=True)
    assert zero.loss == 0
    assert not zero.gradients["embeddings"].any()


def test_one_class_alone_has_no_circle() -> None:
    given = {"embeddings": X, "labels": np.zeros(6, int)}
    np.testing.assert_array_equal(evaluate("circle_loss", given, reduction="none").loss, 0)
    assert np.isfinite(evaluate("supcon_loss", given).loss)


@pytest.mark.parametrize("name", ["supcon_loss", "circle_loss"])
def test_a_zero_vector_has_finite_losses_and_gradients(name: str) -> None:
    x = X.copy()
    x[0] = 0
    given = {"embeddings": x, "labels": np.array([0, 0, 1, 1, 2, 2])}
    made = evaluate(name, given, gradients=["embeddings"])
    assert np.isfinite(made.loss)
    assert np.isfinite(made.gradients["embeddings"]).all()


def test_one_pair_of_views() -> None:
    made = evaluate("nt_xent_loss", {"embeddings1": X[:1], "embeddings2": X[1:2]}, reduction="none")
    np.testing.assert_allclose(made.loss, [0, 0], atol=1e-6)  # there is nothing to confuse it with
    assert evaluate("info_nce_loss", {"query": X[:1], "key": X[1:2]}).loss == 0


@pytest.mark.parametrize(
    ("name", "more"),
    [("nt_xent_loss", {"embeddings1": X[:0], "embeddings2": X[:0]}),
     ("info_nce_loss", {"query": X[:0], "key": X[:0]}),
     ("supcon_loss", {"embeddings": X[:0], "labels": np.zeros(0, int)}),
     ("circle_loss", {"embeddings": X[:0], "labels": np.zeros(0, int)})],
)  # fmt: skip
def test_an_empty_batch(name: str, more: dict[str, Any]) -> None:
    first = next(iter(more))
    made = evaluate(name, more, gradients=[first])
    assert np.isnan(made.loss)
    assert made.gradients[first].shape == (0, 4)
    assert evaluate(name, more, reduction="sum").loss == 0


def test_extreme_embeddings() -> None:
    """Normalising keeps what squares would lose: 1e-30 and 1e30 are directions too."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    plain = evaluate("supcon_loss", {"embeddings": X, "labels": labels}).loss
    for power in (-10, 15):
        scaled = {"embeddings": X * np.float32(10.0**power), "labels": labels}
        np.testing.assert_allclose(evaluate("supcon_loss", scaled).loss, plain, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "tensors", "parameters", "error", "text"),
    [
        ("supcon_loss", {"embeddings": X, "labels": np.zeros(5, int)}, {}, ShapeError,
         r"embeddings \(6, 4\) and labels \(5,\) must be \(N, D\) and \(N\)"),
        ("supcon_loss", {"embeddings": X[0], "labels": np.zeros(4, int)}, {}, ShapeError,
         r"embeddings \(4,\)"),
        ("supcon_loss", {"embeddings": X, "labels": np.zeros(6)}, {}, DTypeError,
         "labels has type float64; it must have an integer type"),
        ("nt_xent_loss", {"embeddings1": X, "embeddings2": X[:3]}, {}, ShapeError,
         r"embeddings1 \(6, 4\) and embeddings2 \(3, 4\) must both be \(N, D\)"),
        ("info_nce_loss", {"query": X, "key": X[:, :2]}, {}, ShapeError, r"key \(6, 2\)"),
        ("info_nce_loss", {"query": X, "key": X}, {"temperature": 0.0}, ParameterError,
         "temperature = 0.0 is outside its range: it must be > 0"),
        ("circle_loss", {"embeddings": X, "labels": np.zeros(6, int)}, {"gamma": -1.0},
         ParameterError, "gamma = -1.0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    name: str,
    tensors: dict[str, Any],
    parameters: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    with pytest.raises(error, match=text):
        evaluate(name, tensors, parameters=parameters)
