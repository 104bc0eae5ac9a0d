#!/usr/bin/env bash
# make drift: pytest with the latest releases of all packages, in an environment that is thrown away.
# Options go to pytest: ARGS='-k "day01 or tools"' runs a part of the suite. The exit code is pytest's.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d "${TMPDIR:-/tmp}/drift-XXXXXX")
trap 'rm -rf "$folder"' EXIT
python=$folder/venv/bin/python
.venv/bin/python -m venv "$folder/venv"
install=("$python" -m pip install -qq --disable-pip-version-check)
if command -v uv >/dev/null; then install=(uv pip install --quiet --python "$python"); fi

# Under Linux the ordinary index carries the CUDA build of torch, with gigabytes that a CPU cannot use. Where the index
# of CPU builds cannot be reached, torch stays at its locked version.
if [ "$(uname -s)" = Linux ]; then
    "${install[@]}" --no-deps --index-url https://download.pytorch.org/whl/cpu torch ||
        "${install[@]}" --no-deps "$(grep -oE '^torch==[0-9.]+' requirements.lock)"
fi
# What pyproject.toml names for the course and its checks, without the versions.
names=$("$python" -c '
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*(re.match(r"[\w.-]+", text)[0] for text in project["dependencies"] + project["optional-dependencies"]["test"]))')
# shellcheck disable=SC2086  # one word per package
"${install[@]}" setuptools $names
"${install[@]}" --no-deps --no-build-isolation -e .

echo "Locked, and what was tried instead:"
versions() { awk -F'[= ]+' '/^[A-Za-z0-9]/ { gsub("[._]", "-", $1); print tolower($1) "==" $2 }' | sort; }
diff --side-by-side --suppress-common-lines --width=80 \
    <(versions <requirements.lock) <("$python" -m pip freeze --all | versions) || true

# These compare the environment with the lock, which this one differs from on purpose.
about_the_lock=(--ignore=tests/test_house.py
    --deselect=tests/tools/test_cli.py::test_doctor_finds_nothing_wrong_where_the_tests_run)
env -u LAB_PROFILE -u LAB_SEED -u LAB_WORKSPACE -u LAB_PROGRESS -u LAB_RUN_LOG -u PYTHONPATH \
    PATH="$folder/venv/bin:$PATH" JUPYTER_PREFER_ENV_PATH=1 "$python" -m pytest -p no:cacheprovider \
    --continue-on-collection-errors "${about_the_lock[@]}" --ignore=tests/colab --ignore=tests/browser "$@"
