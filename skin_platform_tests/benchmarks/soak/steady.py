"""Steady: thousands of requests with a share of bad input; no answer of 5xx, memory and file handles stay."""

import time
from collections.abc import Sequence

import numpy as np

from skin_platform_tests.benchmarks.figures import Row, at_most
from skin_platform_tests.benchmarks.soak.setting import Setting
from skin_platform_tests.serving.loading import Load
from skin_platform_tests.serving.processes import Process, open_handles, resident_bytes

BAD_SHARE = 0.05
GROWTH_BAR = 0.05  # of the memory after the warm-up, over the whole run: a leak of one image each would be many times that


def steady(setting: Setting) -> list[Row]:
    """The rows of this part."""
    asked = mixed(setting.pictures)
    with setting.service() as service:
        with setting.load(service, asked, setting.size.warm_up) as load:
            load.wait()
        before, handles = resident_bytes(service.worker), _idle_handles(service)
        with setting.load(service, asked, setting.size.requests) as load:
            began = time.monotonic()
            samples = _watched(load, service, setting.size.requests)
            seconds = time.monotonic() - began
        after = _idle_handles(service)
        stored = setting.stored()
    answered = [answer.body["prediction_id"] for answer in load.answers if answer.status == 200]
    slope = _slope(samples)
    return [
        Row(f"steady: requests/s over {setting.size.requests} requests, 5 % bad input", setting.size.requests / seconds),
        at_most("steady: answers of 5xx", sum(answer.status >= 500 for answer in load.answers), None, 0),
        at_most("steady: requests without a whole answer", len(load.lost), None, 0),
        at_most("steady: bad input that was not refused, or good that was", _misjudged(load, asked), None, 0),
        Row("steady: memory after the warm-up, MB", before / 1e6),
        Row("steady: slope of memory, kB in 1,000 requests", slope),
        at_most("steady: growth of memory over the run by that slope, share", slope * setting.size.requests / before, None,
                GROWTH_BAR),
        at_most("steady: file handles more than after the warm-up", after - handles, None, 0),
        at_most("steady: answered predictions that are not in the database once", len(answered) - len(
            set(answered) & set(stored)) + len(stored) - len(set(stored)), None, 0),
    ]


def mixed(pictures: Sequence[bytes]) -> list[bytes]:
    """A hundred requests: ``BAD_SHARE`` of them are empty, text, cut off, a GIF, and of one pixel."""
    good = [pictures[number % len(pictures)] for number in range(95)]
    bad = [b"", b"no picture at all\n" * 20, pictures[0][: len(pictures[0]) // 2], b"GIF89a\1\0\1\0\0\0\0;", _pixel()]
    assert len(bad) == BAD_SHARE * (len(good) + len(bad))
    for place, data in enumerate(bad):
        good.insert(place * 20, data)
    return good


def _pixel() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def _misjudged(load: Load, asked: Sequence[bytes]) -> int:
    bad = {place * 20 for place in range(5)}
    return sum((answer.status != 200) != (answer.number in bad) or answer.status in (401, 429) for answer in load.answers)


def _watched(load: Load, service: Process, total: int) -> list[tuple[int, int]]:
    """Requests answered so far and bytes of memory, every half second until all are."""
    samples, worker = [], service.worker
    while len(load.answers) + len(load.lost) < total:
        samples.append((len(load.answers), resident_bytes(worker)))
        time.sleep(0.5)
    return samples


def _slope(samples: Sequence[tuple[int, int]]) -> float:
    """Least squares: bytes a request, which is kB in 1,000."""
    requests, memory = np.array(samples, dtype=np.float64).T
    return float(np.polyfit(requests, memory, 1)[0])


def _idle_handles(service: Process) -> int:
    """Once the clients' connections are closed."""
    time.sleep(2)
    return open_handles(service.worker)
