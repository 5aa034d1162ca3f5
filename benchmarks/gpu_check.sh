#!/bin/bash
# Check training on a GPU, in under 8 minutes: bash benchmarks/gpu_check.sh [options of gpu_check.py]
# Needs Python 3.12 with PyTorch and timm, or WHEELS=FOLDER with wheels of what is missing; no network.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
if [ -n "${WHEELS:-}" ]; then
  # Beside the Python that has PyTorch, which may itself be in a virtual environment.
  PACKAGES=$(mktemp -d)
  "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$PACKAGES" "$WHEELS"/*.whl
  export PYTHONPATH=$PACKAGES${PYTHONPATH:+:$PYTHONPATH}
fi
exec timeout 480 "$PYTHON" -m benchmarks.gpu_check "$@"
