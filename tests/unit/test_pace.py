"""Which sizes of chunks calls are tried with, and which one stays."""

import numpy as np
import pytest
from lossd_client.pace import FROM, SMALL, Pace, Sent
from lossd_client.wire import CHUNK, Announcement, Request

TOTAL = 4 << 20
SLOW, FAST = TOTAL / 100e6, TOTAL / 1000e6  # seconds


def request(size: int = TOTAL, loss: str = "mse_loss", gradients: tuple[str, ...] = ()) -> Request:
    x = np.zeros(size // 8, np.float32)
    return Request(loss, {"input": x, "target": x}, gradients=gradients)


def sizes(
    pace: Pace, took: dict[int, float], calls: int, asked: Request | None = None
) -> list[int]:
    """Those that some calls have, of which each takes what it takes with its size."""
    found = []
    for _ in range(calls):
        sent = pace.choose(asked or request(), alone=True)
        assert isinstance(sent, Sent)
        pace.took(sent, took[sent.size])
        found.append(sent.size)
    return found


def test_a_fast_server_nearby_gets_large_chunks() -> None:
    pace = Pace(near=True)
    assert sizes(pace, {CHUNK: FAST}, 200) == [CHUNK] * 200
    assert sizes(pace, {CHUNK: SLOW, SMALL: SLOW / 2}, 5) == [CHUNK, CHUNK, SMALL, SMALL, SMALL]


def test_what_comes_back_counts() -> None:
    """A loopback that is busy with a gradient, too, is no slow link."""
    pace, took = Pace(near=True), TOTAL / 300e6
    with_gradient = request(gradients=("input",))  # half as much again
    assert sizes(pace, {CHUNK: took}, 5, with_gradient) == [CHUNK] * 5
    assert sizes(pace, {CHUNK: took, SMALL: took}, 5)[2:4] == [SMALL] * 2


@pytest.mark.parametrize("near", [True, False])
def test_the_faster_of_both_stays(near: bool) -> None:
    tried = [CHUNK, CHUNK, SMALL, SMALL] if near else [SMALL, CHUNK, SMALL, CHUNK]
    for best in (SMALL, CHUNK):
        took = {SMALL: SLOW, CHUNK: SLOW} | {best: SLOW / 1.3}
        assert sizes(Pace(near), took, 20) == [*tried, *[best] * 16]


def test_what_takes_as_long_is_large() -> None:
    assert sizes(Pace(False), {SMALL: SLOW, CHUNK: 1.02 * SLOW}, 9)[4:] == [CHUNK] * 5


def test_the_slower_one_is_tried_again_now_and_then() -> None:
    pace = Pace(near=True)
    took = {CHUNK: SLOW, SMALL: SLOW / 2}
    assert sizes(pace, took, 4 + 256).count(CHUNK) == 2 + 4
    took[CHUNK] = SLOW / 4
    assert sizes(pace, took, 70)[-5:] == [CHUNK] * 5


def test_one_call_that_took_long_changes_nothing() -> None:
    pace = Pace(near=False)
    assert sizes(pace, {SMALL: SLOW / 2, CHUNK: SLOW}, 10)[-1] == SMALL
    assert sizes(pace, {SMALL: 50 * SLOW}, 1) == [SMALL]
    assert sizes(pace, {SMALL: SLOW / 2}, 5) == [SMALL] * 5


def test_calls_that_overlap_have_what_is_known_to_be_good() -> None:
    """Their times tell nothing, so nothing is tried with them."""
    for near in (True, False):
        pace = Pace(near)
        for _ in range(10):
            sent = pace.choose(request(), alone=False)
            assert sent is not None
            assert sent.size == CHUNK
        sizes(pace, {CHUNK: SLOW, SMALL: SLOW / 2}, 4)
        for _ in range(200):
            sent = pace.choose(request(), alone=False)
            assert sent is not None
            assert sent.size == SMALL


def test_kinds_are_told_apart() -> None:
    """By loss, by what comes back, and by size."""
    pace = Pace(near=True)
    took = {CHUNK: SLOW, SMALL: SLOW / 2}
    assert sizes(pace, took, 6)[-1] == SMALL
    for other in (
        request(loss="l1_loss"),
        request(gradients=("input",)),
        request(2 * TOTAL),
        request(TOTAL // 2),
    ):
        assert sizes(pace, took, 6, other)[:3] == [CHUNK, CHUNK, SMALL]
    assert sizes(pace, took, 1, request(TOTAL + 800)) == [SMALL]


def test_what_is_small_or_made_in_pieces_is_left_alone() -> None:
    pace = Pace(near=False)
    assert pace.choose(request(FROM - 8), alone=True) is None
    assert pace.choose(request(FROM), alone=True) is not None
    pieces = Announcement(np.dtype(np.float32), (1 << 20,))
    tensors = {"input": pieces, "target": np.zeros(1 << 20, np.float32)}
    assert pace.choose(Request("mse_loss", tensors), alone=True) is None


def test_kinds_do_not_add_up_without_end() -> None:
    pace = Pace(near=False)
    for k in range(2000):
        late = pace.choose(request(FROM, f"loss{k}"), alone=True)
    assert len(pace._kinds) <= 256
    assert late is not None
    pace.took(late._replace(kind=("forgotten",)), 1.0)
