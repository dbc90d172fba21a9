# syntax=docker/dockerfile:1
# The sidecar's image, both roles in one: `pilotfish proxy` (PID 1 of istio-proxy) and `pilotfish iptables` (istio-init).
#
#   docker build -t pilotfish/proxy:0.1.0 .
#   docker build --build-arg ENVOY_IMAGE=istio/proxyv2:1.27.0 --build-arg ENVOY_PATH=/usr/local/bin/envoy -t … .
#
# Istio's proxyv2 carries an Envoy with the extensions that istiod's default listeners need; stock Envoy refuses those.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG ENVOY_IMAGE=envoyproxy/envoy:v1.40.0

FROM ${ENVOY_IMAGE} AS envoy
ARG ENVOY_PATH=/usr/local/bin/envoy
USER root
RUN cp "${ENVOY_PATH}" /envoy

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY . .
RUN node scripts/build.mjs && node scripts/image-content.mjs /out

FROM ${NODE_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates iproute2 iptables nftables util-linux \
 && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* \
 && groupadd --gid 1337 istio-proxy \
 && useradd --uid 1337 --gid 1337 --no-create-home --home-dir / --shell /usr/sbin/nologin istio-proxy \
 && install -d -o 1337 -g 1337 -m 0755 /etc/istio/proxy /var/lib/istio/data
COPY --from=envoy /envoy /usr/local/bin/envoy
COPY --from=build /out/ /
WORKDIR /
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/pilotfish"]
CMD ["proxy", "sidecar"]
