"""A latent in few bytes beside JPEG, WebP and AVIF in as many, and beside the code of E at 8 bits.

    python benchmarks/codes_at_equal_bytes.py --data faces-test-000.tar --count 64 --lpips alexnet.ckpt \\
        --bytes 64 --bytes 128 --bytes 264

A format may reduce the picture first (Lanczos; enlarged again by bicubic) and take any quality: of all that fit into the
bytes, the one with the lowest MSE is taken, picture by picture, and once more the one with the lowest LPIPS. "Whole" counts
the file; "payload" leaves out what is the same in every file: JPEG's tables and markers, RIFF's and AVIF's boxes. Latents
count as they stand in a row of the `.npz`, with the level of their steps. `--lpips-weight` adds LPIPS to what the sender of
a latent minimizes: then it is measured by what it was made for.
"""

from __future__ import annotations

import io
import time

import click
import numpy as np
import tensorflow as tf
from pictures import last
from PIL import Image

from gekeras import GenerativeEncoder, images, metrics, perceptual
from gekeras.networks import presets
from gekeras.restore import codes, rate

QUALITIES = (1, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90)
PARTS = (1, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 5 / 16, 1 / 4, 3 / 16, 1 / 8)  # of the side
FORMATS = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}, "AVIF": {"speed": 0}}
HEADER = "| bytes | counted | method | MSE | SSIM | LPIPS | mean bytes |\n|---|---|---|---|---|---|---|"


def payload(data: bytes, form: str) -> int:
    """Bytes that hold the picture itself."""
    if form == "JPEG":
        start = data.rindex(b"\xff\xda")
        return len(data) - start - 2 - int.from_bytes(data[start + 2 : start + 4], "big") - 2
    if form == "WEBP":
        return len(data) - 20  # RIFF, its size, WEBP, VP8, its size
    box = data.rindex(b"mdat")
    return int.from_bytes(data[box - 4 : box], "big") - 8


def candidates(picture: np.ndarray, form: str, most: int):
    """(bytes, payload, picture) of every reduction and quality, until the payload is too large."""
    source = Image.fromarray(images.to_uint8(picture))
    for part in PARTS:
        side = round(part * source.width)
        small = source if part == 1 else source.resize((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, form, quality=quality, **FORMATS[form])
            data = buffer.getvalue()
            with Image.open(buffer) as read:
                shown = read.convert("RGB").resize(source.size, Image.Resampling.BICUBIC)
            yield len(data), payload(data, form), images.from_uint8(np.asarray(shown))
            if payload(data, form) > most:
                break


def score(drawn: np.ndarray, truth: np.ndarray, lpips) -> str:
    found = metrics.scores(np.clip(drawn, -1, 1), truth, lpips=lpips)
    return " | ".join(f"{np.mean(found[name]):{form}}" for name, form in (("mse", ".4f"), ("ssim", ".3f"), ("lpips", ".3f")))


def formats(truth: np.ndarray, sizes, lpips, names) -> None:
    for form in names:
        found = []
        for picture in truth:
            tried = [one for one in candidates(picture, form, max(sizes)) if one[1] <= max(sizes)]
            shown = np.stack([one[2] for one in tried])
            repeated = np.broadcast_to(picture, shown.shape)
            found.append((tried, metrics.mse(shown, repeated), lpips(shown, repeated)))
        for size in sizes:
            for kind, counted in enumerate(("whole", "payload")):
                for name, column in (("MSE", 1), ("LPIPS", 2)):
                    row(truth, found, form, size, kind, counted, name, column, lpips)


def row(truth, found, form, size, kind, counted, name, column, lpips) -> None:
    """One line: of each picture the best that fits."""
    fits = [[i for i, one in enumerate(entry[0]) if one[kind] <= size] for entry in found]
    lacking = sum(not each for each in fits)
    if lacking:
        if name == "MSE":
            lack = f"too large at every side and quality for {lacking} of {len(truth)}"
            click.echo(f"| {size} | {counted} | {form}: {lack} | | | | |")
        return
    best = [min(each, key=lambda i, entry=entry: entry[column][i]) for each, entry in zip(fits, found)]
    drawn = np.stack([entry[0][i][2] for i, entry in zip(best, found)])
    mean = np.mean([entry[0][i][kind] for i, entry in zip(best, found)])
    click.echo(f"| {size} | {counted} | {form}, lowest {name} | {score(drawn, truth, lpips)} | {mean:.0f} |")


class Seen(rate.Coder):
    """A coder whose sender also minimizes LPIPS."""

    def __init__(self, generator, metric, lpips, weight):
        super().__init__(generator, metric)
        self.lpips, self.weight = lpips, weight

    def distance(self, image, picture):
        pairs = tf.stack([tf.clip_by_value(image, -1, 1), picture], axis=1)
        seen = tf.map_fn(self.lpips._distance, pairs)
        return super().distance(image, picture) + self.weight * seen


def latents(model, truth, sizes, lpips, weight, batch) -> None:
    metric = model.starter.inverse_curvature
    coder = Seen(model.generator, metric, lpips, weight) if weight else rate.Coder(model.generator, metric)
    start = np.asarray(model.starter(model.encode(truth)))
    name = f"latent, LPIPS x {weight:g} in the objective" if weight else "latent (`gekeras encode --bytes`)"
    for size in sizes:
        begin = time.perf_counter()
        parts = [slice(i, i + batch) for i in range(0, len(truth), batch)]
        drawn = np.concatenate([coder.solve(truth[part], start[part], size).image for part in parts])
        seconds = (time.perf_counter() - begin) / len(truth)
        click.echo(f"| {size} | payload | {name}, {seconds:.1f} s | {score(drawn, truth, lpips)} | {size} |")


def coded(model, truth, lpips, batch) -> None:
    """E's code at 8 bits, as `gekeras encode --bits 8` and `gekeras decode` have it."""
    code = codes.dequantize(codes.quantize(model.encode(truth), 8))
    size = codes.bits_per_picture(code.shape[1], 8) // 8
    parts = [slice(i, i + batch) for i in range(0, len(truth), batch)]
    for fidelity in ("fast", "best"):
        options = model.options(fidelity, pixel_weight=0.0)
        drawn = np.concatenate([model.solve_code(code[part], options).image for part in parts])
        name = f"code of E at 8 bits, {fidelity}, {options.steps} evaluations"
        click.echo(f"| {size} | payload | {name} | {score(drawn, truth, lpips)} | {size} |")
    click.echo(f"| {size} | payload | code of E at 8 bits, decoder | {score(model.decode(code), truth, lpips)} | {size} |")


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used.")
@click.option("--bytes", "sizes", type=int, multiple=True, default=(64, 128, 264), show_default=True)
@click.option("--lpips", "weights", type=click.Path(exists=True), required=True, help="LPIPS' weights.")
@click.option("--lpips-weight", default=0.0, show_default=True, help="Of LPIPS in the objective of the latents.")
@click.option("--batch", default=16, show_default=True, help="Pictures at once.")
@click.option(
    "--only", multiple=True, type=click.Choice(["formats", "latents", "codes"]), default=("formats", "latents", "codes")
)
def main(preset, folder, count, sizes, weights, lpips_weight, batch, only):
    model = GenerativeEncoder.from_preset(preset, "reconstruct")
    truth = last(folder, count, model.shape[0], model.shape[2])
    lpips = perceptual.LPIPS.from_file(weights)
    click.echo(f"Preset {preset}, N {len(truth)}.\n\n{HEADER}")
    if "formats" in only:
        formats(truth, sizes, lpips, FORMATS)
    if "latents" in only:
        latents(model, truth, sizes, lpips, lpips_weight, batch)
    if "codes" in only:
        coded(model, truth, lpips, batch)


if __name__ == "__main__":
    main()
