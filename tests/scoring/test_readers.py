"""What is read is what was written, bit for bit, in whatever ranges and from several threads."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
import zarr
from lossd_client.dtypes import BFLOAT16

from lossd.scoring.errors import SourceError
from lossd.scoring.readers import arrow as arrow_reader
from lossd.scoring.readers import chunked as chunked_reader
from lossd.scoring.readers import fingerprint, open_source
from lossd.scoring.readers import parquet as parquet_reader
from lossd.scoring.readers.columns import Columns
from lossd.scoring.sources import Name, Source

from . import files
from .files import ROWS, Array, Write

DTYPES = ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]


def drawn(dtype: str, *shape: int) -> Array:
    """Numbers of a type; NaN and infinities are among floats."""
    rng = np.random.default_rng(7)
    array = (rng.normal(size=shape) * 20).astype(dtype)
    if array.dtype.kind == "f":
        array.reshape(-1)[3:6] = np.nan, np.inf, -np.inf
    return array


def same(read: Array, written: Array) -> None:
    assert read.shape == written.shape
    assert read.dtype == written.dtype
    assert read.flags.c_contiguous
    assert read.tobytes() == written.tobytes()


def check(source: Source, written: Array) -> None:
    """All, in order by steps that fit nothing, and here and there."""
    assert source.rows == len(written)
    assert source.shape == written.shape[1:]
    assert source.dtype == written.dtype
    same(source.read(0, source.rows), written)
    for step in (77, 333):
        for start in range(0, source.rows, step):
            stop = min(start + step, source.rows)
            same(source.read(start, stop), written[start:stop])
    draw = random.Random(5)
    for _ in range(20):
        start, stop = sorted(draw.choices(range(source.rows + 1), k=2))
        same(source.read(start, stop), written[start:stop])
    source.close()


@pytest.mark.parametrize("write", [*files.BINARY, *files.MATRICES])
def test_each_format(write: Write, tmp_path: Path) -> None:
    written = drawn("float32", ROWS, 5)
    source = open_source(write(tmp_path, written))
    check(source, written)
    assert source.cuts[0] == 0
    assert list(source.cuts) == sorted(set(source.cuts))
    assert [path.exists() for path in source.files] == [True]
    assert source.place(17) == f"{source.files[0]}, row 17"


@pytest.mark.parametrize(
    ("write", "dtype"),
    [
        (write, dtype)
        for write in files.BINARY
        for dtype in DTYPES
        if (write, dtype) != (files.parquet_tensors, "bool")  # Arrow has no tensors of bits
    ],
)
def test_each_type(write: Write, dtype: str, tmp_path: Path) -> None:
    check(open_source(write(tmp_path, drawn(dtype, 300, 2))), drawn(dtype, 300, 2))


@pytest.mark.parametrize(
    ("write", "shape"),
    [
        (write, shape)
        for write in files.BINARY
        for shape in [(ROWS,), (ROWS, 2, 3)]
        if (write, shape) != (files.parquet_tensors, (ROWS,))  # tensors have dimensions
    ],
)
def test_each_shape(write: Write, shape: tuple[int, ...], tmp_path: Path) -> None:
    check(open_source(write(tmp_path, drawn("float64", *shape))), drawn("float64", *shape))


@pytest.mark.parametrize(
    "write",
    [
        write
        for write in [*files.BINARY, *files.MATRICES]
        if write is not files.parquet_tensors  # pyarrow makes no empty column of those
    ],
)
def test_no_rows(write: Write, tmp_path: Path) -> None:
    source = open_source(write(tmp_path, np.empty((0, 3), np.float32)))
    assert source.rows == 0
    assert source.dtype == np.float32
    assert source.read(0, 0).shape == (0, *source.shape)
    assert list(source.cuts) == [0]


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
@pytest.mark.parametrize("write", files.TEXTS)
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 3)], ids=str)
def test_text(write: Write, dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    written = drawn(dtype, *shape)
    if write is files.jsonl and dtype == "float64":
        written[~np.isfinite(written)] = 0  # JSON has no NaN
    check(open_source(write(tmp_path, written)), written)


@pytest.mark.parametrize("write", files.ALL)
def test_several_threads(write: Write, tmp_path: Path) -> None:
    written = drawn("float64", ROWS, 3)
    written[~np.isfinite(written)] = 1.5
    source = open_source(write(tmp_path, written))
    starts = [*range(0, ROWS, 40)] * 3
    random.Random(1).shuffle(starts)
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda start: source.read(start, min(start + 90, ROWS)), starts)
        for start, rows in zip(starts, read, strict=True):
            same(rows, written[start : start + 90])
    source.close()


def test_ranges_that_are_not_there(tmp_path: Path) -> None:
    source = open_source(files.npy(tmp_path, np.zeros(10)))
    for start, stop in [(-1, 3), (3, 11), (5, 4)]:
        with pytest.raises(IndexError):
            source.read(start, stop)


# --- types of two bytes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_bfloat16(kind: str, tmp_path: Path) -> None:
    tensor = torch.randn(50, 3).to(torch.bfloat16)
    path = tmp_path / f"a.{kind}"
    save: Any = safetensors.torch.save_file if kind == "safetensors" else torch.save
    save({"x": tensor}, path)
    check(open_source(str(path)), tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16))


def test_npy_has_lost_bfloat16(tmp_path: Path) -> None:
    values = np.arange(6).astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "lost.npy", values.view("V2"))
    with pytest.raises(SourceError, match="lost their type"):
        open_source(str(tmp_path / "lost.npy"))
    np.save(tmp_path / "named.npy", values.view(BFLOAT16))
    check(open_source(str(tmp_path / "named.npy")), values)


# --- pieces ------------------------------------------------------------------------------------


def test_cuts(tmp_path: Path) -> None:
    written = drawn("float32", ROWS, 3)
    cuts: dict[Write, list[int]] = {
        files.npy: [0],
        files.parquet: [0, 300, 600, 900],
        files.arrow: [0, 300, 600, 900],
        files.zarr3: [*range(0, ROWS, 128)],
        files.zarr_sharded: [*range(0, ROWS, 256)],
        files.hdf5_chunked: [*range(0, ROWS, 128)],
    }
    for write, expected in cuts.items():
        folder = tmp_path / write.__name__
        folder.mkdir()
        assert list(open_source(write(folder, written)).cuts) == expected


def rows_decoded(patch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each piece that is decoded from now on."""
    counts: list[int] = []
    array = Columns.array

    def counted(columns: Columns, table: Any, first: int) -> Array:
        counts.append(len(table))
        return array(columns, table, first)

    patch.setattr(Columns, "array", counted)
    return counts


@pytest.mark.parametrize("write", [files.parquet, files.arrow])
def test_each_piece_is_decoded_once(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(write(tmp_path, drawn("float32", ROWS, 3)))
    counts = rows_decoded(monkeypatch)
    for start in range(0, ROWS, 10):
        source.read(start, start + 10)
    assert counts == [300, 300, 300, 100]
    source.read(650, 660)
    source.read(350, 360)
    assert counts[4:] == [300, 300], "no groups between"


def test_large_row_groups_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = drawn("float32", ROWS, 3)
    monkeypatch.setattr(parquet_reader, "_WHOLE", 2000)
    monkeypatch.setattr(parquet_reader, "_BATCH", 50 * 12)
    source = open_source(files.parquet(tmp_path, written))
    counts = rows_decoded(monkeypatch)
    for start in range(0, ROWS, 10):
        same(source.read(start, start + 10), written[start : start + 10])
    assert counts == [50] * 18 + [100], "the last group is small"
    check(source, written)


def test_large_batches_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_reader, "_MAPPED", 100)
    check(open_source(files.arrow(tmp_path, drawn("float32", ROWS, 3))), drawn("float32", ROWS, 3))


@pytest.mark.parametrize("write", [files.zarr3, files.hdf5_chunked])
@pytest.mark.parametrize("kept", [1, 1 << 20])
def test_chunks_of_any_size(
    write: Write, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too large to keep, or many to a piece."""
    monkeypatch.setattr(chunked_reader, "_KEPT", kept)
    monkeypatch.setattr(chunked_reader, "_PIECE", 300 * 12)
    written = drawn("float32", ROWS, 3)
    check(open_source(write(tmp_path, written)), written)


def resident() -> int:
    """Bytes of memory that the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    shape = (1 << 19, 1024)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        file.truncate(file.tell() + (2 << 30))
    source = open_source(str(path))
    before = resident()
    for start in range(0, source.rows, 4096):
        assert source.read(start, start + 4096).shape == (4096, 1024)
        assert resident() - before < 100e6


# --- columns -----------------------------------------------------------------------------------


def save(path: Path, table: pa.Table) -> str:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=2)
    return str(path)


@pytest.fixture(params=["a.parquet", "a.arrow"])
def table_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_columns_in_structures_and_side_by_side(table_path: Path) -> None:
    rows = [{"p": {"x": k, "y": [k / 2, 1.0]}, "q0": k, "q1": k / 4} for k in range(5)]
    name = save(table_path, pa.Table.from_pylist(rows))
    k = np.arange(5)
    check(open_source(f"{name}::p.x"), k)
    check(open_source(f"{name}::p.y"), np.stack([k / 2, np.ones(5)], 1))
    for key in ("q0,q1", "q*", "q?"):
        check(open_source(Name(name, key)), np.stack([k, k / 4], 1))
    check(open_source(f"{name}::q1,q0"), np.stack([k / 4, k], 1))
    check(open_source(f"{name}::q1*"), (k / 4)[:, None])


def test_lists_of_lists(table_path: Path) -> None:
    written = drawn("float32", 5, 2, 3)
    table = pa.table({"p": pa.array(written.tolist(), pa.list_(pa.list_(pa.float32())))})
    check(open_source(save(table_path, table)), written)


def test_lists_beside_tensors(table_path: Path) -> None:
    """Of such columns pyarrow makes no empty table, and needs none."""
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((3, 2, 2), np.float32))
    save(table_path, pa.table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "t": tensors}))
    check(open_source(f"{table_path}::x"), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    check(open_source(f"{table_path}::t"), np.ones((3, 2, 2), np.float32))


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_strings(kind: str, table_path: Path) -> None:
    words = ["eu", "us", "eu", "", "Ωmega"]
    column = pa.array(words, pa.large_string() if kind == "large_string" else pa.string())
    table = pa.table({"group": column.dictionary_encode() if kind == "dictionary" else column})
    source = open_source(save(table_path, table), text=True)
    assert source.dtype == object
    assert source.read(0, 5).tolist() == words
    assert source.read(1, 4).tolist() == words[1:4]


def test_dictionaries_of_numbers(table_path: Path) -> None:
    table = pa.table({"p": pa.array([3.5, 1.5, 3.5]).dictionary_encode()})
    check(open_source(save(table_path, table)), np.array([3.5, 1.5, 3.5]))


def test_an_index_of_pandas_is_no_data(table_path: Path) -> None:
    table = pa.table({"p": [0.5, 1.5], "__index_level_0__": [7, 8]})
    name = save(table_path, table)
    check(open_source(name), np.array([0.5, 1.5]))
    check(open_source(f"{name}::__index_level_0__"), np.array([7, 8]))


def test_strings_of_other_formats(tmp_path: Path) -> None:
    words = ["a", "bc", "NA"]
    np.save(tmp_path / "u.npy", np.array(words))
    np.save(tmp_path / "s.npy", np.array(words, "S2"))
    np.savez_compressed(tmp_path / "z.npz", np.array(words))
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file["x"] = words
    zarr.create_array(tmp_path / "z.zarr", data=np.array(words, "T"), zarr_format=2)
    (tmp_path / "c.csv").write_text("id\na\nbc\nNA\n")
    (tmp_path / "j.jsonl").write_text('{"id": "a"}\n{"id": "bc"}\n{"id": "NA"}\n')
    for name in ("u.npy", "s.npy", "z.npz", "h.h5", "z.zarr", "c.csv", "j.jsonl"):
        source = open_source(str(tmp_path / name), text=True)
        assert source.dtype == object, name
        assert source.read(0, 3).tolist() == words, name
        with pytest.raises(SourceError, match="holds text"):
            open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["001", "01", "1"], ["001", "01", "1"]),
        (["18446744073709551615", "18446744073709551614"], None),
        (["9223372036854775807", "-3", "0"], [9223372036854775807, -3, 0]),
        (["-0", "0"], None),
        (["2024-01-01", "2024-01-02"], None),
        (["12:30:00", "2024-01-01 12:30:00"], None),
        (["true", "false"], None),
        (["0.50", "1e2", "nan", "NA", "null"], None),
        ([" a", '""', '"b,c"'], [" a", "", "b,c"]),
    ],
)
def test_text_of_csv_is_read_as_it_stands(
    cells: list[str], read: list[Any] | None, tmp_path: Path
) -> None:
    """Different cells are different ids. Whole numbers are numbers if they are still the same."""
    expected: list[Any] = read or cells
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{line},1\n" for line in ["id", *cells]))
    source = open_source(f"{path}::id", text=True)
    assert source.dtype == (np.int64 if isinstance(expected[0], int) else object)
    assert source.read(0, len(cells)).tolist() == expected


@pytest.mark.parametrize(
    ("column", "read"),
    [
        (pa.array([19723, 0], pa.date32()).dictionary_encode(), ["2024-01-01", "1970-01-01"]),
        (pa.array([0, 45000], pa.time32("s")), ["00:00:00", "12:30:00"]),
        (pa.array([0, 500], pa.time64("us")), ["00:00:00", "00:00:00.000500"]),
        (pa.array([0, 1], pa.timestamp("s")), ["1970-01-01T00:00:00", "1970-01-01T00:00:01"]),
        (
            pa.array([0, 1], pa.timestamp("ns", "UTC")),
            ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000001Z"],
        ),
        (
            pa.array([0, 1500], pa.timestamp("ms", "+02:00")),
            ["1970-01-01T02:00:00+0200", "1970-01-01T02:00:01.500+0200"],
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_dates_as_text(column: pa.Array, read: list[str], table_path: Path) -> None:
    source = open_source(save(table_path, pa.table({"day": column})), text=True)
    assert source.read(0, 2).tolist() == read
    with pytest.raises(SourceError, match=r"is of type .*; floats of 16 to 64 bits"):
        open_source(str(table_path))


def test_dates_of_json_are_read_as_they_stand(tmp_path: Path) -> None:
    days = ["2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00Z"]
    lines = [json.dumps({"day": day, "at": {"day": day, "n": 1}}) for day in days]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    for key in ("day", "at.day"):
        source = open_source(f"{tmp_path / 'a.jsonl'}::{key}", text=True)
        assert source.read(0, 3).tolist() == days


def test_links_in_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["runs/7/logits"] = np.arange(4)
        file["latest"] = h5py.SoftLink("/runs/7")
    check(open_source(f"{tmp_path / 'a.h5'}::latest/logits"), np.arange(4))


def test_numbers_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("x\ty\n1\tnan\n2\tinf\n3\t-2.5e-3\n")
    check(open_source(f"{path}::x"), np.array([1, 2, 3]))
    check(open_source(f"{path}::y"), np.array([np.nan, np.inf, -2.5e-3]))
    check(open_source(f"{path}::y,x"), np.array([[np.nan, 1], [np.inf, 2], [-2.5e-3, 3]]))


# --- fingerprints ------------------------------------------------------------------------------


def test_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    content = bytearray(np.random.default_rng(0).bytes(1 << 20))
    path.write_bytes(content)
    first = fingerprint(path)
    assert (first["path"], first["size"]) == (str(path), 1 << 20)
    assert first["modified"] == path.stat().st_mtime_ns
    assert fingerprint(path) == first
    for place in (0, 1 << 19, -1):
        content[place] ^= 1
        path.write_bytes(content)
        assert fingerprint(path)["digest"] != first["digest"]
        content[place] ^= 1
    with pytest.raises(SourceError, match="gone"):
        fingerprint(tmp_path / "gone")


def test_fingerprints_of_stores(tmp_path: Path) -> None:
    name = files.zarr2(tmp_path, np.ones((300, 2)))
    first = fingerprint(Path(name))
    assert fingerprint(Path(name)) == first
    array: Any = zarr.open_array(name, mode="r+")
    array[5] = 7
    assert fingerprint(Path(name))["digest"] != first["digest"]
