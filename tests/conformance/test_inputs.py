"""What may be passed in, and what is refused: layouts, types, shapes, NaN, threads, errors."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import (
    DTypeError,
    LabelError,
    LossdError,
    ParameterError,
    ShapeError,
    UnknownLossError,
)

from lossd.engine import evaluate
from lossd.kernels import runtime
from lossd.plan import Result
from lossd.spec import registry

from .cases import CASES, MIDDLE, gradients_of
from .compare import by_torch, upstream_for
from .layouts import LAYOUTS
from .model import Case, Tensors
from .oracles import oracle

Array = npt.NDArray[Any]


def answer(case: Case, tensors: Tensors, reduction: str = "mean", **more: Any) -> Result:
    """The case's loss of these tensors, with every gradient."""
    gradients = gradients_of(case.loss, tensors)
    return evaluate(
        case.loss,
        tensors,
        parameters=case.parameters,
        reduction=reduction,
        **{"gradients": gradients, **more},
    )


def losses_shape(case: Case) -> tuple[int, ...]:
    """The shape of the losses before reduction."""
    found = oracle(case.loss, case.tensors(np.float32), case.parameters, "none", None)
    return found.loss[0].shape


def assert_same_bits(one: Result, other: Result) -> None:
    assert one.loss.tobytes() == other.loss.tobytes()
    assert one.gradients.keys() == other.gradients.keys()
    for name, gradient in one.gradients.items():
        assert gradient.shape == other.gradients[name].shape
        assert gradient.tobytes() == other.gradients[name].tobytes(), name


# ---- memory layouts -------------------------------------------------------------------------


def repeated(array: Array) -> Array:
    """The first row's values, of one row in memory."""
    return np.broadcast_to(array[:1], array.shape) if array.ndim else array


@pytest.mark.parametrize("layout", [*LAYOUTS, "repeated"])
@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_the_layout_in_memory_does_not_matter(case: Case, layout: str) -> None:
    lay_out = repeated if layout == "repeated" else LAYOUTS[layout]
    tensors = {k: lay_out(v) if k != "cutoffs" else v for k, v in case.tensors(np.float32).items()}
    plain = {k: np.array(v, order="C") for k, v in tensors.items()}
    assert_same_bits(answer(case, tensors), answer(case, plain))


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_inputs_are_left_as_they_are(case: Case) -> None:
    tensors = case.tensors(np.float32)
    before = {k: v.copy() for k, v in tensors.items()}
    upstream = upstream_for(case, losses_shape(case), np.float32)
    kept = upstream.copy()
    answer(case, tensors, "none", grad_output=upstream)
    assert upstream.tobytes() == kept.tobytes()
    for name, array in tensors.items():
        assert array.tobytes() == before[name].tobytes()


def test_lists_are_read_as_float32() -> None:
    got = evaluate("mse_loss", {"input": [2.5, 5, 3], "target": [3, 5, 2.5]}, gradients=["input"])
    assert got.loss.dtype == np.float32
    assert got.gradients["input"].dtype == np.float32
    labels = evaluate("cross_entropy", {"input": [[1.5, 2, 0.5], [0.5, 1, 1.5]], "target": [1, 2]})
    assert labels.loss.dtype == np.float32


@pytest.mark.parametrize("case", [c for c in CASES if c.shape == ()], ids=str)
def test_scalars_give_scalars(case: Case) -> None:
    got = answer(case, case.tensors(np.float32), "none")
    assert got.loss.shape == ()
    assert all(gradient.shape == () for gradient in got.gradients.values())


@pytest.mark.parametrize("case", [c for c in CASES if 0 in c.shape], ids=str)
def test_empty_tensors_give_nan_for_mean_and_0_for_sum(case: Case) -> None:
    tensors = case.tensors(np.float32)
    assert np.isnan(answer(case, tensors, "mean").loss)
    got = answer(case, tensors, "sum")
    assert got.loss == 0
    for name, gradient in got.gradients.items():
        assert gradient.shape == tensors[name].shape


# ---- gradients and reductions that are asked for ----------------------------------------------


# one loss of each family with several gradients: subsets are kernels of their own
SUBSETS = ("margin_ranking_loss", "triplet_margin_loss")


@pytest.mark.parametrize("case", MIDDLE[: len(registry)], ids=str)
def test_the_value_does_not_depend_on_the_gradients_asked_for(case: Case) -> None:
    tensors = case.tensors(np.float32)
    every = answer(case, tensors)
    alone = answer(case, tensors, gradients=())
    assert alone.gradients == {}
    assert alone.loss.tobytes() == every.loss.tobytes()
    if case.loss not in SUBSETS:
        return
    last = list(every.gradients)[-1]
    some = answer(case, tensors, gradients=[last])
    assert some.gradients.keys() == {last}
    assert some.loss.tobytes() == every.loss.tobytes()
    assert some.gradients[last].tobytes() == every.gradients[last].tobytes()


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_gradients_are_offered_for_the_tensors_that_pytorch_has_them_for(case: Case) -> None:
    tensors = case.tensors(np.float32)
    offered = gradients_of(case.loss, tensors)
    refused = [n for n, v in tensors.items() if n not in offered and v.dtype.kind == "f"]
    for name in refused:
        with pytest.raises(ParameterError, match=f"no gradient with respect to '{name}'"):
            answer(case, tensors, gradients=[name])
    with pytest.raises(ParameterError, match="it has: " + ", ".join(offered)):
        answer(case, tensors, gradients=["nonsense"])


def test_losses_without_upstream_give_the_gradient_of_their_sum() -> None:
    case = Case("mse_loss", (65,))
    tensors = case.tensors(np.float32)
    none, total = answer(case, tensors, "none"), answer(case, tensors, "sum")
    np.testing.assert_array_equal(none.gradients["input"], total.gradients["input"])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_upstream_scales_gradients_and_not_the_loss(reduction: str) -> None:
    case = Case("smooth_l1_loss", (65,))
    tensors = case.tensors(np.float32)
    one, half = answer(case, tensors, reduction), answer(case, tensors, reduction, grad_output=0.5)
    assert half.loss == one.loss
    np.testing.assert_array_equal(half.gradients["input"], one.gradients["input"] / 2)


@pytest.mark.parametrize(
    ("reduction", "shape", "expected"), [("mean", (3,), r"\(\)"), ("none", (2,), r"\(3,\)")]
)
def test_upstream_must_have_the_shape_of_the_loss(
    reduction: str, shape: tuple[int, ...], expected: str
) -> None:
    x = np.zeros(3, np.float32)
    with pytest.raises(ShapeError, match=rf"grad_output \({shape[0]},\).*{expected}"):
        evaluate(
            "l1_loss",
            {"input": x, "target": x},
            reduction=reduction,
            gradients=["input"],
            grad_output=np.ones(shape, np.float32),
        )


# ---- types ----------------------------------------------------------------------------------

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
LABELLED = [Case("cross_entropy", (7, 10)), Case("nll_loss", (3, 10, 4))]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("case", LABELLED, ids=str)
def test_labels_of_every_integer_type(case: Case, dtype: npt.DTypeLike) -> None:
    tensors = case.tensors(np.float32)
    narrow = {**tensors, "target": tensors["target"].astype(dtype)}
    assert_same_bits(answer(case, narrow), answer(case, tensors))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ignore_index_with_every_integer_type(dtype: npt.DTypeLike) -> None:
    largest = min(np.iinfo(dtype).max, np.iinfo(np.int64).max)  # masks are 255 in uint8, often
    target = np.array([1, largest, 0], dtype)
    x = np.float32([[0, 1], [5, 6], [2, 4]])
    got = evaluate(
        "cross_entropy", {"input": x, "target": target}, parameters={"ignore_index": int(largest)}
    )
    kept = evaluate("cross_entropy", {"input": x[[0, 2]], "target": target[[0, 2]]})
    assert got.loss == kept.loss


@pytest.mark.parametrize(
    "case", [c for c in MIDDLE[: len(registry)] if "target" in c.tensors(np.float32)], ids=str
)
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.bool_])
def test_integer_targets_are_converted(case: Case, dtype: npt.DTypeLike) -> None:
    tensors = case.tensors(np.float32)
    if tensors["target"].dtype.kind != "f":
        return  # labels: tested above
    whole = (tensors["target"] > 0.5).astype(dtype)
    got = answer(case, {**tensors, "target": whole})
    assert_same_bits(got, answer(case, {**tensors, "target": whole.astype(np.float32)}))


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_mixed_precision_is_computed_in_float64(case: Case) -> None:
    tensors = case.tensors(np.float64)
    first = next(iter(tensors))
    mixed = {**tensors, first: tensors[first].astype(np.float32)}
    wide = {**tensors, first: mixed[first].astype(np.float64)}
    if not any(v.dtype == np.float64 for v in mixed.values()):
        return  # one floating tensor, nothing to mix
    got, expected = answer(case, mixed), answer(case, wide)
    assert got.loss.tobytes() == expected.loss.tobytes()
    for name, gradient in got.gradients.items():
        assert gradient.dtype == mixed[name].dtype
        wanted = expected.gradients[name].astype(mixed[name].dtype)
        assert gradient.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    "bad",
    [
        np.array(["a", "b", "c"]),
        np.array([None, 1, 2], object),
        np.zeros(3, np.complex64),
        np.zeros(3, "datetime64[s]"),
        np.zeros(3, np.int64),
        np.zeros(3, np.bool_),
        np.zeros(3, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_predictions_of_a_wrong_type(bad: Array) -> None:
    with pytest.raises(DTypeError, match=r"input has type .*float32") as caught:
        evaluate("huber_loss", {"input": bad, "target": np.zeros(3, np.float32)})
    assert isinstance(caught.value, TypeError)
    assert caught.value.field == "input"


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([None]), np.zeros(1, np.complex128)])
@pytest.mark.parametrize("loss", ["mse_loss", "cross_entropy", "nll_loss"])
def test_targets_of_a_wrong_type(loss: str, bad: Array) -> None:
    x = np.zeros((1, 2) if loss != "mse_loss" else 1, np.float32)
    with pytest.raises(DTypeError, match=r"target has type .* must have"):
        evaluate(loss, {"input": x, "target": bad})


def test_nll_takes_no_probabilities() -> None:
    x = np.zeros((1, 2), np.float32)
    with pytest.raises(DTypeError, match="target has type float32; it must have an integer type"):
        evaluate("nll_loss", {"input": x, "target": x})


# ---- broadcasting -----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"])
def test_regression_broadcasts_with_a_warning(loss: str) -> None:
    x, y = np.float32([[1], [2]]), np.float32([[1, 2, 5]])
    with pytest.warns(UserWarning, match=r"input \(2, 1\) and target \(1, 3\) differ"):
        got = evaluate(loss, {"input": x, "target": y}, reduction="none", gradients=["input"])
    expected = by_torch(loss, {"input": x, "target": y}, reduction="none", gradients=["input"])
    np.testing.assert_array_equal(got.loss, expected.loss)
    np.testing.assert_array_equal(got.gradients["input"], expected.gradients["input"])


def test_the_warning_comes_every_time() -> None:
    tensors = {"input": np.zeros((2, 1), np.float32), "target": np.zeros(3, np.float32)}
    for _ in range(2):
        with pytest.warns(UserWarning, match="are broadcast"):
            evaluate("l1_loss", tensors)


@pytest.mark.parametrize("loss", ["kl_div", "hinge_embedding_loss", "margin_ranking_loss"])
def test_other_losses_broadcast_silently(loss: str) -> None:
    names = registry[loss].required()
    shapes = ((2, 1), (1, 3), (1, 1))
    tensors = {n: np.full(s, 0.5, np.float32) for n, s in zip(names, shapes, strict=False)}
    assert evaluate(loss, tensors, reduction="none").loss.shape == (2, 3)  # warnings are errors


SHAPES: list[tuple[str, dict[str, tuple[int, ...]], str]] = [
    ("l1_loss", {"input": (2, 3), "target": (2, 4)}, r"input \(2, 3\) and target \(2, 4\)"),
    ("kl_div", {"input": (2, 3), "target": (4,)}, r"input \(2, 3\) and target \(4,\)"),
    ("hinge_embedding_loss", {"input": (2, 3), "target": (2,)},
     r"input \(2, 3\) and target \(2,\)"),
    ("binary_cross_entropy", {"input": (3,), "target": (3,), "weight": (4,)},
     r"weight \(4,\).*input \(3,\)"),
    ("binary_cross_entropy", {"input": (3,), "target": (3,), "weight": (2, 3)},
     r"weight \(2, 3\).*input \(3,\)"),
    ("binary_cross_entropy_with_logits", {"input": (2, 3), "target": (2, 3), "pos_weight": (2,)},
     r"pos_weight \(2,\).*input \(2, 3\)"),
    ("margin_ranking_loss", {"input1": (2, 3), "input2": (3,), "target": (2, 3)},
     r"input1 \(2, 3\), input2 \(3,\) and target \(2, 3\) must have the same number of dimensions"),
    ("margin_ranking_loss", {"input1": (2,), "input2": (3,), "target": (2,)},
     r"input1 \(2,\), input2 \(3,\) and target \(2,\)"),
    ("cosine_embedding_loss", {"input1": (2, 3), "input2": (2, 3), "target": (2, 1)},
     r"target \(2, 1\)"),
    ("cosine_embedding_loss", {"input1": (2, 3), "input2": (2, 3), "target": ()},
     r"input1 \(2, 3\).*target \(\)"),
    ("cosine_embedding_loss", {"input1": (3,), "input2": (3,), "target": (2,)},
     r"input1 \(3,\).*target \(2,\)"),
    ("cosine_embedding_loss", {"input1": (2, 3), "input2": (2, 4), "target": (2,)},
     r"input1 \(2, 3\), input2 \(2, 4\)"),
    # PyTorch would take the norm of input2 before it is repeated: no cosine of anything
    ("cosine_embedding_loss", {"input1": (2, 3), "input2": (2, 1), "target": (2,)},
     r"input1 \(2, 3\), input2 \(2, 1\)"),
    ("cosine_embedding_loss", {"input1": (2, 3), "input2": (2, 3), "target": (4,)},
     r"target \(4,\)"),
    ("triplet_margin_loss", {"anchor": (2, 3), "positive": (3,), "negative": (2, 3)},
     r"anchor \(2, 3\), positive \(3,\), negative \(2, 3\)"),
    ("triplet_margin_loss", {"anchor": (), "positive": (1,), "negative": ()}, r"anchor \(\)"),
    ("triplet_margin_loss", {"anchor": (2, 3), "positive": (2, 4), "negative": (2, 3)},
     r"anchor \(2, 3\), positive \(2, 4\)"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "shapes", "message"), SHAPES)
def test_shapes_that_do_not_fit(
    loss: str, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    """The message names the tensors and their shapes."""
    tensors = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    with pytest.raises(ShapeError, match=message) as caught:
        evaluate(loss, tensors)
    assert isinstance(caught.value, ValueError)
    assert caught.value.field in shapes


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("shape", "target", "message"),
    [
        ((), (), r"input \(\) must be \(C\), \(N, C\)"),
        ((3, 10), (10,), r"target \(10,\) does not fit input \(3, 10\): it must be \(3,\)"),
        ((3, 10), (3, 1), r"target \(3, 1\) does not fit input \(3, 10\): it must be \(3,\)"),
        ((3, 10, 4), (3, 10), r"target \(3, 10\) does not fit input \(3, 10, 4\)"),
        ((10,), (2,), r"target \(2,\) does not fit input \(10,\): it must be \(\)"),
    ],
)
def test_labels_that_do_not_fit(
    loss: str, shape: tuple[int, ...], target: tuple[int, ...], message: str
) -> None:
    tensors = {"input": np.zeros(shape, np.float32), "target": np.zeros(target, np.int64)}
    with pytest.raises(ShapeError, match=message):
        evaluate(loss, tensors)


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("shape", [(9,), (1,), (), (1, 10)])
def test_class_weights_that_do_not_fit(loss: str, shape: tuple[int, ...]) -> None:
    tensors = Case(loss, (3, 10)).tensors(np.float32)
    with pytest.raises(ShapeError, match=r"weight .* must be \(10,\).*input \(3, 10\)") as caught:
        evaluate(loss, {**tensors, "weight": np.ones(shape, np.float32)})
    assert caught.value.field == "weight"


def test_probabilities_that_do_not_fit() -> None:
    tensors = {"input": np.zeros((3, 10), np.float32), "target": np.zeros(3, np.float32)}
    with pytest.raises(ShapeError, match=r"must be \(3, 10\); index targets must have an integer"):
        evaluate("cross_entropy", tensors)


# ---- labels and parameters ----------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("shape", "at", "label", "message"),
    [
        ((5, 3), (4,), 3, r"target\[4\] = 3 is outside \[0, 3\)"),
        ((5, 3), (0,), -1, r"target\[0\] = -1 is outside \[0, 3\)"),
        ((2, 3, 4), (1, 2), 99, r"target\[1, 2\] = 99 is outside \[0, 3\)"),
        ((3,), (), 7, r"target = 7 is outside \[0, 3\)"),
        ((5, 3), (1,), np.iinfo(np.int64).max, r"target\[1\] = 9223372036854775807 is outside"),
        ((5, 3), (1,), np.iinfo(np.int64).min, r"target\[1\] = -9223372036854775808 is outside"),
    ],
)
def test_labels_out_of_range(
    loss: str, shape: tuple[int, ...], at: tuple[int, ...], label: int, message: str
) -> None:
    tensors = {
        "input": np.zeros(shape, np.float32),
        "target": np.zeros(shape[:1] + shape[2:] if len(shape) > 1 else (), np.int64),
    }
    tensors["target"][at] = label
    with pytest.raises(LabelError, match=message) as caught:
        evaluate(loss, tensors, gradients=["input"])
    assert isinstance(caught.value, IndexError)


def test_labels_beyond_int64_are_out_of_range() -> None:
    target = np.array([0, 2**64 - 1], np.uint64)  # -1 in 64 bits
    tensors = {"input": np.zeros((2, 3), np.float32), "target": target}
    for ignored in (-100, -1):
        with pytest.raises(LabelError, match=r"target\[1\] = 18446744073709551615 is outside"):
            evaluate("cross_entropy", tensors, parameters={"ignore_index": ignored})


def test_the_first_label_out_of_range_is_named() -> None:
    tensors = {"input": np.zeros((4, 3), np.float32), "target": np.array([0, 5, 1, 7])}
    with pytest.raises(LabelError, match=r"target\[1\] = 5"):
        evaluate("cross_entropy", tensors)


@pytest.mark.parametrize(
    ("loss", "name", "value", "range_"),
    [
        ("smooth_l1_loss", "beta", -0.5, ">= 0"),
        ("huber_loss", "delta", 0.0, "> 0"),
        ("huber_loss", "delta", float("nan"), "> 0"),
        ("cross_entropy", "label_smoothing", 1.5, ">= 0 and <= 1"),
        ("cross_entropy", "label_smoothing", -0.1, ">= 0 and <= 1"),
        ("cross_entropy", "label_smoothing", float("nan"), ">= 0 and <= 1"),
        ("triplet_margin_loss", "margin", 0.0, "> 0"),
        ("triplet_margin_loss", "margin", -1.0, "> 0"),
    ],
)
def test_parameters_out_of_range(loss: str, name: str, value: float, range_: str) -> None:
    tensors = MIDDLE[list(registry).index(loss)].tensors(np.float32)
    with pytest.raises(ParameterError, match=rf"{loss}: {name} = {value}.* must be {range_}") as e:
        evaluate(loss, tensors, parameters={name: value})
    assert e.value.field == name


def test_a_norm_needs_an_order() -> None:
    tensors = Case("triplet_margin_loss", (2, 3)).tensors(np.float32)
    with pytest.raises(ParameterError, match="p = nan"):
        evaluate("triplet_margin_loss", tensors, parameters={"p": float("nan")})


@pytest.mark.parametrize("value", ["1", None, [1.0], np.ones(2), 1 + 0j], ids=repr)
def test_parameters_of_a_wrong_type(value: object) -> None:
    x = np.zeros(1, np.float32)
    with pytest.raises(DTypeError, match=r"beta = .* must be"):
        evaluate("smooth_l1_loss", {"input": x, "target": x}, parameters={"beta": value})


def test_what_equals_an_earlier_parameter_need_not_be_one() -> None:
    """True == 1, but `swap` is a bool."""
    tensors = Case("triplet_margin_loss", (2, 3)).tensors(np.float32)
    evaluate("triplet_margin_loss", tensors, parameters={"swap": True})
    with pytest.raises(DTypeError, match="swap = 1 must be bool"):
        evaluate("triplet_margin_loss", tensors, parameters={"swap": 1})


@pytest.mark.parametrize("value", [2, np.float32(2), np.int64(2)], ids=repr)
def test_parameters_may_be_any_number(value: object) -> None:
    x, y = np.float32([3, 0]), np.float32([0, 0.5])
    got = evaluate("huber_loss", {"input": x, "target": y}, parameters={"delta": value})
    assert (
        got.loss
        == evaluate("huber_loss", {"input": x, "target": y}, parameters={"delta": 2.0}).loss
    )


def test_unknown_names_are_answered_with_what_there_is() -> None:
    x = np.zeros(1, np.float32)
    given = {"input": x, "target": x}
    near = "unknown loss 'mseloss'; did you mean 'mse_loss' or .* There are: .*, mse_loss, "
    with pytest.raises(UnknownLossError, match=near):
        evaluate("mseloss", given)
    with pytest.raises(UnknownLossError, match=r"'zzz'; there are: .*, tversky_loss$"):
        evaluate("zzz", given)
    with pytest.raises(ParameterError, match=r"smooth_l1_loss has no parameter 'betta'.*beta"):
        evaluate("smooth_l1_loss", given, parameters={"betta": 1.0})
    with pytest.raises(ParameterError, match="mse_loss: 'reduction' is given beside the parame"):
        evaluate("mse_loss", given, parameters={"reduction": "sum"})
    with pytest.raises(ParameterError, match=r"mse_loss has no tensor 'weigth'.*input, target"):
        evaluate("mse_loss", {**given, "weigth": x})
    with pytest.raises(ParameterError, match="'target' is missing"):
        evaluate("mse_loss", {"input": x})
    with pytest.raises(ParameterError, match="reduction = 'avg' must be one of none, mean, sum"):
        evaluate("mse_loss", given, reduction="avg")
    with pytest.raises(ParameterError, match="reduction = 'batchmean' must be one of"):
        evaluate("mse_loss", given, reduction="batchmean")


@pytest.mark.parametrize("name", registry)
def test_every_error_is_a_lossd_error_and_one_of_pythons(name: str) -> None:
    with pytest.raises(LossdError) as caught:
        evaluate(name, {})
    assert isinstance(caught.value, ValueError)


def test_an_error_leaves_nothing_behind() -> None:
    """A call that fails does not change the calls after it."""
    case = Case("cross_entropy", (7, 10))
    tensors = case.tensors(np.float32)
    before = answer(case, tensors)
    with pytest.raises(LabelError):
        answer(case, {**tensors, "target": tensors["target"] + 10})
    assert_same_bits(answer(case, tensors), before)


# ---- NaN and infinity -------------------------------------------------------------------------

NORMS = [Case("triplet_margin_loss", (9, 7), {"p": p}) for p in (0.5, 1.0, 3.0, -1.0, np.inf)]
LONG = [
    Case("cross_entropy", (131, 63)),
    Case("cross_entropy", (3, 1000), {"label_smoothing": 0.1}, {"weight": "random"}),
    Case("triplet_margin_loss", (131, 63)),
    Case("mse_loss", (8193,)),
]
# losses that refuse nan, and the one that looks at one component of a row only
WITHOUT_NAN = (
    # each loss sees the whole batch
    "supcon_loss", "nt_xent_loss", "info_nce_loss", "circle_loss",
    "binary_cross_entropy", "nll_loss", "ctc_loss",
)  # fmt: skip
# the loss is linear in the tensor: its derivative there does not depend on the value
LINEAR = {
    ("cross_entropy", "target"),
    ("kl_div", "input"),
    ("hinge_embedding_loss", "input"),
    ("binary_cross_entropy_with_logits", "target"),
    ("poisson_nll_loss", "target"),
    ("multilabel_soft_margin_loss", "target"),
    ("listwise_softmax_loss", "target"),
}
# with one class there is no other to compare its score with
ALONE = [Case("multi_margin_loss", (7, 1)), Case("multilabel_margin_loss", (1, 1))]


def rows_of(case: Case, gradient: Array, rows: Array) -> Array:
    """A mask over rows as a mask over a gradient's elements."""
    if gradient.ndim > rows.ndim:
        classes = case.loss == "cross_entropy" and gradient.ndim > 1
        more = (1,) * (gradient.ndim - rows.ndim)
        rows = np.expand_dims(rows, 1) if classes else rows.reshape(rows.shape + more)
    return np.broadcast_to(rows, gradient.shape)


@pytest.mark.parametrize(
    "case",
    [c for c in MIDDLE + NORMS + LONG if c.loss not in WITHOUT_NAN and c not in ALONE],
    ids=str,
)
def test_nan_in_gives_nan_out_there_and_nowhere_else(case: Case) -> None:
    """In the loss of its row, and in the gradient at the element; other rows keep their bits."""
    clean = case.tensors(np.float32)
    upstream = np.ones(losses_shape(case), np.float32)
    before = answer(case, clean, "none", grad_output=upstream)
    poisoned = [
        n for n, v in clean.items() if v.dtype.kind == "f" and n not in ("weight", "pos_weight")
    ]
    shared = ("weight", *registry[case.loss].owned)  # their gradients are sums over all rows
    poisoned = [n for n in poisoned if n not in shared]
    for name in poisoned:
        for at in (clean[name].size // 2, clean[name].size - 1):
            place = tuple(map(int, np.unravel_index(at, clean[name].shape)))
            what = f"{name}{list(place)} = nan"
            tensors = {**clean, name: clean[name].copy()}
            tensors[name][place] = np.nan
            got = answer(case, tensors, "none", grad_output=upstream)
            alive = ~np.isnan(got.loss)
            assert alive.sum() == alive.size - 1, what
            np.testing.assert_array_equal(got.loss[alive], before.loss[alive], what)
            for key, gradient in got.gradients.items():
                if key == name and (case.loss, name) not in LINEAR:
                    assert np.isnan(gradient[place]), what
                if key in shared:
                    continue
                kept = rows_of(case, gradient, alive)
                np.testing.assert_array_equal(gradient[kept], before.gradients[key][kept], what)


@pytest.mark.parametrize("shape", [(3, 10), (3, 65), (3, 10, 4)])
def test_nll_gives_nan_for_nan_at_the_label(shape: tuple[int, ...]) -> None:
    case = Case("nll_loss", shape)
    tensors = case.tensors(np.float32)
    place = (1, int(tensors["target"].reshape(3, -1)[1, 0]), *(0 for _ in shape[2:]))
    tensors["input"][place] = np.nan
    losses = answer(case, tensors, "none", grad_output=np.ones(losses_shape(case), np.float32)).loss
    assert np.isnan(losses[(1, *(0 for _ in shape[2:]))])
    assert np.isnan(losses).sum() == 1


def test_nan_in_the_mean_is_nan() -> None:
    x = np.zeros(10_000, np.float32)
    x[7777] = np.nan
    assert np.isnan(evaluate("l1_loss", {"input": x, "target": np.zeros_like(x)}).loss)


# ---- threads ----------------------------------------------------------------------------------

LARGE = [
    *(Case(c.loss, (300_007,)) for c in CASES if c.shape == (8193,) and not c.options),
    Case("binary_cross_entropy", (300_007,), {}, {"weight": (300_007,)}),
    Case("cross_entropy", (3001, 100)),
    Case("linear_cross_entropy", (333, 77), {}, {"classes": 1001, "bias": True}),
    Case("linear_cross_entropy", (1030, 64), {}, {"classes": 12_800}),  # several chunks
    Case("adaptive_log_softmax_with_loss", (900, 64), {}, {"cutoffs": (100, 1000, 5000)}),
    Case("cross_entropy", (3, 100, 1001), {}, {"weight": "random"}),
    Case("cross_entropy", (3001, 100), {}, {"soft": True, "weight": "random"}),
    Case("nll_loss", (3001, 100)),
    Case("cosine_embedding_loss", (3001, 100)),
    Case("triplet_margin_loss", (3001, 100)),
]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """`set_threads`, undone at the end."""
    before = runtime.get_threads()
    yield runtime.set_threads
    runtime.set_threads(before)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_the_same_bits_for_every_thread_count(case: Case, threads: Callable[[int], None]) -> None:
    tensors = case.tensors(np.float32)
    threads(1)
    alone = answer(case, tensors)
    for count in range(1, runtime.MAX_THREADS + 1):
        threads(count)
        for _ in range(2):
            assert_same_bits(answer(case, tensors), alone)


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_thread_counts_out_of_range(count: int) -> None:
    with pytest.raises(ParameterError, match=f"threads = {count} must be between 1 and"):
        runtime.set_threads(count)


def test_calls_from_several_threads_do_not_meet() -> None:
    cases = [Case("mse_loss", (300_007,)), Case("cross_entropy", (3001, 100))]
    tensors = [case.tensors(np.float32) for case in cases]
    expected = [answer(case, given) for case, given in zip(cases, tensors, strict=True)]
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for _ in range(10):
                assert_same_bits(answer(cases[k % 2], tensors[k % 2]), expected[k % 2])
        except AssertionError as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def test_results_outlive_later_calls() -> None:
    """Memory is used again only when nobody holds the result."""
    case = Case("mse_loss", (300_007,))
    tensors = case.tensors(np.float32)
    first = answer(case, tensors, "none", grad_output=np.ones(300_007, np.float32))
    kept = first.loss.copy(), {k: v.copy() for k, v in first.gradients.items()}
    view = first.gradients["input"][1000:]
    for _ in range(3):
        other = {**tensors, "input": tensors["target"], "target": tensors["input"]}
        answer(case, other, "none", grad_output=np.full(300_007, 3, np.float32))
    np.testing.assert_array_equal(first.loss, kept[0])
    for name, gradient in first.gradients.items():
        np.testing.assert_array_equal(gradient, kept[1][name])
    del first
    for _ in range(3):
        answer(case, other, "none", grad_output=np.full(300_007, 3, np.float32))
    np.testing.assert_array_equal(view, kept[1]["input"][1000:])
