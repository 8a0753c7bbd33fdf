"""Make `gekeras/assets/astronaut.png`: NASA's portrait of Eileen Collins (public domain), cropped as CelebA is cropped.

In CelebA's aligned pictures, cropped to 128 px, the eyes lie at (44, 54) and (83, 54). In `skimage.data.astronaut()` they
lie at (203.7, 100.8) and (246.7, 102.8), so the crop is 141 px wide with its corner at (155, 42).
"""

from pathlib import Path

import skimage.data
from PIL import Image

LEFT, TOP, SIDE = 155, 42, 141

if __name__ == "__main__":
    picture = Image.fromarray(skimage.data.astronaut()).crop((LEFT, TOP, LEFT + SIDE, TOP + SIDE))
    target = Path(__file__).parents[1] / "gekeras" / "assets" / "astronaut.png"
    target.parent.mkdir(exist_ok=True)
    picture.resize((128, 128), Image.Resampling.LANCZOS).save(target)
