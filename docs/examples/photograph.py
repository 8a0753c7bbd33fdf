"""Sharpen the faces of a photograph: found, turned upright, restored, and put back where they were.

    python docs/examples/photograph.py PRESET PHOTOGRAPH OUTPUT.png

PRESET is a name, as faces-64, or a folder. The photograph's faces are taken to be blurred as `deblur` of the preset undoes
it; what is not a face stays as it is.
"""

import sys

import gekeras
from gekeras.config import PictureOptions
from gekeras.restore import Outputs


def main(preset, photograph, output):
    (result,) = gekeras.restore.files(
        [photograph], gekeras.ModelOptions("deblur", preset), pictures=PictureOptions(align=True), outputs=Outputs(output)
    )
    print(result.path, result.record["note"], sep="\n")  # where the faces are; that the blur is another one


if __name__ == "__main__":
    main(*sys.argv[1:4])
