"""Files of each format, made by the libraries whose formats they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import safetensors.numpy
import torch
import zarr

Array = npt.NDArray[Any]
Write = Callable[[Path, Array], str]
"""Writes an array somewhere in a folder; gives the name of the source."""

ROWS = 1000


def column(array: Array) -> pa.Array:
    """Rows as a column: numbers, or lists of a fixed size."""
    inner = pa.array(array.reshape(-1))
    for size in array.shape[:0:-1]:
        inner = pa.FixedSizeListArray.from_arrays(inner, size)
    return inner


def lists(array: Array) -> pa.Array:
    """Rows as lists of whatever length."""
    n = array.shape[1]
    offsets = np.arange(0, array.size + 1, n, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(array.reshape(-1)))


def npy(folder: Path, array: Array) -> str:
    np.save(folder / "a.npy", array)
    return str(folder / "a.npy")


def npy_fortran(folder: Path, array: Array) -> str:
    np.save(folder / "a.npy", np.asfortranarray(array))
    return str(folder / "a.npy")


def npy_big_endian(folder: Path, array: Array) -> str:
    np.save(folder / "a.npy", array.astype(array.dtype.newbyteorder(">")))
    return str(folder / "a.npy")


def npz(folder: Path, array: Array) -> str:
    np.savez(folder / "a.npz", other=np.arange(3), logits=array)
    return f"{folder / 'a.npz'}::logits"


def npz_compressed(folder: Path, array: Array) -> str:
    np.savez_compressed(folder / "a.npz", other=np.arange(3), logits=array)
    return f"{folder / 'a.npz'}::logits"


def safetensors_(folder: Path, array: Array) -> str:
    path = folder / "a.safetensors"
    safetensors.numpy.save_file({"other": np.arange(3), "logits": array}, path)
    return f"{path}::logits"


def parquet(folder: Path, array: Array) -> str:
    table = pa.table({"p": column(array), "other": pa.array(range(len(array)))})
    pq.write_table(table, folder / "a.parquet", row_group_size=300)
    return f"{folder / 'a.parquet'}::p"


def parquet_plain(folder: Path, array: Array) -> str:
    """Without dictionaries and compression, so that damaged values are values."""
    table = pa.table({"p": column(array)})
    path = folder / "a.parquet"
    pq.write_table(table, path, row_group_size=300, use_dictionary=False, compression="none")
    return f"{path}::p"


def parquet_lists(folder: Path, array: Array) -> str:
    pq.write_table(pa.table({"p": lists(array)}), folder / "a.parquet", row_group_size=300)
    return str(folder / "a.parquet")


def parquet_tensors(folder: Path, array: Array) -> str:
    table = pa.table({"p": pa.FixedShapeTensorArray.from_numpy_ndarray(array)})
    pq.write_table(table, folder / "a.parquet", row_group_size=300)
    return str(folder / "a.parquet")


def arrow(folder: Path, array: Array, **options: Any) -> str:
    table = pa.table({"p": column(array), "other": pa.array(range(len(array)))})
    path = folder / "a.arrow"
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(table, max_chunksize=300)
    return f"{path}::p"


def arrow_compressed(folder: Path, array: Array) -> str:
    return arrow(folder, array, compression="zstd")


def feather_lists(folder: Path, array: Array) -> str:
    table = pa.table({"p": lists(array)})
    with pa.ipc.new_file(folder / "a.feather", table.schema) as file:
        file.write_table(table, max_chunksize=300)
    return str(folder / "a.feather")


def zarr2(folder: Path, array: Array) -> str:
    path = folder / "a.zarr"
    chunks = (128, *array.shape[1:])
    made = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=chunks, zarr_format=2
    )
    made[:] = array
    return str(path)


def zarr3(folder: Path, array: Array) -> str:
    group = zarr.create_group(folder / "a.zarr", zarr_format=3)
    chunks = (128, *array.shape[1:])
    made = group.create_array("eval/logits", shape=array.shape, dtype=array.dtype, chunks=chunks)
    made[:] = array
    group.create_array("other", data=np.arange(3))
    return f"{folder / 'a.zarr'}::eval/logits"


def zarr_sharded(folder: Path, array: Array) -> str:
    options = {"chunks": (64, *array.shape[1:]), "shards": (256, *array.shape[1:])}
    zarr.create_array(folder / "a.zarr", data=array, zarr_format=3, **options)
    return str(folder / "a.zarr")


def hdf5(folder: Path, array: Array) -> str:
    with h5py.File(folder / "a.h5", "w") as file:
        file["eval/logits"] = array
        file["other"] = np.arange(3)
    return f"{folder / 'a.h5'}::/eval/logits"


def hdf5_chunked(folder: Path, array: Array) -> str:
    with h5py.File(folder / "a.hdf5", "w") as file:
        options = {"chunks": (128, *array.shape[1:]), "maxshape": (None, *array.shape[1:])}
        file.create_dataset("x", data=array, compression="gzip", fletcher32=True, **options)
    return str(folder / "a.hdf5")


def csv(folder: Path, array: Array) -> str:
    flat = array.reshape(len(array), -1)
    table = pa.table({f"p{k}": flat[:, k] for k in range(flat.shape[1])} | {"other": flat[:, 0]})
    pyarrow.csv.write_csv(table, folder / "a.csv")
    return f"{folder / 'a.csv'}::" + ("p*" if array.ndim > 1 else "p0")


def jsonl(folder: Path, array: Array) -> str:
    lines = [json.dumps({"p": row, "other": 1}) for row in array.tolist()]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return f"{folder / 'a.jsonl'}::p"


def torch_(folder: Path, array: Array) -> str:
    path = folder / "a.pt"
    torch.save({"eval": {"logits": torch.from_numpy(array.copy())}, "n": 3}, path)
    return f"{path}::eval.logits"


def torch_alone(folder: Path, array: Array) -> str:
    torch.save(torch.from_numpy(array.copy()), folder / "a.pth")
    return str(folder / "a.pth")


BINARY: list[Write] = [
    *(npy, npy_fortran, npy_big_endian, npz, npz_compressed, safetensors_),
    *(parquet, parquet_plain, parquet_tensors, arrow, arrow_compressed),
    *(zarr2, zarr3, zarr_sharded, hdf5, hdf5_chunked, torch_, torch_alone),
]
"""Keep any shape and type."""

MATRICES: list[Write] = [parquet_lists, feather_lists]
"""Keep any type, of two dimensions."""

TEXTS: list[Write] = [csv, jsonl]
"""Read as float64, int64 or bool."""

ALL = [*BINARY, *MATRICES, *TEXTS]
