# make help lists the targets. What they install goes to $XDG_CACHE_HOME/runtag (~/.cache/runtag), never into the work tree.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The image that `make deploy` names; the one in config/manager stands for it.
IMG ?= runtag/manager:dev
# once: the demo ends after its walk. Otherwise it stays up.
DEMO ?=
# wandb or mlflow: what the demo runs on.
TRACKER ?= wandb
# More arguments: for the manager (run) or for go test (test, unit, e2e), such as ARGS='-run TestPlan'.
ARGS ?=
FUZZTIME ?= 60s
SOAK ?= 30m
# Numbers of the rows that bench measures, such as 1,4; all by default. PROFILES is a folder that gets profiles.
BENCH ?=
PROFILES ?=

TOOL := go tool -modfile=hack/tools/go.mod
LINT := go tool -modfile=hack/tools/lint/go.mod golangci-lint-kube-api-linter
KUSTOMIZE := $(TOOL) kustomize
# The one in PATH, else the one that came with our control plane.
KUBECTL = $$(command -v kubectl || echo "$$(bin/controlplane path)/kubectl")

# The race detector needs cgo, and cgo a C compiler.
ifneq ($(shell command -v cc || command -v gcc),)
RACE := -race
TESTENV := CGO_ENABLED=1
else
RACE :=
TESTENV := CGO_ENABLED=0
endif
# Two packages at a time: real control planes and trackers are heavy.
GOTEST = $(TESTENV) go test -json -p 2 -timeout 30m $(RACE)
# Go does not see that a test runs bin/*, so a result in its cache may be that of another manager.
ANEW := -count=1
# The race detector allocates for itself, so what counts allocations and bytes runs once more without it.
COUNTS = $(if $(RACE),$(if $(ARGS),,go test -json $(ANEW) ./test/bench/gate -run 'TestHeap|TestAllocations|TestUnchangedIsFree';))
SUMMARY := go run ./hack/testsummary

.PHONY: help demo build run install uninstall deploy undeploy test unit e2e bench cover fuzz soak verify generate manifests docs fmt lint tidy vulncheck prepare clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)


demo: build ## Walk through the main job on a real API server; DEMO=once ends after it, TRACKER=mlflow takes a real MLflow server.
	go run ./hack/demo $(if $(filter once,$(DEMO)),--once) --tracker=$(TRACKER)

build: ## Build all binaries into bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/manager .
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...

run: build ## Run the manager against the current kubeconfig; ARGS='…' are its flags.
	bin/manager $(ARGS)

install: build ## Install the CRDs and the shipped rules into the cluster of the current kubeconfig.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply --server-side -f -
	$(KUSTOMIZE) build config/crd | $(KUBECTL) wait --for=condition=Established --timeout=60s -f -
	$(KUSTOMIZE) build config/rules | $(KUBECTL) apply --server-side -f -

uninstall: build ## Remove the CRDs, and with them every TrainingRun, TrackingProject and rule, from that cluster.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

deploy: install ## Install everything into that cluster, with the manager's image IMG.
	$(KUSTOMIZE) build config/default | sed 's|image: runtag/manager:dev$$|image: $(IMG)|' | $(KUBECTL) apply --server-side -f -

undeploy: build ## Remove what deploy installed, the CRDs with it.
	$(KUSTOMIZE) build config/default | $(KUBECTL) delete --ignore-not-found -f -


prepare: build ## Get what the tests need, once: a control plane, what simulates nodes, and a Python with the real trackers.
	@path=$$(bin/controlplane path --nodes) && echo "control plane: $$path"
	@path=$$(hack/venv.sh) && echo "python: $$path"

test: prepare ## Run all tests, with the race detector where there is a C compiler.
	@echo '$(if $(RACE),with the race detector,no C compiler: without the race detector)'
	@{ $(GOTEST) $(ANEW) ./... $(ARGS); $(COUNTS) } | $(SUMMARY)

unit: ## Run the tests that need neither control plane nor Python.
	@$(GOTEST) -short $$(go list ./... | grep -Ev '/(api|cmd|controllers|test|internal/(backend/mlflow|controlplane|pyenv))(/|$$)') | $(SUMMARY)

e2e: prepare ## Run the built manager end to end on both trackers.
	@$(GOTEST) $(ANEW) ./test/e2e/... $(ARGS) | $(SUMMARY)

bench: prepare ## Measure runtag beside what people use today and write docs/benchmarks.md; BENCH=1,4 measures some rows.
	go run ./test/bench $(if $(BENCH),--only=$(BENCH)) $(if $(PROFILES),--profiles=$(PROFILES))

cover: prepare ## Say the statement coverage of every package below internal/.
	@CGO_ENABLED=0 go test -json -p 2 -timeout 30m -coverprofile=cover.out -coverpkg=./internal/... ./internal/... | $(SUMMARY)
	@awk -f hack/cover.awk cover.out | sort

faults: build prepare ## Run the fault suite in full (up to an hour) and write docs/reliability.md; FAULTS=calls,walks runs some parts.
	go run ./test/faults $(if $(FAULTS),--only=$(FAULTS))

soak: prepare ## Run the manager under random load for SOAK=30m and compare what it holds at the end with the beginning.
	SOAK=$(SOAK) go test -count=1 -v -timeout 0 ./test/faults/soak

fuzz: ## Run each fuzz target for FUZZTIME.
	hack/fuzz.sh $(FUZZTIME)


verify: ## Check that generated files, go.mod files and lint are clean; changes nothing.
	hack/verify.sh

generate: ## Generate the deep copies of the API types.
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

manifests: ## Generate the CRDs and the manager's role from the markers in the code.
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=manager-role paths=./controllers/... output:rbac:dir=config/rbac

docs: ## Generate the pages about kubectl runtag from its commands.
	go run ./hack/plugindocs >docs/kubectl-runtag.md

fmt: ## Format the Go code.
	$(LINT) fmt

lint: ## Run the linters, those for Kubernetes APIs on api/.
	$(LINT) run
	$(LINT) run --config=.golangci-kal.yml ./api/...

tidy: ## Tidy every module.
	for d in $$(find . -name go.mod -exec dirname {} \;); do (cd $$d && go mod tidy); done

vulncheck: ## Look for known vulnerabilities in what is used; needs the Go vulnerability database.
	$(TOOL) govulncheck ./...

clean: ## Remove what was built here; the cache outside stays.
	rm -rf bin cover.out
