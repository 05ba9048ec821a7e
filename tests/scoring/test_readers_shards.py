"""Many files are one source, in the order that people expect."""

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossd.scoring.errors import SourceError
from lossd.scoring.readers import open_source

from . import files
from .files import Array
from .test_readers import check, drawn


def split(folder: Path, written: Array) -> None:
    """shard-0.npy ... shard-11.npy, one of them without rows."""
    folder.mkdir(exist_ok=True)
    edges = [0, 3, 10, 10, 50, 51, 52, 53, 60, 70, 80, 90, len(written)]
    for k in range(12):
        np.save(folder / f"shard-{k}.npy", written[edges[k] : edges[k + 1]])


@pytest.fixture
def written() -> Array:
    return drawn("float32", 100, 3)


@pytest.mark.parametrize("name", ["x", "x/*.npy", "x/shard-*", "**/*.npy", "x/shard-?*.npy"])
def test_folders_and_globs(name: str, tmp_path: Path, written: Array) -> None:
    split(tmp_path / "x", written)
    for hidden in ("_metadata.npy", ".cache.npy", "_SUCCESS"):
        (tmp_path / "x" / hidden).write_text("not data")
    (tmp_path / "_old").mkdir()
    np.save(tmp_path / "_old" / "a.npy", written)
    source = open_source(str(tmp_path / name))
    check(source, written)
    assert [path.name for path in source.files] == [f"shard-{k}.npy" for k in range(12)]
    assert list(source.cuts) == [0, 3, 10, 50, 51, 52, 53, 60, 70, 80, 90]
    assert source.place(3) == f"{tmp_path / 'x' / 'shard-1.npy'}, row 0"
    assert source.place(99) == f"{tmp_path / 'x' / 'shard-11.npy'}, row 9"


def test_relative_names(tmp_path: Path, written: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    split(tmp_path / "x", written)
    (tmp_path / "_y").mkdir()
    monkeypatch.chdir(tmp_path / "_y")
    for name in ("../x", "../x/*.npy", "./../x/shard*"):
        check(open_source(name), written)
    split(tmp_path / "_y", written)
    check(open_source("../_y/*.npy"), written)


def test_columns_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """As files do, however they stand in the file: their order is the classes'."""
    values = np.arange(24.0).reshape(2, 12)
    names = sorted((f"p{k}" for k in range(12)), key=str)  # p0, p1, p10, p11, p2, …
    table = pa.table({name: values[:, int(name[1:])] for name in names})
    pq.write_table(table, tmp_path / "t.parquet")
    check(open_source(f"{tmp_path}/t.parquet::p*"), values)
    check(open_source(f"{tmp_path}/t.parquet::p10,p2"), values[:, [10, 2]])


def test_parquet_with_keys(tmp_path: Path, written: Array) -> None:
    for k in range(3):
        table = pa.table({"p": files.column(written[k * 30 : k * 30 + 30]), "other": [1] * 30})
        pq.write_table(table, tmp_path / f"{k}.parquet", row_group_size=20)
    source = open_source(f"{tmp_path}/*.parquet::p")
    check(source, written[:90])
    assert list(source.cuts) == [0, 20, 30, 50, 60, 80]
    with pytest.raises(SourceError, match=r"0\.parquet: has 2 columns"):
        open_source(str(tmp_path))


def test_ids_that_are_numbers_in_one_file_alone(tmp_path: Path) -> None:
    for name, content in {"0": "1,2", "1": "3,x4", "2": "", "3": "-5"}.items():
        cells = content.split(",") if content else []
        (tmp_path / f"{name}.csv").write_text("\n".join(["id", *cells, ""]))
    source = open_source(str(tmp_path), text=True)
    words = ["1", "2", "3", "x4", "-5"]
    assert source.dtype == object
    assert source.read(0, 5).tolist() == words
    for k in range(5):
        room = np.empty(1, object)
        source.read_to(k, room)
        assert [*source.read(k, k + 1), *room] == words[k : k + 1] * 2
    check(open_source(f"{tmp_path}/[023].csv", text=True), np.array([1, 2, -5]))
    (tmp_path / "4.csv").write_text("id\n0.5\n")
    assert open_source(f"{tmp_path}/[034].csv", text=True).read(0, 4).tolist() == [
        *("1", "2", "-5", "0.5")
    ]


@pytest.mark.parametrize("write", files.TEXTS)
def test_text_that_has_whole_numbers_in_some_files(write: files.Write, tmp_path: Path) -> None:
    written = drawn("float64", 9, 2)
    written[3:6] = [[1, 0], [2**53, 7], [-3, 4]]
    names = []
    for k, kind in enumerate([np.float64, np.int64, np.float64]):
        (tmp_path / str(k)).mkdir()
        names.append(write(tmp_path / str(k), written[3 * k : 3 * k + 3].astype(kind)))
    pattern = names[0].replace("/0/", "/*/")
    check(open_source(pattern), written)
    whole = names[1]
    check(open_source(whole), written[3:6].astype(np.int64))
    check(open_source(whole, real=True), written[3:6])


def test_whole_numbers_with_a_type_stay_what_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.arange(3))
    check(open_source(str(tmp_path), real=True), np.arange(3))
    np.save(tmp_path / "1.npy", np.arange(3.0))
    with pytest.raises(SourceError, match=r"0\.npy has .* dtype int64, .*1\.npy .* float64"):
        open_source(str(tmp_path))


def test_stores(tmp_path: Path) -> None:
    written = drawn("float32", 300, 3)
    for k in range(2):
        (tmp_path / str(k)).mkdir()
        files.zarr2(tmp_path / str(k), written)
    check(open_source(f"{tmp_path}/*/a.zarr"), np.concatenate([written, written]))
    (tmp_path / "0" / "a.zarr").rename(tmp_path / "plain")
    check(open_source(str(tmp_path / "plain")), written)


def opened_in(folder: Path) -> list[Path]:
    """Files of a folder that the process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # what has listed them is closed now
            found.append(link.readlink())
    return [path for path in found if path.is_relative_to(folder)]


def test_a_thread_keeps_one_shard(tmp_path: Path, written: Array) -> None:
    for k in range(8):
        pq.write_table(pa.table({"p": written[:, 0]}), tmp_path / f"{k}.parquet")
    source = open_source(str(tmp_path))
    for start in range(0, 800, 100):
        source.read(start + 10, start + 20)
        assert len(opened_in(tmp_path)) == 1
    source.close()
    assert not opened_in(tmp_path)


def test_a_name_with_brackets_is_a_file(tmp_path: Path, written: Array) -> None:
    np.save(tmp_path / "run[1].npy", written)
    check(open_source(str(tmp_path / "run[1].npy")), written)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (np.zeros((5, 4), np.float32), r"1\.npy has rows of shape \(3,\).*2\.npy of shape \(4,\)"),
        (np.zeros((5, 3)), r"dtype float32, .*2\.npy of shape \(3,\) and dtype float64"),
    ],
)
def test_shards_that_differ(second: Array, says: str, tmp_path: Path, written: Array) -> None:
    np.save(tmp_path / "0.npy", written)
    np.save(tmp_path / "1.npy", written)
    np.save(tmp_path / "2.npy", second)
    with pytest.raises(SourceError, match=says):
        open_source(str(tmp_path))


def test_shards_of_several_kinds(tmp_path: Path, written: Array) -> None:
    split(tmp_path, written)
    (tmp_path / "README.md").write_text("about")
    with pytest.raises(SourceError, match=r"several kinds: .*README\.md and .*shard-0\.npy"):
        open_source(str(tmp_path))


def test_damage_in_one_shard(tmp_path: Path, written: Array) -> None:
    split(tmp_path, written)
    (tmp_path / "shard-7.npy").write_bytes(b"")
    with pytest.raises(SourceError, match=r"shard-7\.npy: is empty"):
        open_source(str(tmp_path))


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(SourceError, match=r"the folder has no files$"):
        open_source(str(tmp_path / "x"))
    with pytest.raises(SourceError, match=r"the folder has no files \(folders in it"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match=r"\*\.npy: no file matches"):
        open_source(str(tmp_path / "*.npy"))


def test_only_empty_shards(tmp_path: Path) -> None:
    for k in range(2):
        np.save(tmp_path / f"{k}.npy", np.zeros((0, 3)))
    source = open_source(str(tmp_path))
    assert (source.rows, source.shape, list(source.cuts)) == (0, (3,), [0])
    assert source.read(0, 0).shape == (0, 3)
