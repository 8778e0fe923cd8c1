#!/usr/bin/env bash
# Record all shipped recordings again. MNIST, Fashion-MNIST, CIFAR-10 (JPEG), Imagenette and the weights
# of ResNet-20, ResNet-56 and SqueezeNet must be in the folder of EXPLORE_DATA. It takes twenty minutes or more on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
runs="$(mktemp -d)"
trap 'rm -rf "$runs"' EXIT

for method in dm datadam channel atom; do
  explore run "$method" --data digits --preset lesson --steps 200 --every 1.4 --out "$runs/digits-$method.zarr"
  explore run "$method" --data fashion-mnist --preset lesson --batch 32 --steps 600 --every 1.4 --out "$runs/fashion-$method.zarr"
done
explore run untrained --data digits --steps 5 --out "$runs/digits-untrained.zarr"

scenes=(--data scenes --data-option size=32 --data-option count=1000 --data-option clutter=0
  --data-option 'object_size=[0.3,0.48]')
explore run experts "${scenes[@]}" --preset lesson --count 10 --epochs 14 --out "$runs/parts/experts.zarr"
explore run coreset --method random "${scenes[@]}" --out "$runs/parts/start.zarr"
for method in edf mtt; do
  explore run distill --method "$method" "${scenes[@]}" --preset lesson --experts "$runs/parts/experts.zarr" \
    --init "$runs/parts/start.safetensors" --steps 200 --window-last 12 --learning-rate 300 --every 1.3 --out "$runs/scenes-$method.zarr"
done

for method in oggmr runnalls ise-local salmond west prune; do
  explore run reduce --method "$method" --data standard-1d --components 1 --refine none --out "$runs/standard-1d-$method.zarr"
done
for method in oggmr runnalls; do
  explore run reduce --method "$method" --data digits --data-option components=60 --components 1 --refine none \
    --out "$runs/mixture-of-digits-$method.zarr"
done

lessons='["scratch","labels-only","kd","skd","random-subclasses","found-subclasses"]'
for lesson in scratch labels-only kd skd random-subclasses found-subclasses; do
  explore run subclass --method "$lesson" --data digits --labels 50 --epochs 600 --out "$runs/students-$lesson.zarr"
done
explore run subclass-study --data digits --labels '[50,200,800]' --teacher-images '[0,-1]' --temperatures '[1.0,4.0,16.0]' \
  --widths '[2,4,8,16,32,64]' --methods "$lessons" --out "$runs/digits-students.zarr"
explore run subclass-study --data mnist --labels '[50,200,2000]' --teacher-images '[12000,-1]' --teacher-updates 300 \
  --widths '[2,4,8,16,32,64]' --methods "$lessons" --out "$runs/mnist-students.zarr"

for method in gstam gstam-features doscond; do
  explore run condense --method "$method" --data motifs --preset lesson --graphs-per-class 2 --out "$runs/motifs-$method.zarr"
done
for data in MUTAG PROTEINS; do
  explore run graph-study --data "$data" --graphs-per-class '[1,10]' --out "$runs/graph-study-${data,,}.zarr"
done
explore run graph-study --data motifs --data-option seed=1 --graphs-per-class '[1,10]' --out "$runs/graph-study-motifs.zarr"
explore run motif-study --out "$runs/motif-study.zarr"

scenes=(--data scenes --data-option cooccurrence=0.5)
for method in kmcl asl probmcl; do
  explore run "$method" "${scenes[@]}" --data-option count=800 --out "$runs/scenes-$method.zarr"
done
for data in emotions yeast; do
  explore run multilabel-study --data "$data" --out "$runs/multilabel-study-$data.zarr"
done
explore run multilabel-study "${scenes[@]}" --data-option count=500 --width 8 --out "$runs/multilabel-study-scenes.zarr"
explore run contrast-weights "${scenes[@]}" --data-option count=500 --width 8 --out "$runs/contrast-weights.zarr"

for network in scenes-vgg scenes-residual scenes-smooth; do
  explore run density "$network" --images 4 --maps --out "$runs/density-$network.zarr"
done
for network in resnet20 resnet56 squeezenet; do
  explore run density "$network" --images 100 --out "$runs/density-$network.zarr"
done

for method in dm datadam atom; do
  explore run areas --recording "$runs/fashion-$method.zarr" --out "$runs/areas-fashion-$method.zarr"
done
explore run complexity imagenette --out "$runs/complexity-imagenette.zarr"

# data/sparse-times.json: rows of explore bench sparseconv --layers resnet,vgg --densities 1,0.8,0.6,0.4,0.2,0.1,0.05
# --methods bitmap,im2col,cpo,cps --json FILE, on an idle machine, without shapes and differences

for recording in "$runs"/*.zarr; do
  explore pack "$recording" "data/$(basename "$recording").zip"
done
