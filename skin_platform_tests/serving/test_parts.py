"""Promises of the parts: one that has ended is seen, and only what no answer can do without makes the service unready."""

import asyncio
import threading

import pytest

from skin_platform.serving.keeping import ImageKeeper
from skin_platform.serving.parts import WITHOUT
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import picture

ENDS = {  # of each part, what its thread does next
    "drain": lambda desk: (desk.drain, "_pass"), "follower": lambda desk: (desk.parts["follower"], "look"),
    "jobs": lambda desk: (desk.parts["jobs"], "_claimed"), "keys": lambda desk: (desk.keys, "_refresh"),
    "shadow": lambda desk: (desk.shadow, "_look"), "keeper": lambda desk: (desk.keeper, "_write"),
    "inference": lambda desk: (desk.current.batcher, "_answers")}

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def service(tmp_path):
    with in_process(tmp_path / "home", champion(), skin_shadow_rate=1, skin_keep_images=True) as running:
        yield running


def end(*_: object, **__: object) -> None:
    """As a thread ends whose loop catches every fault but one."""
    raise SystemExit


def test_all_parts_are_named_and_live(service):
    told = service.http.get("/health").json()
    assert (told["status"], told["reason"], told["parts"]) == ("ok", None, dict.fromkeys(WITHOUT, True))
    assert 'skin_part_alive{part="keeper"} 1.0' in service.http.get("/metrics").text


@pytest.mark.parametrize("part", sorted(ENDS))
def test_a_part_that_has_ended_is_named_with_what_is_not_done_any_more(service, monkeypatch, part):
    place, does = ENDS[part](service.desk)
    monkeypatch.setattr(place, does, end)
    if part == "inference":
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(place.answer([picture(1)], service.desk.limits), 0.5))
    if part == "keeper":
        assert service.desk.keeper.offer("a" * 64, b"x")
    wait_for(lambda: not service.http.get("/health").json()["parts"][part], 10, f"the end of {part}")
    told = service.http.get("/health").json()
    assert f"{part} has ended: {WITHOUT[part]}" in told["reason"]
    assert "start the service anew" in told["reason"]
    assert f'skin_part_alive{{part="{part}"}} 0.0' in service.http.get("/metrics").text
    ready = service.http.get("/readyz")
    if part == "inference":
        assert (told["status"], ready.status_code, ready.json()["code"]) == ("not ready", 503, "not_ready")
        assert "skin_ready 0.0" in service.http.get("/metrics").text
    else:
        assert (told["status"], ready.status_code) == ("impaired", 200)
        assert service.http.post("/predict", files={"image": picture(1)}).status_code == 200


def test_an_image_is_not_said_to_be_kept_where_nobody_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageKeeper, "_write", end)
    keeper = ImageKeeper(tmp_path)
    assert keeper.offer("a" * 64, b"x")
    wait_for(lambda: not keeper.is_alive, 10, "the end of the keeper")
    assert not keeper.offer("b" * 64, b"x")
    keeper.close()


@pytest.mark.parametrize("part", ["jobs", "shadow", "keeper"])
def test_a_part_goes_on_after_a_fault_of_ours(service, monkeypatch, part):
    met = threading.Event()

    def fault(*_: object) -> None:
        met.set()
        raise LookupError("a fault of ours")

    if part == "jobs":
        monkeypatch.setattr(service.desk.jobs, "claim", fault)
    else:
        monkeypatch.setattr(*ENDS[part](service.desk), fault)
    if part == "keeper":
        service.desk.keeper.offer("a" * 64, b"x")
    assert met.wait(10)
    monkeypatch.undo()
    assert service.http.get("/health").json()["parts"][part]
