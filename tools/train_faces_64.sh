#!/bin/sh
# How saved_models/faces-64 was made from the version before it: sh tools/train_faces_64.sh SHARDS RUNS
# SHARDS holds faces-train-*.tar and faces-test-*.tar (CelebA, cropped to 128x128 around x 89, y 121); RUNS gets the run folders.
# Every command can be stopped and started again. The generator goes on from the preset's own checkpoint, and the autoencoders from
# the preset's parts; without them the same commands start from nothing (leave out the copy and --from, and give more images).
# The generator had GAN_RATE=0.0015 GAN_DECAY=0.998 up to 290,688 images, then lower rates, down to the defaults here.
set -eu
shards=$1 runs=$2 preset=saved_models/faces-64
train="$shards/faces-train-000.tar $shards/faces-train-001.tar $shards/faces-train-002.tar"
test="$shards/faces-test-000.tar"

mkdir -p "$runs/faces-64-gan"
checkpoint=checkpoint-000807232.npz  # in the history: its networks were grown into those of faces-128
[ -n "$(ls "$runs/faces-64-gan")" ] || git show f2763ac:$preset/training/$checkpoint >"$runs/faces-64-gan/$checkpoint"
gekeras train gan $train --run "$runs/faces-64-gan" --memory --bfloat16 --resolution 64 --latent-size 256 \
    --fmap-base 2048 --fmap-max 128 --loss nonsaturating --batch 32 --learning-rate "${GAN_RATE:-0.0004}" \
    --average-decay "${GAN_DECAY:-0.9995}" --stage 8:0:25000 --stage 16:20000:50000 --stage 32:15000:45000 --stage 64:15000:1500000 \
    --minutes "${GAN_MINUTES:-60}"

# One autoencoder a task on the same frozen generator. Reconstruct and superres go on from their own weights, the others from
# reconstruct's.
for task in reconstruct superres denoise inpaint deblur; do
    gekeras train autoencoder $train --task $task --generator "$runs/faces-64-gan" --run "$runs/faces-64-$task" \
        --memory --bfloat16 --width 16 --batch 16 --images "${AE_IMAGES:-48000}" --validate-every 6000 --pool 6000 \
        --learning-rate 0.0003 --from $preset
done
# Where a solve begins, for the objective with the decoder's picture in it. Superres's had START_IMAGES=200000.
for task in reconstruct superres denoise inpaint deblur; do
    gekeras train starter $train --task $task --generator "$runs/faces-64-gan" --autoencoder "$runs/faces-64-$task" \
        --run "$runs/start-$task" --memory --bfloat16 --images "${START_IMAGES:-64000}" --decoder-weight 0.003
done

gekeras export $preset --gan "$runs/faces-64-gan" --about tools/faces_64.json \
    --autoencoder "$runs/faces-64-reconstruct" --autoencoder "$runs/faces-64-superres" --autoencoder "$runs/faces-64-denoise" \
    --autoencoder "$runs/faces-64-inpaint" --autoencoder "$runs/faces-64-deblur" \
    --starter "$runs/start-reconstruct" --starter "$runs/start-superres" --starter "$runs/start-denoise" \
    --starter "$runs/start-inpaint" --starter "$runs/start-deblur"

for task in reconstruct superres denoise inpaint deblur; do
    gekeras eval --preset $preset --task $task --data "$test" --count 208 --record -o "$runs/scores-$task"
done
python tools/model_card.py $preset
