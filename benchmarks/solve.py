"""Quality against work: the solver's methods side by side on the same pictures, as a table, a plot and raw numbers.

    python benchmarks/solve.py --task superres --data pictures/ --count 64 -o results/

An evaluation is one pass forward and backward through G, S and E for one picture; a pass forward alone counts as half, so
that a screened start of 1000 candidates costs a picture that is solved alone 500. A draw for a metric counts as one,
though a batch shares those, too. Seconds are of the whole batch divided by its pictures, with everything compiled, the
measuring left out. Quality is that of the best iterate so far. A method whose numbers are in the output folder is not run
again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from pictures import last, observe

from gekeras import GenerativeEncoder, SolveOptions, files, metrics
from gekeras.cli.options import volume_options, volume_options_of
from gekeras.config import FIDELITIES, UNAIDED, Z_ALONE
from gekeras.evaluation.methods import pixels_only
from gekeras.networks import presets
from gekeras.restore.batches import evaluations
from gekeras.solve import Solver, Target

PAPER = SolveOptions()
MARKS = (0, 7, 14, 28, 70, 140, 350, 700, 1400)
METHODS = {
    "paper": PAPER,
    "layers": FIDELITIES["fast"],  # these three with the preset's own values, the first as `gekeras solve` has it
    "fast": FIDELITIES["fast"],  # of z alone
    "best": FIDELITIES["best"],
    "best, beta 0": FIDELITIES["best"],
    "best, code alone": FIDELITIES["best"],
    "Adam, ramp, best of 256": dataclasses.replace(PAPER, steps=140, starts=256, ramp="cosine"),
    "Adam, ramp, starter": dataclasses.replace(PAPER, steps=140, start="starter", prior="sphere", ramp="cosine"),
    "no starter": dataclasses.replace(UNAIDED["fast"], steps=140),
    "Adam, best of 1000": dataclasses.replace(PAPER, steps=1400, starts=1000),
    "invertGAN": pixels_only(PAPER),
}


def options_of(model: GenerativeEncoder, name: str) -> SolveOptions:
    """With the preset's own values where the name says so."""
    if name == "layers":
        return dataclasses.replace(model.options("fast"), consistent=False)
    if name in ("fast", "best"):
        return model.options(name, layers=Z_ALONE, consistent=False if model.task.exact else None)
    return model.options("best", pixel_weight=0.0, layers=Z_ALONE) if name == "best, beta 0" else METHODS[name]


def problem_of(model: GenerativeEncoder, options: SolveOptions, y, known) -> tuple[Solver, Target]:
    if options.code_weight:
        return model.solver(options), model.target(y, options, known)
    solver = Solver(
        model.generator, prior=options.prior, ramp=options.ramp, optimizer=options.optimizer, latent=model.latent
    )
    return solver, Target(measurement=model.task.lift(y))  # equation (4)


def run(model: GenerativeEncoder, options: SolveOptions, y, known, truth) -> list[dict]:
    """Per mark: evaluations and seconds a picture, and arrays over the pictures."""
    solver, target = problem_of(model, options, y, known)
    code = model.encode(y, known)
    before = (options.starts / 2 if options.starts > 1 else 0.0) + options.probes
    few = 60 if options.finalists > 1 else 1  # that the finalists' rounds are traced, too
    begun, total = dataclasses.replace(options, steps=min(few, options.steps)), evaluations(options)
    layered = options.layers != Z_ALONE

    def solve(options, **watched):
        if layered:
            return model.solve(y, options, known=known, **watched)
        return solver.solve(target, model.latent_size, options, **watched)

    solve(begun)  # traces
    marks = [*(m for m in MARKS if m < total), total]
    rows, aside, begin = [], 0.0, time.perf_counter()

    def measure(step, _loss, latent):
        nonlocal aside
        paused = time.perf_counter()
        if step in marks:
            image = np.concatenate([model.draw(latent[i : i + 32], step, options) for i in range(0, len(latent), 32)])
            codes = [
                model.encoder(model.task.forward(image[i : i + 32] * (1 if known is None else known[i : i + 32])))
                for i in range(0, len(image), 32)
            ]
            objective = np.square(np.concatenate(codes) - code).sum(axis=1)
            scores = metrics.scores(np.clip(image, -1, 1), truth)
            arrays = {"objective": objective, **scores}
            row = {"evaluations": before + step, "seconds": (paused - begin - aside) / len(truth)}
            rows.append(row | {name: np.asarray(values).tolist() for name, values in arrays.items()})
        aside += time.perf_counter() - paused

    solver.starts.drawn.clear()
    if options.probes:
        solver.metric.drawn.clear()
    begin = time.perf_counter()
    solve(options, callback=measure, chunk=int(np.gcd.reduce(marks)) or 1)
    return rows


def line(task: str, name: str, row: dict) -> str:
    """Median and worst decile of each quality."""
    cells = []
    for metric, worst, form in (("objective", 90, ".3f"), ("mse", 90, ".4f"), ("psnr", 10, ".2f"), ("ssim", 10, ".3f")):
        values = row[metric]
        cells.append(f"{np.median(values):{form}} / {np.percentile(values, worst):{form}}")
    mean = np.mean(row["mse"])
    return f"| {task} | {name} | {row['evaluations']:g} | {row['seconds']:.2f} | {' | '.join(cells)} | {mean:.4f} |"


HEAD = """| task | method | evaluations | s a picture | objective | MSE | PSNR | SSIM | mean MSE |
|---|---|---|---|---|---|---|---|---|"""


AGAINST = """
Over the paper's solve at its end: the ratio of the medians, and the largest ratio of the nine deciles.

| task | method | evaluations | objective | in every decile | MSE | in every decile | mean MSE |
|---|---|---|---|---|---|---|---|"""


def against(task: str, results: dict[str, list[dict]]) -> list[str]:
    """Rows of `AGAINST`: where the starter begins, and where each method ends."""
    end = results["paper"][-1]
    others = {name: rows for name, rows in results.items() if name not in ("paper", "invertGAN")}
    first = next((rows[0] for name, rows in others.items() if name in ("fast", "best")), None)
    table = {} if first is None else {"--steps 0": first}
    table |= {name: rows[-1] for name, rows in others.items()}
    lines = []
    for name, row in table.items():
        cells = []
        for metric in ("objective", "mse"):
            ratios = np.percentile(row[metric], range(10, 100, 10)) / np.percentile(end[metric], range(10, 100, 10))
            cells += [f"{ratios[4]:.2f}", f"{ratios.max():.2f}"]
        mean = np.mean(row["mse"]) / np.mean(end["mse"])
        lines.append(f"| {task} | {name} | {row['evaluations']:g} | {' | '.join(cells)} | {mean:.2f} |")
    return lines


def draw(path: Path, task: str, results: dict[str, list[dict]], levels: dict[str, float]) -> None:
    """Median objective and average MSE, both logarithmic, against evaluations (Figure 9 of the paper)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, rows in results.items():
        work = [row["evaluations"] + 1 for row in rows]
        if name != "invertGAN":
            left.loglog(work, [np.median(row["objective"]) for row in rows], marker=".", label=name)
        right.loglog(work, [np.mean(row["mse"]) for row in rows], marker=".", label=name)
    for (name, level), style in zip(levels.items(), ("--", ":")):
        right.axhline(level, color="black", linestyle=style, label=name)
    left.set(xlabel="1 + evaluations a picture", ylabel="median of ||E(S(G(z))) - m||²", title=task)
    right.set(xlabel="1 + evaluations a picture", ylabel="average MSE")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=110)


def baselines(model: GenerativeEncoder, loaded: presets.Preset, y, known, truth) -> dict[str, float]:
    """Average MSE of what needs no iteration."""
    levels = {"ConvAE": model.decode(model.encode(y, known))}
    if model.task.name == "reconstruct" and loaded.has("aegan-encoder"):
        levels["AEGAN"] = loaded.part("aegan-generator")(loaded.part("aegan-encoder")(y)).numpy()
    return {name: float(metrics.mse(np.clip(image, -1, 1), truth).mean()) for name, image in levels.items()}


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", "tasks", multiple=True, default=("superres",), show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used.")
@click.option("--method", "names", multiple=True, type=click.Choice(list(METHODS)), help="Default: all.")
@click.option("--steps", type=int, help="At most so many steps of each method, for a quick look.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@volume_options
def main(preset, tasks, folder, count, names, steps, output, **values):
    loaded = presets.load(preset)
    cut = volume_options_of(values)
    truth = last(folder, count, loaded.resolution, loaded.channels, cut)
    output.mkdir(parents=True, exist_ok=True)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    text = [f"Preset {loaded.name}, N {len(truth)} of {Path(folder).name}, {device}, TensorFlow {tf.__version__}. "]
    text += ["Qualities are median / worst decile.\n", HEAD]
    compared = []
    for task in tasks:
        model = GenerativeEncoder.from_preset(loaded, task)
        y, known = observe(model, truth)
        results = {}
        for name in names or METHODS:
            if METHODS[name].start == "starter" and model.starter is None:
                continue
            record = output / f"{task}-{name.replace(', ', '-').replace(' ', '-')}.json"
            options = options_of(model, name)
            options = dataclasses.replace(options, steps=min(options.steps, steps or 10**6))
            if not record.is_file():
                files.write_text(record, json.dumps(run(model, options, y, known, truth)))
            results[name] = json.loads(record.read_text())
            text += [line(task, name, row) for row in results[name]]
            click.echo("\n".join(text[-len(results[name]) :]))
        draw(output / f"{task}.png", task, results, baselines(model, loaded, y, known, truth))
        compared += against(task, results) if "paper" in results else []
    text += [AGAINST, *compared] if compared else []
    files.write_text(output / "solve.md", "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
