"""Ask a server over grpc.health.v1 whether it serves: what the container's health check runs.

python -m lossd.healthcheck --target localhost:50051
"""

import argparse
import os
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

OPTIONS: Final = (("grpc.enable_http_proxy", 0),)  # the server is near: never through a proxy


def default_target() -> str:
    """The first address of `$LOSSD_LISTEN`, as seen from the same machine; else localhost:50051."""
    address = os.environ.get("LOSSD_LISTEN", "").partition(",")[0].strip() or "localhost:50051"
    host, colon, port = address.rpartition(":")
    return f"localhost{colon}{port}" if host in ("0.0.0.0", "[::]") else address


def check(target: str, timeout: float) -> str:
    """The status that a server reports of itself as a whole: 'SERVING', 'NOT_SERVING', ….

    Args:
        target: host:port or unix:/path.
        timeout: seconds that the answer may take.

    Raises:
        grpc.RpcError: no answer, or none in time.
    """
    with grpc.insecure_channel(target, OPTIONS) as channel:
        request = health_pb2.HealthCheckRequest()
        response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lossd.healthcheck",
        description="Ask a server over grpc.health.v1 whether it serves. "
        "Exits with 0 if it reports SERVING, else with 1 and a message.",
    )
    parser.add_argument(
        "--target",
        default=default_target(),
        help="host:port or unix:/path (default: the first address of $LOSSD_LISTEN, "
        "else localhost:50051; here: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long the answer may take (default: %(default)s)",
    )
    options = parser.parse_args()
    try:
        status = check(options.target, options.timeout)
    except grpc.RpcError as error:
        reason = f"{error.code().name}: {error.details()}"
        raise SystemExit(f"healthcheck: no answer from {options.target} ({reason})") from error
    if status != "SERVING":
        raise SystemExit(f"healthcheck: {options.target} is {status}")


if __name__ == "__main__":
    main()
