"""A process of its own that works on a store and halts before a chosen change of it, for whoever wants to kill it there."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from skin_platform.storage.buckets import S3Access
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import Moves
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.versions import ModelVersions

ROOT = Path(__file__).parents[2]


class HaltingStore(ObjectStore):
    """The store; before the ``left``-th object is written or deleted it says so and sleeps."""

    left = 0

    def upload_file(self, *args, **kwargs):
        self._count()
        super().upload_file(*args, **kwargs)

    def delete_object(self, *args):
        self._count()
        super().delete_object(*args)

    def _count(self):
        self.left -= 1
        if self.left == 0:
            print("here", flush=True)
            time.sleep(60)


def reopened(address, kind=ObjectStore):
    """The store at an address, a folder or an endpoint with the keys of the tests."""
    return kind(S3Access(address, "test-access-key", "test-secret-key") if address.startswith("http") else Path(address))


def started(store, *args):
    """A process that runs ``main`` below."""
    command = [sys.executable, "-m", __name__, store.address, *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed_at(store, change, *args):
    """Run ``main`` and kill it before its ``change``-th change of the store, or after its last; whether that one came."""
    with started(store, change, *args) as process:
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    return said == "here\n"


def main(address, change, bucket, what, version):
    """Promote or delete a version once somebody says go; say what came of it."""
    store = reopened(address, HaltingStore)
    store.left = int(change)
    versions = ModelVersions(store, bucket)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        if what == "delete":
            versions.delete_model_version(version, by="killed")
        else:
            Moves(store, bucket).move("champion", version, expected=int(what), kind="promoted", by=f"by {version}", why="tried")
        print(f"done {version}", flush=True)
    except (KeyError, StorageError) as error:
        print(f"{type(error).__name__} {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
