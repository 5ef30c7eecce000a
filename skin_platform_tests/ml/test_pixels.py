"""Pixels on disk: decoded once, the same as in memory, sound after anything that may happen to the file."""

import errno
import os
import pickle

import numpy as np
import pytest

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import weights_digest
from skin_platform.ml.examples import LabelledImages
from skin_platform.ml.failures import BadData, NoRoom
from skin_platform.ml.fit import fit
from skin_platform.ml.pixel_files import PixelFile
from skin_platform.ml.pixels import StoredPixels
from skin_platform_tests.ml.examples import pictures, png, tiny

SIDE = Preprocessing(32)


class Images:
    """Encoded images by position, counting how often each is read."""

    def __init__(self, n, seed=0):
        self.examples = pictures(n, seed)
        self.files = [png(image) for image in self.examples.pixels]
        self.names = [f"{seed:032x}{number:032x}" for number in range(n)]
        self.reads = 0

    def read(self, position):
        self.reads += 1
        return self.files[position]


def stored(root, images, max_bytes=10**9, preprocessing=SIDE):
    return StoredPixels(PixelFile(root, preprocessing, max_bytes), images.names, images.read, preprocessing)


def test_an_image_is_decoded_once_for_all_datasets_and_processes(tmp_path):
    images = Images(12)
    first = stored(tmp_path, images)
    np.testing.assert_array_equal(first[[5, 2, 5]], images.examples.pixels[[5, 2, 5]])
    assert images.reads == 2  # nothing is decoded that nobody asked for
    first.fill()
    assert images.reads == 12
    again = stored(tmp_path, images)
    np.testing.assert_array_equal(again[range(12)], images.examples.pixels)
    copy = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(copy[[3, 11]], images.examples.pixels[[3, 11]])
    assert images.reads == 12
    images.names.append("ab" * 32)
    images.files.append(images.files[0])
    grown = stored(tmp_path, images)
    np.testing.assert_array_equal(grown[[12, 4]], images.examples.pixels[[0, 4]])
    assert images.reads == 13  # a grown dataset costs what is new


def test_pixels_that_were_damaged_or_half_written_are_decoded_again(tmp_path):
    images = Images(4)
    stored(tmp_path, images).fill()
    [path] = tmp_path.glob("*/pixels")
    with path.open("r+b") as file:
        file.seek(2 * 32 * 32 * 3 + 5)
        file.write(b"\x00\xff\x00\xff")
    with path.with_name("index").open("ab") as index:
        index.write(b"torn")  # a record that a killed process began
    images.names.append("cd" * 32)
    images.files.append(images.files[1])
    after = stored(tmp_path, images)
    np.testing.assert_array_equal(after[range(5)], images.examples.pixels[[0, 1, 2, 3, 1]])
    assert images.reads == 6


def test_a_fit_from_disk_is_the_fit_from_memory(tmp_path):
    config, images, held = tiny(20, epochs=2), Images(20), pictures(6, 1)
    from_disk = LabelledImages(stored(tmp_path, images), images.examples.targets)
    assert weights_digest(fit(from_disk, held, 2, config, SIDE).net) == weights_digest(
        fit(images.examples, held, 2, config, SIDE).net)


def test_an_image_that_cannot_be_decoded_is_named_by_its_digest(tmp_path):
    images = Images(6)
    images.files[4] = images.files[4][:200]
    pixels = stored(tmp_path, images)
    pixels[[0, 1]]
    with pytest.raises(BadData, match=images.names[4]):
        fit(LabelledImages(pixels, images.examples.targets), pictures(4, 1), 2, tiny(6, epochs=1), SIDE)


def test_pixels_of_other_settings_make_room_and_those_in_use_stay_readable(tmp_path):
    images, size = Images(10), 10 * 32 * 32 * 3
    small = stored(tmp_path, images, max_bytes=2 * size)
    small.fill()
    larger = stored(tmp_path, images, max_bytes=2 * size, preprocessing=Preprocessing(48))
    assert [path.parent for path in tmp_path.glob("*/pixels")] == [larger._file._folder]
    np.testing.assert_array_equal(small[range(10)], images.examples.pixels)
    others = Images(10, seed=1)
    stored(tmp_path, others, max_bytes=2 * size, preprocessing=Preprocessing(48)).fill()
    [path] = tmp_path.glob("*/pixels")
    assert path.stat().st_size == 10 * 48 * 48 * 3  # begun anew: both together would have passed the bound


def test_a_full_disk_is_named_before_anything_is_decoded(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    images = Images(4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(NoRoom, match=r"smaller image_size_px.*SKIN_HOME"):
            stored(tmp_path, images)
    assert images.reads == 0
    stored(tmp_path, images).fill()


def test_a_place_that_cannot_be_written_to_is_named_with_the_remedy(tmp_path):
    (tmp_path / "pixels").write_text("no folder")
    with pytest.raises(NoRoom, match=r"cannot be kept in .*pixels.*: Not a directory: make it writable, or set SKIN_HOME"):
        stored(tmp_path / "pixels", Images(4))
