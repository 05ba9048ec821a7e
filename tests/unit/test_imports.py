"""Imports point one way, and a client's start is light. Read from the sources."""

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lossd_client
import pytest

import lossd

SERVER = Path(lossd.__file__).parent
CLIENT = Path(lossd_client.__file__).parent
GENERATED = "_gen"

LAYERS = (
    {"lossd.cli", "lossd.demo", "lossd.healthcheck"},
    {"lossd.server", "lossd.scoring"},
    {"lossd.answers", "lossd.registered"},
    {"lossd.engine"},
    {"lossd.filling", "lossd.steps"},
    {"lossd.plan"},
    {"lossd.kernels"},
    {"lossd.losses"},
    {"lossd.spec", "lossd.mathfns", "lossd.compiled"},
)
"""What may import what stands below it, and its own kind."""

SHARED = {
    "lossd_client.errors",
    "lossd_client.arrays",
    "lossd_client.buffers",
    "lossd_client.dtypes",
    "lossd_client.handles",
    "lossd_client.limits",
}
"""What of the client's distribution every layer may use: they import each other at most."""


WRITTEN_BY_HAND = {"AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss"}
"""Classes of lossd_client.nn that are not generated."""


def sources(package: Path) -> list[Path]:
    return [p for p in sorted(package.rglob("*.py")) if GENERATED not in p.parts]


def module_of(path: Path) -> str:
    root = SERVER.parent if path.is_relative_to(SERVER) else CLIENT.parent
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def at_start(tree: ast.AST) -> Iterator[ast.stmt]:
    """Statements that run on import: not those in functions, nor those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if for_type_checkers(node):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from at_start(node)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Names of modules and of what is taken from them: "a" and "a.b" for `from a import b`."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports(path: Path, *, lazily: bool = True) -> set[str]:
    tree = ast.parse(path.read_text())
    return imported(ast.walk(tree) if lazily else at_start(tree))


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def layer_of(name: str) -> int | None:
    found = [k for k, layer in enumerate(LAYERS) if any(below(name, part) for part in layer)]
    return found[0] if found else None


@pytest.mark.parametrize("path", sources(SERVER), ids=module_of)
def test_layers_point_one_way(path: Path) -> None:
    module = module_of(path)
    own = layer_of(module)
    if own is None:
        assert module == "lossd", f"{module} is in no layer: say where it stands"
        assert imports(path) == set()
        return
    for name in imports(path):
        other = layer_of(name)
        assert other is None or other >= own, f"{module} imports {name}, which is above it"


@pytest.mark.parametrize(
    "path", [p for p in sources(SERVER) if (layer_of(module_of(p)) or 0) >= 2], ids=module_of
)
def test_no_grpc_below_the_server(path: Path) -> None:
    foreign = {name.partition(".")[0] for name in imports(path)}
    assert not foreign & {"grpc", "grpc_health", "grpc_reflection", "google"}
    ours = {name for name in imports(path) if below(name, "lossd_client")} - {"lossd_client"}
    shared = SHARED | (
        {"lossd_client.wire", "lossd_client.pieces"}
        if path.stem in ("answers", "registered")
        else set()
    )
    allowed = {name for name in ours if any(below(name, part) for part in shared)}
    assert ours == allowed, f"only {shared} of the client belong in {path.stem}"


def test_no_numba_in_declarations() -> None:
    for path in [SERVER / "spec.py", *sources(SERVER / "losses")]:
        assert not {n for n in imports(path) if n.partition(".")[0] in ("numba", "llvmlite")}


def test_errors_import_nothing_of_ours() -> None:
    for name in ("errors.py", "buffers.py"):
        assert not {n for n in imports(CLIENT / name) if n.startswith("lossd")}


TORCH: Final = {"lossd_client.torch_tensors", "lossd_client.torch_module"}
"""What is imported only where the caller has imported torch."""


@pytest.mark.parametrize("path", sources(CLIENT), ids=module_of)
def test_the_client_is_thin(path: Path) -> None:
    module = module_of(path)
    everything = {name.partition(".")[0] for name in imports(path)}
    assert "numba" not in everything
    assert not everything & {"google", "grpc_health", "grpc_reflection"}
    if module not in TORCH:
        assert "torch" not in everything
    if module != "lossd_client.transports":
        assert "lossd" not in everything


def test_the_client_imports_the_engine_and_grpc_and_torch_lazily() -> None:
    for path in sources(CLIENT):
        names = imports(path, lazily=False)
        started = {name.partition(".")[0] for name in names}
        assert not started & {"lossd", "grpc"}, path
        if module_of(path) not in TORCH:
            assert not names & TORCH, path
            assert "torch" not in started


def test_the_engine_is_imported_by_the_transport_in_process_alone() -> None:
    tree = ast.parse((CLIENT / "transports.py").read_text())
    users = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(below(name, "lossd") for name in imported(ast.walk(node)))
    ]
    assert users == ["InProcess"]


LOADED = """
import sys
import {module}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def loaded_by(module: str) -> set[str]:
    """Top-level packages that a fresh process has after an import."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_client_loads_nothing_heavy() -> None:
    loaded = loaded_by("lossd_client")
    assert "numpy" in loaded
    assert not loaded & {"numba", "llvmlite", "torch", "grpc", "google", "lossd", "pydantic"}


def test_importing_the_engine_loads_no_server() -> None:
    assert not loaded_by("lossd.engine") & {"grpc", "google", "torch", "pydantic"}


# --- __all__ -----------------------------------------------------------------------------------


def bound(tree: ast.Module, *, imports_too: bool) -> set[str]:
    """Public names that a module's top level defines (and imports, for a package's front page)."""
    found: set[str] = set()
    lazily = [node.body for node in tree.body if for_type_checkers(node)]
    for node in itertools.chain(tree.body, *lazily):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif imports_too and isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return {name for name in found if not name.startswith("_")}


def declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


@pytest.mark.parametrize("path", sources(CLIENT) + sources(SERVER), ids=module_of)
def test_all_is_the_public_names(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = declared(tree)
    if names is None:
        front = path.name == "__init__.py" and bound(tree, imports_too=True)
        assert not front, "a package's front page says what is public"
        return
    written_by_hand = WRITTEN_BY_HAND if module_of(path) == "lossd_client.nn" else set()
    assert set(names) == bound(tree, imports_too=path.name == "__init__.py") | written_by_hand
    assert len(set(names)) == len(names)
    assert ast.get_docstring(tree)


def test_the_clients_public_names() -> None:
    for name in lossd_client.__all__:
        assert hasattr(lossd_client, name)
    for module in (lossd_client.nn, lossd_client.functional, lossd_client.errors):
        for name in module.__all__:
            home = "lossd_client.owning" if name in WRITTEN_BY_HAND else module.__name__
            assert getattr(module, name).__module__ == home
