#!/bin/sh
# The pictures of docs/gallery.md and README.md: sh tools/make_gallery.sh
# One panel a task from NASA's portrait of Eileen Collins (public domain), options and seed as `gekeras demo` has them, nothing chosen.
set -eu
work=$(mktemp -d)
for task in reconstruct denoise inpaint deblur superres; do
    gekeras demo --task $task --output "$work/$task"
    mv "$work/$task/panel.png" docs/images/astronaut-$task.png
done
# The photograph that the portrait is cut from comes with scikit-image.
python -c "import sys, skimage.data, skimage.io; skimage.io.imsave(sys.argv[1], skimage.data.astronaut())" "$work/photo.png"
gekeras solve --task inpaint "$work/photo.png" --align face --box 185,90,70,24 --consistent -o docs/images/photo-inpaint.jpg
rm docs/images/photo-inpaint.json
rm -r "$work"
