"""Every setting of the server, from flags, `LOSSD_*` variables and a TOML file, in that order."""

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from lossd_client.transports import KEEPALIVE
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

import lossd.losses  # noqa: F401  fills the registry
from lossd.kernels import runtime
from lossd.spec import find, registry

Names = Annotated[list[str], NoDecode]

_MOST_BYTES: Final = (1 << 63) - 1  # what the system counts a size in

_LONGEST_SILENCE: Final = 1e6  # seconds: gRPC counts milliseconds in 31 bits

_LAST_PORT: Final = 65535

_MEANT: Final = {
    "bytes": "BYTES", "config": "FILE", "dir": "FOLDER", "listen": "ADDRESS", "roots": "FOLDER",
    "seconds": "SECONDS", "warm": "LOSSES",
}  # fmt: skip
"""What --help calls the value of a flag, by its last word; numbers are N."""


def _add_flag(parser: Any, *names: str, **how: Any) -> Any:
    if "metavar" in how and not how["metavar"].startswith("{"):  # of the type, but for choices
        how["metavar"] = _MEANT.get(names[-1].rpartition("-")[2], "N")
    return argparse.ArgumentParser.add_argument(parser, *names, **how)


class Settings(BaseSettings):
    """Serve losses over gRPC.

    Each flag has a variable (`--max-message-bytes` is `LOSSD_MAX_MESSAGE_BYTES`) and a key in the
    TOML file given by `--config` or `LOSSD_CONFIG`. A flag wins over a variable, a variable over
    the file.
    """

    model_config = SettingsConfigDict(
        env_prefix="LOSSD_",
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_prog_name="lossd serve",
        use_attribute_docstrings=True,
    )

    listen: Names = ["127.0.0.1:50051"]
    """Address to listen on, host:port or unix:/path; give it several times for several. Port 0
    takes a free one. In the variable and the file, commas separate addresses."""

    config: Path | None = None
    """TOML file with any of these settings."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes that serve; threads, concurrency and memory are divided among them. Connections to
    a host:port are spread over them. The first listens on unix:/path, others on unix:/path.1 and
    so on. One that ends by itself is replaced. A registered tensor is kept by one of them."""

    threads: int = Field(default=runtime.get_threads(), ge=1, le=runtime.MAX_THREADS)
    """Threads that a large kernel runs on. Results do not depend on it."""

    concurrency: int = Field(default=2, ge=1, le=1024)
    """Evaluations that are computed at the same time."""

    max_message_bytes: int = Field(default=64 << 20, ge=4096, le=(1 << 31) - 1)
    """Largest message that is accepted, in bytes. Larger tensors come in chunks."""

    max_inflight_bytes: int = Field(default=4 << 30, ge=4096, le=_MOST_BYTES)
    """Memory for tensors of evaluations that are under way, in bytes; beyond it a new evaluation
    is answered with RESOURCE_EXHAUSTED. Those of up to 64 KiB have a sixteenth more."""

    share_memory: Literal["local", "unix", "any", "none"] = "local"
    """Which clients of this host and user may hand tensors over in shared memory, and calls
    through pipes: those on unix sockets and loopback addresses, those on unix sockets, any, or
    none."""

    max_shared_bytes: int = Field(default=4 << 30, ge=4096, le=_MOST_BYTES)
    """Memory that is shared with clients at most, in bytes; beyond it tensors are sent."""

    max_registered_bytes: int = Field(default=1 << 30, ge=0, le=_MOST_BYTES)
    """Memory for tensors that clients register, to name them later, in bytes; 0 for none."""

    registered_seconds: float = Field(default=3600.0, gt=0)
    """How long a registered tensor is kept after its last use, at most."""

    stall_seconds: float = Field(default=300.0, gt=0)
    """How long an evaluation waits for the next chunk of its tensors before it is given up. When
    others need the room, one is that would take longer for as many bytes as it holds."""

    keepalive_seconds: float = Field(default=KEEPALIVE, ge=1, le=_LONGEST_SILENCE)
    """After how much silence a client is asked whether it is there; it has twice as long to answer
    until its connection is closed and what it holds is freed."""

    scoring_dir: Path | None = None
    """Folder of scoring jobs and their results; without it and --scoring-roots there are none."""

    scoring_roots: Names = []
    """Folders that scoring jobs may read, and no others. Several times for several."""

    scoring_jobs: int = Field(default=1, ge=1, le=64)
    """Scoring jobs that are computed at the same time; the others wait."""

    scoring_kept: int = Field(default=10_000, ge=1, le=1_000_000)
    """Scoring jobs that are kept, ended ones too; beyond it a new one is answered with
    RESOURCE_EXHAUSTED."""

    warm: Names = ["all"]
    """Losses whose kernels are compiled before the server reports SERVING: names, 'all' or
    'none', separated by commas."""

    drain_seconds: float = Field(default=30.0, ge=0)
    """How long evaluations that are under way may go on after SIGTERM or SIGINT."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages that are logged."""

    log_format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object each."""

    reflection: bool = True
    """Serve gRPC reflection, by which tools like grpcurl learn the methods."""

    def of_worker(self, number: int) -> "Settings":
        """The settings of one of several workers: its addresses, and its part of the rest."""
        listen = [
            f"{address}.{number}" if number and address.startswith("unix:") else address
            for address in self.listen
        ]
        shares = {
            name: max(getattr(self, name) // self.workers, 1) for name in ("threads", "concurrency")
        }
        shares |= {
            name: max(getattr(self, name) // self.workers, 4096)
            for name in ("max_inflight_bytes", "max_shared_bytes")
        }
        shares["max_registered_bytes"] = self.max_registered_bytes // self.workers
        return self.model_copy(update={"listen": listen, **shares})

    @field_validator("listen", "scoring_roots", "warm", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise ValueError("give a string, with commas between several, or a list of strings")
        return [part.strip() for item in values for part in item.split(",") if part.strip()]

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for address in value:
            _check_address(address)
        if not value:
            raise ValueError("give at least one address")
        return value

    @field_validator("scoring_roots")
    @classmethod
    def _folders(cls, value: list[str]) -> list[str]:
        for folder in value:
            if not Path(folder).is_dir():
                raise ValueError(f"{folder!r} is not a folder")
        return [str(Path(folder).resolve()) for folder in value]

    @field_validator("config", mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("scoring_dir")
    @classmethod
    def _resolved(cls, value: Path | None) -> Path | None:
        return None if value is None else value.resolve()

    @model_validator(mode="after")
    def _scoring(self) -> Self:
        if bool(self.scoring_roots) != bool(self.scoring_dir):
            raise ValueError("scoring jobs need both scoring_dir and scoring_roots")
        return self

    @field_validator("warm")
    @classmethod
    def _losses(cls, value: list[str]) -> list[str]:
        if value == ["all"]:
            return sorted(registry)
        if value == ["none"]:
            return []
        return [find(name).name for name in value]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where settings come from, the strongest first."""
        path = init_settings().get("config")
        sources = [init_settings, env_settings]
        if path is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, path))
        return tuple(sources)

    @classmethod
    def load(cls, arguments: Sequence[str]) -> "Settings":
        """Settings from command-line arguments, the environment and the file that they name.

        Exits with a message for each setting that is wrong.
        """
        before = argparse.ArgumentParser(add_help=False)
        before.add_argument("--config", default=os.environ.get("LOSSD_CONFIG"))
        path = before.parse_known_args(list(arguments))[0].config
        try:
            if path:
                with Path(path).open("rb") as file:
                    tomllib.load(file)
            flags = CliSettingsSource[Any](
                cls, cli_parse_args=list(arguments), add_argument_method=_add_flag
            )
            given = flags()
            return cls(**(given | ({"config": Path(path)} if path else {})))
        except OSError as error:
            raise SystemExit(f"lossd serve: {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SystemExit(f"lossd serve: {path}: {error}") from error
        except ValidationError as error:
            lines = [
                f"  {'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}"
                if e["loc"]
                else f"  {e['msg']}"  # of settings that do not go together
                for e in error.errors()
            ]
            raise SystemExit(
                "\n".join(["lossd serve: settings that are wrong:", *lines])
            ) from error


def _check_address(address: str) -> None:
    """Raise if nothing can listen on an address.

    Raises:
        ValueError: why.
    """
    if address.startswith("unix:"):
        if address == "unix:":
            raise ValueError(f"{address!r} has no path: unix:/path")
        return
    _, colon, port = address.rpartition(":")
    if not (colon and port.isascii() and port.isdecimal()):
        raise ValueError(f"{address!r} is neither host:port nor unix:/path")
    if int(port) > _LAST_PORT:
        raise ValueError(f"{address!r} has a port beyond {_LAST_PORT}")
