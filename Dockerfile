# docker build -t sqlqueue .                     the program alone
# docker build -t sqlqueue --target alpine .     with a shell, for work --exec and commands of work --handlers

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /image/usr/local/bin/sqlqueue ./cmd/sqlqueue
RUN install -D -m 644 -t /image/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt \
    && install -d -m 1777 /image/tmp \
    && install -d -o 65532 -g 65532 /image/data

FROM alpine:3.22 AS alpine
COPY --from=build /image/usr/local/bin/sqlqueue /usr/local/bin/
COPY --from=build /image/data /data
WORKDIR /data
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sqlqueue"]

FROM scratch
COPY --from=build /image /
WORKDIR /data
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sqlqueue"]
