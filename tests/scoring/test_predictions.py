"""The best class of each row, and how sure scores are of it, beside NumPy's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossd.scoring.predictions import NONE, find_best, find_confidence

Array = npt.NDArray[Any]


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(0, 5), st.integers(1, 200)),
        elements=st.sampled_from([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf]),  # ties are frequent
    )
)
def test_the_best_is_the_first_of_the_largest(scores: Array) -> None:
    best, top = find_best(scores)
    assert best.tolist() == scores.argmax(1).tolist()
    assert top.tolist() == scores.max(1).tolist()


@pytest.mark.parametrize("place", [0, 63, 64, 129])
def test_where_a_score_is_nan_there_is_no_class(place: int) -> None:
    scores = np.zeros((3, 130), np.float32)
    scores[1, place] = np.nan
    best, top = find_best(scores)
    assert best.tolist() == [0, NONE, 0]
    assert np.isnan(top).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])  # losses small, around the bound, huge
def test_confidence_is_the_largest_of_softmax(dtype: npt.DTypeLike, spread: float) -> None:
    random = np.random.default_rng(0)
    scores = (spread * random.standard_normal((300, 70))).astype(dtype)
    labels = random.integers(0, 70, 300)
    kept = random.random(300) < 0.9
    wide = scores.astype(np.float64) - scores.max(1, keepdims=True)
    sums = np.exp(wide).sum(1)
    surprise = (np.log(sums) - wide[np.arange(300), labels]).astype(dtype)
    confidence = np.empty(300)
    find_confidence(scores, labels, kept, surprise, find_best(scores)[1], confidence)
    assert np.isnan(confidence[~kept]).all()
    np.testing.assert_allclose(confidence[kept], (1 / sums)[kept], rtol=2e-6)
    assert confidence[kept].max() <= 1


def test_what_is_infinite_or_nan_has_no_confidence() -> None:
    scores = np.array([[np.inf, 0], [np.nan, 0], [-np.inf, -np.inf]], np.float32)
    surprise = np.full(3, np.nan, np.float32)
    confidence = np.empty(3)
    kept, labels = np.ones(3, bool), np.zeros(3, np.int64)
    find_confidence(scores, labels, kept, surprise, find_best(scores)[1], confidence)
    assert np.isnan(confidence).all()
