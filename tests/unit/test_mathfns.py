"""The point functions of lossd.mathfns: accuracy in units in the last place, and special values."""

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import pytest

from lossd import mathfns
from lossd.compiled.angles import angle

Array = npt.NDArray[Any]

ULPS32: Final = 2.0  # of the correctly rounded result, in float32: the numeric contract
ULPS64: Final = 2.0  # the same, in float64


def exact_softplus_tail(x: Array) -> Array:
    return np.log1p(np.exp(-abs(x)))


def exact_softplus(x: Array) -> Array:
    return np.maximum(x, 0) + exact_softplus_tail(x)


def exact_sigmoid(x: Array) -> Array:
    return np.where(x >= 0, 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x))))


# the function of lossd and its value in a wider type: float64 for float32, long double for float64
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "softplus": exact_softplus,
    "softplus_tail": exact_softplus_tail,
    "sigmoid": exact_sigmoid,
    "decay": lambda x: np.exp(-abs(x)),
}


def looped(name: str) -> Callable[[Array, Array], None]:
    """The function over an array, compiled as kernels are."""
    function = getattr(mathfns, name)

    @numba.njit(error_model="numpy")
    def loop(x: Array, y: Array) -> None:
        for i in range(x.size):
            y[i] = function(x[i])

    return loop  # type: ignore[no-any-return]


def paired(name: str, x: Array) -> tuple[Array, Array]:
    """What a function that gives two numbers gives over an array, compiled as kernels are."""
    function = getattr(mathfns, name)

    @numba.njit(error_model="numpy")
    def loop(x: Array, y: Array, z: Array) -> None:
        for i in range(x.size):
            y[i], z[i] = function(x[i])

    y, z = np.empty_like(x), np.empty_like(x)
    loop(x, y, z)
    return y, z


def alone(name: str, x: Array) -> Array:
    """What a function gives over an array that it is made for."""
    y = np.empty_like(x)
    looped(name)(x, y)
    return y


def wider(dtype: Any) -> Any:
    """The type that a function's exact values have."""
    return np.float64 if dtype is np.float32 else np.longdouble


def assert_within_2_ulp(x: Array, got: Array, exact: Array) -> None:
    with np.errstate(invalid="ignore"):  # infinities, which are equal
        error = abs(got.astype(exact.dtype) - exact) / np.spacing(abs(exact).astype(x.dtype))
    error[got == exact] = 0
    assert error.max() <= ULPS32, f"at {x[error.argmax()]!r}: {error.max()} ulp"


@numba.njit(error_model="numpy")
def angles(y: Array, x: Array, found: Array) -> None:
    for i in range(y.size):
        found[i] = angle(y[i], x[i])


def angles_of(y: Array, x: Array) -> Array:
    found = np.empty_like(y)
    angles(y, x, found)
    return found


LOOPS = {name: looped(name) for name in FUNCTIONS}


def computed(name: str, x: Array) -> Array:
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


def worst(name: str, x: Array, wide: Any) -> tuple[float, float]:
    """The largest error in ulp and the argument that has it; inf where only one is NaN."""
    kind = np.finfo(x.dtype)
    beyond = np.ldexp(wide(1), kind.maxexp)  # infinity: one spacing beyond the largest number
    with np.errstate(all="ignore"):
        exact = np.clip(FUNCTIONS[name](x.astype(wide)), -beyond, beyond)
        got = np.clip(computed(name, x).astype(wide), -beyond, beyond)
        spacing = np.spacing(np.minimum(abs(exact), kind.max).astype(x.dtype)).astype(wide)
        error = abs(got - exact) / spacing
    error[np.isnan(got) & np.isnan(exact)] = 0
    error[np.isnan(got) != np.isnan(exact)] = np.inf
    at = int(np.argmax(error))
    return float(error[at]), float(x[at])


def every_exponent(dtype: Any, bits: Any, mantissa: int, count: int) -> Array:
    """`count` numbers of each exponent and sign, the first and the last of them included."""
    rng = np.random.default_rng(1)
    low = rng.integers(0, 1 << mantissa, (1 << 8 if mantissa == 23 else 1 << 11, count))
    low[:, 0], low[:, 1], low[:, 2], low[:, 3] = 0, 1, (1 << mantissa) - 1, (1 << mantissa) - 2
    positive = (np.arange(len(low))[:, None] << mantissa) | low
    sign = 1 << (8 * np.dtype(dtype).itemsize - 1)
    patterns = positive.ravel().astype(bits)
    return np.concatenate([patterns, patterns | bits(sign)]).view(dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_2_ulp_for_every_exponent(name: str) -> None:
    """Subnormals, zeros, infinities and NaN are among the numbers."""
    error, x = worst(name, every_exponent(np.float32, np.uint32, 23, 2000), np.float64)
    assert error <= ULPS32, f"{name}({x!r}) is off by {error} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_2_ulp_where_it_bends(name: str) -> None:
    """Densely around the numbers at which the forms switch."""
    near = np.concatenate(
        [
            (np.float32(c).view(np.int32) + np.arange(-5000, 5001, dtype=np.int32)).view(np.float32)
            for c in (0.5**0.5, 2**0.5, 0.41421354, 1.0, 2.0, 88.72284, 87.33655, 103.97208, 16.6)
        ]
    )
    x = np.concatenate([near, -near, near - np.float32(1), np.float32(1) - near])
    error, at = worst(name, x, np.float64)
    assert error <= ULPS32, f"{name}({at!r}) is off by {error} ulp"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_lifted_is_normal_and_comes_down_to_the_decay(dtype: Any) -> None:
    x = every_exponent(np.float32, np.uint32, 23, 2000)
    x = np.concatenate([x[~np.isnan(x)].astype(dtype), np.linspace(0, 104, 100_001, dtype=dtype)])

    got = alone("lifted_decay", x)
    exact = np.exp(-abs(x.astype(wider(dtype))))
    near = abs(x) <= 104
    assert_within_2_ulp(x[near], got[near], exact[near] * wider(dtype)(2) ** 64)
    down = got * dtype(mathfns.LOWER)
    assert_within_2_ulp(x, down, exact)
    assert np.all(down[np.isinf(x)] == 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_logarithms_of_a_probability_are_within_2_ulp(dtype: Any) -> None:
    """Of x and of 1 - x, over all exponents below 1, both ends and the bends included."""
    many = every_exponent(np.float32, np.uint32, 23, 2000)
    near = np.linspace(0.25, 1, 100_001, dtype=dtype)
    x = np.concatenate(
        [many[(many >= 0) & (many <= 1)].astype(dtype), near, np.array([0, 0.5, 1], dtype)]
    )
    of_x, of_rest = paired("log_both", x)
    with np.errstate(divide="ignore"):
        assert_within_2_ulp(x, of_x, np.log(x.astype(wider(dtype))))
        assert_within_2_ulp(x, of_rest, np.log1p(-x.astype(wider(dtype))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_decay_and_what_it_leaves_are_within_2_ulp(dtype: Any) -> None:
    """Over all exponents, and densely where they are neither 0 nor 1."""
    many = every_exponent(np.float32, np.uint32, 23, 2000)
    most = float(np.ceil(np.finfo(dtype).minexp * np.log(2)))
    x = np.concatenate(
        [many[~np.isnan(many)].astype(dtype), np.linspace(most, -most, 200_001, dtype=dtype)]
    )
    near = np.minimum(abs(x.astype(wider(dtype))), -wider(dtype)(most))
    decayed, rest = paired("decay_both", x)
    assert_within_2_ulp(x, decayed, np.exp(-near))
    assert_within_2_ulp(x, rest, -np.expm1(-near))
    assert np.isnan(paired("decay_both", np.full(1, np.nan, dtype))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log1p_of_what_is_small_is_within_2_ulp(dtype: Any) -> None:
    many = every_exponent(np.float32, np.uint32, 23, 2000)
    many = many[(many >= -0.64) & (many <= 0.41)].astype(dtype)
    x = np.concatenate([many, np.linspace(-0.64, 0.41, 200_001, dtype=dtype)])
    assert_within_2_ulp(x, alone("log1p_small", x), np.log1p(x.astype(wider(dtype))))


@pytest.mark.parametrize("spread", [0.5, 3, 60, 300])
def test_an_angle_is_within_2_ulp(spread: float) -> None:
    rng = np.random.default_rng(int(spread))
    x = 10.0 ** rng.uniform(-spread, spread, 1 << 19)
    y = rng.choice([-1, 1], x.size) * 10.0 ** rng.uniform(-spread, spread, x.size)
    assert_within_2_ulp(x, angles_of(y, x), np.arctan2(y.astype(np.longdouble), x))


def test_ends_of_angles() -> None:
    inf, nan = np.inf, np.nan
    y = np.array([0.0, -0.0, 1, -1, 0, 1, inf, -inf, 1, 5e-324, nan, 1])
    x = np.array([0.0, 0.0, 0, 0, 1, 1, 1, 2, inf, 5e-324, 1, nan])
    np.testing.assert_array_equal(angles_of(y, x), np.arctan2(y, x))
    assert np.isnan(angles_of(np.array([inf]), np.array([inf]))).all()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_2_ulp_everywhere(name: str) -> None:
    """All 2**32 float32."""
    chunk = 1 << 24
    for start in range(0, 1 << 32, chunk):
        x = np.arange(start, start + chunk, dtype=np.uint32).view(np.float32)
        error, at = worst(name, x, np.float64)
        assert error <= ULPS32, f"{name}({at!r}) is off by {error} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_within_2_ulp(name: str) -> None:
    x = every_exponent(np.float64, np.uint64, 52, 100)
    error, at = worst(name, np.concatenate([x, np.linspace(-800, 800, 100_000)]), np.longdouble)
    assert error <= ULPS64, f"{name}({at!r}) is off by {error} ulp"


INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (-INF, 0.0), (INF, INF), (1000, INF), (-1000, 0.0)],
    "log": [(1, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-2, NAN), (-INF, NAN)],
    "softplus_tail": [(-INF, 0.0), (INF, 0.0), (1000, 0.0), (-1000, 0.0)],
    "decay": [(0.0, 1), (-INF, 0.0), (INF, 0.0), (1000, 0.0), (-1000, 0.0)],
    "softplus": [(-INF, 0.0), (INF, INF), (1000, 1000), (-1000, 0.0)],
    "sigmoid": [(0.0, 0.5), (-INF, 0.0), (INF, 1), (1000, 1), (-1000, 0.0)],
    "sign": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e-45, 1), (-1e-45, -1), (3, 1)],
}
LOOPS["sign"] = looped("sign")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: npt.DTypeLike) -> None:
    x, expected = np.array([*SPECIAL[name], (NAN, NAN)], dtype).T
    got = computed(name, x.copy())
    np.testing.assert_array_equal(got, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_value_does_not_depend_on_its_lane(name: str, dtype: npt.DTypeLike) -> None:
    """The same bits alone, in a vector and in a loop's tail."""
    x = np.random.default_rng(2).normal(0, 20, 67).astype(dtype)
    together = computed(name, x)
    alone = np.concatenate([computed(name, x[i : i + 1]) for i in range(x.size)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*FUNCTIONS, "sign"])
def test_functions_answer_in_plain_python_too(name: str, dtype: npt.DTypeLike) -> None:
    x = np.random.default_rng(3).normal(0, 5, 100).astype(dtype)
    with np.errstate(invalid="ignore"):
        plain = np.array([getattr(mathfns, name)(value) for value in x])
    np.testing.assert_allclose(plain, computed(name, x), rtol=4 * float(np.finfo(dtype).eps))
