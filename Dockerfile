# difusor in a container: one program, its libraries, and nothing that could be run besides.
#
#   docker build -t difusor .          buildah build --format docker -t difusor .
#
# --format docker: OCI images have no HEALTHCHECK. Built on Debian 12; what it needs of glibc (2.34) Ubuntu 22.04 has too.
ARG BUILD=docker.io/library/rust:1.95-bookworm
FROM ${BUILD} AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked \
 && docker/collect target/dist/difusor /image

FROM scratch
COPY --from=build /image/ /
# Never root: see docker/collect for what belongs to this user.
USER 10001:10001
# The instance: configuration, keys, packages, ledger. All that is ever written, /tmp apart.
VOLUME ["/srv/prep"]
WORKDIR /srv/prep
EXPOSE 2222 8080 8443
# Doors close, running uploads and answers get their grace, what was received gets its verdict.
STOPSIGNAL SIGTERM
# There is no curl in here: the program asks itself.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
  CMD ["/usr/bin/difusor", "healthcheck", "--config", "/srv/prep/difusor.toml"]
ENTRYPOINT ["/usr/bin/difusor"]
CMD ["run", "--config", "/srv/prep/difusor.toml"]
