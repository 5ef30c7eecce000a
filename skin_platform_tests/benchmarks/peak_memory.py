"""Peak memory of ingesting the folder that is named: claim, judge, store, catalogue, batch by batch, in this process."""

import json
import sys
import tempfile
from pathlib import Path

from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.benchmarks.transfers import ingest_delivery, now


def main() -> None:
    """Ingest, and print the peak in MB."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(skin_home=Path(home))
        prepare_home(settings)
        stores = Stores(settings)
        for delivery in stores.claim(Path(sys.argv[1]), "memory", settle_seconds=0):
            ingest_delivery(delivery, stores.objects, stores.images_bucket, stores.catalogue.addresses)
            manifest = f"batches/{delivery.batch_id}/manifest.parquet"
            stores.lesions.replace_batch(delivery.batch_id, _manifests(stores).read_manifest(manifest))
            stores.catalogue.publish(stores.lesions, now())
    print(json.dumps({"peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process has held; not ru_maxrss, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _manifests(stores: Stores):  # type: ignore[no-untyped-def]
    from skin_platform.storage.batches import Batches

    return Batches(stores.objects, stores.images_bucket)


if __name__ == "__main__":
    main()
