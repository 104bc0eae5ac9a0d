#!/bin/sh
# Makes .venv from the locks: `make setup` runs it.   set_up.sh PYTHON cpu|cuda uv|pip
# uv installs in seconds what takes pip minutes, from the same hashes; where there is no uv, pip fetches one first.
set -eu
python=$1 torch=$2 installer=$3
index=https://download.pytorch.org/whl/cpu

"$python" -m venv --clear .venv & # beside the search for uv
venv=$!
uv=
if [ "$installer" = uv ]; then
    uv=$(command -v uv || echo build/uv/bin/uv)
    if ! [ -x "$uv" ]; then
        rm -rf build/uv
        "$python" -m venv build/uv
        build/uv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock || {
            echo "There is no uv to be had here. pip does the work; that takes some minutes."
            uv=
        }
    fi
fi

with_uv() { [ -n "$uv" ] && "$uv" pip install -q --python .venv/bin/python --no-deps "$@"; }
with_pip() { .venv/bin/pip install -q --disable-pip-version-check --retries 1 --no-deps "$@"; }
install() {
    with_uv "$@" && return
    [ -z "$uv" ] || echo "uv could not install that. pip tries it now; it knows your settings for mirrors and proxies."
    with_pip "$@"
}

wait $venv
case $torch-$(uname -s) in
cpu-Linux) # The ordinary index carries the CUDA build for Linux, with gigabytes that a CPU cannot use.
    wheel="--require-hashes -r requirements-torch-cpu.lock"
    # A folder of ready wheels comes first. uv does not look at pip's variable by itself.
    { [ -n "${PIP_FIND_LINKS:-}" ] && with_uv $wheel --no-index --find-links "$PIP_FIND_LINKS" 2>/dev/null; } ||
        install $wheel --index-url "$index"
    ;;
cuda-*) # With NVIDIA's libraries, which no lock of ours names.
    .venv/bin/pip install -q --disable-pip-version-check "$(sed -n 's/.*"\(torch==[0-9.]*\)".*/\1/p' pyproject.toml)"
    ;;
esac
install --require-hashes -r requirements.lock
install --no-build-isolation -e .
