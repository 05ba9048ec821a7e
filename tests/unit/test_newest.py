"""What is kept of plans: the newest, whoever reads and whoever keeps."""

from concurrent.futures import ThreadPoolExecutor

from lossd.plan import Newest


def test_the_oldest_goes() -> None:
    kept = Newest[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("b", 3), ("c", 4)):
        kept.keep(key, value)
    assert dict(kept) == {"b": 3, "c": 4}


def test_threads_keep_and_read() -> None:
    kept = Newest[int, int](3)

    def use(start: int) -> None:
        for k in range(start, start + 20_000):
            kept.keep(k % 17, k)
            assert kept.get(k % 17, k) % 17 == k % 17

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(use, start) for start in range(4)]:
            done.result()
    assert len(kept) == 3
