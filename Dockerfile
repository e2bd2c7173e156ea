# A static binary in an empty image: nothing to patch, no shell, no root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/sfbridge/bridge/cmd/bridge/internal/cli.version=${VERSION}" \
    -o /bridge ./cmd/bridge

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="bridge" \
      org.opencontainers.image.description="Salesforce events into Kafka, exactly once" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /bridge /bridge
# Writes no file: fit for a read-only root file system.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/bridge"]
CMD ["run", "--config", "/etc/bridge/bridge.yaml"]
