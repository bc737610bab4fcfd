# make test gets the database servers that it needs: see integration/README.md.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.15.1
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.8
HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
KUBECTL_VALIDATE := sigs.k8s.io/kubectl-validate@v0.0.4

# The race detector needs a C compiler.
# It leaves out the C of SQLite and of its library that was turned into Go, which takes most of the time, and nothing else.
C := modernc.org/sqlite/lib modernc.org/libc modernc.org/memory
RACE := $(if $(shell command -v "$$(go env CC)"),-race $(C:%=-gcflags=%=-race=false))
COUNT := 1
TESTS := integration/.bin/tests $(RACE) -count=$(COUNT)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets; times are those of two idle cores, with a build cache that has been filled before
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: tests
tests:
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	cd integration && go build -o .bin/tests ./cmd/tests

.PHONY: test
test: tests ## vet and test everything, on every database engine: 17 minutes
	@$(TESTS)

.PHONY: unit
unit: ## vet and test the library alone, which needs no server: 5 minutes
	go vet ./...
	go test $(RACE) -count=$(COUNT) -timeout=4h ./...

.PHONY: integration
integration: tests ## vet and test on real servers: 9 minutes
	@$(TESTS) integration

.PHONY: browser
browser: tests ## the dashboard in a real browser, on every database engine: 3 minutes
	@$(TESTS) browser

.PHONY: orms
orms: tests ## recipes for ORMs and drivers, on every database engine: half a minute
	@$(TESTS) orms

.PHONY: site
site: ## the documents as a static site in dist/site, with all links checked: a few seconds
	cd integration && go run ./cmd/site ../dist/site

.PHONY: screenshots
screenshots: ## the README's pictures, of the demo's dashboard
	cd integration && go test -count=1 -run TestDemo ./browser -images "$(CURDIR)/docs/images"

.PHONY: versions
versions: tests ## on the servers that are given, only what depends on their version: 5 minutes
	@$(TESTS) -versions

# Go takes the versions of go.mod, which are the lowest that are allowed: all other targets test those.
.PHONY: newest
newest: ## the library with the newest versions of its dependencies instead of the lowest, those of go.mod: 8 minutes
	@mkdir -p dist && cp go.mod dist/newest.mod && cp go.sum dist/newest.sum
	go get -modfile=dist/newest.mod -u -t ./...
	go vet -modfile=dist/newest.mod ./...
	go test -modfile=dist/newest.mod -count=$(COUNT) -timeout=4h ./...

.PHONY: race
race: ## everything under the race detector, three times in a row: half an hour
	$(if $(RACE),,@echo "the race detector needs a C compiler" && exit 1)
	@$(MAKE) --no-print-directory test COUNT=3

# HOSTILE="'one core' Shanghai" runs these conditions alone; go run ./cmd/hostile -list, in integration/, prints all.
.PHONY: test-hostile
test-hostile: ## the library with other clocks, zones, users and environments, and on a busy machine: half an hour
	go -C integration build -o .bin/hostile ./cmd/hostile
	cd integration && .bin/hostile $(HOSTILE)

# The seed of a failure is printed: CHAOS="-run TestRandom/postgres -chaos.seed=…" repeats its order of faults.
CHAOS := -chaos.long -chaos.for=20m -chaos.burst=20000
.PHONY: chaos
chaos: ## break what workers run on, one fault at a time, then in random order: 45 minutes
	cd integration && go test -count=1 -timeout=12h -v ./chaos $(CHAOS)

.PHONY: soak
soak: ## faults in random order on every engine, without an end of their own: 8 hours
	cd integration && go test -count=1 -timeout=24h -v -run TestRandom ./chaos -chaos.for=8h

# ENGINES="galera postgres-18" runs these alone; go run ./engines -list, in integration/, prints all, and what may differ there.
.PHONY: engines
engines: ## conformance and kills on clusters, poolers and other versions, as far as they can be had: an hour
	cd integration && go run ./engines $(ENGINES)

.PHONY: lint
lint: ## check style and the architecture's arrows
	go run $(GOLANGCI_LINT) run ./...
	cd integration && go run $(GOLANGCI_LINT) run ./...
	cd bench && go run $(GOLANGCI_LINT) run ./...

.PHONY: package-check
package-check: ## check what goreleaser, GitHub, Helm, Kubernetes and systemd read: a minute, the first time ten
	@GORELEASER="go run $(GORELEASER)" ACTIONLINT="go run $(ACTIONLINT)" HELM="go run $(HELM)" KUBECTL_VALIDATE="go run $(KUBECTL_VALIDATE)" contrib/check.sh

.PHONY: manifests
manifests: ## write contrib/kubernetes from the chart
	go run $(HELM) template sqlqueue contrib/helm/sqlqueue --values contrib/kubernetes/values.yaml > contrib/kubernetes/sqlqueue.yaml

.PHONY: package
package: ## archives for every system, the deb, and with syft the SBOMs, of this commit into dist/: 10 minutes
	go run $(GORELEASER) release --snapshot --clean $(if $(shell command -v syft),,--skip=sbom)

.PHONY: image-check
image-check: ## build the image and run the demo in examples/compose with it: 5 minutes, needs Docker
	docker build --tag sqlqueue .
	docker run --rm --read-only sqlqueue version
	examples/compose/check.sh

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
