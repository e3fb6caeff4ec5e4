# The platform's image: one for web, worker and beat.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=partner_platform.settings
WORKDIR /app

COPY requirements/runtime.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt

COPY manage.py ./
COPY configs configs
COPY audit audit
COPY authority authority
COPY chain chain
COPY events events
COPY loans loans
COPY partner_platform partner_platform
COPY partners partners
COPY templates templates
COPY sandbox sandbox
COPY staff staff
COPY webhooks webhooks

# Static files are collected without the secrets of any environment.
RUN PLATFORM_ENVIRONMENT=sandbox DJANGO_SECRET_KEY=only-for-collecting-static-files \
    FIELD_ENCRYPTION_KEYS=$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
    python manage.py collectstatic --noinput \
    && useradd --system --no-create-home --uid 10001 platform \
    && install -d -o platform -m 700 /run/partner-platform/metrics /var/lib/partner-platform/archive
USER platform

# Web, worker and beat count into files in it; docker-compose.yml has them share it.
ENV PROMETHEUS_MULTIPROC_DIR=/run/partner-platform/metrics

EXPOSE 8000
CMD ["python", "-m", "partner_platform.server", "--bind", "0.0.0.0:8000", "--processes", "2"]
