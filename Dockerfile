FROM python:3.13-slim AS build
WORKDIR /srv
RUN python -m venv /opt/venv
# `--build-arg REQUIREMENTS=requirements-telemetry.txt` for an image that can send OpenTelemetry traces.
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-telemetry.txt ./
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt && \
    /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r "$REQUIREMENTS"
COPY . .
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -e .

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 PORT=8000 DATABASE_URL=sqlite:////data/vram-fit.db
RUN useradd --system --uid 10001 --home-dir /srv vramfit && install -d -o vramfit /data
WORKDIR /srv
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
USER vramfit
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=2)"]
# Migrating and loading take a lock and change nothing a second time, so every replica may start so.
CMD ["sh", "-c", "vram-fit migrate && vram-fit catalogue load && exec vram-fit serve"]
