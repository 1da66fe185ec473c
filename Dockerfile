# The service alone: FastAPI and ONNX Runtime, no torch. Builds with docker, podman or buildah:
#   docker build --tag kizashi .
#   docker run --publish 127.0.0.1:8000:8000 --volume "$PWD/artifacts/bundle:/model:ro" --env KIZASHI_MODEL_URI=/model \
#       --env KIZASHI_ALLOW_ANONYMOUS=true kizashi
# Without KIZASHI_ALLOW_ANONYMOUS=true it does not start before there is a key: README.md shows how to make one.
# BASE_IMAGE may be any image with Python 3.11 or newer and its venv module.
ARG BASE_IMAGE=python:3.12-slim
# serving-all.txt brings PostgreSQL for the history, and Arrow and Parquet for batches.
ARG REQUIREMENTS=serving.txt

FROM ${BASE_IMAGE} AS builder
ARG REQUIREMENTS
COPY requirements/${REQUIREMENTS} /tmp/serving.txt
RUN python -m venv --without-pip /opt/kizashi \
    && python -m venv /tmp/pip \
    && /tmp/pip/bin/python -m pip --python /opt/kizashi/bin/python install --no-cache-dir \
        --disable-pip-version-check --require-hashes --requirement /tmp/serving.txt

FROM ${BASE_IMAGE}
# The cache is made for the service's user here, because a named volume takes its owner from the image.
RUN groupadd --gid 10001 kizashi \
    && useradd --uid 10001 --gid kizashi --home-dir /var/lib/kizashi --no-create-home kizashi \
    && install --directory --owner kizashi --group kizashi /var/lib/kizashi
COPY --from=builder /opt/kizashi /opt/kizashi
WORKDIR /srv/kizashi
COPY LICENSE ./
COPY src/kizashi ./src/kizashi
COPY serving ./serving
# Compiled now: the service's user may not write here, and would compile at every start.
RUN python -m compileall -q src serving
ENV PATH=/opt/kizashi/bin:$PATH \
    PYTHONPATH=/srv/kizashi/src:/srv/kizashi \
    PYTHONUNBUFFERED=1 \
    KIZASHI_HOST=0.0.0.0 \
    KIZASHI_PORT=8000 \
    KIZASHI_CACHE=/var/lib/kizashi \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true
VOLUME /var/lib/kizashi
EXPOSE 8000
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "serving.alive"]
ENTRYPOINT ["python", "-m", "serving"]
