"""Promises of stored features: written once, verified when read, missing ones named."""

import numpy as np
import pytest

from skin_platform.storage.embeddings import Embeddings
from skin_platform.storage.faults import StorageError

DIGEST = "0123456789abcdef" + "a" * 48
BUCKET = "data-of-embeddings"


def images(first: int, n: int) -> list[str]:
    return [f"{number:064x}" for number in range(first, first + n)]


def features(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 100, (n, 12)).astype(np.float32)


@pytest.fixture
def embeddings(store):
    store.create_bucket(BUCKET)
    for item in store.list_objects(BUCKET):  # an endpoint outlives the test
        store.delete_object(BUCKET, item.key)
    return Embeddings(store, BUCKET)


def keys(store):
    return [item.key for item in store.list_objects(BUCKET)]


def test_features_come_back_to_the_bit_in_the_order_asked_for(embeddings):
    one, two = features(30), features(20, 1)
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 30), one)
    embeddings.add(DIGEST, "2026-05-02-lab", images(30, 20), two)
    wanted = [*images(0, 50)[::-1], images(7, 1)[0]]
    found = embeddings.read(DIGEST, wanted)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate([one, two, one])[[*range(49, -1, -1), 50 + 7]])


def test_adding_the_same_again_writes_nothing(embeddings, store):
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 5), features(5))
    before = keys(store)
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 5), features(5))
    assert keys(store) == before
    assert all(key.startswith(f"embeddings/{DIGEST[:16]}/2026-05-01-lab/") for key in before)


def test_what_is_missing_is_named_and_another_digest_has_nothing(embeddings):
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 5), features(5))
    assert embeddings.missing(DIGEST, images(3, 4)) == images(5, 2)
    alike = DIGEST[:16] + "b" * 48
    assert embeddings.missing(alike, images(0, 2)) == images(0, 2)
    with pytest.raises(KeyError, match=f"1 of 2 images have no features.*{images(9, 1)[0]}"):
        embeddings.read(DIGEST, [*images(0, 1), *images(9, 1)])


def test_a_file_that_was_changed_is_refused(embeddings, store):
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 5), features(5))
    [key] = [key for key in keys(store) if key.endswith(".parquet")]
    store.upload_file(BUCKET, key, store.download_file(BUCKET, key)[:-1] + b"x")
    with pytest.raises(StorageError, match="damaged"):
        embeddings.read(DIGEST, images(0, 1))


def test_a_batch_is_done_when_it_is_said_to_be(embeddings):
    embeddings.add(DIGEST, "2026-05-01-lab", images(0, 5), features(5))
    assert embeddings.closed_batches(DIGEST) == set()
    embeddings.close(DIGEST, "2026-05-01-lab")
    assert embeddings.closed_batches(DIGEST) == {"2026-05-01-lab"}
    assert embeddings.digest_of("0" * 16) is None
    embeddings.remember("0" * 16, DIGEST)
    assert embeddings.digest_of("0" * 16) == DIGEST
