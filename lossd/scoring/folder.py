"""A run's folder: its manifest, its parts, and how both survive a kill at any moment.

A file appears under its name only when it is whole: it is written under another name and renamed.
A part carries the identity of its run and a digest of all its bytes, so that what is there says
what has been done, also when a machine has lost power before all of it was on disk.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lossd import __version__
from lossd.scoring.disk import (
    UNFINISHED,
    check_alone,
    read_json,
    replacing,
    synchronise,
    write_json,
    writing,
)
from lossd.scoring.errors import OutputError
from lossd.scoring.exact import ExactSum
from lossd.scoring.gradients import Gradients
from lossd.scoring.inputs import Inputs, Shard
from lossd.scoring.scorer import Scored, Spent
from lossd.scoring.task import FORMAT, Task, resuming

MANIFEST: Final = "run.json"
SUMMARY: Final = "summary.json"
TIMING: Final = "timing.json"
GRADIENTS: Final = "gradients.npy"
LOSSES: Final = "losses"

REPORT: Final = "report.html"
LOCK: Final = ".lock"

_META: Final = b"lossd"
_DIGEST: Final = b"sha256:"  # in a part's metadata, before the digest of the part
_BLANK: Final = b"0" * 64  # what stands for it while it is computed
_PART: Final = r"part-\d{6,}\.parquet"
_TEMPORARIES: Final = {
    "": f"({'|'.join(map(re.escape, (MANIFEST, SUMMARY, TIMING, REPORT)))}){UNFINISHED}",
    LOSSES: f"{_PART}{UNFINISHED}",
}
"""What a run that was killed may have left, by subfolder: names as `disk.replacing` makes them."""


@dataclass(frozen=True)
class Part:
    """What a finished shard left.

    total: the sum of its losses; divisor: what the mean divides it by.
    gradients: digest of its rows in gradients.npy, "" without them.
    """

    shard: Shard
    total: ExactSum
    divisor: ExactSum
    gradients: str = ""


@dataclass(frozen=True)
class Kept:
    """A shard whose results are on disk, and the time that it took.

    written: what is there, if it is at hand.
    """

    part: Part
    spent: Spent
    written: "Written | None" = None


@dataclass(frozen=True)
class Written:
    """The rows of a part's file, and the digest of all its bytes."""

    table: pa.Table
    digest: str


class Folder:
    """A run's folder.

    Attributes:
        path: where it is.
        identity: of settings, inputs and shards: parts of another are not taken.
        described: the run's manifest, once it has begun.
    """

    def __init__(self, path: Path, identity: str = "") -> None:
        """A folder that is there; `identity` for those who help with its run."""
        self.path, self.identity = path, identity
        self.described: Mapping[str, Any] = {}

    @classmethod
    @contextlib.contextmanager
    def held(cls, path: Path) -> "Iterator[Folder]":
        """A folder that no other run may use meanwhile, made if it is not there.

        Raises:
            OutputError: it cannot be made or written to, or another run uses it.
        """
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / LOCK).open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(f"{path} is in use by another run", field="out") from error
            yield cls(path)

    # --- the manifest ---------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any] | None:
        """run.json, None if there is none.

        Raises:
            OutputError: it cannot be read.
        """
        return read_json(self.path / MANIFEST)

    def begin(self, inputs: Inputs, *, overwrite: bool = False) -> None:
        """Make the folder that of a run, or go on with the one that it is of.

        Raises:
            OutputError: it holds something else; the message tells what, and what would work.
        """
        self.described = wanted = described(inputs)
        try:
            found = self.manifest()
        except OutputError as error:
            if not overwrite:
                raise OutputError(f"{error}; --overwrite begins anew", field="out") from error
            found = {}
        if found is None:
            self._check_empty()
        elif overwrite:
            self._clear()
        else:
            self._check_same(found, wanted)
        self.identity = hashlib.sha256(_canonical(wanted)).hexdigest()
        if found is None or overwrite:  # first of all: without it the folder is no run's
            write_json(self.path / MANIFEST, wanted)
        with writing(self.path):
            (self.path / LOSSES).mkdir(exist_ok=True)
        self._remove(_TEMPORARIES)

    def _check_empty(self) -> None:
        """Refuse a folder that holds more than a run leaves that was killed as it began."""
        with writing(self.path):
            foreign = [path.name for path in self.path.iterdir() if not _just_begun(path)]
        check_alone(self.path, foreign)

    def _check_same(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        check_version(self.path, found)
        differences = Task.from_json(wanted["task"]).differences(Task.from_json(found["task"]))
        if differences:
            again = shlex.join(resuming(self.path))
            raise OutputError(
                f"{self.path} holds another run: {'; '.join(differences)}. `{again}` goes on with "
                "that one, --overwrite begins this one anew",
                field="out",
            )
        for key, source in wanted["inputs"].items():
            if source != found["inputs"].get(key):
                raise OutputError(
                    f"{key} has changed since the run in {self.path} began: "
                    f"{_change(found['inputs'].get(key) or {}, source)}. --overwrite begins anew",
                    field=key,
                )

    def _clear(self) -> None:
        """Remove what a run writes, and nothing else; its manifest stays until it is replaced."""
        from lossd.scoring.charts import CHARTS  # matplotlib comes with it

        whole = "|".join(map(re.escape, (SUMMARY, TIMING, GRADIENTS, REPORT)))
        self._remove({"": whole, LOSSES: _PART, "charts": rf"({'|'.join(CHARTS)})\.png"})

    def _remove(self, names: Mapping[str, str]) -> None:
        """Remove the files whose whole names these patterns match, each in its subfolder."""
        with writing(self.path):
            for subfolder, pattern in names.items():
                for file in (self.path / subfolder).glob("*"):
                    if re.fullmatch(pattern, file.name) and not file.is_dir():
                        file.unlink()

    # --- parts ----------------------------------------------------------------------------------

    def part_path(self, number: int) -> Path:
        """Where a shard's losses are."""
        return self.path / LOSSES / f"part-{number:06}.parquet"

    def write_part(self, part: Part, table: pa.Table) -> Written:
        """Keep what a shard gave."""
        told = {
            "run": self.identity,
            "shard": list(part.shard),
            "total": part.total.dump(),
            "divisor": part.divisor.dump(),
            "gradients": part.gradients,
            "digest": f"{_DIGEST.decode()}{_BLANK.decode()}",
        }
        table = table.replace_schema_metadata({_META: json.dumps(told)})
        names = [n for n in ("class", "group", "prediction") if n in table.column_names]
        content = io.BytesIO()
        pq.write_table(table, content, compression="lz4", use_dictionary=names)
        digest = _seal(content)
        with replacing(self.part_path(part.shard.number), settled=False) as file:
            file.write(content.getbuffer())
        return Written(table, digest)

    def read_part(self, shard: Shard) -> Part | None:
        """What a shard left, None if it has to be computed: not there, damaged, of another run."""
        try:
            content = self.part_path(shard.number).read_bytes()
        except OSError:
            return None
        if not _sealed(content):
            return None
        told = json.loads(pq.read_metadata(io.BytesIO(content)).metadata[_META])
        if told["run"] != self.identity or told["shard"] != list(shard):
            return None
        total, divisor = ExactSum.load(told["total"]), ExactSum.load(told["divisor"])
        return Part(shard, total, divisor, told["gradients"])

    @contextlib.contextmanager
    def keeping(self, inputs: Inputs) -> Iterator[Callable[[Scored], Kept]]:
        """What keeps shards: their gradients first, then the part that vouches for them."""
        with self._gradients(inputs) as gradients:

            def keep(scored: Scored) -> Kept:
                begun = time.perf_counter()
                shard = scored.shard
                digest = gradients.write(shard.start, scored.gradients) if gradients else ""
                part = Part(shard, scored.total, scored.divisor, digest)
                written = self.write_part(part, scored.table)
                scored.spent.writing += time.perf_counter() - begun
                return Kept(part, scored.spent, written)

            yield keep

    def parts(self, inputs: Inputs) -> Iterator[tuple[Shard, Part | None]]:
        """The shards and what is done of each, None if nothing, or if its gradients are damaged."""
        with self._gradients(inputs) as gradients:
            for shard in inputs.shards:
                part = self.read_part(shard)
                if part and gradients:
                    whole = gradients.digest(shard.start, shard.stop) == part.gradients
                    part = part if whole else None
                yield shard, part

    @contextlib.contextmanager
    def _gradients(self, inputs: Inputs) -> Iterator[Gradients | None]:
        """gradients.npy, of its full size; None if it is not asked for."""
        if not inputs.task.gradients:
            yield None
            return
        first = inputs.first
        gradients = Gradients(self.path / GRADIENTS, (inputs.rows, *first.shape), first.dtype)
        with contextlib.closing(gradients):
            yield gradients

    def settle(self, inputs: Inputs) -> None:
        """Have all parts on disk, before something tells that they are there.

        Raises:
            OutputError: they cannot be written.
        """
        with writing(self.path / LOSSES):
            for shard in inputs.shards:
                synchronise(self.part_path(shard.number))
            synchronise(self.path / LOSSES)


def _seal(content: io.BytesIO) -> str:
    """Put a part's digest where the blank is, in what tells of the part, at its end.

    Returns:
        The digest of all bytes then.
    """
    at = content.getvalue().rindex(_DIGEST + _BLANK) + len(_DIGEST)
    whole = content.getbuffer()
    before = hashlib.sha256(whole[:at])
    own = before.copy()
    own.update(whole[at:])
    sealed = own.hexdigest().encode()
    whole[at : at + len(sealed)] = sealed
    before.update(whole[at:])
    return before.hexdigest()


def _sealed(content: bytes) -> bool:
    """Whether a part is as it was written, to the bit."""
    at = content.rfind(_DIGEST) + len(_DIGEST)
    end = at + len(_BLANK)
    digest = hashlib.sha256(memoryview(content)[:at])
    digest.update(_BLANK)
    digest.update(memoryview(content)[end:])
    return digest.hexdigest().encode() == content[at:end]


def check_version(path: Path, found: Mapping[str, Any]) -> None:
    """Check that a manifest is of this version of lossd.

    Raises:
        OutputError: it is of another, or not whole.
    """
    lacking = sorted({"format", "lossd", "task", "inputs"} - found.keys())
    if lacking:
        raise OutputError(
            f"{path / MANIFEST} has no {lacking[0]!r}: it is damaged, or not of a run; --overwrite "
            "begins anew",
            field="out",
        )
    if found.get("format") != FORMAT or found.get("lossd") != __version__:
        raise OutputError(
            f"{path} holds a run of lossd {found.get('lossd')}, this is {__version__}: "
            "--overwrite begins anew",
            field="out",
        )


def described(inputs: Inputs) -> dict[str, Any]:
    """A run's manifest."""
    return {
        "format": FORMAT,
        "lossd": __version__,
        "task": inputs.task.to_json(),
        "inputs": inputs.fingerprints(),
        "rows": inputs.rows,
        "shards": [shard.stop for shard in inputs.shards],
    }


def _just_begun(path: Path) -> bool:
    """Whether a run that was killed before it had a manifest may have left this."""
    if path.name == LOSSES and path.is_dir():
        return not any(path.iterdir())
    return path.name == LOCK or re.fullmatch(_TEMPORARIES[""], path.name) is not None


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two descriptions of a source, the first of it."""
    for key in ("rows", "shape", "dtype"):
        if before.get(key) != now[key]:
            return f"{key} was {before.get(key)}, is {now[key]}"
    older = {file["path"]: file for file in before.get("files", [])}
    for file in now["files"]:
        was = older.pop(file["path"], None)
        if was is None:
            return f"{file['path']} was not there"
        for key in ("size", "digest", "modified"):
            if was[key] != file[key]:
                return f"{file['path']} ({key})"
    return f"{next(iter(older), 'a file')} is gone"
