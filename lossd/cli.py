"""The `lossd` command: serve, score, compare, jobs, losses, demo."""

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lossd import __version__

_SCORING = ("score", "compare", "jobs")

_INTERRUPTED = 130

_UNREAD = 1
"""Exit status when nobody reads the output any more: Rich's, which writes a part of it."""

_NEW = 10_000
"""Objects after which Python's collector looks for what nobody has: what is imported stays, and
looking at it again and again takes a quarter of a second."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; Ctrl-C ends it with a line and status 130, a closed pipe quietly."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:  # ends as it likes
        return _run(given)
    gc.set_threshold(_NEW)
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        try:
            _run(given)
        finally:
            if sys.stdout:  # None where it is closed from the start
                sys.stdout.flush()
    except KeyboardInterrupt:
        _stop(given)
    except BrokenPipeError:
        with Path(os.devnull).open("w") as nothing:  # takes what the interpreter flushes at its end
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise SystemExit(_UNREAD) from None
    except Exception:
        if not pressed:  # in the middle of an import Ctrl-C may become any error
            raise
        _stop(given)
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(given: Sequence[str]) -> NoReturn:
    """End as Ctrl-C has it."""
    sys.stderr.write(f"lossd {' '.join(given[:1])}: stopped\n")
    raise SystemExit(_INTERRUPTED) from None


def _run(given: list[str]) -> None:
    if given[:1] == ["serve"]:  # its flags are the settings class's fields
        from lossd.server.app import serve
        from lossd.server.settings import Settings

        return serve(Settings.load(given[1:]))
    if given[:1] and given[0] in _SCORING:  # flags may be a loss's parameters
        return _scoring(given[0], given[1:])

    parser = argparse.ArgumentParser(
        prog="lossd", description="PyTorch's losses and their gradients as a service."
    )
    parser.add_argument("--version", action="version", version=f"lossd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve losses over gRPC (lossd serve --help)")
    commands.add_parser("score", help="losses of files of any size (lossd score --help)")
    commands.add_parser("compare", help="compare two runs of it (lossd compare --help)")
    commands.add_parser("jobs", help="the same by a server, of its files (lossd jobs --help)")
    losses = commands.add_parser("losses", help="list the losses, or describe one")
    losses.add_argument("name", nargs="?", help="functional name, such as cross_entropy")
    demo = commands.add_parser("demo", help="show everything on real data, in about a minute")
    demo.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for the picture")
    options = parser.parse_args(given)
    if options.command == "losses":
        return _losses(options.name)
    return _demo(options.out)


def _losses(name: str | None) -> None:
    from lossd_client.errors import UnknownLossError
    from rich.console import Console
    from rich.table import Table

    import lossd.losses
    from lossd.spec import NORMALIZERS, find, registry

    console = Console(highlight=False)
    if name is None:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column()
        for family in lossd.losses.__all__:
            module = getattr(lossd.losses, family)
            table.add_row(f"\n[bold]{family}[/]", f"\n[bold]{module.__doc__.splitlines()[0]}[/]")
            for key in sorted(registry):
                if registry[key].__module__ == module.__name__:
                    table.add_row(key, registry[key].doc().splitlines()[0])
        console.print(table)
        return
    try:
        loss = find(name)
    except UnknownLossError as error:
        raise SystemExit(f"lossd losses: {error}") from error
    console.print(f"[bold]{loss.__name__}[/]  ({name}, {loss.library})\n")
    for paragraph in loss.doc().split("\n\n"):
        head, _, rest = paragraph.partition("\n")
        if head == "Example:":
            console.print(paragraph, markup=False, soft_wrap=True)
        elif head == "Shape:":
            console.print(f"Shape: {' '.join(rest.split())}\n", markup=False)
        else:
            console.print(f"{' '.join(paragraph.split())}\n", markup=False)
    table = Table("tensor or parameter", "default", "meaning", box=None, pad_edge=False)
    for key, tensor in loss.tensors.items():
        table.add_row(key, "None" if tensor.optional else "", tensor.doc)
    table.add_row("sample_weight", "None", "Factor of each sample's losses.")
    for key, param in loss.params.items():
        domain = f" {param.domain}" if param.domain else ""
        table.add_row(key, repr(param.default), param.doc + domain)
    table.add_row("reduction", "'mean'", ", ".join(loss.reductions))
    names = ", ".join(map(repr, NORMALIZERS))
    table.add_row("normalizer", "None", f"What the mean divides by: {names} or a number.")
    table.add_row("zero_if_empty", "False", "Whether a mean that divides by 0 is 0.")
    console.print()
    console.print(table, markup=False)
    more = "\n".join(
        [
            f"\nformula:   {loss.formula}",
            *(f"gradient:  {equation}" for equation in loss.gradient),
            f"reference: {loss.reference}",
        ]
    )
    console.print(more, markup=False, soft_wrap=True)


def _scoring(command: str, given: Sequence[str]) -> None:
    try:
        module = importlib.import_module(f"lossd.scoring.commands.{command}")
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"lossd {command} needs {error.name}: pip install 'lossd[score]'"
        ) from error
    module.main(given)


def _demo(out: Path) -> None:
    try:
        from lossd import demo
    except ModuleNotFoundError as error:
        raise SystemExit(f"lossd demo needs {error.name}: pip install 'lossd[demo]'") from error
    try:
        demo.main(out)
    except demo.DemoError as error:
        raise SystemExit(f"lossd demo: {error}") from error


if __name__ == "__main__":
    main()
