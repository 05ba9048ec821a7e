"""Files that cannot be read: every one is a SourceError that names the file, none is a crash."""

import json
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import zarr

from lossd.scoring.errors import SourceError
from lossd.scoring.readers import open_source, tables
from lossd.scoring.sources import Source

from . import files
from .files import ROWS, Array, Write

X = np.random.default_rng(3).normal(size=(ROWS, 4))


def read(name: str, *, text: bool = False) -> tuple[Source, Array]:
    """A source and all of its rows."""
    source = open_source(name, text=text)
    return source, source.read(0, source.rows)


def refused(name: str, *words: str, text: bool = False) -> str:
    """What is said of a source when it is opened, or read at the latest."""
    with pytest.raises(SourceError) as caught:
        read(name, text=text)
    said = str(caught.value)
    for word in words:
        assert word in said
    return said


# --- damage ------------------------------------------------------------------------------------


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_or_refused(name: str, folder: Path) -> Array | None:
    """The rows, or None if there was an error as it should be."""
    try:
        source, rows = read(name)
    except SourceError as exc:
        if str(folder) in str(exc):
            return None
        raise
    assert rows.shape == (source.rows, *source.shape)
    assert rows.dtype == source.dtype
    return rows


@pytest.mark.parametrize("write", files.ALL)
def test_cut_short(write: Write, tmp_path: Path) -> None:
    """Only text can be cut where nobody sees it: between two lines, or two digits of a number."""
    name = write(tmp_path, X)
    for path in files_in(tmp_path):
        whole = path.read_bytes()
        lengths = {1, 7, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1}
        for length in sorted(lengths):
            path.write_bytes(whole[:length])
            rows = read_or_refused(name, tmp_path)
            if write in files.TEXTS:
                assert rows is None or len(rows) <= ROWS
            else:
                assert rows is None or rows.tobytes() == X.tobytes(), (path.name, length)
        path.write_bytes(whole)


@pytest.mark.parametrize("write", files.ALL)
def test_damaged_bytes(write: Write, tmp_path: Path) -> None:
    """Either an error, or some rows: which formats notice is in test_checksums."""
    name = write(tmp_path, X)
    draw = random.Random(write.__name__)
    for attempt in range(24):
        path = draw.choice(files_in(tmp_path))
        whole = path.read_bytes()
        damaged = bytearray(whole)
        edge = min(400, len(whole)) if attempt % 3 else len(whole)
        for _ in range(3):
            place = draw.randrange(edge)
            damaged[place if attempt % 2 else len(whole) - 1 - place] = draw.randrange(256)
        path.write_bytes(damaged)
        read_or_refused(name, tmp_path)
        path.write_bytes(whole)
    rows = read_or_refused(name, tmp_path)
    assert rows is not None
    assert rows.tobytes() == X.tobytes()


def with_checksums(folder: Path, array: Array) -> str:
    table = pa.table({"p": files.column(array)})
    options: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
    pq.write_table(table, folder / "a.parquet", write_page_checksum=True, **options)
    return str(folder / "a.parquet")


@pytest.mark.parametrize("write", [files.npz_compressed, files.hdf5_chunked, with_checksums])
def test_checksums(write: Write, tmp_path: Path) -> None:
    name = write(tmp_path, X)
    [path] = files_in(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    refused(name, str(path))


@pytest.mark.parametrize("write", [files.npz, files.torch_])
def test_checksums_of_what_is_read_in_place(write: Write, tmp_path: Path) -> None:
    name = write(tmp_path, X)
    [path] = files_in(tmp_path)
    for _ in open_source(name).verify():
        pass
    content = bytearray(path.read_bytes())
    place = content.index(X[500].tobytes())
    content[place] ^= 16
    path.write_bytes(content)
    source = open_source(name)
    assert source.read(500, 501).tobytes() != X[500].tobytes()
    with pytest.raises(SourceError, match=f"{path}.*Bad CRC-32"):
        list(source.verify())


def test_a_file_of_torch_without_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        name = files.torch_(tmp_path, X)
    finally:
        torch.serialization.set_crc32_options(True)
    source = open_source(name)
    assert source.read(0, ROWS).tobytes() == X.tobytes()
    assert not list(source.verify())


@pytest.mark.parametrize(
    "write", [files.npy, files.npz, files.safetensors_, files.parquet_plain, files.torch_]
)
def test_cut_short_while_it_is_read(write: Write, tmp_path: Path) -> None:
    source = open_source(write(tmp_path, X))
    [path] = files_in(tmp_path)
    source.read(0, 10)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SourceError, match=f"{path}.*rows 900 to 999"):
        source.read(900, 1000)
    path.unlink()
    source.close()
    with pytest.raises(SourceError, match=f"{path}.*does not exist"):
        source.read(900, 1000)


@pytest.mark.parametrize("write", [*files.BINARY, *files.TEXTS])
def test_another_format_or_nothing(write: Write, tmp_path: Path) -> None:
    path = Path(write(tmp_path, X).partition("::")[0])
    if path.is_dir():
        for file in files_in(path):
            file.write_bytes(b"\x93 surely something else \x00\xff")
        refused(str(path), str(path))
        return
    path.write_bytes(b"")
    refused(str(path), f"{path}: is empty, of 0 bytes")
    path.write_bytes(b"\x93 surely something else \x00\xff\n\x01" * 20)
    refused(str(path), str(path))


# --- names -------------------------------------------------------------------------------------


def test_missing(tmp_path: Path) -> None:
    (tmp_path / "predictions.npy").touch()
    said = refused(str(tmp_path / "prediction.npy"), "prediction.npy: does not exist")
    assert said.endswith("there is predictions.npy")
    refused(str(tmp_path / "none" / "a.npy"), f"nor does the folder {tmp_path / 'none'}")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    refused(str(tmp_path / "x.npy"), f"{tmp_path}/x.npy: is a pipe or a device; rows are read by")
    refused(str(tmp_path), "the folder has no files")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = files.npy(tmp_path, X)

    def denied(self: Path, *args: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    refused(name, f"{name}: no permission")


def test_a_suffix_that_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"x")
    refused(str(tmp_path / "a.xlsx"), "'.xlsx'", ".parquet")


@pytest.mark.parametrize("library", ["h5py", "torch"])
def test_a_missing_library(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = files.hdf5(tmp_path, X) if library == "h5py" else files.torch_(tmp_path, X)
    reader = "hdf5" if library == "h5py" else "torch"
    monkeypatch.delitem(sys.modules, f"lossd.scoring.readers.{reader}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    advice = "pip install torch" if library == "torch" else "pip install 'lossd[score]'"
    assert refused(name).endswith(advice)


KEYED: list[tuple[Write, str, str]] = [
    (files.npz, "logit", "logits, other"),
    (files.safetensors_, "logit", "logits, other"),
    (files.parquet, "othr", "other, p"),
    (files.arrow, "othr", "other, p"),
    (files.zarr3, "eval/logit", "eval/logits, other"),
    (files.hdf5, "eval/logit", "eval/logits, other"),
    (files.csv, "othr", "other, p0"),
    (files.jsonl, "othr", "other, p"),
    (files.torch_, "eval.logit", "eval.logits"),
]


@pytest.mark.parametrize(("write", "key", "there"), KEYED)
def test_keys(write: Write, key: str, there: str, tmp_path: Path) -> None:
    path = write(tmp_path, X).partition("::")[0]
    assert there in refused(f"{path}::{key}", f"has no {key!r}"), "the most similar first"
    if write is not files.torch_:
        refused(path, "name one after '::'", "other")
    if write in (files.parquet, files.csv):
        refused(f"{path}::other,q*", "has no 'q*'")


@pytest.mark.parametrize("write", [files.npy, files.zarr2, files.torch_alone])
def test_no_keys_of_one_array(write: Write, tmp_path: Path) -> None:
    refused(f"{write(tmp_path, X)}::x", "leave out '::x'")


def test_many_names_are_not_all_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{f"x{k:03}": np.zeros(1) for k in range(100)})
    said = refused(str(tmp_path / "a.npz"), "has 100 arrays", "x019 and 80 more")
    assert "x020" not in said


def test_files_with_nothing_in_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz")
    h5py.File(tmp_path / "a.h5", "w").close()
    zarr.create_group(tmp_path / "a.zarr")
    torch.save({"n": 3}, tmp_path / "a.pt")
    for name in ("a.npz", "a.h5", "a.zarr", "a.pt"):
        refused(str(tmp_path / name), "has no ")


# --- contents ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "longdouble"])
@pytest.mark.parametrize("write", [files.npy, files.npz, files.npz_compressed])
def test_types_that_are_not_read(write: Write, dtype: str, tmp_path: Path) -> None:
    written = np.zeros(5, dtype)
    refused(write(tmp_path, written), f"has dtype {written.dtype}")


def test_types_that_are_not_read_elsewhere(tmp_path: Path) -> None:
    torch.save(torch.zeros(3, dtype=torch.complex64), tmp_path / "a.pt")
    refused(str(tmp_path / "a.pt"), "complex64")
    torch.save(torch.zeros(3, dtype=torch.float8_e5m2), tmp_path / "a.pt")
    refused(str(tmp_path / "a.pt"), "float8_e5m2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(3, "complex64")
    refused(str(tmp_path / "a.h5"), "complex64")
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros(3, "complex64"))
    refused(str(tmp_path / "a.zarr"), "complex64")
    for column in (pa.array([1, 2], pa.timestamp("ms")), pa.array([1, 2], pa.decimal128(5))):
        pq.write_table(pa.table({"t": column}), tmp_path / "a.parquet")
        refused(str(tmp_path / "a.parquet"), "column t", str(column.type))


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([{}, []], dtype=object)
    np.save(tmp_path / "a.npy", objects)
    refused(str(tmp_path / "a.npy"), "Python objects")
    np.savez(tmp_path / "a.npz", objects)
    refused(str(tmp_path / "a.npz"), "Python objects")
    torch.save({"x": torch.zeros(3), "opener": open_source}, tmp_path / "a.pt")
    refused(str(tmp_path / "a.pt"), "a.pt", "Python objects", "refused")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(open_source))
    refused(str(tmp_path / "b.pt"), "b.pt")
    torch.save({"x": torch.zeros(3)}, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    refused(str(tmp_path / "c.pt"), "before torch 1.6")


def test_single_numbers(tmp_path: Path) -> None:
    one = np.float64(3)
    np.save(tmp_path / "a.npy", one)
    np.savez_compressed(tmp_path / "a.npz", one)
    torch.save(torch.tensor(3.0), tmp_path / "a.pt")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = one
    zarr.create_array(tmp_path / "a.zarr", data=np.array(one))
    for name in ("a.npy", "a.npz", "a.pt", "a.h5", "a.zarr"):
        refused(str(tmp_path / name), "is a single number")


def test_hdf5_whose_numbers_are_elsewhere(tmp_path: Path) -> None:
    """Nobody named the other file: neither its folder nor its changes would be looked at."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = X
    X.tofile(tmp_path / "raw")
    layout = h5py.VirtualLayout(X.shape, X.dtype)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", X.shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file["group"] = h5py.ExternalLink("other.h5", "/")
        file["gone"] = h5py.ExternalLink("nowhere.h5", "x")
        file["soft"] = h5py.SoftLink("/group/x")
        file["round"] = h5py.SoftLink("round")
        external = [(str(tmp_path / "raw"), 0, X.nbytes)]
        file.create_dataset("deep/raw", X.shape, X.dtype, external=external)
        file.create_virtual_dataset("virtual", layout)
        file["own"] = X
        file["short/cut"] = h5py.SoftLink("../own")  # HDF5 knows no "..": leads nowhere
        file["short/./way"] = h5py.SoftLink("/./own")
    name = str(tmp_path / "a.h5")
    for key in ("link", "/group/x", "gone", "soft", "group"):
        refused(f"{name}::{key}", f"{name}::{key.strip('/')}", "leads into another file")
    refused(f"{name}::deep/raw", "deep/raw", "has external storage", "in other files")
    refused(f"{name}::virtual", "virtual", "is a virtual dataset", "in other files")
    for key in ("round", "short/cut", "nothing"):
        refused(f"{name}::{key}", "has no", "among its datasets")
    for key in ("own", "short/way", "./short//way/"):
        np.testing.assert_array_equal(read(f"{name}::{key}")[1], X)


def test_hdf5_that_leads_elsewhere_once_it_is_open(tmp_path: Path) -> None:
    for name in ("a.h5", "other.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = X
    source = open_source(str(tmp_path / "a.h5::x"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(SourceError, match="leads into another file"):
        source.read(0, 1)
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(SourceError, match="has changed while it was read"):
        source.read(0, 1)


def test_fortran_order_under_compression(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", np.asfortranarray(X))
    refused(str(tmp_path / "a.npz"), "np.ascontiguousarray")


def test_sparse_tensors(tmp_path: Path) -> None:
    torch.save(torch.eye(3).to_sparse(), tmp_path / "a.pt")
    refused(str(tmp_path / "a.pt"), "to_dense")


def write_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, row_group_size=2)


def write_arrow(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=2)


def write_jsonl(path: Path, table: pa.Table) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


@pytest.fixture(params=[write_parquet, write_arrow, write_jsonl])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Any], str]]:
    """Writes a column; gives the name of the source."""
    path = tmp_path / f"a.{request.param.__name__.partition('_')[2]}"

    def write(column: Any) -> str:
        request.param(path, pa.table({"p": column}))
        return str(path)

    return write


def test_nulls_are_refused(save: Callable[[Any], str]) -> None:
    for column in (
        [0.0, 1.0, 2.0, None, 4.0],
        [[0.0], [1.0], [2.0], None],
        [[0.0], [1.0], [2.0], [None]],
    ):
        refused(save(column), "column p, row 3: is null")


def test_nulls_in_dictionaries_are_refused(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", None]))
    write_arrow(tmp_path / "a.arrow", pa.table({"p": column}))
    refused(str(tmp_path / "a.arrow"), "column p, row 2: is null; ", "has 1 nulls", text=True)


def test_lists_of_other_lengths_are_refused(save: Callable[[Any], str]) -> None:
    name = save([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0], [8.0, 9.0]])
    refused(name, "column p, row 3: has 1 numbers, where the rows before have 2")
    name = save([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]], [[7.0], [8.0, 9.0]]])
    refused(name, "column p, row 3: has 2 numbers, where the rows before have 1")


def test_damaged_text(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([["ab"], ["cd"]]))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-1] + b"\xff")
    refused(str(tmp_path / "a.npy"), "not in Unicode", text=True)
    np.save(tmp_path / "b.npy", np.array([b"ab", b"\xff"]))
    refused(str(tmp_path / "b.npy"), "can't decode", text=True)


@pytest.mark.parametrize("text", [True, False], ids=["text", "numbers"])
def test_csv_that_is_not_utf_8(text: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("p,q\nSud,1\nGröße,2\n", "latin-1")
    refused(f"{path}::p", f"{path}, row 1: is not UTF-8; save", text=text)
    assert read(f"{path}::q", text=text)[1].tolist() == [1, 2]
    path.write_text("Größe,q\n1,2\n", "latin-1")
    refused(f"{path}::q", f"{path}: its header is not UTF-8; save", text=text)


def test_a_table_of_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffp,q\n")
    for key, shape in {"p": (), "p,q": (2,)}.items():
        source, rows = read(f"{path}::{key}")
        assert (source.rows, source.shape, rows.shape) == (0, shape, (0, *shape))


def test_an_arrow_stream(tmp_path: Path) -> None:
    table = pa.table({"p": [1, 2]})
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    refused(str(tmp_path / "a.arrow"), "is an Arrow stream")


def test_what_is_quoted_of_files_is_printable(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"a\x1b[31m" + "b" * 200: X, "c": X})
    said = refused(str(tmp_path / "a.npz"), "has 2 arrays", "a\\x1b[31mbbb")
    assert said.isprintable()
    assert "b" * 80 not in said


def test_numpys_advice_to_trust_a_file_is_not_passed_on(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    content = (tmp_path / "a.npy").read_bytes()
    for damaged in (content[:8] + b"\xff\xff" + content[10:] * 50, content[:20] + b"\x1b" * 9):
        (tmp_path / "a.npy").write_bytes(damaged)
        said = refused(str(tmp_path / "a.npy"), "its header does not tell a shape")
        assert "pickle" not in said


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    refused(str(tmp_path / "a.zarr"), "is no Zarr store, or one that was not written to its end")


def test_tables_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    for content, words in {
        "p,q\n1,2\n3\n": "Expected 2 columns, got 1",
        "p,p\n1,2\n": "two columns of the name 'p'",
        "p,q\n1,2\n,3\n": "column p, row 1: is null",
        "p,q\n1,2\n3,4\n\n5\n": "row 2: Expected 2 columns, got 1: 5",
        "p,q\n1,2\nn.a.,3\n": "column p: holds text, where numbers are needed: row 1 has 'n.a.'",
        "p,q\n1,2\n3,4,\x1b[31m" + "x" * 500: "row 1: Expected 2 columns, got 3: 3,4,\\x1b[31mxxx",
        "p,q\n1,2\n\x1b[31m" + "x" * 500 + ",3\n": "row 1 has '\\x1b[31mxxx",
    }.items():
        path.write_text(content)
        assert len(refused(f"{path}::p", words)) < 400
    (tmp_path / "a.jsonl").write_text('{"p": 1}\n\n{"p": 2}\n{"p": "x"}\n')
    refused(str(tmp_path / "a.jsonl"), "from number to string in row 2")
    monkeypatch.setattr(tables, "_LIMIT", 10)
    refused(str(path), "convert it to Parquet")


def test_empty_lines_of_one_column_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for cells in ("1\n\n3\n", '1\n""\n3\n', "1\r\n\r\n3", "1\n\n"):
        path.write_text(f"p\n{cells}")
        refused(f"{path}::p", "column p, row 1: is null")
    path.write_text("p\na\n\nb\n")
    refused(str(path), "column p, row 1: is null", text=True)
    path.write_text("\np\n1\n")
    refused(str(path), "begins with an empty line")
    for cells in ("1\n3\n", "1\n3", "1\r\n3\r\n"):
        path.write_text(f"p\n{cells}")
        assert read(str(path))[1].tolist() == [1, 3]
