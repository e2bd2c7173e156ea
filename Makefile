# The commands of this repository. `make` alone lists them.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= bridge:$(VERSION)
OUT     ?= bin/bridge

# Every linter comes in this one binary, and staticcheck with it.
GOLANGCI_VERSION := v2.15.0
TOOLS            := $(CURDIR)/.tools
GOLANGCI         := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

# The race detector costs a factor of five to ten and needs a C compiler: it
# runs where goroutines of ours meet. The integration tests run the built
# binary, which it would not see.
RACE_PACKAGES = $(shell $(GO) list ./... | grep -v /integration)

TEST_TIMEOUT ?= 20m
FUZZTIME     ?= 10m
FUZZ         ?= .
BENCH        ?= .
BENCHTIME    ?= 2s
DEMO         ?=

# The long form of the chaos test; `make test` runs the short one.
BRIDGE_CHAOS_EVENTS       ?= 100000
BRIDGE_CHAOS_KILLS        ?= 20
BRIDGE_CHAOS_BROKER_KILLS ?= 3
BRIDGE_CHAOS_FAULTS       ?= 20
# Weeks of faults in virtual time: about half a second each.
BRIDGE_LIFE_SEEDS         ?= 10000
# Random histories of an org whose rows are read: about a tenth of a second each.
HISTORIES                 ?= 10000
# A Kafka that answers nothing while events wait.
BRIDGE_STALL_EVENTS       ?= 1000000
BRIDGE_STALL_FOR          ?= 10m

.PHONY: help
help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## run the whole bridge against a simulated org: no account, no broker (DEMO="--events 50")
	@$(GO) run ./cmd/bridge demo $(DEMO)

.PHONY: build
build: ## build bin/bridge: static, reproducible, with its version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X github.com/sfbridge/bridge/cmd/bridge/internal/cli.version=$(VERSION)' -o $(OUT) ./cmd/bridge

.PHONY: test
test: ## run every test, those against a real Kafka too (BRIDGE_TEST_BROKERS to use yours)
	$(call go_test,-timeout $(TEST_TIMEOUT) ./...)

# Runs go test and shows, as its last lines, what tests could not have and why:
# go test keeps what passing packages print to itself.
define go_test
@notes=$$(mktemp); trap 'rm -f "$$notes"' EXIT; status=0; \
BRIDGE_TEST_NOTES=$$notes $(GO) test $(1) || status=$$?; \
sort -u "$$notes"; exit $$status
endef

.PHONY: check
check: fmt-check vet lint ## all that a change must pass: format, vet, linters, tests with the race detector
	$(call go_test,-race -timeout $(TEST_TIMEOUT) $(RACE_PACKAGES))
	$(call go_test,-timeout $(TEST_TIMEOUT) ./integration/...)

.PHONY: check-readers
check-readers: ## Java, Python and Go read what the bridge wrote, compared with the org's ledger
	$(call go_test,-count=1 -v -timeout $(TEST_TIMEOUT) -run 'ReadersAgree' ./integration)

.PHONY: lint
lint: $(GOLANGCI) ## run the linters at their pinned version
	$(GOLANGCI) run ./...

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: fmt
fmt: ## format the code
	gofmt -w $(GO_ROOTS)

# Only folders of ours: a cache or a tool's folder is not formatted.
GO_ROOTS = cmd cometd integration replay salesforce schemas sink transform

.PHONY: fmt-check
fmt-check:
	@bad=$$(gofmt -l $(GO_ROOTS)); if [[ -n $$bad ]]; then printf 'not formatted (make fmt):\n%s\n' "$$bad"; exit 1; fi

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (default 10m each; FUZZ=Frame for some)
	@found=0; for package in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' "$$package"); \
		for target in $$(grep -E '^Fuzz' <<<"$$targets" | grep -E '$(FUZZ)' || true); do \
			found=$$((found + 1)); echo "== $$package $$target, $(FUZZTIME)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$package"; \
		done; \
	done; echo "== $$found fuzz targets"; (( found > 0 ))

.PHONY: chaos
chaos: export BRIDGE_CHAOS_EVENTS := $(BRIDGE_CHAOS_EVENTS)
chaos: export BRIDGE_CHAOS_KILLS := $(BRIDGE_CHAOS_KILLS)
chaos: export BRIDGE_CHAOS_BROKER_KILLS := $(BRIDGE_CHAOS_BROKER_KILLS)
chaos: export BRIDGE_CHAOS_FAULTS := $(BRIDGE_CHAOS_FAULTS)
chaos: export BRIDGE_STALL_EVENTS := $(BRIDGE_STALL_EVENTS)
chaos: export BRIDGE_STALL_FOR := $(BRIDGE_STALL_FOR)
# What three instances undergo: SIGKILLs at each point of the program and at any
# moment, SIGSTOPs, cuts of the network, rolling restarts, SIGKILLs of a broker and
# of one node of three. At least once gets a tenth of it. And how often an instance
# is killed, drained, and all are restarted in turn, for the times.
chaos: export BRIDGE_FLEET_POINTS       ?= 60
chaos: export BRIDGE_FLEET_KILLS        ?= 280
chaos: export BRIDGE_FLEET_STOPS        ?= 200
chaos: export BRIDGE_FLEET_CUTS         ?= 200
chaos: export BRIDGE_FLEET_ROLLS        ?= 20
chaos: export BRIDGE_FLEET_BROKER_KILLS ?= 100
chaos: export BRIDGE_FLEET_NODE_KILLS   ?= 30
chaos: export BRIDGE_FLEET_NODE_STOPS   ?= 20
chaos: export BRIDGE_FLEET_LEADER_MOVES ?= 30
chaos: export BRIDGE_FLEET_JUMPS        ?= 60
chaos: export BRIDGE_TAKEOVER_RUNS      ?= 50
# A backfill of a million events that is killed, and times that it is begun at.
chaos: export BRIDGE_REPLAY_EVENTS      ?= 1000000
chaos: export BRIDGE_REPLAY_KILLS       ?= 30
chaos: export BRIDGE_REPLAY_TIMES       ?= 200
# A snapshot while the org changes and the bridge is killed.
chaos: export BRIDGE_SNAPSHOT_ROWS      ?= 500000
chaos: export BRIDGE_SNAPSHOT_KILLS     ?= 20
chaos: ## the long chaos tests: kills against a real Kafka, weeks of faults in virtual time (BRIDGE_CHAOS_SEED=n for another run)
	$(GO) test -count=1 -timeout 6h -parallel 1 -v -run 'Chaos|Fleet|Takeover|StalledKafka|ReplayIsExactly|ReplayFromTimes|TopicEqualsOrg' ./integration
	BRIDGE_LIFE_SEEDS=$(BRIDGE_LIFE_SEEDS) $(GO) test -count=1 -timeout 4h -run TestAWeek ./cmd/bridge/internal/source/streaming
	$(GO) test -count=1 -timeout 4h -run TestHistories ./cmd/bridge/internal/source/snapshot -history.count $(HISTORIES)

.PHONY: bench
bench: ## run the benchmarks (BENCH=Decode for some, BENCHTIME=5s)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

.PHONY: image
image: ## build the container image (IMAGE=name:tag)
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## remove what was built and the tools
	rm -rf bin $(TOOLS)

# Built from source by the Go that is here, under its version's name, so that a
# new pin is a new file.
$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) (about a minute, once)"
	@mkdir -p $(TOOLS)
	@GOBIN=$(TOOLS)/new $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/new/golangci-lint $@ && rmdir $(TOOLS)/new
