"""Write a preset's model card (README.md) and validation curve (validation.png) from its preset.json.

python tools/model_card.py saved_models/faces-64
"""

from __future__ import annotations

from pathlib import Path

import click

from gekeras import files, plots
from gekeras.evaluation import to_markdown
from gekeras.networks import presets

CARD = """# {name}

{description}

| | |
|---|---|
| pictures | {resolution} x {resolution} x {channels}, range [-1, 1] |
| generator | progressive GAN, {generator_parameters:,} parameters, latent {latent_size} |
| autoencoders | Table 1 and its mirror, width {width}, code {code_size}, {autoencoder_parameters:,} parameters each |
| tasks | {tasks} |
| data | {data} |
| terms | {terms} |
| training | {training} |
| how | `{script}` |

![48 generated pictures](samples.png)

Generated pictures, latents drawn with seed 0 (not chosen).

## Images shown

| part | images | loss |
|---|---|---|
| generator and discriminator | {gan_images:,} real ones | {gan_loss} |
{autoencoder_rows}

## Validation of the autoencoders

![MSE of the autoencoders on held-out training pictures](validation.png)

MSE of DC(E(observation)) against the clean picture, on [-1, 1], over {held_out}; the last points:
{curve_ends}. {plateau}

## Scores

Mean ± standard deviation over the pictures; MSE on [-1, 1], PSNR and SSIM on [0, 1]. `gekeras eval --record` wrote them.
{scores}
{remarks}
## Limits

{limits}
"""


def score_table(task: str, scores: dict) -> str:
    options = scores["options"]
    rows = [{"method": name, **row} for name, row in scores["methods"].items()]
    start = "the starter" if options.get("start") == "starter" else "best of {starts} starts".format(**options)
    how = "{steps} steps of {optimizer}, {start}, ramp {ramp}, lambda {weight:g}"
    how = (how + ", gamma {decoder_weight:g}, beta {pixel_weight:g}").format(
        **{"optimizer": "adam", "decoder_weight": 0.0, "pixel_weight": 0.0, **options, "start": start}
    )
    if options.get("layers", "none") != "none":
        how += "; then {layer_steps} of Adam in layer {layers}, mu {layer_weight:g}".format(**options)
    return f"\n### {task}\n\n{scores['data']}; GE: {how}.\n\n{to_markdown(rows)}"


def describe(task: tuple[str, dict]) -> str:
    """`deblur (sigma 2.0, size 13)`."""
    name, parameters = task
    values = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return f"{name} ({values})" if values else name


def card(preset: presets.Preset) -> str:
    info = preset.info
    autoencoders = info["autoencoders"]
    rows = [
        f"| autoencoder, {task} | {entry['images']:,} real ones and as many generated | squared error |"
        for task, entry in autoencoders.items()
    ]
    for task, entry in info.get("starters", {}).items():
        rows.append(
            f"| starter, {task} | {entry['images']:,} codes, half of them of real ones | the objective at its latents |"
        )
    if aegan := info.get("aegan"):
        rows.append(f"| AEGAN (a baseline) | {aegan['images']:,} real ones | adversarial, squared error, KL |")
    ends = "; ".join(f"{task} {entry['curve'][-1][1]:.4f}" for task, entry in autoencoders.items())
    first = next(iter(autoencoders.values()))
    text = info["card"]
    return CARD.format(
        **{k: info[k] for k in ("resolution", "channels", "latent_size", "code_size", "description", "data", "terms")},
        **{k: text.get(k, "") for k in ("training", "script", "plateau", "remarks", "limits")},
        held_out=text.get("held_out", "512 held-out training pictures"),
        name=preset.name,
        tasks=", ".join(map(describe, info["tasks"].items())),
        width=first["options"]["width"],
        autoencoder_parameters=first["parameters"],
        generator_parameters=info["generator"]["parameters"],
        gan_images=info["generator"]["images"],
        gan_loss=info["generator"]["options"]["loss"],
        autoencoder_rows="\n".join(rows),
        curve_ends=ends,
        scores="".join(score_table(task, scores) for task, scores in info.get("scores", {}).items()),
    )


def overview(info: dict, metric: str, form: str) -> str:
    """One metric of all methods (rows) on all tasks (columns), methods in the order of their first task."""
    scores = info.get("scores", {})
    names = dict.fromkeys(name for task in scores.values() for name in task["methods"])
    lines = [f"| {metric} | {' | '.join(scores)} |", "|---" * (len(scores) + 1) + "|"]
    for name in names:
        found = [task["methods"].get(name) for task in scores.values()]
        lines.append(f"| {name} | {' | '.join(format(row[metric], form) if row else '' for row in found)} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("folder")
@click.option("--overview", "as_overview", is_flag=True, help="Print the scores of all tasks in two tables; write nothing.")
def main(folder, as_overview):
    preset = presets.load(folder)
    if as_overview:
        click.echo(overview(preset.info, "mse", ".4f") + "\n" + overview(preset.info, "ssim", ".3f"), nl=False)
        return
    curves = {
        task: tuple(zip(*entry["curve"])) for task, entry in preset.info["autoencoders"].items() if len(entry["curve"]) > 1
    }
    plots.curves(preset.folder / "validation.png", curves, "real images shown", "validation MSE", log_y=True)
    files.write_text(Path(folder) / "README.md", card(preset))


if __name__ == "__main__":
    main()
