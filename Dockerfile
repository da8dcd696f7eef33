# syntax=docker/dockerfile:1
#
# ganctl in a container. On the CPU:
#
#   docker build -t ganctl .
#   docker run --rm --read-only --user "$(id -u):$(id -g)" -v "$PWD:/work" ganctl train
#
# On an NVIDIA GPU (docker run also needs --gpus all):
#
#   docker build -t ganctl:cuda --build-arg TORCH=cu130 .
#
# All that is ever written, caches and temporary files too, goes to the volume /work.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# The name of a PyTorch index, https://download.pytorch.org/whl/NAME: cpu, cu126, cu130, ...
ARG TORCH=cpu
# Extras of ganctl, separated by commas, such as onnx,video; empty for none.
ARG EXTRAS=onnx,video
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Before the sources, so that a change of these does not download PyTorch again.
RUN python -m venv /opt/ganctl \
    && /opt/ganctl/bin/pip install --index-url "https://download.pytorch.org/whl/${TORCH}" \
      "torch>=2.10" "torchvision>=0.25"
COPY pyproject.toml README.md LICENSE /src/
COPY ganctl /src/ganctl
RUN /opt/ganctl/bin/pip install "/src${EXTRAS:+[${EXTRAS}]}"

FROM python:${PYTHON}-slim
COPY --from=build /opt/ganctl /opt/ganctl
# Whoever runs it, with a name or without: home, cache and temporary files are in the volume.
ENV PATH=/opt/ganctl/bin:$PATH \
    HOME=/work \
    XDG_CACHE_HOME=/work/.cache \
    XDG_CONFIG_HOME=/work/.config \
    TMPDIR=/work \
    USER=ganctl \
    PYTHONDONTWRITEBYTECODE=1
RUN install -d -m 1777 /work
WORKDIR /work
VOLUME /work
USER 1000:1000
ENTRYPOINT ["ganctl"]
CMD ["--help"]
