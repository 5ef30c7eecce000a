"""Promises of the log of moves: of several at once one counts, and whoever is killed leaves the former state or the new one."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skin_platform.storage import moves as module
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import MovedMeanwhileError, Moves
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.faulty import faulty
from skin_platform_tests.storage.halting import killed_at, reopened, started

LEASE_SECONDS = 1.0  # endpoints tell times in whole seconds
LOG = "skin_classifier/moves/champion"
_numbers = itertools.count()


def name(number):
    return f"v20260501_{number:06d}"


def bucket_with(store, versions):
    """A bucket with the manifests of as many versions, which are all that a move looks at."""
    bucket = f"moves-{next(_numbers)}"
    store.create_bucket(bucket)
    for number in range(versions):
        store.upload_file(bucket, f"skin_classifier/{name(number)}/manifest.json", b"{}")
    return bucket


@pytest.fixture
def bucket(store):
    return bucket_with(store, 16)


@pytest.fixture
def moves(store, bucket):
    return Moves(store, bucket, lease_seconds=LEASE_SECONDS)


def promote(moves, number, expected, **changed):
    given = {"kind": "promoted", "by": f"by {number}", "why": f"why {number}"} | changed
    return moves.move("champion", name(number), expected=expected, **given)


def outcome(action):
    """What a move came to: itself or the error."""
    try:
        return action()
    except MovedMeanwhileError as error:
        return error


def test_an_alias_is_the_last_move_of_its_log(moves, store, bucket):
    assert (moves.current("champion"), moves.history("champion")) == (None, [])
    first = promote(moves, 1, 0)
    second = promote(moves, 2, first.number, kind="forced", why="größer é", verdict_sha256="a" * 64)
    assert (second.former, second.rests_on, second.kind, second.verdict_sha256) == (name(1), 1, "forced", "a" * 64)
    back = promote(moves, 1, second.number, kind="rolled back")
    assert moves.history("champion") == [first, second, back]
    assert moves.current("champion") == back
    assert moves.current("challenger") is None
    assert [item.key for item in store.list_objects(bucket, LOG)] == [f"{LOG}/0000000{number}.json" for number in (1, 2, 3)]


def test_a_decision_on_what_is_no_longer_so_is_refused_by_name(moves):
    first = promote(moves, 1, 0)
    told = rf"by 1 moved it to {name(1)} at {first.at[:10]}\S+ \(move 1, promoted: why 1\)"
    with pytest.raises(MovedMeanwhileError, match=told):
        promote(moves, 2, 0)
    with pytest.raises(MovedMeanwhileError):
        promote(moves, 2, 2)
    assert moves.history("champion") == [first]


def test_the_same_move_again_changes_nothing(moves):
    first = promote(moves, 1, 0)
    assert promote(moves, 1, first.number, by="another") == first
    assert moves.history("champion") == [first]


@pytest.mark.parametrize("changed", [{"by": " "}, {"why": ""}, {"kind": "moved"}, {"kind": "rolled back", "by": ""}])
def test_a_move_says_who_and_why(changed, tmp_path):
    store = ObjectStore(tmp_path)
    moves = Moves(store, bucket_with(store, 2))
    with pytest.raises(ValueError, match="says by whom and why"):
        promote(moves, 1, 0, **changed)
    with pytest.raises(ValueError, match="'best' is no alias: champion or challenger"):
        moves.current("best")
    with pytest.raises(KeyError, match=f"no model version {name(77)}"):
        promote(moves, 77, 0)
    assert moves.move("challenger", name(1), expected=0, kind="registered", by="", why="").number == 1
    assert promote(moves, 1, 0).number == 1


class Hesitating(ObjectStore):
    """Leaves time between the question whether there is an object and the upload: enough, where a store knows no conditions."""

    def object_exists(self, bucket, key):
        found = super().object_exists(bucket, key)
        time.sleep(0.1)
        return found


def test_of_sixteen_threads_one_wins_and_the_others_name_it(store, bucket):
    barrier = threading.Barrier(16)

    def race(number):
        moves = Moves(reopened(store.address, Hesitating), bucket)
        barrier.wait()
        return outcome(lambda: promote(moves, number, 0))

    with ThreadPoolExecutor(16) as threads:
        came = list(threads.map(race, range(16)))
    errors = [item for item in came if isinstance(item, MovedMeanwhileError)]
    [winner] = [item for item in came if item not in errors]
    assert Moves(store, bucket).history("champion") == [winner]
    assert {error.move for error in errors} == {winner}
    assert all(winner.version in str(error) and winner.by in str(error) for error in errors)
    other = (winner.number + int(winner.version[-6:])) % 16
    assert promote(Moves(store, bucket), other, 1).number == 2  # no claim of the fifteen is in its way


def test_moves_that_are_tried_until_they_count_all_count_once(store, bucket):
    def insist(number):
        moves = Moves(reopened(store.address), bucket)
        while True:
            current = moves.current("champion")
            found = outcome(lambda current=current: promote(moves, number, current.number if current else 0))
            if not isinstance(found, MovedMeanwhileError):
                return found

    with ThreadPoolExecutor(4) as threads:
        came = list(threads.map(insist, range(8)))
    history = Moves(store, bucket).history("champion")
    assert sorted(came, key=lambda move: move.number) == history
    assert {move.version for move in history} == {name(number) for number in range(8)}
    assert [move.former for move in history[1:]] == [move.version for move in history[:-1]]


def test_of_two_processes_one_wins_and_the_other_says_so(store, bucket):
    processes = [started(store, 0, bucket, 0, name(number)) for number in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=30)[0].strip() for process in processes)
    [move] = Moves(store, bucket).history("champion")
    assert said[1] == f"done {move.version}"
    assert said[0].startswith("MovedMeanwhileError")
    assert f"{move.by} moved it to {move.version}" in said[0]


@pytest.mark.parametrize(("change", "is_moved"), [(1, False), (2, False), (3, True)])
def test_a_promotion_killed_anywhere_leaves_the_former_or_the_new(moves, store, bucket, change, is_moved, monkeypatch):
    former = promote(moves, 1, 0)
    assert killed_at(store, change, bucket, former.number, name(2)) is not is_moved
    now = moves.current("champion")
    assert (now.version, now.number) == ((name(2), 2) if is_moved else (name(1), 1))
    if change == 2:
        monkeypatch.setattr(module, "WAIT_SECONDS", 0.1)
        with pytest.raises(MovedMeanwhileError, match=f"by {name(2)} has been moving the champion to {name(2)} since .* 60 s"):
            promote(Moves(store, bucket), 3, now.number)
        monkeypatch.undo()
    following = promote(moves, 3, now.number)
    assert following.number == {1: 2, 2: 3, 3: 3}[change]
    assert moves.history("champion")[-1] == following
    assert following.former == now.version


def test_whoever_wakes_after_its_lease_changes_nothing_and_says_so(moves, store, bucket):
    class Sleeping(ObjectStore):
        asleep, woken = threading.Event(), threading.Event()

        def upload_file(self, bucket, key, *args, **kwargs):
            if key.startswith(LOG):
                self.asleep.set()
                self.woken.wait(20)
            super().upload_file(bucket, key, *args, **kwargs)

    slow = Moves(reopened(store.address, Sleeping), bucket)
    with ThreadPoolExecutor(1) as threads:
        came = threads.submit(outcome, lambda: promote(slow, 1, 0))
        assert Sleeping.asleep.wait(20)
        newer = promote(moves, 2, 0)
        Sleeping.woken.set()
        error = came.result(20)
    assert isinstance(error, MovedMeanwhileError)
    assert error.move == newer == moves.current("champion")
    assert moves.history("champion") == [newer]
    # a store without conditional creation may even carry out an upload that was under way all the while
    late = json.dumps({"version": name(1)}).encode()
    store.upload_file(bucket, f"{LOG}/00000001.json", late)
    assert moves.history("champion") == [newer]
    assert promote(moves, 3, newer.number).former == name(2)


def test_a_move_whose_answer_was_lost_counts_once(s3_access, moto_access):
    for access in (s3_access, moto_access):
        with faulty(access.endpoint) as (address, faults):
            bucket = bucket_with(reopened(address), 2)
            moves = Moves(reopened(address), bucket)
            faults.plan("PUT", "lost", path="/moves/")
            faults.plan("PUT", "503", path="/claims/")
            first = promote(moves, 1, 0)
            assert faults.is_spent
            assert moves.history("champion") == [first]


def test_a_store_that_goes_down_half_way_leaves_the_former(moto_access):
    direct = reopened(moto_access.endpoint)
    bucket = bucket_with(direct, 3)
    former = promote(Moves(direct, bucket), 1, 0)
    with faulty(moto_access.endpoint) as (address, faults):
        faults.plan("PUT", *["503"] * 6, path="/moves/")
        with pytest.raises(StorageError, match="cannot be used"):
            promote(Moves(reopened(address), bucket), 2, former.number)
    assert Moves(direct, bucket).history("champion") == [former]
    with pytest.raises(StorageError, match="check S3_ENDPOINT"):  # nobody is there any more
        promote(Moves(reopened(address), bucket), 2, former.number)
    assert promote(Moves(direct, bucket, lease_seconds=0), 2, former.number).number == 3


def _cut(store, bucket):
    store.upload_file(bucket, f"{LOG}/00000003.json", store.download_file(bucket, f"{LOG}/00000003.json")[:-5])


def _changed(store, bucket):
    data = store.download_file(bucket, f"{LOG}/00000003.json")
    store.upload_file(bucket, f"{LOG}/00000003.json", data.replace(name(3).encode(), name(1).encode()))


def _other(store, bucket):
    store.upload_file(bucket, f"{LOG}/00000004.json", b'{"version": "v20260501_000001"}')


def _list(store, bucket):
    store.upload_file(bucket, f"{LOG}/00000004.json", b"[1]")


def _bytes(store, bucket):
    store.upload_file(bucket, f"{LOG}/00000004.json", b"\xff\xfe\x00")


def _copied(store, bucket):
    store.upload_file(bucket, f"{LOG}/00000004.json", store.download_file(bucket, f"{LOG}/00000001.json"))


def _stray(store, bucket):
    store.upload_file(bucket, f"{LOG}/notes.txt", b"do not move")


@pytest.mark.parametrize("damage", [_cut, _changed, _other, _list, _bytes, _copied, _stray])
def test_a_log_with_something_wrong_in_it_names_no_champion(tmp_path, damage):
    store = ObjectStore(tmp_path)
    bucket = bucket_with(store, 5)
    moves = Moves(store, bucket)
    for number in range(1, 4):
        promote(moves, number, number - 1)
    before = {item.key for item in store.list_objects(bucket)}
    damage(store, bucket)
    for asked in (moves.current, moves.history):
        with pytest.raises(StorageError, match=r"0000000[34]\.json is damaged.*put the object back|notes\.txt is no entry"):
            asked("champion")
    with pytest.raises(StorageError, match=r"moves/champion/"):
        promote(moves, 4, 3)
    assert {item.key for item in store.list_objects(bucket)} - before <= {f"{LOG}/00000004.json", f"{LOG}/notes.txt"}


def test_a_move_that_was_taken_out_of_the_middle_is_missed(tmp_path):
    store = ObjectStore(tmp_path)
    bucket = bucket_with(store, 4)
    moves = Moves(store, bucket)
    for number in range(1, 4):
        promote(moves, number, number - 1)
    store.delete_object(bucket, f"{LOG}/00000002.json")
    with pytest.raises(StorageError, match=r"00000002\.json is damaged: it is not there") as missed:
        moves.history("champion")
    assert f"delete {LOG}/00000003.json, if the entry before it ({LOG}/00000001.json) is to count" in str(missed.value)
    store.delete_object(bucket, f"{LOG}/00000003.json")  # as it says
    assert moves.current("champion").version == name(1)
