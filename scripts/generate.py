"""Write the files that are derived from others: protobuf code, the client's classes, the table.

python -m scripts.generate            write them
python -m scripts.generate --check    exit with 1 if one of them is not current
"""

import argparse
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import google.rpc
from lossd_client.limits import Limits

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import Elementwise, Loss, Param, Rowwise, registry
from scripts.corners import corners

ROOT = Path(__file__).resolve().parents[1]
CLIENT = Path("clients/python/lossd_client")
SAMPLE_WEIGHT = "Factor of each sample's losses, the first dimensions of their shape."
PINNED = (
    "constraints.txt",
    "tests/libraries/requirements.txt",
    "tests/libraries/requirements-apart.txt",
)
PACKAGES = {"sklearn": "scikit-learn", "tfr": "rax"}
"""Where a module is not named as its package; TensorFlow Ranking's authors made Rax of it."""
HEADER = "Made by `make gen` (scripts/generate.py) from lossd/losses. Do not edit."


def protobuf() -> Iterator[tuple[Path, str]]:
    """Protoc's output, importing from inside the client's package."""
    common = Path(next(iter(google.rpc.__path__))).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        sources = sorted(
            str(p.relative_to(ROOT / "protos")) for p in (ROOT / "protos").rglob("*.proto")
        )
        arguments = [f"-I{ROOT / 'protos'}", f"-I{common}"]
        arguments += [f"--python_out={folder}", f"--pyi_out={folder}"]
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *arguments, *sources], check=True
        )
        for made in sorted(Path(folder).rglob("*.py*")):
            text = made.read_text()
            text = re.sub(
                r"^from lossd\.v1 import",
                "from lossd_client._gen.lossd.v1 import",
                text,
                flags=re.MULTILINE,
            )
            yield CLIENT / "_gen" / made.relative_to(folder), f"# Made by `make gen`.\n{text}"
    for package in ("", "lossd", "lossd/v1"):
        yield CLIENT / "_gen" / package / "__init__.py", '"""Made by `make gen`."""\n'


def _annotation(param: Param) -> str:
    return param.type.__name__


def _arguments(loss: type[Loss], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments in PyTorch's order, as declared and as described.

    Optional tensors that PyTorch does not take there follow by keyword; `client` comes last.
    """
    declared, described = [], []
    more = [name for name in loss.optional() if name not in names]
    for name in [*names, *([] if "*" in names else ["*"]), *more]:
        if name in loss.params:
            param = loss.params[name]
            declared.append(f"{name}: {_annotation(param)} = {param.default!r}")
            domain = f" {param.domain}." if param.domain else ""
            described.append(f"{name}: {param.doc}{domain}")
            if param.type is str:  # PyTorch takes a function there, None by default
                declared[-1] = f"{name}: Named = None"
                described[-1] += f" {param.default!r} by default."
            if name in loss.unset:
                declared[-1] = f"{name}: {_annotation(param)} | None = None"
                described[-1] += f" {param.default!r} by default."
        elif name in loss.tensors:
            declared.append(f"{name}: ArrayLike | None = None")
            described.append(f"{name}: {loss.tensors[name].doc}")
        elif name == "reduction":
            declared.append('reduction: str = "mean"')
            described.append("reduction: " + ", ".join(f"'{r}'" for r in loss.reductions) + ".")
        elif name == "*":
            declared.append("*")
        elif name in loss.unused:
            declared.append(f"{name}: object = None")
            described.append(f"{name}: accepted as in PyTorch, and not needed.")
        else:
            declared.append(f"{name}: bool | None = None")
            described.append(f"{name}: deprecated; use reduction.")
    declared += ["normalizer: str | float | None = None", "zero_if_empty: bool = False"]
    described.append(
        "normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: "
        f"as {'PyTorch' if loss.library == 'torch.nn' else 'usual'}."
    )
    described.append("zero_if_empty: whether a mean of nothing is 0 instead of NaN.")
    declared.append("client: AnyClient | None = None")
    described.append("client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.")
    return declared, described


def _limits(limits: Limits) -> str:
    """The expression that makes them."""
    given = {k: v for k, v in limits._asdict().items() if v not in (None, ())}
    return f"Limits({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def _docstring(loss: type[Loss], tensors: list[str], arguments: list[str], indent: str) -> str:
    summary, _, rest = loss.doc().partition("\n\n")
    body, example, shown = rest.partition("Example:")
    sections = [summary, f".. math:: {loss.formula}", body.strip()]
    sections.append("Args:\n" + "\n".join(f"    {line}" for line in arguments))
    called = [f"    {name}: {loss.tensors[name].doc}" for name in tensors]
    called.append(f"    sample_weight: {SAMPLE_WEIGHT}")
    sections.append("Called with:\n" + "\n".join(called))
    gradients = ", ".join(n for n in tensors if n in _differentiable(loss))
    sections.append(f"Gradients: {gradients}.")
    sections.append(f"Reference: {loss.reference}")
    if example:
        sections.append("Example:" + shown.rstrip())
    text = "\n\n".join(section for section in sections if section)
    lines = text.splitlines()
    quote = 'r"""' if "\\" in text else '"""'
    return "\n".join(
        [
            indent + quote + lines[0],
            *(indent + line if line else "" for line in lines[1:]),
            indent + '"""',
        ]
    )


def _differentiable(loss: type[Loss]) -> list[str]:
    """Tensors for which some form of the loss has a gradient."""
    kinds = [loss, *_descendants(loss)]
    return [n for n in loss.tensors if any(kind.tensors[n].grad for kind in kinds)]


def _descendants(loss: type[Loss]) -> list[type[Loss]]:
    return [k for child in loss.__subclasses__() for k in [child, *_descendants(child)]]


def classes() -> str:
    """`lossd_client/nn.py`."""
    parts = []
    for name in sorted(registry, key=lambda n: registry[n].__name__):
        loss = registry[name]
        if loss.owned:
            continue
        declared, described = _arguments(loss, loss.signature)
        inputs, options = loss.required(), loss.optional()
        legacy = "size_average" in loss.signature
        called = loss.called or inputs
        signature = ", ".join(f"{n}: ArrayLike" for n in called)
        defaults = ", ".join(f"{k!r}: {p.default!r}" for k, p in loss.params.items())
        named = {k: p.choices for k, p in loss.params.items() if p.type is str}
        constants = tuple(n for n, tensor in loss.tensors.items() if tensor.constant)
        limits = ", ".join(f"{k!r}: {_limits(v)}" for k, v in loss.limits().items())
        parts.append(
            f"class {loss.__name__}(Loss):\n"
            + _docstring(loss, inputs, described, "    ")
            + f"""

    name = "{name}"
    inputs = {tuple(inputs)!r}
    differentiable = {tuple(_differentiable(loss))!r}
    options = {tuple(options)!r}
    defaults: ClassVar[Mapping[str, Parameter]] = {{{defaults}}}
"""
            + (
                f"    advice: ClassVar[Mapping[str, str]] = {loss.advice!r}\n"
                if loss.advice
                else ""
            )
            + (
                f"    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {named!r}\n"
                if named
                else ""
            )
            + (f"    constants = {constants!r}\n" if constants else "")
            + (f"    limits: ClassVar[Mapping[str, Limits]] = {{{limits}}}\n" if limits else "")
            + "".join(f"    {k}: {_annotation(p)}\n" for k, p in loss.params.items())
            + "".join(f"    {k}: ArrayLike | None\n" for k in options)
            + f"""
    def __init__(self, {", ".join(declared)}) -> None:
        self._configure(
            parameters={{{", ".join(f"{k!r}: {k}" for k in loss.params)}}},
            options={{{", ".join(f"{k!r}: {k}" for k in options)}}},
            reduction=reduction,
            size_average={"size_average" if legacy else "None"},
            reduce={"reduce" if legacy else "None"},
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def __call__(self, {signature}, *, sample_weight: ArrayLike | None = None) -> Tensor:
        loss: Tensor = self._call({", ".join(called)}, sample_weight=sample_weight)
        return loss
"""
        )
        parts += [
            f'''class {alias}({loss.__name__}):
    """Deprecated, in PyTorch too: use `{loss.__name__}`."""

    deprecated = "{alias} is deprecated; use {loss.__name__} instead"
'''
            for alias in loss.aliases
        ]
    owning = sorted(loss.__name__ for loss in registry.values() if loss.owned)
    names = sorted(n for loss in registry.values() for n in (loss.__name__, *loss.aliases))
    return f'''"""torch.nn's losses and some that it lacks, computed at a client's target.

{HEADER}
"""

from collections.abc import Mapping
from typing import ClassVar

from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.limits import Limits
from lossd_client.module import Loss, Named
from lossd_client.owning import {", ".join(owning)}
from lossd_client.wire import Parameter

__all__ = {names!r}


''' + "\n\n".join(parts)


def functions() -> str:
    """`lossd_client/functional.py`."""
    parts = []
    for name in sorted(registry):
        loss = registry[name]
        names = loss.functional or loss.signature
        declared, described = _arguments(loss, names)
        inputs = loss.required()
        described = [f"{n}: {loss.tensors[n].doc}" for n in inputs] + described
        described.insert(-3, f"sample_weight: {SAMPLE_WEIGHT}")
        declared.insert(-3, "sample_weight: ArrayLike | None = None")
        everywhere = ("normalizer", "zero_if_empty", "client")
        left_out = {"*", *loss.unused}
        passed = ", ".join(
            f"{n}={n}"
            for n in dict.fromkeys([*names, *loss.optional(), *everywhere])
            if n not in left_out
        )
        arguments = ", ".join([*(f"{n}: ArrayLike" for n in inputs), *declared])
        lines = "\n".join(f"        {line}" for line in described)
        held = [n for n in inputs if n in loss.owned]
        inputs = [n for n in inputs if n not in held]
        made = f"nn.{loss.__name__}{'.of' * bool(loss.owned)}"
        passed = ", ".join(filter(None, [", ".join(held), passed]))
        summary = loss.doc().partition("\n\n")[0]
        parts.append(f'''def {name}({arguments}) -> Tensor:
    """{summary}

    Args:
{lines}

    See `lossd_client.nn.{loss.__name__}`.
    """
    criterion = {made}({passed})
    return criterion({", ".join(inputs)}, sample_weight=sample_weight)
''')
    return f'''"""The losses as functions, torch.nn.functional's among them, at a client's target.

{HEADER}
"""

from lossd_client import nn
from lossd_client.arrays import ArrayLike, Tensor
from lossd_client.client import AnyClient
from lossd_client.module import Named

__all__ = {sorted(registry)!r}


''' + "\n\n".join(parts)


def streamed() -> str:
    """`lossd_client/streamed.py`."""
    rows = []
    for name in sorted(registry):
        loss = registry[name]
        if issubclass(loss, Elementwise | Rowwise):
            tensors = [
                key
                for key, tensor in loss.tensors.items()
                if (tensor.role in ("element", "vector") or tensor.soft)
                and key not in (loss.divisor, *loss.counted, "weight")  # which the mean divides by
            ]
            rows.append(f"{name!r}: {tuple(tensors)!r}")
    return f'''"""Which tensors may come in pieces.

{HEADER}
"""

from collections.abc import Mapping
from typing import Final

STREAMED: Final[Mapping[str, tuple[str, ...]]] = {{{", ".join(rows)}}}
"""Of losses that are computed row by row: the tensors that have the rows, if shapes are alike."""
'''


def table() -> str:
    """`docs/losses.md`."""
    rows = []
    for name in sorted(registry):
        loss = registry[name]
        summary = loss.doc().splitlines()[0]
        params = ", ".join(
            f"`{k}={p.default!r}`" + (f" ({p.domain})" if p.domain else "")
            for k, p in loss.params.items()
        )
        options = ", ".join(f"`{n}`" for n in loss.optional())
        inputs = ", ".join(f"`{n}`" for n in loss.required())
        gradients = ", ".join(f"`{n}`" for n in _differentiable(loss))
        origin = "" if loss.library == "torch.nn" else f" ({loss.library})"
        cells = [f"[**{loss.__name__}**](losses/{name}.md) `{name}`{origin}", summary, inputs]
        cells += [", ".join(filter(None, (options, params))) or "none", gradients]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(
        [
            f"<!-- {HEADER} -->",
            "# The losses",
            "",
            "Parameters, defaults and results are torch.nn's, or those of the library that a loss",
            "names. `reduction` is 'none', 'mean' or 'sum'; for element-wise losses also 'sample',",
            "the mean of each sample; for KLDivLoss also 'batchmean'.",
            "[Which loss for which task](which-loss.md) starts from the task;",
            "[weights, and what the mean divides by](weights.md) are those of any loss.",
            "",
            "| Loss | What it is | Called with | Parameters | Gradients |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def page(name: str) -> str:
    """`docs/losses/NAME.md`."""
    loss = registry[name]
    summary, _, rest = loss.doc().partition("\n\n")
    body, _, example = rest.partition("Example:")
    shape, notes = list[str](), list[str]()
    for paragraph in re.split(r"\n\n+", body.strip()):
        (shape if paragraph.startswith("Shape:") else notes).append(paragraph)
    where = loss.library if loss.library == "torch.nn" else f"not in torch.nn; {loss.library}'s"
    lines = [
        f"<!-- {HEADER} The picture: `make plots`. -->",
        f"# {loss.__name__}",
        "",
        f"{summary} (`{name}`; {where}; {_held_to(loss)})",
        "",
        *_equation(loss.formula),
        f"![loss and gradient](img/{name}.svg)",
        "",
    ]
    if shape:
        lines += ["## Shapes", "", _plain(shape[0].partition("Shape:")[2]), ""]
    if notes:
        lines += ["## What it does", "", *("\n\n".join(map(_plain, notes))).splitlines(), ""]
    lines += ["## Tensors", "", "| name | | gradient | accepted |", "|---|---|---|---|"]
    differentiable = _differentiable(loss)
    for key, tensor in loss.tensors.items():
        kinds = "integers" if tensor.role in ("label", "index") else "float16 to float64"
        kinds += " or float16 to float64" if tensor.soft or tensor.cut else ""
        if tensor.within is not None:
            kinds += f", in [{tensor.within[0]:g}, {tensor.within[1]:g}]"
        kinds += "; may be left out" if tensor.optional else ""
        of_some = "of probabilities" if key in differentiable else "no"
        gradient = "yes" if tensor.grad else of_some
        lines.append(f"| `{key}` | {tensor.doc} | {gradient} | {kinds} |")
    lines += [
        "",
        "Any loss takes `sample_weight` at call time beside these",
        "([weights, and what the mean divides by](../weights.md)).",
        "",
        "## Parameters",
        "",
    ]
    lines += ["| name | default | | accepted |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | `{p.default!r}` | {p.doc} | {p.domain or p.type.__name__} |"
        for key, p in loss.params.items()
    ]
    reductions = ", ".join(f"`'{r}'`" for r in loss.reductions)
    lines += [
        f"| `reduction` | `'mean'` | What becomes of the losses. | {reductions} |",
        "| `normalizer` | `None` | [What the mean divides by](../weights.md). | `'batch'`, "
        "`'weights'`, `'valid'`, a number |",
        "| `zero_if_empty` | `False` | Whether a mean of nothing is 0, not NaN. | bool |",
        "",
    ]
    lines += ["## Gradient", ""]
    lines += [line for equation in loss.gradient for line in _equation(equation)]
    lines += [
        "Times the upstream gradient, and divided as the mean divides. A truth in square brackets",
        "is 1 or 0.",
        "",
    ]
    cases = corners(name)
    if cases:
        first = differentiable[0]
        lines += ["## Corner cases", ""]
        lines += [f"| given | `reduction` | loss | gradient of `{first}` |", "|---|---|---|---|"]
        lines += ["| " + " | ".join(case) + " |" for case in cases]
        lines += [
            "",
            "With 'none', the losses are those that change, and the gradient is that of the same",
            "element.",
            "",
        ]
    if example.strip():
        lines += ["## Example", "", "```python", inspect.cleandoc(example.strip("\n")), "```", ""]
    lines += [f"Reference: {loss.reference}", ""]
    return "\n".join(lines)


def _equation(text: str) -> list[str]:
    return ["```math", text, "```", ""]


def _held_to(loss: type[Loss]) -> str:
    """Which version of which library the tests compare with."""
    module = "torch" if loss.library == "torch.nn" else loss.library.partition(".")[0]
    package = PACKAGES.get(module, module.replace("_", "-"))
    for path in PINNED:
        pinned = re.search(rf"^{package}==(\S+)", (ROOT / path).read_text(), re.MULTILINE)
        if pinned:
            return f"tested against {package} {pinned[1]}"
    return "tested against its formula"


def _plain(paragraph: str) -> str:
    return " ".join(line.strip() for line in paragraph.strip().splitlines())


def formatted(path: Path, text: str) -> str:
    """`text` as ruff formats it."""
    if path.suffix != ".py" or "_gen" in path.parts:
        return text
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(ROOT / path), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--check", action="store_true", help="only tell whether they are current")
    check = parser.parse_args().check
    files = [
        *protobuf(),
        (CLIENT / "nn.py", classes()),
        (CLIENT / "functional.py", functions()),
        (CLIENT / "streamed.py", streamed()),
        (Path("docs/losses.md"), table()),
        *((Path(f"docs/losses/{name}.md"), page(name)) for name in sorted(registry)),
    ]
    stale = []
    for path, text in files:
        text, full = formatted(path, text), ROOT / path  # noqa: PLW2901
        if full.exists() and full.read_text() == text:
            continue
        stale.append(str(path))
        if not check:
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text)
    if check and stale:
        raise SystemExit("not current, run `make gen`: " + ", ".join(stale))
    print("current" if not stale else "written: " + ", ".join(stale))


if __name__ == "__main__":
    main()
