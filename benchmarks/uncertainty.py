"""Does a high spread mean a high error? Several solves of each picture, their deviation against the error of the best.

    python benchmarks/uncertainty.py --task superres --data pictures/ --count 64 -o results/

The error of a pixel is the root mean square over its channels, as its deviation is. Rank correlations are Spearman's: of the
pixels of all pictures together, within each picture (the median of those), and from picture to picture. If the best sample
and the truth were two more draws from what the samples are drawn from, the error would be sqrt(2) times the deviation.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from pictures import last, observe
from scipy.stats import ConstantInputWarning, spearmanr

from gekeras import GenerativeEncoder, files, metrics
from gekeras.config import FIDELITIES, to_dict
from gekeras.networks import presets
from gekeras.restore import uncertainty

BINS = 20  # of equally many pixels


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, NaN where one of them is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(a, b).statistic)


def calibrate(deviation: np.ndarray, error: np.ndarray, mse: np.ndarray) -> dict[str, float]:
    """Deviation and error of each pixel `[n, h, w]`, MSE `[n]` -> the numbers of one row."""
    within = [rank_correlation(d.ravel(), e.ravel()) for d, e in zip(deviation, error)]
    return {
        "pixels": rank_correlation(deviation.ravel(), error.ravel()),
        "within": float(np.median(within)),
        "pictures": rank_correlation(uncertainty.rms(deviation), mse),
        "rms_deviation": float(np.sqrt(np.square(deviation).mean())),
        "rms_error": float(np.sqrt(np.square(error).mean())),
    }


def binned(deviation: np.ndarray, error: np.ndarray, bins: int = BINS) -> tuple[list[float], list[float]]:
    """(root mean square deviation, root mean square error) of pixels in the order of their deviation, `bins` of them."""
    order = np.argsort(deviation, axis=None, kind="stable")
    parts = [np.array_split(np.square(values).ravel()[order], bins) for values in (deviation, error)]
    return tuple([float(np.sqrt(part.mean())) for part in values] for values in parts)


HEAD = """| task | N | samples | steps | rank: all pixels | rank: within a picture | rank: rms deviation, MSE of pictures \
| rms deviation | rms error | error / deviation | mean MSE | mean MSE, first sample |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def line(task: str, row: dict) -> str:
    counts = f"| {task} | {len(row['mse'])} | {row['samples']} | {row['options']['steps']}"
    ranks = " | ".join(f"{row[name]:.3f}" for name in ("pixels", "within", "pictures"))
    ratio = row["rms_error"] / max(row["rms_deviation"], 1e-12)
    sizes = f"{row['rms_deviation']:.4f} | {row['rms_error']:.4f} | {ratio:.2f}"
    return f"{counts} | {ranks} | {sizes} | {np.mean(row['mse']):.4f} | {np.mean(row['first_mse']):.4f} |"


def draw(path: Path, task: str, row: dict) -> None:
    """Error against deviation: of the pixels in bins, and of the pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    errors = np.sqrt(row["mse"])
    for axes, x, y, marker in ((left, *row["bins"], ".-"), (right, row["deviations"], errors, ".")):
        limit = 1.05 * max(*x, *y)
        axes.plot(x, y, marker)
        axes.plot([0, limit], [0, limit], color="black", linestyle="--", linewidth=1, label="error = deviation")
        axes.set(xlim=(0, limit), ylim=(0, limit), ylabel="rms error", aspect="equal")
        axes.legend(fontsize=8, loc="lower right")
    left.set(xlabel="rms deviation", title=f"{task}: pixels, in {len(row['bins'][0])} bins of equally many")
    right.set(xlabel="rms deviation", title=f"pictures: rank correlation {row['pictures']:.2f}")
    figure.savefig(path, dpi=110)


def run(model: GenerativeEncoder, truth: np.ndarray, options, samples: int, perturbation: float) -> dict:
    """The row of one task, with the numbers of each picture."""
    y, known = observe(model, truth)
    ensemble = uncertainty.solve_ensemble(model, y, options, known=known, samples=samples, perturbation=perturbation)
    first = np.concatenate([model.generate(ensemble.latents[i : i + 32, 0]) for i in range(0, len(truth), 32)])
    difference = np.clip(ensemble.image, -1, 1) - truth
    error, mse = np.sqrt(np.square(difference).mean(axis=-1)), np.square(difference).mean(axis=(1, 2, 3))
    return calibrate(ensemble.deviation, error, mse) | {
        "samples": samples,
        "perturbation": perturbation if options.start == "starter" else None,
        "options": to_dict(options),
        "seconds": ensemble.solution.seconds,
        "bins": binned(ensemble.deviation, error),
        "mse": mse.tolist(),
        "first_mse": metrics.mse(np.clip(first, -1, 1), truth).tolist(),
        "deviations": uncertainty.rms(ensemble.deviation).tolist(),
        "confidence": ensemble.confidence.tolist(),
    }


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", "tasks", multiple=True, default=("superres",), show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used.")
@click.option("--samples", default=uncertainty.SAMPLES, show_default=True)
@click.option("--perturbation", default=uncertainty.PERTURBATION, show_default=True, help="Of a starter's prediction.")
@click.option("--fidelity", type=click.Choice(list(FIDELITIES)), default="fast", show_default=True)
@click.option("--start", type=click.Choice(["random", "starter"]), help="The fidelity and the preset decide.")
@click.option("--steps", type=int, help="The fidelity decides.")
@click.option("--seed", default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(preset, tasks, folder, count, samples, perturbation, fidelity, output, **changes):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels)
    output.mkdir(parents=True, exist_ok=True)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    text = [f"Preset {loaded.name}, {Path(folder).name}, {fidelity}, {device}, TensorFlow {tf.__version__}.\n", HEAD]
    click.echo("\n".join(text))
    for task in tasks:
        model = GenerativeEncoder.from_preset(loaded, task)
        row = run(model, truth, model.options(fidelity, **changes), samples, perturbation)
        files.write_text(output / f"{task}-uncertainty.json", json.dumps(row))
        draw(output / f"{task}-uncertainty.png", task, row)
        text.append(line(task, row))
        click.echo(text[-1])
    files.write_text(output / "uncertainty.md", "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
