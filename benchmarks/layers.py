"""The search of a layer of the generator, with options side by side on the same pictures: GE's picture, and the same one
consistent with its measurement.

    python benchmarks/layers.py --task superres --data faces-train-002.tar --count 64 --lpips alexnet.ckpt \\
        --try layers=none --try layers=16,layer_weight=0.01 --try best,layers=16

Each `--try` is what is changed over the preset's own options, `best` in front of it naming the fidelity. Observations are
rounded to 8 bits. Choose on pictures that no score is reported for. A picture's seconds are those of all batches over all
pictures, once everything is compiled.
"""

from __future__ import annotations

import dataclasses
import json
import time

import click
import numpy as np
from pictures import last, observe

from gekeras import GenerativeEncoder, metrics, perceptual
from gekeras.cli.options import volume_options, volume_options_of
from gekeras.config import FIDELITIES
from gekeras.evaluation.scoring import as_file
from gekeras.networks import presets
from gekeras.operators.consistency import consistent


def read(text: str) -> tuple[str, dict]:
    """`best,layers=16` -> ("best", {"layers": "16"}). Raises click.BadParameter for what is neither."""
    fidelity, changes = "fast", {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals:
            changes[name] = value if name in ("layers", "optimizer", "prior", "ramp") else json.loads(value)
        elif part in FIDELITIES:
            fidelity = part
        else:
            raise click.BadParameter(f"{part!r} is neither NAME=VALUE nor a fidelity")
    return fidelity, changes


def scores(image: np.ndarray, truth: np.ndarray, lpips) -> str:
    """`0.0158 | 0.778 | 0.101`, means over the pictures."""
    found = metrics.scores(np.clip(image, -1, 1), truth, lpips=lpips)
    forms = {"mse": ".4f", "ssim": ".3f", "lpips": ".3f"}
    return " | ".join(format(float(np.mean(found[name])), form) for name, form in forms.items() if name in found)


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", required=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used.")
@click.option("--batch", default=32, show_default=True, help="Pictures at once.")
@click.option("--lpips", type=click.Path(exists=True), help="LPIPS' weights.")
@click.option("--try", "tries", multiple=True, default=("layers=none",), show_default=True)
@volume_options
def main(preset, task, folder, count, batch, lpips, tries, **values):
    model = GenerativeEncoder.from_preset(preset, task)
    truth = last(folder, count, model.shape[0], model.shape[2], volume_options_of(values))
    y, known = observe(model, truth)
    y = as_file(y) * (1 if known is None else known)
    lpips = lpips and perceptual.LPIPS.from_file(lpips)
    columns = "MSE | SSIM" + (" | LPIPS" if lpips else "")
    both = f"{columns} | consistent: {columns}" if model.task.exact else columns
    click.echo(
        f"Preset {preset}, {task}, N {len(truth)}.\n\n| options | seconds | {both} |\n"
        + "|---" * (2 + both.count("|") + 1)
        + "|"
    )
    for text in tries:
        fidelity, changes = read(text)
        options = model.options(fidelity, consistent=False, **changes)

        def solve(options, i):
            return model.solve(y[i : i + batch], options, known=None if known is None else known[i : i + batch]).image

        solve(dataclasses.replace(options, steps=1, layer_steps=1), 0)  # traces
        begin = time.perf_counter()
        image = np.concatenate([solve(options, i) for i in range(0, len(y), batch)])
        seconds = (time.perf_counter() - begin) / len(y)
        cells = [scores(image, truth, lpips)]
        if model.task.exact:
            cells.append(scores(consistent(model.task, image, y, known), truth, lpips))
        click.echo(f"| {text} | {seconds:.2f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
