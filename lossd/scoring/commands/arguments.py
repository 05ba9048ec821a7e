"""What the command lines that score have in common: sources and a loss's parameters."""

import argparse
from collections.abc import Sequence
from typing import Any

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import Loss, Param, find, registry


def loss_among(given: Sequence[str]) -> str | None:
    """The loss that is named among arguments: its parameters are flags."""
    return next((word for word in given if word in registry), None)


def add_task(parser: argparse.ArgumentParser, loss: str | None, *, optional: bool) -> None:
    """Add what is scored: loss, predictions, targets, parameters."""
    many: Any = "?" if optional else None
    add = parser.add_argument
    add(
        "loss",
        nargs=many,
        metavar="LOSS",
        help="functional name, such as cross_entropy: `lossd losses` lists them",
    )
    add("predictions", nargs=many, metavar="PREDICTIONS", help="source of the loss's first tensor")
    add("targets", nargs=many, metavar="TARGETS", help="source of its second tensor")
    if loss:
        _add_parameters(parser, find(loss))


def tensors_of(options: argparse.Namespace, loss: type[Loss]) -> dict[str, str]:
    """Sources of tensors beside the first two."""
    chosen = vars(options)
    return dict(options.tensor) | {
        name: chosen[name] for name in loss.optional() if chosen.get(name)
    }


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


def _add_parameters(parser: argparse.ArgumentParser, loss: type[Loss]) -> None:
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


def positive(text: str) -> int:
    """An argument that is a number of things, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be 1 or more")
    return value


def _pair(text: str) -> tuple[str, str]:
    name, _, source = text.partition("=")
    if not (name and source):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=SOURCE")
    return name, source
