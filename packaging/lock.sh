#!/usr/bin/env bash
# Make packaging/lock.txt, lock-dev.txt, lock-gpu.txt and lock-web.txt anew from pyproject.toml: versions and hashes, no addresses.
#   packaging/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
uv() { .venv/bin/uv "$@"; }
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet uv
compile=(pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate
    --no-emit-index-url --no-emit-find-links)
uv "${compile[@]}" "$@" pyproject.toml -o packaging/lock.txt
uv "${compile[@]}" "$@" --group dev -c packaging/lock.txt -o packaging/lock-dev.txt
uv "${compile[@]}" "$@" --no-deps --group gpu -o packaging/lock-gpu.txt
uv "${compile[@]}" "$@" --group web -o packaging/lock-web.txt
