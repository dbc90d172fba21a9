# syntax=docker/dockerfile:1
# The sidecar's image, both roles in one: `pilotfish proxy` (PID 1 of istio-proxy) and `pilotfish iptables` (istio-init).
#
#   docker build -t pilotfish/proxy:0.1.0 .
#   docker build --build-arg ENVOY_IMAGE=docker.io/istio/proxyv2:1.27.0 -t … .
#
# Istio's proxyv2 carries an Envoy with the extensions that istiod's default listeners need; stock Envoy refuses those.
# docs/image.md tells the arguments, what is inside, and how to run it.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
ARG ENVOY_IMAGE=docker.io/envoyproxy/envoy:v1.40.0
# Where the product runs. Its Debian must not be older than that of NODE_IMAGE, whose node is taken over.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${ENVOY_IMAGE} AS envoy

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY . .
# What `pilotfish version` says; there is no .git here.
ARG COMMIT=unknown
RUN PILOTFISH_COMMIT="${COMMIT}" node scripts/build.mjs && node scripts/image-content.mjs /out --with-node

FROM ${BASE_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates iproute2 iptables nftables util-linux \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 1337 istio-proxy \
 && useradd --uid 1337 --gid 1337 --no-create-home --home-dir / --shell /usr/sbin/nologin istio-proxy \
 && install -d -o 1337 -g 1337 -m 0755 /etc/istio/proxy /var/lib/istio/data
ARG ENVOY_PATH=/usr/local/bin/envoy
COPY --from=envoy ${ENVOY_PATH} /usr/local/bin/envoy
COPY --from=build /out/ /
LABEL org.opencontainers.image.title="pilotfish" \
      org.opencontainers.image.description="A PID-1 sidecar supervisor for Envoy: a drop-in for Istio's pilot-agent" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/pilotfish"]
CMD ["proxy", "sidecar"]
