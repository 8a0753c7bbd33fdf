#!/bin/sh
# How saved_models/faces-128 is made: sh tools/train_faces_128.sh SHARDS RUNS
# SHARDS holds faces-train-*.tar and faces-test-*.tar (CelebA, cropped to 128x128 around x 89, y 121); RUNS gets the run folders.
# Every command can be stopped and started again. The networks were grown from those of faces-64 after 807,232 images, whose
# stages the schedule repeats; 128 px fades in over the next 40,000. The first start goes on from what
# saved_models/faces-128/training keeps. Up to 938,928 images features were doubled by nearest neighbors (no --bilinear-from),
# which left a woven pattern. GAN_RATE=0.001 GAN_DECAY=0.999 had the images up to 905,376 and from 938,928 to 993,824; between
# them 0.0004 and 0.9997.
set -eu
shards=$1 runs=$2 preset=saved_models/faces-128
train="$shards/faces-train-000.tar $shards/faces-train-001.tar $shards/faces-train-002.tar --memory --bfloat16"
coder="--generator $runs/faces-128 --width 16 --batch 16 --validate-every 6000 --pool 6000"

mkdir -p "$runs/faces-128"
[ -n "$(ls "$runs/faces-128")" ] || cp $preset/training/* "$runs/faces-128"
gekeras train gan $train --run "$runs/faces-128" --resolution 128 --latent-size 256 --fmap-base 2048 --fmap-max 128 \
    --bilinear-from 64 --loss nonsaturating --batch 16 --learning-rate "${GAN_RATE:-0.0005}" --average-decay "${GAN_DECAY:-0.9995}" \
    --stage 8:0:25000 --stage 16:20000:50000 --stage 32:15000:45000 --stage 64:15000:637232 --stage 128:40000:1500000 \
    --minutes "${GAN_MINUTES:-60}"
python tools/keep_training.py "$runs/faces-128" $preset

# One autoencoder a task; reconstruct's from nothing, the others from it. They were begun on the generator's 931,104 images.
gekeras train autoencoder $train $coder --task reconstruct --run "$runs/faces-128-reconstruct" --images 96000
gekeras train autoencoder $train $coder --task superres --run "$runs/faces-128-superres" --images 48000 \
    --learning-rate 0.0003 --from "$runs/faces-128-reconstruct"
for task in denoise inpaint deblur; do
    gekeras train autoencoder $train $coder --task $task --run "$runs/faces-128-$task" --images 32000 --learning-rate 0.0003 \
        --from "$runs/faces-128-reconstruct"
done

# Where a solve begins, for the objective with the decoder's picture in it.
for task in reconstruct superres denoise inpaint deblur; do
    gekeras train starter $train --task $task --generator "$runs/faces-128" --autoencoder "$runs/faces-128-$task" \
        --run "$runs/start-128-$task" --images "${START_IMAGES:-16000}" --decoder-weight 0.003
done
