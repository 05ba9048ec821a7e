"""A link of a given rate and delay between two sockets of this host, in a process of its own.

python -m benchmarks.link ADDRESS TARGET MEGABYTES_A_SECOND MILLISECONDS
"""

import asyncio
import contextlib
import socket
import sys
from typing import Final

BLOCK: Final = 1 << 16
"""Bytes that travel together."""

NAP: Final = 1e-3
"""Seconds below which it is not worth to wait: the system wakes later than that."""


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float, delay: float
) -> None:
    """Bytes of one direction, to the end."""
    loop = asyncio.get_running_loop()
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

    async def arrive() -> None:
        while True:
            at, block = await on_its_way.get()
            if not block:
                return
            await asyncio.sleep(max(at - loop.time(), 0))
            writer.write(block)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    free = 0.0  # when the link has carried what it was given
    with contextlib.suppress(ConnectionError):
        while block := await reader.read(BLOCK):
            now = loop.time()
            free = max(free, now) + len(block) / rate
            await on_its_way.put((free + delay, block))
            if free - now > NAP:
                await asyncio.sleep(free - now - NAP / 2)
    await on_its_way.put((0, b""))
    with contextlib.suppress(ConnectionError):
        await arriving
    writer.close()


async def _serve(address: str, target: str, rate: float, delay: float) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*target.split(":"), limit=BLOCK)
        for end in (writer, back):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(_carry(reader, back, rate, delay), _carry(there, writer, rate, delay))

    server = await asyncio.start_server(join, *address.split(":"), limit=BLOCK)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Carry bytes until the process is ended."""
    address, target, rate, delay = sys.argv[1:]
    asyncio.run(_serve(address, target, 1e6 * float(rate), float(delay) / 1e3))


if __name__ == "__main__":
    main()
