"""What a training starts from is read alike from a run and from a preset, and pictures are held out of those shown."""

import numpy as np
import pytest
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import data
from gekeras.config import VolumeOptions
from gekeras.operators import make_task
from gekeras.training import autoencoder, gan, sources


def test_the_generator_of_a_run_and_of_a_preset(rng, gan_run, tiny):
    (live, *sizes), (saved, *same) = (sources.generator_of(path) for path in (gan_run, tiny.folder))
    assert sizes == same == [SIDE, 3, GAN.latent_size, "normal"]
    z = rng.normal(size=(3, GAN.latent_size)).astype(np.float32)
    np.testing.assert_allclose(saved(z), live(z), atol=1e-5)


def test_a_run_s_generator_can_compute_in_bfloat16(rng, gan_run):
    full, half = (sources.generator_of(gan_run, bfloat16).network for bfloat16 in (False, True))
    assert half.get_layer("conv_4_0").compute_dtype == "bfloat16"
    z = rng.normal(size=(3, GAN.latent_size)).astype(np.float32)
    assert 0 < np.linalg.norm(half(z) - full(z)) < 0.05 * np.linalg.norm(full(z))


def test_what_a_run_holds(gan_run):
    trained = sources.trained_generator(gan_run)
    networks, record = gan.networks_of(gan_run)
    assert trained.latent == "normal" and trained.record == record
    assert trained.generator.count_params() == gan.generator_of(networks).count_params()


def test_the_coder_of_a_run_and_of_a_preset(rng, autoencoder_runs, tiny):
    """A preset's is rounded to half precision; both know what their degradation was trained with."""
    x = rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    coders = [sources.autoencoder_of(path, "superres") for path in (autoencoder_runs["superres"], tiny.folder)]
    live, saved = [coder.decoder(coder.encoder(x)).numpy() for coder in coders]
    np.testing.assert_allclose(saved, live, atol=0.02)
    assert coders[0].parameters == coders[1].parameters == make_task("superres").parameters
    for path in (autoencoder_runs["superres"], tiny.folder):
        assert sources.autoencoder_of(path, "superres", {"factor": 2}).parameters["factor"] == 2


def test_a_coder_for_another_task_is_refused(autoencoder_runs, gan_run, tmp_path):
    with pytest.raises(ValueError, match="is an autoencoder for superres, not for denoise"):
        sources.autoencoder_of(autoencoder_runs["superres"], "denoise")
    with pytest.raises(ValueError, match="is not the run of an autoencoder"):
        sources.autoencoder_of(gan_run, "superres")
    with pytest.raises(ValueError, match="no checkpoint in"):
        sources.autoencoder_of(tmp_path, "superres")


@pytest.mark.parametrize("module, kind", [(gan, "a GAN"), (autoencoder, "an autoencoder")])
def test_runs_of_another_kind_are_refused(gan_run, autoencoder_runs, module, kind):
    other = {gan: autoencoder_runs["superres"], autoencoder: gan_run}[module]
    with pytest.raises(ValueError, match=f"is not the run of {kind}"):
        module.networks_of(other)


def test_pictures_are_held_out_of_those_shown(pictures):
    items = data.entries(pictures)
    shown, held_out = sources.held_out([pictures], SIDE, 1, 4)
    assert (len(shown), len(held_out)) == (len(items) - 4, 4)
    assert held_out.take(np.arange(4)).shape == (4, SIDE, SIDE, 1)
    assert shown.names + held_out.names == [item.name for item in items]
    with pytest.raises(ValueError, match="24 pictures cannot be held out of 24"):
        sources.held_out([pictures], SIDE, 3, 24)


def test_a_volume_is_cut_into_pictures(tmp_path, rng):
    np.save(tmp_path / "scan.npy", rng.integers(0, 255, (6, SIDE, SIDE), dtype=np.uint8))
    cut = VolumeOptions(axes=(0,), crop=SIDE)
    shown, held_out = sources.held_out([tmp_path / "scan.npy"], SIDE, 1, 2, cut=cut, memory=True)
    assert (len(shown), len(held_out)) == (4, 2)


def test_the_code_has_the_size_it_was_trained_with(rng, autoencoder_runs):
    encoder, *_ = sources.autoencoder_of(autoencoder_runs["superres"], "superres", bfloat16=True)
    code = encoder(rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32))
    assert code.shape == (2, AUTOENCODER.code_size)


def test_another_task_s_weights_are_told(tiny):
    told = []
    for task in ("superres", "denoise"):
        sources.autoencoder_weights(tiny.folder, task, told.append)
    assert told == [f"{tiny.folder} has no autoencoder for denoise: starting from that of reconstruct"]
