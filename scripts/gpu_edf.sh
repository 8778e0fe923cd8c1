#!/usr/bin/env bash
# Compare EDF with DATM, MTT, DM and random images on Imagenette at 64×64, one image per class, on an accelerator.
# DEVICE=cpu STEPS=2 EPOCHS=12 COUNT=10 SCORE_EPOCHS=2 tries the script on a processor.
set -euo pipefail

device="${DEVICE:-cuda}" steps="${STEPS:-1000}" epochs="${EPOCHS:-20}" count="${COUNT:-none}" score_epochs="${SCORE_EPOCHS:-300}"
out="${1:-runs/gpu_edf}"
data=(--data imagenette --data-option size=64 --device "$device")
if [ "$count" != none ]; then data+=(--data-option "count=$count"); fi
mkdir -p "$out"

explore run experts "${data[@]}" --count 5 --epochs "$epochs" --learning-rate 0.02 --batch 128 --width 64 \
  --out "$out/experts.zarr"
for method in mtt datm edf; do
  explore run distill --method "$method" "${data[@]}" --experts "$out/experts.zarr" --steps "$steps" --student-steps 20 \
    --window-stop 5 --window-last 10 --window-steps 500 --student-rate 0.02 --augment none --out "$out/$method.zarr"
done
explore run distill --method dm "${data[@]}" --steps "$steps" --width 64 --augment none --out "$out/dm.zarr"
explore run coreset --method random "${data[@]}" --out "$out/random.zarr"
for method in random dm mtt datm edf; do
  explore run evaluate --distilled "$out/$method.safetensors" --networks 3 --width 64 --epochs "$score_epochs" --device "$device" \
    --out "$out/$method-scored.zarr"
done
explore table "$out"/*-scored.zarr
