"""Write a preset's model card (README.md) and validation curve (validation.png) from its preset.json.

python tools/model_card.py saved_models/faces-64
"""

from __future__ import annotations

from pathlib import Path

import click

from gekeras import evaluate, images, plots, presets

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

MSE of DC(E(observation)) against the clean picture, on [-1, 1], over 512 held-out training pictures; the last points:
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
    how = "{steps} steps, best of {starts} starts, {ramp} ramp, lambda {weight:g}".format(**options)
    return f"\n### {task}\n\n{scores['data']}; GE and invertGAN: {how}.\n\n{evaluate.to_markdown(rows)}"


def card(preset: presets.Preset) -> str:
    info = preset.info
    autoencoders = info["autoencoders"]
    rows = [
        f"| autoencoder, {task} | {entry['images']:,} real ones and as many generated | squared error |"
        for task, entry in autoencoders.items()
    ]
    ends = "; ".join(f"{task} {entry['curve'][-1][1]:.4f}" for task, entry in autoencoders.items())
    first = next(iter(autoencoders.values()))
    text = info["card"]
    return CARD.format(
        **{k: info[k] for k in ("resolution", "channels", "latent_size", "code_size", "description", "data", "terms")},
        **{k: text.get(k, "") for k in ("training", "script", "plateau", "remarks", "limits")},
        name=preset.name,
        tasks=", ".join(info["tasks"]),
        width=first["options"]["width"],
        autoencoder_parameters=first["parameters"],
        generator_parameters=info["generator"]["parameters"],
        gan_images=info["generator"]["images"],
        gan_loss=info["generator"]["options"]["loss"],
        autoencoder_rows="\n".join(rows),
        curve_ends=ends,
        scores="".join(score_table(task, scores) for task, scores in info.get("scores", {}).items()),
    )


@click.command()
@click.argument("folder")
def main(folder):
    preset = presets.load(folder)
    curves = {
        task: tuple(zip(*entry["curve"])) for task, entry in preset.info["autoencoders"].items() if len(entry["curve"]) > 1
    }
    plots.curves(preset.folder / "validation.png", curves, "real images shown", "validation MSE", log_y=True)
    images.write_text(Path(folder) / "README.md", card(preset))


if __name__ == "__main__":
    main()
