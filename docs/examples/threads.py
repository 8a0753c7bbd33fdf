"""Restore the pictures of a folder in several threads with one model, as a server would.

    python docs/examples/threads.py PRESET FOLDER OUTPUT

The pictures are degraded as the preset's super-resolution expects it, and each is solved by itself.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gekeras


def main(preset, folder, output, threads=4):
    model = gekeras.GenerativeEncoder.from_preset(preset, "superres")
    options = model.options()
    Path(output).mkdir(parents=True, exist_ok=True)

    def restore(path):
        truth = gekeras.images.fit(gekeras.images.read(path, model.shape[2]), model.shape[0])
        solution = model.solve(model.task.degrade(truth[None]), options)
        target = Path(output) / f"{path.stem}.png"
        gekeras.images.write(target, solution.image[0])
        return target, float(solution.loss[0])

    with ThreadPoolExecutor(threads) as pool:
        for target, loss in pool.map(restore, sorted(Path(folder).glob("*.png"))):
            print(f"{target}: objective {loss:.4g}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
