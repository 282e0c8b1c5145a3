# The command `jointseg` in a container.
#   docker build -t jointseg .                                   for CPUs
#   docker build -t jointseg:cuda --build-arg EXTRA=cuda12 .     for NVIDIA GPUs: run it with --gpus=all
#   docker run --rm -v "$PWD:/work" jointseg predict --workdir=runs/dubai --input=scene.tif --output=maps/scene
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG EXTRA=""
WORKDIR /src
COPY . .
# The known-good versions of requirements.txt; an extra adds what belongs to them.
RUN python -m venv /opt/jointseg \
    && /opt/jointseg/bin/pip install --no-cache-dir --constraint requirements.txt ".[logging,stac${EXTRA:+,$EXTRA}]"

FROM python:${PYTHON}-slim
# The wheels of rasterio take the system's expat.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 jointseg
COPY --from=build /opt/jointseg /opt/jointseg
ENV PATH=/opt/jointseg/bin:$PATH
USER 1000
WORKDIR /work
ENTRYPOINT ["jointseg"]
CMD ["--help"]
