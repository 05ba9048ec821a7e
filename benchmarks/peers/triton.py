"""Triton Inference Server with the losses in its Python backend, called over gRPC.

`python -m benchmarks.peers.triton FOLDER THREADS LOSS ...` is the worker: it makes a model
repository in FOLDER, starts the server of the pytriton wheel on it, and calls it in three ways:
tensors in the message, copied into system shared memory, or already there.
"""

import ctypes
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from tritonclient import grpc
from tritonclient.utils import np_to_triton_dtype, shared_memory

from benchmarks.peers.serving import Call, serve

OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 8 << 20),
)
"""Of the client's channel: lossd's window, with which large answers come a fifth faster."""
START: Final = 120.0  # seconds that the server may take to start
RELEASE: Final = 10.0  # seconds that it may hold shared memory after its last answer
LIBRARIES: Final = ("torch", "numpy")
POOL: Final = 1 << 28  # bytes that the server and a model share from the start: for all workloads
REGION: Final = "lossd-bench"
DIMENSIONS: Final = {"cross_entropy": ("-1, -1", "TYPE_INT64")}
"""Of the input, and the target's type; the others' are -1 and float32."""
CONFIG: Final = """\
backend: "python"
max_batch_size: 0
input [
  {{ name: "input" data_type: TYPE_FP32 dims: [ {dims} ] }},
  {{ name: "target" data_type: {target} dims: [ -1 ] }}
]
output [
  {{ name: "loss" data_type: TYPE_FP32 dims: [ 1 ] }},
  {{ name: "gradient" data_type: TYPE_FP32 dims: [ {dims} ] }}
]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "loss" value {{ string_value: "{loss}" }} }}
parameters {{ key: "library" value {{ string_value: "{library}" }} }}
parameters {{ key: "threads" value {{ string_value: "{threads}" }} }}
"""


class Triton:
    """The peer: each library in each of the three ways."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.versions = {
            "tritonserver": str(client.get_server_metadata().version),
            "tritonclient": version("tritonclient"),
            "Triton's torch": version("torch"),
            "Triton's numpy": np.__version__,
        }

    @contextmanager
    def contenders(self, folder: Path, loss: str, answer: int) -> Iterator[dict[str, Call]]:
        tensors = {name: np.load(folder / f"{name}.npy") for name in ("input", "target")}
        calls: dict[str, Call] = {}
        with _region(self._client, tensors) as region:
            for library in LIBRARIES:
                model = f"{loss}_{library}"
                calls[f"triton_{library}"] = self._sent(model, tensors)
                calls[f"triton_{library}_shared"] = self._shared(model, tensors, region, copy=True)
                calls[f"triton_{library}_place"] = self._shared(model, tensors, region, copy=False)
            yield calls
            calls.clear()

    def _sent(self, model: str, tensors: dict[str, Any]) -> Call:
        def call() -> tuple[float, Any]:
            inputs = []
            for name, array in tensors.items():
                inputs.append(_input(name, array))
                inputs[-1].set_data_from_numpy(array)
            answer = self._client.infer(model, inputs)
            return float(answer.as_numpy("loss")[0]), answer.as_numpy("gradient")

        return call

    def _shared(self, model: str, tensors: dict[str, Any], region: Any, copy: bool) -> Call:
        places = _places(tensors)
        inputs = []
        for name, array in tensors.items():
            inputs.append(_input(name, array))
            inputs[-1].set_shared_memory(REGION, array.nbytes, places[name])
        first = tensors["input"]
        outputs = [grpc.InferRequestedOutput(name) for name in ("loss", "gradient")]
        outputs[1].set_shared_memory(REGION, first.nbytes, places["gradient"])
        at = places["gradient"]

        def call() -> tuple[float, Any]:
            if copy:
                for name, array in tensors.items():
                    shared_memory.set_shared_memory_region(region, [array], places[name])
            answer = self._client.infer(model, inputs, outputs=outputs)
            gradient = shared_memory.get_contents_as_numpy(region, first.dtype, first.shape, at)
            return float(answer.as_numpy("loss")[0]), gradient

        return call


def _input(name: str, array: Any) -> Any:
    return grpc.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))


def _places(tensors: dict[str, Any]) -> dict[str, int]:
    """Where in the region each tensor and the gradient begin, and the region's length as `end`."""
    places, at = {}, 0
    for name, array in [*tensors.items(), ("gradient", tensors["input"])]:
        places[name] = at
        at += -(-array.nbytes // 4096) * 4096
    return places | {"end": at}


@contextmanager
def _region(client: Any, tensors: dict[str, Any]) -> Iterator[Any]:
    """System shared memory with the tensors in it and room for the gradient."""
    places = _places(tensors)
    key, size = f"/lossd-bench-{os.getpid()}", places["end"]
    region = shared_memory.create_shared_memory_region(REGION, key, size)
    try:
        for name, array in tensors.items():
            shared_memory.set_shared_memory_region(region, [array], places[name])
        client.register_system_shared_memory(REGION, key, size)
        yield region
        _unregister(client)
    finally:
        shared_memory.destroy_shared_memory_region(region)


def _unregister(client: Any) -> None:
    """Let go of the region: the server holds it for a moment after its last answer."""
    deadline = time.monotonic() + RELEASE
    while True:
        try:
            client.unregister_system_shared_memory(REGION)
        except grpc.InferenceServerException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _repository(folder: Path, losses: list[str], threads: str) -> None:
    """One model for each loss and library."""
    shutil.rmtree(folder, ignore_errors=True)
    for loss in losses:
        dims, target = DIMENSIONS.get(loss, ("-1", "TYPE_FP32"))
        for library in LIBRARIES:
            model = folder / f"{loss}_{library}"
            (model / "1").mkdir(parents=True)
            shutil.copy(Path(__file__).with_name("triton_model.py"), model / "1" / "model.py")
            config = CONFIG.format(
                dims=dims, target=target, loss=loss, library=library, threads=threads
            )
            (model / "config.pbtxt").write_text(config)


@contextmanager
def _peer(folder: Path, threads: str, losses: list[str]) -> Iterator[Triton]:
    """A server process, and a client of it."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        ctypes.CDLL(f"libpython{python}.so.1.0")
    except OSError as error:
        raise RuntimeError(
            f"Triton's models need the system's libpython{python}.so.1.0, and an environment made "
            "with the system's own Python of that version: make bench-peers SYSTEM_PYTHON=..."
        ) from error
    found = util.find_spec("pytriton")
    assert found is not None
    assert found.origin is not None
    home = Path(found.origin).parent / "tritonserver"
    models = folder / "models"
    stub = home / "python_backend_stubs" / python / "triton_python_backend_stub"
    shutil.copy(stub, home / "backends" / "python")  # the program that a model's process runs
    _repository(models, losses, threads)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(home / "bin" / "tritonserver"),
        f"--model-repository={models}",
        f"--backend-directory={home / 'backends'}",
        f"--backend-config=python,shm-default-byte-size={POOL}",
        "--allow-http=false",
        "--allow-metrics=false",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the models' Python
    server = subprocess.Popen(command, env=os.environ | {"PATH": path})
    try:
        with grpc.InferenceServerClient(f"127.0.0.1:{port}", channel_args=OPTIONS) as client:
            _ready(server, client)
            yield Triton(client)
    finally:
        server.terminate()
        server.wait()


def _ready(server: "subprocess.Popen[bytes]", client: Any) -> None:
    for _ in range(math.ceil(START / 0.2)):
        time.sleep(0.2)
        if server.poll() is not None:
            raise RuntimeError(f"tritonserver ended with {server.returncode}: see its log")
        try:
            if client.is_server_ready():
                return
        except grpc.InferenceServerException:
            pass  # it does not listen yet
    raise RuntimeError(f"tritonserver is not ready after {START:.0f} s: see its log")


if __name__ == "__main__":
    serve(_peer(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
