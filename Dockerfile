# Weir's image: docs/install.md says how it is used, ./dev image builds and checks it.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
ENV CCACHE_DIR=/ccache
# What compiles changes seldom: a layer of its own.
COPY dev ./
COPY .ci .ci
RUN ./dev setup build
COPY . .
ARG REVISION=unknown
RUN WEIR_REVISION="${REVISION}" ./dev build && strip build/release/weir

FROM ${BASE}
# Versions are those of the Debian release: a pinned one would keep security updates out.
# hadolint ignore=DL3008
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends ca-certificates libevent-core-2.1-7 \
       libevent-extra-2.1-7 libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libgrpc++1.51 \
       libhiredis0.14 libprotobuf32 libspdlog1.10 libssl3 libyaml-cpp0.7 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && ln -s /usr/local/bin/weir /bin/ratelimit
COPY --from=build /src/build/release/weir /usr/local/bin/weir
COPY --from=build /src/LICENSE /usr/local/share/doc/weir/LICENSE

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="A rate limiter that runs beside a service or an Envoy proxy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, because Kubernetes' runAsNonRoot cannot read a name.
USER 65532:65532
EXPOSE 8080 8081
# As `weir serve …`, or as a drop-in: `/bin/ratelimit`, also as the command of a compose file.
ENTRYPOINT ["/usr/local/bin/weir"]
CMD ["serve"]
