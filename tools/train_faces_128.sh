#!/bin/sh
# How the generator of faces-128 is trained: sh tools/train_faces_128.sh SHARDS RUNS
# SHARDS holds faces-train-*.tar (CelebA, cropped to 128x128 around x 89, y 121); RUNS gets the run folder. The command can be
# stopped and started again. The networks were grown from those of faces-64 after 807,232 images, whose stages the schedule
# repeats; 128 px fades in over the next 40,000. The first start goes on from what saved_models/faces-128/training keeps.
set -eu
shards=$1 runs=$2 preset=saved_models/faces-128

mkdir -p "$runs/faces-128"
[ -n "$(ls "$runs/faces-128")" ] || cp $preset/training/* "$runs/faces-128"
gekeras train gan "$shards/faces-train-000.tar" "$shards/faces-train-001.tar" "$shards/faces-train-002.tar" \
    --run "$runs/faces-128" --memory --bfloat16 --resolution 128 --latent-size 256 --fmap-base 2048 --fmap-max 128 \
    --loss nonsaturating --batch 16 --learning-rate "${GAN_RATE:-0.001}" --average-decay "${GAN_DECAY:-0.999}" \
    --stage 8:0:25000 --stage 16:20000:50000 --stage 32:15000:45000 --stage 64:15000:637232 --stage 128:40000:1500000 \
    --minutes "${GAN_MINUTES:-60}"
python tools/keep_training.py "$runs/faces-128" $preset
