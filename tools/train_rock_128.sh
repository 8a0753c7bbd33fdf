#!/bin/sh
# How saved_models/rock-128 was made: sh tools/train_rock_128.sh ROCK RUNS
# ROCK holds versa_train_crops256.npy.xz and versa_test_crops256.npy.xz: stacks [n, 256, 256] of windows of sandstone slices.
# Every command can be stopped and started again.
set -eu
rock=$1 runs=$2 preset=saved_models/rock-128
cut="--axes 0 --crop 128"
train="$rock/versa_train_crops256.npy.xz $cut --stride 64 --turn --memory --bfloat16 --batch 16"
coder="--generator $runs/rock-128-gan --width 16 --validate-every 3000 --validation 256 --pool 3000"

# The run for this preset was stopped after 163,296 of these 520,000 images.
gekeras train gan $train --run "$runs/rock-128-gan" --resolution 128 --channels 1 --latent-size "${LATENT:-256}" \
    --fmap-base 2048 --fmap-max 128 --loss nonsaturating --learning-rate 0.0015 --average-decay 0.999 --minutes "${GAN_MINUTES:-0}" \
    --stage 8:0:12000 --stage 16:8000:20000 --stage 32:8000:24000 --stage 64:8000:32000 --stage 128:8000:400000

gekeras train autoencoder $train $coder --task reconstruct --run "$runs/rock-128-reconstruct" --images 32000
for task in superres denoise inpaint; do
    gekeras train autoencoder $train $coder --task $task --run "$runs/rock-128-$task" --images 16000 --learning-rate 0.0003 \
        --from "$runs/rock-128-reconstruct"
done

# Where a solve begins, for the objective with the decoder's picture in it. (Superres's first 3,104 codes had the rates of a run of 48,000.)
for task in reconstruct superres denoise inpaint; do
    gekeras train starter "$rock/versa_train_crops256.npy.xz" $cut --stride 64 --memory --bfloat16 --task $task --validation 256 \
        --generator "$runs/rock-128-gan" --autoencoder "$runs/rock-128-$task" --run "$runs/rock-start-$task" \
        --images 16000 --decoder-weight 0.01
done

gekeras export $preset --gan "$runs/rock-128-gan" --about tools/rock_128.json --autoencoder "$runs/rock-128-reconstruct" \
    --autoencoder "$runs/rock-128-superres" --autoencoder "$runs/rock-128-denoise" --autoencoder "$runs/rock-128-inpaint" \
    --starter "$runs/rock-start-reconstruct" --starter "$runs/rock-start-superres" --starter "$runs/rock-start-denoise" \
    --starter "$runs/rock-start-inpaint"

for task in reconstruct superres denoise inpaint; do
    gekeras eval --preset $preset --task $task --data "$rock/versa_test_crops256.npy.xz" $cut --count 98 \
        --record -o "$runs/scores-rock-$task"
done
python tools/model_card.py $preset
