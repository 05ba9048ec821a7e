"""What is to be scored: settings alone. Equal tasks on equal files give equal bits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from lossd.scoring.disk import strict
from lossd.scoring.errors import ScoringError

FORMAT: Final = 1
"""Of a run's folder; runs of another format do not go on."""

_STRINGS: Final = ("NaN", "Infinity", "-Infinity")  # floats that JSON has not, as `strict` has them
_TYPES: Final[dict[str, Any]] = {
    "loss": str,
    "tensors": Mapping,
    "parameters": Mapping,
    "sample_weight": str,
    "ids": str,
    "groups": str,
    "gradients": bool,
    "shard_rows": int,
}


class TaskError(ScoringError, ValueError):
    """What was kept of a task is damaged, or of another version of lossd."""

    reason, code = "UNREADABLE_TASK", 9


@dataclass(frozen=True)
class Task:
    """What is to be scored.

    Attributes:
        loss: functional name, such as "cross_entropy".
        tensors: names of sources (`sources.Name`) by tensor, the predictions first.
        parameters: the loss's parameters by name, and normalizer and zero_if_empty.
        sample_weight, ids, groups: names of sources with one value a row, "" for none.
        gradients: whether gradients.npy is written: of each row's own loss with respect to the
            predictions.
        shard_rows: rows that are computed and kept as one, 0 for what fits the files. No sum
            depends on it.
    """

    loss: str
    tensors: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sample_weight: str = ""
    ids: str = ""
    groups: str = ""
    gradients: bool = False
    shard_rows: int = 0

    def sources(self) -> list[str]:
        """The names of all sources."""
        others = (self.sample_weight, self.ids, self.groups)
        return [*self.tensors.values(), *(name for name in others if name)]

    def to_json(self) -> dict[str, Any]:
        """As run.json has it."""
        plain: dict[str, Any] = strict({f.name: getattr(self, f.name) for f in fields(self)})
        return plain

    @classmethod
    def from_json(cls, found: Any) -> "Task":
        """A task of a run.json.

        Raises:
            TaskError: it has other fields than a task of this version, or of other types.
        """
        if not isinstance(found, Mapping):
            raise TaskError("it has no task")
        wrong = [name for name in found if not isinstance(found[name], _TYPES.get(name, ()))]
        wrong += [name for name in ("loss", "tensors") if name not in found]
        if wrong:
            raise TaskError(
                "its task is damaged, or of another version of lossd: " + ", ".join(wrong)
            )
        parameters = {
            name: float(value) if value in _STRINGS else value
            for name, value in found.get("parameters", {}).items()
        }
        return cls(**{**found, "parameters": parameters})

    def differences(self, other: "Task") -> list[str]:
        """What another task has otherwise, in words."""
        mine, theirs = self._flat(), other._flat()
        return [
            f"{key} is {_told(mine, key)} here and {_told(theirs, key)} there"
            for key in mine | theirs
            if mine.get(key) != theirs.get(key)
        ]

    def _flat(self) -> dict[str, Any]:
        """What was given, by name."""
        given = {key: value for key, value in self.to_json().items() if value}
        return {**given.pop("tensors"), **given.pop("parameters", {}), **given}


def _told(given: Mapping[str, Any], key: str) -> str:
    return json.dumps(given[key]) if key in given else "not given"


def resuming(folder: Path) -> list[str]:
    """The words of the command that goes on with the run in a folder."""
    return ["lossd", "score", "--resume", "--out", str(folder)]
