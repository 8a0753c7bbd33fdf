"""What a start and a ramp are worth: objective and MSE against gradient steps, on pictures that are not test pictures.

This is the measurement behind `--fidelity fast`. Give it held-out training pictures.

    python benchmarks/fidelity.py --task superres --data pictures/ --count 8
"""

from __future__ import annotations

import dataclasses

import click
import numpy as np

from gekeras import GenerativeEncoder, SolveOptions, data, images, metrics, presets

PAPER = SolveOptions()
ROWS = {
    "random start, 100": dataclasses.replace(PAPER, steps=100),
    "random start, 100, cosine": dataclasses.replace(PAPER, steps=100, ramp="cosine"),
    "best of 256, 50, cosine": dataclasses.replace(PAPER, steps=50, ramp="cosine", starts=256),
    "best of 256, 100": dataclasses.replace(PAPER, steps=100, starts=256),
    "best of 256, 100, cosine (fast)": dataclasses.replace(PAPER, steps=100, ramp="cosine", starts=256),
    "best of 256, 200, cosine": dataclasses.replace(PAPER, steps=200, ramp="cosine", starts=256),
    "random start, 1400 (paper)": PAPER,
}


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", default="superres", show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=8, show_default=True, help="The last so many pictures are used.")
@click.option("--skip-paper", is_flag=True)
def main(preset, task, folder, count, skip_paper):
    loaded = presets.load(preset)
    model = GenerativeEncoder.from_preset(loaded, task)
    items = data.entries(folder)[-count:]
    truth = images.from_uint8(data.Source(items, loaded.resolution, loaded.channels).take(np.arange(len(items))))
    code = model.encode(np.asarray(model.task.degrade(truth)))
    click.echo(f"preset {preset}, task {task}, N {len(items)}")
    click.echo("| method | steps | objective (median) | MSE (mean) | SSIM (mean) | seconds |\n|---|---|---|---|---|---|")
    for name, options in ROWS.items():
        if skip_paper and options == PAPER:
            continue
        solution = model.solve_code(code, options)
        found = metrics.scores(np.clip(solution.image, -1, 1), truth)
        click.echo(
            f"| {name} | {options.steps} | {np.median(solution.loss):.3f} | {found['mse'].mean():.4f} "
            f"| {found['ssim'].mean():.3f} | {solution.seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
