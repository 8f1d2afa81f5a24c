# chargewatch: the service, its commands and the simulator, and nothing that only development
# needs. Runs as a user without a name, on a root file system that nobody may write to.
# What it keeps is in /var/lib/chargewatch: mount a volume there.

# --- Packages: made with pip, which stays behind ---------------------------------------------
FROM python:3.12.13-slim-bookworm AS packages
WORKDIR /app
COPY constraints.txt ./
# Wheels only: no compiler is here, none is needed, and nobody's build script runs.
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile \
        --only-binary :all: --require-hashes -r constraints.txt \
 && .venv/bin/pip uninstall --yes --quiet --disable-pip-version-check pip \
 && .venv/bin/python -m compileall -q -j 0 .venv/lib

# --- The image -------------------------------------------------------------------------------
FROM python:3.12.13-slim-bookworm
LABEL org.opencontainers.image.title="chargewatch" \
      org.opencontainers.image.description="Watches e-bike charging stations, and warns before there is a fire." \
      org.opencontainers.image.version="0.1.0"

ENV PATH="/app:/app/.venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHARGEWATCH_DATA_DIR=/var/lib/chargewatch

# Volumes that are mounted here for the first time belong to whom these folders belong to.
RUN install -d -o 10001 -g 10001 -m 0700 \
        /var/lib/chargewatch /run/tokens/service /run/tokens/grafana /run/dashboards

WORKDIR /app
COPY --from=packages /app/.venv .venv
COPY chargewatch ./
COPY rules rules
COPY ingest ingest
COPY api api
COPY simulator simulator
COPY dashboards dashboards
RUN python -m compileall -q -j 0 rules ingest api simulator dashboards

USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["/app/chargewatch"]
CMD ["serve"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/app/chargewatch", "health", "--quiet"]
