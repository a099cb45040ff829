# syntax=docker/dockerfile:1

# The wallet's processes in one image (target `wallet`), and the payment sandbox in another (target `sandbox`), which
# production has no use for. docker-compose.yml says which command runs where.

FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/wallet

FROM base AS packages
# Binary wheels with known hashes, so that no compiler is needed; of http-ece, which is plain Python, there is none.
COPY requirements.txt ./
RUN python -m venv /opt/wallet \
    && /opt/wallet/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --only-binary :all: --no-binary http-ece --requirement requirements.txt

FROM packages AS code
COPY . .
# Static files get their hashed names now. Settings want a whole environment; this one is made up and left behind here.
# The local runner is no part of production, and the sandbox has an image of its own.
RUN PATH="/opt/wallet/bin:$PATH" \
    && python -m wallet_project.local.example > /tmp/environment \
    && set -a && . /tmp/environment && set +a \
    && STATIC_ROOT=/srv/wallet/collected python manage.py collectstatic --no-input --verbosity 0 \
    && rm -r wallet_project/local payments/sandbox requirements.txt requirements-sandbox.txt \
    && python -m compileall -q accounts ledger payments wallets wallet_project

FROM base AS wallet
RUN groupadd --gid 10001 wallet \
    && useradd --uid 10001 --gid wallet --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin wallet \
    && install --directory --owner wallet --group wallet --mode 700 /var/lib/wallet/documents
COPY --from=packages /opt/wallet /opt/wallet
# Owned by root: what runs cannot change its own code.
COPY --from=code /srv/wallet /srv/wallet
ENV PATH=/opt/wallet/bin:$PATH \
    DJANGO_SETTINGS_MODULE=wallet_project.settings \
    STATIC_ROOT=/srv/wallet/collected \
    WALLET_DOCUMENTS_DIR=/var/lib/wallet/documents
USER 10001:10001
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "8", "--respawn-failed-workers", "--no-ws", "wallet_project.wsgi:application"]

FROM base AS sandbox
COPY requirements-sandbox.txt ./
RUN python -m venv /opt/sandbox \
    && /opt/sandbox/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --only-binary :all: --requirement requirements-sandbox.txt \
    && groupadd --gid 10001 wallet \
    && useradd --uid 10001 --gid wallet --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin wallet \
    && install --directory --owner wallet --group wallet --mode 700 /var/lib/sandbox
COPY payments/__init__.py ./payments/
COPY payments/sandbox ./payments/sandbox
ENV PATH=/opt/sandbox/bin:$PATH
USER 10001:10001
CMD ["python", "-m", "payments.sandbox"]
