#!/bin/sh
# How saved_models/faces-64 was trained: sh tools/train_faces_64.sh SHARDS RUNS
# SHARDS holds faces-train-*.tar and faces-test-*.tar (CelebA, cropped to 128x128 around x 89, y 121); RUNS gets the run folders.
# Every command can be stopped and started again. --minutes bounds each to what two CPU cores had for it.
set -eu
shards=$1 runs=$2
train="$shards/faces-train-000.tar $shards/faces-train-001.tar $shards/faces-train-002.tar"

gekeras train gan $train --run "$runs/faces-64-gan" --memory --bfloat16 --resolution 64 --latent-size 256 \
    --fmap-base 2048 --fmap-max 128 --loss nonsaturating --batch 32 --learning-rate 0.0015 --average-decay 0.998 \
    --stage 8:0:25000 --stage 16:20000:50000 --stage 32:15000:45000 --stage 64:15000:500000 --minutes "${GAN_MINUTES:-95}"

gekeras train autoencoder $train --task reconstruct --generator "$runs/faces-64-gan" --run "$runs/faces-64-reconstruct" \
    --memory --bfloat16 --width 16 --batch 16 --images 150000 --pool 8000

gekeras train autoencoder $train --task superres --generator "$runs/faces-64-gan" --run "$runs/faces-64-superres" \
    --memory --bfloat16 --width 16 --batch 16 --images 85000 --pool 8000 --learning-rate 0.0003 --from "$runs/faces-64-reconstruct"

gekeras export saved_models/faces-64 --gan "$runs/faces-64-gan" \
    --autoencoder "$runs/faces-64-reconstruct" --autoencoder "$runs/faces-64-superres" --about tools/faces_64.json

test="$shards/faces-test-000.tar"
gekeras eval --preset saved_models/faces-64 --task superres --data "$test" --count 208 --record -o "$runs/scores-superres"
gekeras eval --preset saved_models/faces-64 --task reconstruct --steps 50 --data "$test" --count 208 --record -o "$runs/scores-reconstruct"
python tools/model_card.py saved_models/faces-64
