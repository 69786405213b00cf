# Blazar: build, run and test. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
# Packages come before what is compiled with them; go build uses every core anyway.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN   := bin
CACHE := .cache
TOOLS := $(CACHE)/bin
STEP  := tools/step

CONTAINERD_VERSION := $(shell sed -n 's|^\tgithub.com/containerd/containerd/v2 ||p' tools/go.mod | cut -d' ' -f1)
CRITOOLS_VERSION   := $(shell sed -n 's|^\tsigs.k8s.io/cri-tools ||p' tools/cri/go.mod | cut -d' ' -f1)
RUNC_VERSION       := $(shell sed -n 's|.*github.com/opencontainers/runc v|v|p' tools/runc/go.mod | cut -d' ' -f1)
LINT_VERSION       := $(shell sed -n 's|^\tgithub.com/golangci/golangci-lint/v2 ||p' tools/lint/go.mod 2>/dev/null | cut -d' ' -f1)
LDFLAGS            := -s -w

.PHONY: help
help: ## list the targets
	@echo "Blazar: pods in the sandbox that suits them, wasm first."
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18 | sed 's/^/  make /'

# What a build needs ----------------------------------------------------------

.PHONY: deps
deps: ## install the Debian packages that are missing (root)
	@tools/deps --check >/dev/null || $(STEP) "Debian packages ($$(tools/deps --check))" tools/deps

.PHONY: test-deps
test-deps: ## install those that the tests need too (root)
	@tools/deps --tests --check >/dev/null || $(STEP) "Debian packages ($$(tools/deps --tests --check))" tools/deps --tests

.PHONY: tools
tools: $(TOOLS)/containerd $(TOOLS)/crictl $(TOOLS)/runc ## build the pinned containerd, ctr, crictl and runc

# Each tool is built from a module of its own, so that it has the dependencies its
# makers chose: a crictl that shares containerd's reads other JSON.

# containerd brings ctr and the shim of runc: one build, one stamp.
$(TOOLS)/containerd: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "containerd, ctr $(CONTAINERD_VERSION) (minutes, the first time)" \
		go -C tools build -trimpath \
		-ldflags '$(LDFLAGS) -X github.com/containerd/containerd/v2/version.Version=$(CONTAINERD_VERSION)' \
		-o ../$(TOOLS)/ \
		github.com/containerd/containerd/v2/cmd/ctr \
		github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2 \
		github.com/containerd/containerd/v2/cmd/containerd
	@touch $@

$(TOOLS)/crictl: tools/cri/go.mod tools/cri/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "crictl $(CRITOOLS_VERSION)" \
		go -C tools/cri build -trimpath \
		-ldflags '$(LDFLAGS) -X sigs.k8s.io/cri-tools/pkg/version.Version=$(CRITOOLS_VERSION)' \
		-o ../../$@ sigs.k8s.io/cri-tools/cmd/crictl
	@touch $@

# Without the tag runc starts pods of crictl, and fails those of a kubelet.
$(TOOLS)/runc: tools/runc/go.mod tools/runc/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "runc $(RUNC_VERSION) (with seccomp)" \
		env CGO_ENABLED=1 go -C tools/runc build -trimpath -tags seccomp -ldflags '$(LDFLAGS)' \
		-o ../../$@ github.com/opencontainers/runc
	@touch $@

$(TOOLS)/critest: tools/cri/go.mod tools/cri/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "critest $(CRITOOLS_VERSION)" \
		go -C tools/cri test -c -trimpath -o ../../$@ sigs.k8s.io/cri-tools/cmd/critest
	@touch $@

# ginkgo runs critest in parallel; it is of the version that critest is linked with.
$(TOOLS)/ginkgo: tools/cri/go.mod tools/cri/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "ginkgo" go -C tools/cri build -trimpath -ldflags '$(LDFLAGS)' -o ../../$@ github.com/onsi/ginkgo/v2/ginkgo
	@touch $@

$(TOOLS)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@mkdir -p $(TOOLS)
	@$(STEP) "golangci-lint $(LINT_VERSION)" \
		go -C tools/lint build -trimpath -ldflags '$(LDFLAGS) -X main.version=$(LINT_VERSION)' \
		-o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

# Linux programs of the pods that wasm pods are compared with.
$(TOOLS)/linux-%: tools/linux/%.c
	@mkdir -p $(TOOLS)
	@$(STEP) "linux image: $*" gcc -static -Os -s -Wall -Wextra -o $@ $<

# Blazar ------------------------------------------------------------------------

.PHONY: build
build: ## build Blazar into bin/
	@mkdir -p $(BIN)
	@$(STEP) "blazar" env CGO_ENABLED=1 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/blazar ./cmd/blazar
	@$(STEP) "blazard" env CGO_ENABLED=0 go build -tags grpcnotrace -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/blazard ./cmd/blazard
	@$(STEP) "wasm-task" env CGO_ENABLED=1 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/wasm-task ./cmd/wasm-task
	@$(STEP) "pod-reaper" tools/reaper-cc $(BIN)/pod-reaper
	@$(STEP) "containerd-shim-blazar-v1" env CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/containerd-shim-blazar-v1 ./cmd/containerd-shim-blazar-v1

.PHONY: examples
examples: deps build ## build the example images
	@$(STEP) "example images" go run ./examples/wasm-images/build -out $(CACHE)/images

# Linux images of the tests: a busybox and what stands in for the web servers that the
# conformance tests of CRI name.
.PHONY: linux-images
linux-images: deps $(TOOLS)/linux-webserver $(TOOLS)/linux-nonewprivs
	@$(STEP) "Linux images" go run ./internal/linuximage/build -out $(CACHE)/images -programs $(TOOLS)

.PHONY: wasmedge
wasmedge: ## get libwasmedge: the distribution's package, or Debian 13's below .cache
	@tools/wasmedge/get --check || $(STEP) "libwasmedge" tools/wasmedge/get

# Everything that a node needs. The tests' has libwasmedge too.
.PHONY: node
node: deps tools $(TOOLS)/linux-pause $(TOOLS)/linux-hello build examples

.PHONY: run
run: node ## run the examples as pods on a private containerd (root); KEEP=1 leaves it up
	@mkdir -p $(CACHE)
	@$(STEP) "demonstration" go build -o $(CACHE)/demo ./examples/demo
	@$(CACHE)/demo $(if $(KEEP),-keep)

.PHONY: stop
stop: ## take down what `make run KEEP=1` left up
	@mkdir -p $(CACHE)
	@go build -o $(CACHE)/demo ./examples/demo
	@$(CACHE)/demo -stop

# Tests -------------------------------------------------------------------------

# Without root this says what it cannot run, and fails; UNIT_ONLY=1 says that this is
# known, and has tests that need root skipped.
.PHONY: test
test: ## everything: unit tests with -race, contract suites, lint, integration, critest (root)
	@UNIT_ONLY="$(UNIT_ONLY)" tools/test $(if $(filter 1,$(UNIT_ONLY)),unit lint,unit lint integration v2guest critest)

.PHONY: unit
unit: ## unit tests and contract suites only
	@tools/test unit

.PHONY: integration
integration: ## the tests on a real containerd only (root)
	@tools/test integration

.PHONY: lint
lint: ## golangci-lint
	@tools/test lint

# FOCUS is a regular expression; SKIPPED=1 runs what the list of skipped specs names.
.PHONY: guest-kernel
guest-kernel: ## fetch the kernel of the virtual machine in which cgroup v2 is tested
	@[ -e $(CACHE)/guest-kernel/complete ] || $(STEP) "kernel for virtual machines" tools/guest-kernel

.PHONY: v2guest
v2guest: ## test cgroup v2 in a virtual machine, emulated (root)
	@tools/test v2guest

.PHONY: critest
critest: node test-deps linux-images $(TOOLS)/critest $(TOOLS)/ginkgo ## run the conformance tests of CRI (root); HANDLER=blazar-runc, runc or blazar-wasm
	@mkdir -p $(CACHE)
	@$(STEP) "runner of critest" go build -o $(CACHE)/run-critest ./integration/critest
	@$(CACHE)/run-critest -handler $(or $(HANDLER),blazar-runc) $(if $(FOCUS),-focus '$(FOCUS)') $(if $(SKIPPED),-skipped)

# The suite's own layout: a folder with the .wasm cases and their .json.
.PHONY: wasi-testsuite
wasi-testsuite: build ## run the WASI preview 1 test suite found in SUITE=DIR
	@test -n "$(SUITE)" || { echo "usage: make wasi-testsuite SUITE=DIR"; exit 2; }
	@WASI_TESTSUITE="$(abspath $(SUITE))" go test -count=1 -v ./engines/wasitestsuite/...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@FUZZTIME="$(FUZZTIME)" tools/fuzz

# What is written is for people: bench/results/<time>/index.html.
.PHONY: bench
bench: node wasmedge ## measure cold starts, memory, speed (root; minutes, FULL=1 for longer)
	@go run ./bench $(if $(filter 1,$(FULL)),-full) $(if $(ONLY),-only $(ONLY))

.PHONY: bench-check
bench-check: node wasmedge ## compare ratios with bench/baseline.json (root); UPDATE=1 takes them over
	@go run ./bench -check bench/baseline.json $(if $(filter 1,$(UPDATE)),-update)

.PHONY: clean
clean: ## remove what was built
	@rm -rf $(BIN) $(CACHE)
