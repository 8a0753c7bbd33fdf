"""A degradation of one's own: a picture from the raw values of a colour camera, one of red, green and blue a pixel.

    python docs/examples/own_operator.py PRESET PICTURE OUTPUT [LAYER]

PRESET is a name, as faces-64, or a folder, with pictures in colour. Of PICTURE each pixel keeps one channel, in the order of
Bayer's filter. OUTPUT gets the restored picture, which the search finds in LAYER of the generator (16). The networks are
those of the preset's `reconstruct`, which never saw such a picture.
"""

import sys

import numpy as np
import tensorflow as tf

import gekeras
from gekeras import metrics, operators


class Bayer(operators.Operator):
    """Keeps red, green or blue of a pixel (rows RGRG..., GBGB...) and sets the others to gray, 0: A = Aᵀ, A² = A."""

    linear = True

    def __init__(self, side):
        red, green, blue = np.eye(3, dtype=np.float32)
        self.kept = tf.constant(np.tile([[red, green], [green, blue]], (side // 2, side // 2, 1)))

    def __call__(self, images, seed=None):
        return images * self.kept

    def adjoint(self, measurement):
        return measurement * self.kept


def main(preset, picture, output, layer="16"):
    model = gekeras.GenerativeEncoder.from_preset(preset, "reconstruct")
    side = model.shape[0]
    bayer = Bayer(side)
    operators.check_adjoint(bayer, model.shape)  # raises where <A x, y> is not <x, Aᵀy>
    model = model.with_task(operators.Task("bayer", degrade=bayer, forward=bayer, measure=bayer))

    truth = gekeras.images.fit(gekeras.images.read(picture), side)[None]
    raw = model.task.degrade(truth)
    options = model.options(pixel_weight=1.0, layers=layer, consistent=True)
    restored = model.solve(raw, options).image
    gekeras.images.write(output, restored[0])
    psnr, decoded = (metrics.psnr(truth, x)[0] for x in (restored, model.decode(model.encode(raw))))
    print(f"{output}: PSNR {psnr:.2f} dB, the decoder's {decoded:.2f} dB")


if __name__ == "__main__":
    main(*sys.argv[1:5])
