#!/usr/bin/env bash
# Print the table of subclass distillation in docs/results.md. MNIST and Fashion-MNIST must be in the folder of EXPLORE_DATA.
# usage: scripts/subclass_studies.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
runs="${1:-runs}"
mkdir -p "$runs"
lessons='["scratch","labels-only","kd","skd","random-subclasses","found-subclasses"]'
study() {
  explore run subclass-study --labels '[200]' --methods "$lessons" --teacher-updates 300 "$@"
}

study --data fashion-mnist --teacher-images '[12000]' --widths '[4,16,64]' --out "$runs/fashion-a.zarr"
study --data fashion-mnist --parents '[1,0,0,1,1,0,0,1,1,0]' --teacher-images '[12000]' --widths '[4,16,64]' --out "$runs/fashion-b.zarr"
for difference in 1.0 0.0; do # subclasses with stripes, and without
  study --data scenes --data-option object_size=0.35 --data-option clutter=0 --data-option "difference=$difference" --student convnet \
    --updates 300 --widths '[16]' --out "$runs/scenes-$difference.zarr"
done

python scripts/subclass_table.py MNIST=data/mnist-students.zarr.zip "Fashion-MNIST a=$runs/fashion-a.zarr" \
  "Fashion-MNIST b=$runs/fashion-b.zarr" "scenes=$runs/scenes-1.0.zarr" "scenes without stripes=$runs/scenes-0.0.zarr"
