"""Promises of a bundle's folder: it is read as it was written, to the byte, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest

from skin_platform.core.datasets import canonical_manifest
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.bundle_files import BundleError, bundle_digest, read_bundle, write_bundle
from skin_platform_tests.serving.lineages import ROWS, traceable
from skin_platform_tests.serving.tiny_bundles import tiny_bundle


def told(bundle: Bundle) -> dict:
    """All that is in a bundle; a detector is equal where its bytes are."""
    return vars(bundle) | {"ood": bundle.ood and bundle.ood.as_npz(), "provenance": replace(bundle.provenance, files={})}


@pytest.mark.parametrize("bundle", [traceable(), tiny_bundle(1)], ids=["whole", "of a version without card, figures, detector"])
def test_it_is_read_as_it_was_written(tmp_path, bundle):
    digest = write_bundle(bundle, tmp_path / "one")
    found = read_bundle(tmp_path / "one")
    assert told(found) == told(bundle)
    files = {path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert set(found.provenance.files) == files - {"bundle.json"}
    assert write_bundle(found, tmp_path / "two") == digest == bundle_digest(tmp_path / "one")


def test_it_says_what_goes_in_and_what_comes_out(tmp_path):
    write_bundle(traceable(), tmp_path / "one")
    signature = json.loads((tmp_path / "one" / "signature.json").read_text())
    assert {of["name"]: of["shape"] for of in signature["outputs"]} == {"logits": [-1, 3], "features": [-1, 3]}
    found = read_bundle(tmp_path / "one")
    assert found.dataset_manifest == canonical_manifest(ROWS)
    assert found.figures["n"] == 4
    assert tiny_bundle(1).figures == {}


@pytest.mark.parametrize("name", ["ood.npz", "manifest.tsv.gz", "evaluation.json", "model.onnx"])
def test_a_file_that_was_changed_or_is_gone_is_named(tmp_path, name):
    for change in (lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        write_bundle(traceable(), folder)
        change(folder / name)
        with pytest.raises(BundleError, match=name):
            read_bundle(folder)
