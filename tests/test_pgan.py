"""The progressive GAN: sizes of the paper, and growing that changes nothing at alpha 0 and leaves nothing at alpha 1."""

import keras
import numpy as np
import pytest

from gekeras.models.pgan import Discriminator, Generator, copy_weights, resolutions, set_alpha, width

SMALL = dict(fmap_base=64, fmap_max=8)


def randomized(network, seed=0):
    """The network with every weight drawn anew, the biases too, which start at zero; alphas stay."""
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        if not layer.name.startswith("fade_"):
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return network


def latents(rng, count=3):
    return rng.normal(size=(count, 16)).astype(np.float32)


def upsampled(x):
    return np.asarray(x).repeat(2, 1).repeat(2, 2)


def convolution(size, inputs, outputs):
    return size * size * inputs * outputs + outputs


def test_generator_of_the_paper_has_22_9_million_parameters():
    """Table 2 of Karras et al. up to 128 px, counted by hand."""
    fmaps = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128}
    count = 512 * 16 * 512 + 512 + convolution(3, 512, 512)  # dense without bias, bias, convolution
    for res in (8, 16, 32, 64, 128):
        count += convolution(3, fmaps[res // 2], fmaps[res]) + convolution(3, fmaps[res], fmaps[res])
    count += convolution(1, 128, 3)
    assert Generator(128).count_params() == count == 22_926_467


def test_discriminator_of_the_paper():
    fmaps = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128}
    count = convolution(1, 3, 128)
    for res in (128, 64, 32, 16, 8):
        count += convolution(3, fmaps[res], fmaps[res]) + convolution(3, fmaps[res], fmaps[res // 2])
    count += convolution(3, 513, 512) + (512 * 16 * 512 + 512) + 513  # one more channel: the standard deviation
    assert Discriminator(128).count_params() == count


def test_channel_rule():
    sizes = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert resolutions(1024) == sizes
    assert [width(size, 8192, 512) for size in sizes] == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert [width(size, 2048, 128) for size in sizes[:5]] == [128, 128, 128, 128, 64]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [4, 8, 16, 32, 64, 128, 256])
def test_any_resolution(rng, resolution, channels):
    shape = dict(resolution=resolution, channels=channels, fmap_base=256, fmap_max=4)
    image = Generator(latent_size=16, **shape)(latents(rng, 2)).numpy()
    assert image.shape == (2, resolution, resolution, channels) and image.dtype == np.float32
    score = Discriminator(**shape)(image).numpy()
    assert score.shape == (2, 1) and score.dtype == np.float32
    assert np.isfinite(image).all() and np.isfinite(score).all()


@pytest.mark.parametrize("resolution", [0, 2, 12, 100, 2048])
@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_other_resolutions_are_refused(network, resolution):
    with pytest.raises(ValueError, match=f"power of two from 4 to 1024; received {resolution}"):
        network(resolution, **SMALL)


def test_the_length_of_the_latent_does_not_matter(rng):
    generator, z = randomized(Generator(16, latent_size=16, **SMALL)), latents(rng)
    for factor in (0.1, 7.0, 1000.0):
        np.testing.assert_allclose(generator(factor * z), generator(z), atol=1e-5)
    assert np.abs(generator(-z) - generator(z)).max() > 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grown_generator_starts_as_the_old_one(rng, channels):
    shape = dict(channels=channels, latent_size=16, fade=True, **SMALL)
    old, new = randomized(Generator(8, **shape)), randomized(Generator(16, **shape), seed=1)
    copy_weights(old, new)
    set_alpha(new, 0.0)
    z = latents(rng)
    np.testing.assert_array_equal(new(z), upsampled(old(z)))
    set_alpha(new, 0.5)
    assert np.abs(new(z) - upsampled(old(z))).max() > 0.1


def test_a_grown_generator_ends_as_the_plain_one(rng):
    fade = randomized(Generator(16, latent_size=16, fade=True, **SMALL))
    plain = Generator(16, latent_size=16, **SMALL)
    copy_weights(fade, plain)
    z = latents(rng)
    set_alpha(fade, 1.0)
    np.testing.assert_array_equal(fade(z), plain(z))
    set_alpha(fade, 0.25)
    blended, old = fade(z).numpy(), Generator(8, latent_size=16, **SMALL)
    copy_weights(fade, old)
    np.testing.assert_allclose(blended, 0.75 * upsampled(old(z)) + 0.25 * plain(z), atol=1e-5)


def test_a_grown_discriminator_starts_as_the_old_one(rng):
    old, new = randomized(Discriminator(8, fade=True, **SMALL)), randomized(Discriminator(16, fade=True, **SMALL), seed=1)
    copy_weights(old, new)
    set_alpha(new, 0.0)
    x = rng.uniform(-1, 1, (5, 16, 16, 3)).astype(np.float32)
    reduced = x.reshape(5, 8, 2, 8, 2, 3).mean((2, 4))
    np.testing.assert_allclose(new(x), old(reduced), rtol=1e-5, atol=1e-5)
    set_alpha(new, 1.0)
    plain = Discriminator(16, **SMALL)
    copy_weights(new, plain)
    np.testing.assert_array_equal(new(x), plain(x))
    assert np.abs(new(x) - old(reduced)).max() > 1e-3


def test_the_discriminator_sees_the_whole_batch(rng):
    """Through the minibatch standard deviation alone: the score of a picture depends on its group, not on its order."""
    network = randomized(Discriminator(8, **SMALL))
    x = rng.uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    scores = network(x).numpy()
    np.testing.assert_allclose(network(x[::-1]), scores[::-1], rtol=1e-4, atol=1e-4)
    assert np.abs(network(x[:1]) - scores[:1]).max() > 1e-3


@pytest.mark.parametrize(
    "network, shape",
    [
        (Generator(8, channels=1, latent_size=12, fade=True, name="g", **SMALL), (2, 12)),
        (Discriminator(8, channels=1, group_size=2, fade=True, name="d", **SMALL), (4, 8, 8, 1)),
    ],
    ids=["generator", "discriminator"],
)
def test_config_round_trip(rng, network, shape):
    config = network.get_config()
    copy = type(network).from_config(config)
    assert copy.get_config() == config
    assert [w.shape for w in copy.weights] == [w.shape for w in network.weights]
    copy.set_weights(randomized(network).get_weights())
    x = rng.normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(copy(x), network(x))


def test_a_saved_generator_loads_without_custom_objects(rng, tmp_path):
    network = randomized(Generator(8, latent_size=16, **SMALL))
    network.save(tmp_path / "g.keras")
    z = latents(rng)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "g.keras")(z), network(z))


def test_a_resolution_that_would_get_no_channel_is_refused():
    with pytest.raises(ValueError, match="leave no channel at resolution 256"):
        Generator(256, fmap_base=64)
