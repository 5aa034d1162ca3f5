#!/bin/bash
# Check training on a GPU, in under 8 minutes: bash benchmarks/gpu_check.sh [options of gpu_check.py]
# Needs Python 3.12 with PyTorch and timm, or WHEELS=FOLDER with wheels of what is missing; no network.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
if [ -n "${WHEELS:-}" ]; then
  ENVIRONMENT=$(mktemp -d)
  "$PYTHON" -m venv --system-site-packages "$ENVIRONMENT"
  PYTHON=$ENVIRONMENT/bin/python
  "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" "$WHEELS"/*.whl
fi
exec timeout 480 "$PYTHON" -m benchmarks.gpu_check "$@"
