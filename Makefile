# make test gets the database servers that it needs: see integration/README.md.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The race detector needs a C compiler.
# It leaves out the C of SQLite that was turned into Go, which takes most of the time, and nothing else.
RACE := $(if $(shell command -v "$$(go env CC)"),-race '-gcflags=modernc.org/sqlite/lib=-race=false')
COUNT := 1
TESTS := unit integration
GO_TEST = go test $(RACE) -count=$(COUNT) -timeout=20m $(1) ./...

# one target after the other, also with make -j: they share the servers
AGAIN = $(MAKE) --no-print-directory -j1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: test
test: ## vet and test everything, on every database engine; list engines, versions and ways at the end
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	cd integration && go build -o .bin/servers ./cmd/servers
	@integration/.bin/servers -- $(AGAIN) --keep-going $(TESTS) 2>&1

.PHONY: unit
unit: ## vet and test the library alone: it needs no server
	go vet ./...
	$(call GO_TEST)

.PHONY: integration
integration: ## vet and test on real servers, one package after the other
	cd integration && go vet ./... && $(call GO_TEST,-p=1)

.PHONY: race
race: ## everything under the race detector, three times in a row
	$(if $(RACE),,@echo "the race detector needs a C compiler" && exit 1)
	@$(AGAIN) test COUNT=3

.PHONY: lint
lint: ## check style and the architecture's arrows
	go run $(GOLANGCI_LINT) run ./...
	cd integration && go run $(GOLANGCI_LINT) run ./...

# Other queues that come from npm are left out, and named, where it is not there.
PEERS := $(if $(shell command -v npm),(cd peers && npm ci) &&)

.PHONY: bench
bench: ## compare with other queues and bare SQL on PostgreSQL: half an hour
	cd bench && $(PEERS) go run .

.PHONY: bench-full
bench-full: ## the same with every workload on every engine: hours
	cd bench && $(PEERS) go run . -full -rounds 5 -seconds 20 -hold 10m
	cd bench && go run . -engine mariadb -full -rounds 5 -seconds 20 -hold 10m
	cd bench && go run . -engine sqlite -full -rounds 5 -seconds 20
