"""Restore every small picture of a folder with tf.data: files in, files out, read ahead while a batch is solved.

    python docs/examples/restore_folder.py PRESET FOLDER OUTPUT

PRESET is a name, as faces-64, or a folder. Pictures are PNG, JPEG, GIF or BMP files of any size: their center squares are
reduced to what the super-resolution of the preset starts from. OUTPUT gets a PNG file of the same name each.
"""

import sys
from pathlib import Path

import tensorflow as tf

from gekeras.layers import Restore


def main(preset, folder, output, batch_size=8):
    restore = Restore("superres", preset)
    height, width, channels = restore.observation_shape

    def read(path):
        picture = tf.io.decode_image(tf.io.read_file(path), channels=channels, expand_animations=False)
        side = tf.reduce_min(tf.shape(picture)[:2])
        square = tf.image.resize_with_crop_or_pad(picture, side, side)
        small = tf.image.resize(square, (height, width), method="area")  # the mean of each block
        return path, tf.ensure_shape(small, (height, width, channels)) / 127.5 - 1

    paths = tf.data.Dataset.list_files(str(Path(folder) / "*.*"), shuffle=False)
    batches = paths.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
    restored = batches.map(lambda path, small: (path, restore(small))).prefetch(1)

    Path(output).mkdir(parents=True, exist_ok=True)
    for names, pictures in restored:
        for name, picture in zip(names.numpy(), tf.cast(tf.round((pictures + 1) * 127.5), tf.uint8)):
            target = Path(output) / f"{Path(name.decode()).stem}.png"
            tf.io.write_file(str(target), tf.io.encode_png(picture))
            print(target)


if __name__ == "__main__":
    main(*sys.argv[1:4])
