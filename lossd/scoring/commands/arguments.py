"""What the command lines that score have in common: sources and a loss's parameters."""

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lossd_client.errors import ParameterError, UnknownLossError

import lossd.losses  # noqa: F401  fills the registry
from lossd.scoring.commands.endings import WRONG
from lossd.spec import Loss, Param, find, registry


class Parser(argparse.ArgumentParser):
    """Tells in a line what is wrong with arguments, and where more is told."""

    def __init__(self, **given: Any) -> None:
        """An argument parser; flags cannot be abbreviated."""
        super().__init__(**given | {"allow_abbrev": False})
        self.loss = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but that no argument may be unknown."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._told(found, unknown))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End with a message."""
        loss = f" {self.loss}" if self.loss else ""
        self.exit(WRONG, f"{self.prog}: {message}\n`{self.prog}{loss} --help` tells more\n")

    def _told(self, found: argparse.Namespace, unknown: Sequence[str]) -> str:
        """What may be meant by arguments that are not known."""
        flags = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        scored = [flag for flag in flags if flag in _of_losses()]
        if getattr(found, "resume", False) and scored:
            return f"--resume takes what is scored from the folder: leave {', '.join(scored)} out"
        if named := getattr(found, "loss", None):
            try:
                find(named)
            except UnknownLossError as error:
                return str(error)
        known = list(dict.fromkeys(re.findall(r"--[a-z][a-z-]*", self.format_help())))
        near = [flag for word in flags for flag in difflib.get_close_matches(word, known, n=1)]
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"unknown arguments: {' '.join(unknown)}{meant}"


def _of_losses() -> set[str]:
    """The flags that any loss has, for parameters and optional tensors."""
    names = {name for loss in registry.values() for name in (*loss.params, *loss.optional())}
    both = {flag(name) for name in names} | {"--no-" + flag(name)[2:] for name in names}
    return both | {"--normalizer", "--zero-if-empty"}


def loss_among(given: Sequence[str]) -> str | None:
    """The loss that is named among arguments: its parameters are flags."""
    return next((word for word in given if word in registry), None)


def add_task(parser: Parser, loss: str | None, *, optional: bool) -> None:
    """Add what is scored: loss, predictions, targets, parameters."""
    parser.loss = loss or ""
    many: Any = "?" if optional else None
    add = parser.add_argument
    add(
        "loss",
        nargs=many,
        metavar="LOSS",
        help="functional name, such as cross_entropy: `lossd losses` lists them",
    )
    told = ["source of the loss's first tensor", "source of its second tensor"]
    if loss:
        declared = find(loss)
        for k, name in enumerate(declared.required()[:2]):
            told[k] = _told(f"source of {name}: {declared.tensors[name].doc}")
    add("predictions", nargs=many, metavar="PREDICTIONS", help=told[0])
    add("targets", nargs=many, metavar="TARGETS", help=told[1])
    if loss:
        _add_parameters(parser, find(loss))


def tensors_of(options: argparse.Namespace, loss: type[Loss]) -> dict[str, str]:
    """Sources of tensors beside the first two.

    Raises:
        ParameterError: a tensor that the loss has not, or one that is given twice.
    """
    chosen = vars(options)
    found = {name: chosen[name] for name in loss.optional() if chosen.get(name)}
    for name, source in options.tensor:
        if name not in loss.tensors:
            known = ", ".join(loss.tensors)
            message = f"{loss.name} has no tensor {name!r}; it has: {known}"
            raise ParameterError(message, field=name)
        if name in (*loss.required()[:2], *found):
            raise ParameterError(f"{loss.name}: tensor {name!r} is given twice", field=name)
        found[name] = source
    return found


def parameters_of(options: argparse.Namespace, loss: type[Loss]) -> dict[str, Any]:
    """The parameters that were given."""
    chosen = vars(options)
    found = {name: chosen[name] for name in loss.params if chosen.get(name) is not None}
    if options.normalizer is not None:
        found["normalizer"] = options.normalizer
    if options.zero_if_empty:
        found["zero_if_empty"] = True
    return found


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add sources that any loss may have, and how its rows are taken."""
    group = parser.add_argument_group("further sources")
    one: dict[str, Any] = {"default": "", "metavar": "SOURCE"}
    group.add_argument("--sample-weight", help="factor of each row's loss", **one)
    group.add_argument("--ids", help="name of each row, a number or a string", **one)
    group.add_argument("--group-by", help="group of each row: losses are told for each", **one)
    group.add_argument(
        "--tensor",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=SOURCE",
        help="a further tensor of the loss (repeatable)",
    )
    group.add_argument(
        "--gradients",
        action="store_true",
        help="write gradients.npy: of each row's own loss with respect to its prediction",
    )
    group.add_argument(
        "--shard-rows",
        type=positive,
        default=0,
        metavar="N",
        help="rows of a part, which is kept as one (32 MiB of predictions)",
    )


def _add_parameters(parser: Parser, loss: type[Loss]) -> None:
    if further := loss.required()[2:]:
        told = [f"--tensor {name}=SOURCE: {loss.tensors[name].doc}" for name in further]
        parser.add_argument_group(
            f"further tensors of {loss.name}, which it needs", _told("\n".join(told))
        )
    group = parser.add_argument_group(f"parameters of {loss.name}")
    for name in loss.optional():
        group.add_argument(flag(name), metavar="SOURCE", help=_told(loss.tensors[name].doc))
    for name, declared in loss.params.items():
        group.add_argument(flag(name), dest=name, **_typed(declared))
    group.add_argument(
        "--normalizer",
        type=_number_or_name,
        metavar="HOW",
        help="what the mean divides by: batch, weights, valid or a number",
    )
    group.add_argument("--zero-if-empty", action="store_true", help="a mean of nothing is 0")


def _typed(declared: Param) -> dict[str, Any]:
    domain = f", {declared.domain}" if declared.domain else ""
    told = _told(f"{declared.doc} ({declared.default!r}{domain})")
    if declared.type is bool:
        return {"action": argparse.BooleanOptionalAction, "help": told, "default": None}
    return {"type": declared.type, "help": told, "metavar": declared.type.__name__.upper()}


def _told(text: str) -> str:
    return text.replace("%", "%%")


def flag(name: str) -> str:
    """A parameter as it is typed."""
    return "--" + name.replace("_", "-")


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def folder(text: str) -> Path:
    """An argument that is a folder."""
    if not text:
        raise argparse.ArgumentTypeError("no folder is named")
    return Path(text)


def positive(text: str) -> int:
    """An argument that is a number of things, 1 or more."""
    return _at_least(1, text)


def whole(text: str) -> int:
    """An argument that is a number of things, 0 or more."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{value} must be {least} or more")
    return value


def seconds(text: str) -> float:
    """An argument that is a time."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} must be > 0 seconds")
    return value


def _pair(text: str) -> tuple[str, str]:
    name, _, source = text.partition("=")
    if not (name and source):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=SOURCE")
    return name, source
