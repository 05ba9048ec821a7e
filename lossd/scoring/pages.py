"""What the pages of runs and comparisons have in common: tables, tiles, writing in one piece."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lossd.scoring import figures
from lossd.scoring.disk import replacing

SHOWN: Final = 100
"""A table of classes or groups shows as many; summary.json has them all."""


@dataclass(frozen=True)
class Column:
    """Of a table: its title, and kind: head, text, number, share, size or hash."""

    title: str
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """A titled table; with `folded` it is closed, under these words."""

    id: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    sortable: bool = False
    folded: str = ""


@dataclass(frozen=True)
class Tile:
    """One number of the first glance."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Band:
    """A warning over the page."""

    title: str
    text: str = ""
    rows: Sequence[str] = field(default=())


def table_of(
    id: str,
    title: str,
    entries: Iterable[Mapping[str, Any]],
    columns: Mapping[str, Column],
    **more: Any,
) -> Table:
    """A table of mappings, of those columns that any of them has."""
    listed = list(entries)
    kept = [key for key in columns if any(key in entry for entry in listed)]
    rows = [[entry.get(key) for key in kept] for entry in listed]
    return Table(id, title, [columns[key] for key in kept], rows, **more)


def plain_number(value: Any) -> str:
    """What a script sorts by."""
    return "" if value is None else str(value)


def breakable(name: str) -> Markup:
    """A long name that a narrow page may break after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def environment() -> Environment:
    """Templates that escape whatever users named their things."""
    made = Environment(
        loader=PackageLoader("lossd.scoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "figure": figures.figure,
        "share": figures.share,
        "size": figures.size,
        "plain_number": plain_number,
        "breakable": breakable,
    }
    return made


def render(template: str, page: Any) -> str:
    """A page with its only script, which its policy names by hash: no other can run."""
    made = environment()
    loader = made.loader
    assert loader is not None
    script = loader.get_source(made, "sort.js")[0].strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return made.get_template(template).render(
        page=page, script=Markup(script), script_hash=Markup(f"sha256-{digest}")
    )


def write_whole(path: Path, text: str) -> Path:
    """Write a file so that it is there in whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with replacing(path) as file:
        # lone surrogates of undecodable file names cannot be UTF-8: shown as "?"
        file.write(text.encode("utf-8", "replace"))
    return path
