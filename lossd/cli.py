"""lossd serve | losses | demo | bench."""

import argparse
import sys
from collections.abc import Sequence

from lossd import __version__


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        from lossd.server.app import serve
        from lossd.server.settings import Settings

        serve(Settings.load(given[1:]))
        return


if __name__ == "__main__":
    main()
