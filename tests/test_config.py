"""Options refuse what cannot be meant, and turn into JSON and back."""

import dataclasses
import json

import pytest

from gekeras import config
from gekeras.config import AEGANOptions, AutoencoderOptions, GANOptions, SolveOptions, Stage


@pytest.mark.parametrize(
    "options",
    [
        SolveOptions(),
        SolveOptions(steps=3, learning_rate=0.5, ramp="cosine", prior="sphere", starts=4, tolerance=0.1, seed=9),
        SolveOptions(code_weight=0.0, pixel_weight=2.5, consistent=True),
        AutoencoderOptions(width=8, mirror=False),
        AEGANOptions(width=8, kl_weight=0.0, r1_every=4),
        GANOptions(),
        GANOptions(resolution=16, stages=(Stage(8, 0, 10), Stage(16, 5, 5)), loss="nonsaturating"),
    ],
)
def test_json_round_trip(options):
    assert config.from_dict(type(options), json.loads(config.to_json(options))) == options


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"steps": -1}, "steps must be 0 or more; received -1"),
        ({"learning_rate": 0}, "learning_rate must be above 0; received 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0; received nan"),
        ({"weight": -0.1}, "weight .* 0 or more; received -0.1"),
        ({"code_weight": -1.0}, r"code_weight \(alpha\) must be 0 or more; received -1.0"),
        ({"pixel_weight": float("nan")}, r"pixel_weight \(beta\) must be 0 or more; received nan"),
        (
            {"code_weight": 0.0},
            r"code_weight, pixel_weight and decoder_weight must not all be 0; received \(0.0, 0.0, 0.0\)",
        ),
        ({"starts": 0}, "starts must be 1 or more; received 0"),
        ({"tolerance": -1}, "tolerance must be 0 or more"),
        ({"patience": 0}, "patience must be 1 or more"),
        ({"ramp": "linear"}, "ramp must be one of none, cosine; received 'linear'"),
        ({"prior": "l1"}, "prior must be one of l2, sphere, norm, box; received 'l1'"),
    ],
)
def test_solve_options_that_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        SolveOptions(**changes)
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(SolveOptions(), **changes)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"unknown option color, pace; SolveOptions has .*starts, steps"):
        config.from_dict(SolveOptions, {"steps": 1, "color": 2, "pace": 3})


def test_the_paper_s_values():
    """Sections 3.1 and 4.4; Karras et al. 2018, appendix A.1."""
    paper = config.FIDELITIES["paper"]
    assert (paper.steps, paper.learning_rate, paper.prior, paper.starts, paper.ramp) == (1400, 0.1, "l2", 1, "none")
    for options in config.FIDELITIES.values():
        assert (options.code_weight, options.pixel_weight, options.consistent) == (1, 0, False)  # equation (3)
    assert (AutoencoderOptions().width, AutoencoderOptions().code_size) == (32, 256)
    gan = GANOptions()
    assert (gan.beta_1, gan.beta_2, gan.average_decay) == (0.0, 0.99, 0.999)  # test_schedule.py has the learning rate
    assert (gan.gradient_penalty, gan.drift, gan.latent_size) == (10, 0.001, 512)
    assert {stage.stable for stage in gan.stages} == {600_000}


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": 32, "stages": (Stage(8, 0, 1), Stage(16, 1, 1))},
        {"resolution": 32, "stages": (Stage(8, 0, 1), Stage(32, 1, 1))},
        {"resolution": 8, "stages": (Stage(16, 0, 1), Stage(8, 1, 1))},
    ],
)
def test_stages_must_double_up_to_the_resolution(changes):
    with pytest.raises(ValueError, match=f"double up to resolution {changes['resolution']}; received"):
        GANOptions(**changes)


@pytest.mark.parametrize("resolution", [0, 2, 48, 2048])
def test_resolutions_that_are_none(resolution):
    with pytest.raises(ValueError, match=f"power of two from 4 to 1024; received {resolution}"):
        GANOptions(resolution=resolution)


@pytest.mark.parametrize("fade, stable", [(-1, 5), (5, -1), (0, 0)])
def test_a_stage_needs_images(fade, stable):
    with pytest.raises(ValueError, match="fade >= 0 and stable >= 0"):
        Stage(8, fade, stable)


def test_unknown_loss():
    with pytest.raises(ValueError, match="loss must be one of wgan-gp, nonsaturating; received 'hinge'"):
        GANOptions(loss="hinge")


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"prior": "sphere", "weight": 0.1}, "weight"),
        ({"optimizer": "lbfgs", "ramp": "cosine"}, "ramp"),
        ({"probes": 8}, "probes"),
        ({"optimizer": "lbfgs", "steps": 19, "probes": 8}, "probes"),
        ({"steps": 20, "tolerance": 0.1}, "tolerance"),
        ({"patience": 5}, "patience"),
        ({"start": "starter", "starts": 4}, "starts"),
    ],
)
def test_values_that_a_solve_does_not_look_at(changes, name):
    with pytest.raises(ValueError, match=f"{name} would change nothing: "):
        config.check_effect(SolveOptions(**changes), changes)
    config.check_effect(SolveOptions(**changes), set(changes) - {name})  # not asked for
    config.check_effect(SolveOptions(**{**changes, name: getattr(SolveOptions(), name) if name != "weight" else 0}), changes)
