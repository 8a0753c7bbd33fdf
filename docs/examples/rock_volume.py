"""Degrade a volume of rock, restore it slice by slice, and compare its pores with the true ones.

    python docs/examples/rock_volume.py PRESET VOLUME OUTPUT

PRESET is a name, as rock-128, or a folder. VOLUME is a TIFF stack or a .npy of gray values [z, y, x]. OUTPUT is a .tif or
.npy; the decoder's volume lies beside it, and so does a picture of both, cut across the slices.
"""

import sys
from pathlib import Path

from gekeras import ModelOptions, volumes
from gekeras.config import SliceOptions


def main(preset, volume, output):
    result = volumes.restore(
        volume,
        ModelOptions("denoise", preset),
        output,
        options=SliceOptions(simulate=True, warm_start=4),
        methods=("GE", "ConvAE"),
        panel=Path(output).with_suffix(".png"),
    )
    print(result.summary())
    print(f"true porosity {result.record['truth']['porosity']:.3f}, GE's {result.record['scores']['GE']['porosity']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
