"""Logs: readable lines, or one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

log: Final = logging.getLogger("lossd")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def set_up(level: str, style: str, **always: Any) -> None:
    """Send lossd's logs to standard error, each with the fields `always`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    if always:
        handler.addFilter(lambda record: vars(record).update(always) or True)
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(level.upper())


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        extras = "".join(f"  {key}={value}" for key, value in _extras(record).items())
        line = f"{time} {record.levelname.lower():7} {record.getMessage()}{extras}"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
