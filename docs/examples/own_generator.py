"""A generator of one's own: any Keras model from latents to pictures, with an encoder that is fitted to what it draws.

    python docs/examples/own_generator.py GENERATOR.keras PICTURE OUTPUT

The generator takes latents [n, k] from N(0, 1) and gives square pictures in [-1, 1]; nothing of it is changed. The encoder
learns z of G(z) from pictures alone, in a minute; the solve does the rest, and with a better encoder of the user's it has
less to do. PICTURE is reduced four times and enlarged again by the generator into OUTPUT.
"""

import sys

import keras
import tensorflow as tf

import gekeras
from gekeras import metrics


def fitted_encoder(generator, steps, batch_size=16):
    """E with E(G(z)) = z, as nearly as a small network gets in so many steps."""
    (_, k), (_, *shape) = generator.input_shape, generator.output_shape
    layers = [keras.layers.Conv2D(width, 3, 2, "same", activation="relu") for width in (32, 64, 128)]
    encoder = keras.Sequential([keras.Input(shape), *layers, keras.layers.Flatten(), keras.layers.Dense(k)])
    encoder.compile("adam", "mse")
    latents = tf.random.stateless_normal((steps * batch_size, k), seed=(0, 0))
    pairs = tf.data.Dataset.from_tensor_slices(latents).batch(batch_size).map(lambda z: (generator(z), z))
    encoder.fit(pairs.prefetch(1), verbose=0)
    return encoder


def main(generator, picture, output, steps=500):
    generator = keras.models.load_model(generator)
    model = gekeras.GenerativeEncoder(generator, fitted_encoder(generator, steps), task="superres")
    truth = gekeras.images.fit(gekeras.images.read(picture), model.shape[0])[None]
    small = model.task.degrade(truth)
    restored = model.solve(small, model.options(pixel_weight=1.0)).image
    gekeras.images.write(output, restored[0])
    print(f"{output}: PSNR {metrics.psnr(truth, restored)[0]:.2f} dB")


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
