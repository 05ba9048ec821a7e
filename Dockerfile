# The server (default target) and the thin client (target `client`).
#
#   docker build -t lossd .
#   docker run --rm -p 127.0.0.1:50051:50051 lossd
#
# deploy/README.md tells about settings, read-only roots and fleets of different processors.

ARG BASE=python:3.11-slim-bookworm

# ---- both distributions as wheels ------------------------------------------------------------
FROM ${BASE} AS wheels
COPY . /src
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheels /src /src/clients/python \
 && cp /src/constraints.txt /wheels

# ---- the server's environment, and its compiled kernels --------------------------------------
FROM ${BASE} AS build
COPY --from=wheels /wheels /wheels
# `--build-arg EXTRAS=[score]` for scoring jobs: readers of files, charts.
ARG EXTRAS=
# Nothing loads the libraries' tests, nor tbb's debugging variants and the copies of its files that
# a wheel has in place of links.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/lossd \
 && pip --python /opt/lossd/bin/python install -c /wheels/constraints.txt \
    /wheels/lossd_client-*.whl "$(echo /wheels/lossd-[0-9]*.whl)${EXTRAS}" \
 && find /opt/lossd/lib -type d -name tests -prune -exec rm -r {} + \
 && rm -f /opt/lossd/lib/*_debug.so* /opt/lossd/lib/*.so /opt/lossd/lib/*.so.*.*

# Kernels are compiled for the processor that builds, unless these name another one: see
# deploy/README.md. A server on another processor than these were compiled for compiles its own.
ARG NUMBA_CPU_NAME
ARG NUMBA_CPU_FEATURES
RUN NUMBA_CACHE_DIR=/var/cache/lossd /opt/lossd/bin/python -c \
    "from lossd import engine, spec; [engine.compile_kernels(name) for name in spec.registry]"

# ---- the thin client: numpy, grpcio and protobuf ---------------------------------------------
FROM ${BASE} AS client-build
COPY --from=wheels /wheels /wheels
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/lossd \
 && pip --python /opt/lossd/bin/python install -c /wheels/constraints.txt /wheels/lossd_client-*.whl \
 && find /opt/lossd/lib -type d -name tests -prune -exec rm -r {} +

FROM ${BASE} AS client
LABEL org.opencontainers.image.title="lossd-client" \
      org.opencontainers.image.description="Checks a lossd server against PyTorch's values" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=client-build /opt/lossd /opt/lossd
ENV PATH=/opt/lossd/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["python", "-m", "lossd_client.selfcheck"]

# ---- the server ------------------------------------------------------------------------------
FROM ${BASE} AS server
LABEL org.opencontainers.image.title="lossd" \
      org.opencontainers.image.description="PyTorch's losses and their gradients as a service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 lossd \
 && useradd --uid 10001 --gid lossd --no-create-home --home-dir /nonexistent lossd \
 && install -d -m 1777 /run/lossd  # any uid can put its socket there
COPY --from=build /opt/lossd /opt/lossd
COPY --from=build --chown=10001:10001 /var/cache/lossd /var/cache/lossd
# No home: where the baked kernels' folder is read-only, no other folder is to be preferred to it.
ENV PATH=/opt/lossd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/nonexistent \
    NUMBA_CACHE_DIR=/var/cache/lossd \
    LOSSD_LISTEN=0.0.0.0:50051,unix:/run/lossd/lossd.sock
USER 10001:10001
VOLUME /run/lossd
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=2m --retries=3 \
    CMD ["python", "-m", "lossd.healthcheck"]
ENTRYPOINT ["lossd"]
CMD ["serve"]
