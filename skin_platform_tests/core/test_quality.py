"""Promises of the quality measures: each goes the way that its name says, whatever the camera's resolution."""

import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from skin_platform.core.images import ImageFacts, Limits, judge_image
from skin_platform.core.quality import SIDE_PX, Quality, grey_plane, measured
from skin_platform_tests.core.pictures import encoded


def _textured(seed: int = 0, width: int = 640, height: int = 480) -> Image.Image:
    """A picture with detail at every scale, as skin has it."""
    random = np.random.default_rng(seed)
    plane = sum(np.asarray(Image.fromarray(random.normal(0, 12, (height // step, width // step)).astype(np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC)) for step in (2, 4, 8, 16))
    return Image.fromarray((plane + 140).clip(0, 255).astype(np.uint8)).convert("RGB")


def _measured(image: Image.Image) -> Quality:
    facts = judge_image(encoded(image, "JPEG", quality=95), ".jpg", Limits())
    assert isinstance(facts, ImageFacts)
    return facts.quality


@pytest.mark.parametrize("seed", range(3))
def test_blur_lowers_the_sharpness_and_more_blur_lowers_it_further(seed):
    found = [_measured(_textured(seed).filter(ImageFilter.GaussianBlur(radius))).sharpness for radius in (0, 1, 2, 4, 8)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 20 * found[-1]


def test_the_sharpness_is_that_of_the_same_scene_at_another_resolution():
    scene = _textured(1, 1600, 1200)
    sizes = ((1600, 1200), (800, 600), (400, 300))
    found = [_measured(scene.resize(size, Image.Resampling.LANCZOS)).sharpness for size in sizes]
    assert max(found) < 1.35 * min(found)


def test_the_sharpness_is_the_variance_of_the_laplacian():
    plane = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    plane[64, 64] = 100
    laplacian = np.zeros((SIDE_PX - 2, SIDE_PX - 2))
    laplacian[63, 62:65] = laplacian[62:65, 63] = 100
    laplacian[63, 63] = -400
    assert measured(plane, 1).sharpness == pytest.approx(laplacian.var())


def test_darkening_lowers_the_exposure():
    found = [_measured(ImageEnhance.Brightness(_textured()).enhance(share)).exposure for share in (1.0, 0.7, 0.4, 0.1)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(140 / 255, abs=0.02)
    assert _measured(Image.new("RGB", (300, 300), "white")).exposure == 1.0


@pytest.mark.parametrize("colour", ["black", "white"])
def test_masks_and_burnt_out_light_raise_the_blank_share(colour):
    found = []
    for share in (0.0, 0.25, 0.5, 1.0):
        masked = _textured()
        masked.paste(colour, (0, 0, round(640 * share), 480))
        found.append(_measured(masked).blank_share)
    assert found == pytest.approx([0.0, 0.25, 0.5, 1.0], abs=0.05)


def test_the_resolution_is_that_of_the_whole_picture():
    assert _measured(_textured(0, 1600, 1200)).resolution_mpx == pytest.approx(1.92)


@pytest.mark.parametrize("size", [(16, 16), (16, 200_000), (3000, 17), (128, 128)])
def test_every_shape_is_measured_at_little_cost(size):
    began = time.thread_time()
    quality = measured(grey_plane(Image.new("L", size, 255)), size[0] * size[1])
    assert time.thread_time() - began < 0.5
    assert (quality.sharpness, quality.exposure, quality.blank_share) == (0.0, 1.0, 1.0)
