"""One of a server's processes; see `lossd.server.workers`."""

import asyncio
import json
import os
import sys
from typing import Final

from lossd.server.app import run, serve_until
from lossd.server.logs import set_up
from lossd.server.settings import Settings

_STDIN: Final = 0


async def _serve(settings: Settings) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        if not os.read(_STDIN, 1):  # whoever started this has ended
            loop.remove_reader(_STDIN)
            stopped.set()

    loop.add_reader(_STDIN, read)
    await serve_until(stopped, settings, _tell)


def _tell(addresses: list[str]) -> None:
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve as told on standard input."""
    given = json.loads(sys.stdin.readline())
    settings = Settings(**given["settings"])
    set_up(settings.log_level, settings.log_format, worker=given["number"])
    run(_serve(settings))


if __name__ == "__main__":
    main()
