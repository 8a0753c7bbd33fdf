"""Train a small network on restored pictures: Restore is the first layer of a Keras model, and stays as it is.

    python docs/examples/train_on_restored.py PRESET FOLDER MODEL.keras

The pictures of FOLDER are degraded as the preset's super-resolution expects it; the network learns to correct what Restore
makes of them. MODEL.keras holds the small network and the name of the preset.
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf

import gekeras
from gekeras.layers import Restore


def main(preset, folder, target, batch_size=8, epochs=2):
    restore = Restore("superres", preset)
    task, (side, _, channels) = restore.model.task, restore.image_shape
    truth = gekeras.data.load_all(gekeras.data.entries(Path(folder)), side, channels) / 127.5 - 1

    pictures = tf.data.Dataset.from_tensor_slices(truth.astype("float32")).batch(batch_size)
    observed = pictures.map(lambda x: (task.degrade(x), x))
    restored = observed.map(lambda y, x: (restore(y), x)).cache().prefetch(1)  # solved once, not in every epoch

    correction = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros"),
        ],
        name="correction",
    )
    image = keras.Input(restore.image_shape)
    corrected = keras.Model(image, keras.layers.Add()([image, correction(image)]), name="corrected")
    corrected.compile("adam", "mse")
    corrected.fit(restored, epochs=epochs, verbose=0)

    observation = keras.Input(restore.observation_shape)
    model = keras.Model(observation, corrected(restore(observation)))
    model.save(target)
    print(f"{target}: {len(truth)} pictures, MSE {corrected.evaluate(restored, verbose=0):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
