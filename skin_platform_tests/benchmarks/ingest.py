"""Ingest, storage and catalogue at full speed: `python -m skin_platform_tests.benchmarks.ingest [--json] [--files 2000]`.

Ours and the peers in turns in one run, against `rclone serve s3` on loopback. What ours does in the upload: read, hash, decode
and judge every image, clean it, upload it with metadata, write the manifest. What the peers do: upload.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from skin_platform.storage.buckets import S3Access
from skin_platform_tests.benchmarks.figures import Row, at_most, in_turns, median, options, tell
from skin_platform_tests.benchmarks.pictures import IMAGE_SIDE, write_pictures
from skin_platform_tests.benchmarks.scale import at_scale
from skin_platform_tests.benchmarks.transfers import Transfers
from skin_platform_tests.deployments import free_port, wait_for

BIN = Path(sys.executable).parent


def main() -> None:
    """Run all of it and tell."""
    parser = options("Ingest against s5cmd and boto3; the catalogue at 100,000 and 1,000,000 rows.")
    parser.add_argument("--files", type=int, default=2000, help="JPEGs to upload")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large catalogue")
    parser.add_argument("--only", choices=("transfers", "scale"), help="one half of it")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        if arguments.only != "scale":
            rows += transfers(folder, arguments.files, arguments.repeats)
        if arguments.only != "transfers":
            rows += at_scale(folder, arguments.rows)
    tell(rows, as_json=arguments.json)


def transfers(folder: Path, files: int, repeats: int) -> list[Row]:
    """Uploads and downloads of the same pictures, ours and the peers'."""
    pictures = folder / "pictures"
    sizes = write_pictures(pictures, files)
    print(f"{files} JPEGs of {IMAGE_SIDE[0]}x{IMAGE_SIDE[1]}, {min(sizes) // 1000} to {max(sizes) // 1000} kB, "
          f"{sum(sizes) / 1e6:.0f} MB in all")
    with serving_s3(folder / "s3") as access:
        ours = Transfers(access, pictures, folder / "cache", BIN / "s5cmd")
        up = in_turns({"ours": ours.ingest, "s5cmd": ours.s5cmd_upload, "boto3": ours.boto3_upload}, repeats)
        down = in_turns({"ours": partial(ours.fetch), "s5cmd": ours.s5cmd_download}, repeats)
    middle = {name: median(seconds) for name, seconds in up.items()}
    got = {name: median(seconds) for name, seconds in down.items()}
    for name, seconds in (*up.items(), *down.items()):
        print(f"  {name:<8} {', '.join(f'{value:.2f}' for value in seconds)} s")
    print(f"  ours: {files / middle['ours']:.0f} images/s in, {ours.cpu_seconds['ingest'] / repeats:.2f} CPU seconds a turn; "
          f"s5cmd {files / middle['s5cmd']:.0f} images/s, {ours.cpu_seconds['s5cmd_upload'] / repeats:.2f} CPU seconds")
    return [at_most("hash, judge, clean and upload, against s5cmd cp, seconds", middle["ours"], middle["s5cmd"], 1.6),
            at_most("the same against 16 boto3 threads that only upload, seconds", middle["ours"], middle["boto3"], 1.0),
            at_most("verified download into the cache, against s5cmd cp, seconds", got["ours"], got["s5cmd"], 1.0)]


@contextmanager
def serving_s3(folder: Path) -> Iterator[S3Access]:
    """An S3 endpoint over an empty folder."""
    folder.mkdir()
    access = S3Access(f"http://127.0.0.1:{free_port()}", "benchmark-access", "benchmark-secret")
    command = [BIN / "rclone", "serve", "s3", "--config", "", "--auth-key", f"{access.access_key},{access.secret_key}",
               "--addr", access.endpoint.removeprefix("http://"), folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            from skin_platform.storage.faults import StorageError
            from skin_platform.storage.objects import ObjectStore

            def is_up() -> bool:
                try:
                    ObjectStore(access).create_bucket("images")
                except StorageError:
                    return False
                return True

            wait_for(is_up, 20, "rclone serve s3")
            yield access
        finally:
            server.terminate()
            server.wait(10)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.environ["SKIN_ENV"] = "dev"
    main()
