#!/usr/bin/env bash
# All that a GPU is to be measured for, in about 8 minutes on a machine with torch and
# PyG: whether kernels are right, then how fast. Nothing is installed.
#
#   benchmarks/gpu.sh [FOLDER-FOR-TABLES [CHECKOUT-OF-THE-AUTHORS-CODE]]
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/gpu} authors=${2:-}
mkdir -p "$out"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python} failed=0
official=() && [ -n "$authors" ] && official=(--official "$authors")

step() {  # A name, the most seconds, and a command.
    local name=$1 most=$2 start=$SECONDS
    shift 2
    echo "== $name"
    timeout "$most" "$@" 2>&1 | tee "$out/$name.log" || failed=1
    echo "== $name: $((SECONDS - start)) s"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
step check 120 "$python" benchmarks/gpu_check.py --output "$out/gpu_check.csv"
step training 150 "$python" benchmarks/model.py --device cuda --clips 64 --repeats 5 \
    --tasks 'training bf16' --residuals dense none "${official[@]}" \
    --output "$out/training.csv"
step inference 90 "$python" benchmarks/model.py --device cuda --clips 64 --repeats 5 \
    --tasks 'inference bf16' --residuals dense "${official[@]}" \
    --output "$out/inference.csv"
step body-543 90 "$python" benchmarks/model.py --device cuda --graph body-543 \
    --clips 16 --repeats 5 --tasks 'training bf16' --residuals none "${official[@]}" \
    --output "$out/body-543.csv"
step operators 90 "$python" benchmarks/operators.py --device cuda --repeats 5 \
    --output "$out/operators.csv"
exit $failed
