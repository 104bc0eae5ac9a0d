# make lab      everything from nothing, then JupyterLab on the start page
# make quick    rooms, guides and the build: minutes, for every day       make build    notebooks from manuscripts
# make test     every check of the course, what speaks early first        make bench    the measurements
# make proof    of make test what make quick leaves out                   make verify   every lesson in the full cpu profile
# make offline  make test without any network   make colab  two lessons with the very versions that Colab has
# Options:      ARGS=--no-browser    TORCH=cuda (an NVIDIA GPU under Linux)    PYTHON=python3.12    INSTALLER=pip

SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c "$(SUITABLE)" 2>/dev/null && echo $$python && break; done)
TORCH ?= cpu
INSTALLER ?= uv
BIN := .venv/bin
INSTALLED := .venv/installed-$(TORCH)

# Images for servers often set it. uv compiles nothing, so every kernel would compile torch and transformers anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab setup quick test proof offline colab verify drift bench build lock clean

lab: setup
	$(BIN)/lab start $(ARGS)

setup: $(INSTALLED)
	@$(BIN)/lab prepare

$(INSTALLED): requirements.lock requirements-torch-cpu.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "The course needs Python 3.11, 3.12 or 3.13. Install one, then run make again, \
	or name it: make lab PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c "$(SUITABLE)" || { echo "$(PYTHON) is no Python 3.11, 3.12 or 3.13 that starts here. Name one that is: \
	make lab PYTHON=/path/to/python3.12"; exit 1; }
	sh labhelpers/tools/set_up.sh $(PYTHON) $(TORCH) $(INSTALLER)
	@touch $@

# Two lessons at a time, each on one core: sooner done than one after the other on two.
test: setup
	$(WITHOUT_NETWORK) $(BIN)/python -m pytest -n 2 $(ARGS)

PROOF := tests/examples tests/guides/test_commands.py tests/lessons/test_lessons.py tests/lessons/test_nbval.py tests/faults tests/browser \
	tests/colab tests/test_security.py
quick: setup
	$(BIN)/python -m pytest -n 2 $(addprefix --ignore=,$(PROOF)) $(ARGS)

proof: setup
	$(BIN)/python -m pytest -n 2 $(PROOF) $(ARGS)

# The same checks where no network exists but this machine itself; Linux only.
offline: WITHOUT_NETWORK = unshare --map-root-user --net sh -c 'ip link set lo up && LAB_WITHOUT_NETWORK=1 exec "$$@"' sh
offline: test

# Colab's Python is 3.12; its packages are fetched first, 5.6 GB in a folder that pytest throws away later.
colab: setup
	COLAB_PYTHON=$${COLAB_PYTHON:-python3.12} $(BIN)/python -m pytest tests/colab -m 'heavy or not heavy' $(ARGS)

verify: setup
	$(BIN)/lab verify $(ARGS)
	$(BIN)/python -m pytest -m heavy

# The latest releases in an environment that is thrown away: ARGS='-k "day01 or tools"' for a part of the suite.
drift: setup
	tests/drift.sh $(ARGS)

bench: setup
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

build: setup
	$(BIN)/lab build $(ARGS)

# Extras and core come from one resolver run, so that installing a later week never moves an earlier one.
CUDA_ONLY := cuda-bindings cuda-toolkit nvidia-cublas nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
	nvidia-nvshmem-cu13 triton
COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-header --excludes .venv/cuda-only.txt
lock:
	@printf '%s\n' $(CUDA_ONLY) > .venv/cuda-only.txt
	$(COMPILE) pyproject.toml --all-extras -o requirements-all.lock
	$(COMPILE) pyproject.toml --extra test -c requirements-all.lock -o requirements.lock
	echo uv | $(COMPILE) - -o requirements-uv.lock
	@for file in requirements-all.lock requirements.lock; do \
		{ date +"# Locked on %F by make lock."; cat $$file; } > .venv/dated && mv .venv/dated $$file; done

clean:
	rm -rf .venv build *.egg-info
