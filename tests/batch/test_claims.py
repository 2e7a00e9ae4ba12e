"""Of several processes, one works on a stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from napari_sam2.batch.claims import STALE_S, ClaimOwner, StackClaim, holder_of, take_claim
from napari_sam2.errors import BatchError

_RACE = """
import sys
from pathlib import Path
from napari_sam2.batch.claims import StackClaim, take_claim

claims, done, me = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    claim = take_claim(claims, f"stack {number}", me)
    if isinstance(claim, StackClaim):
        with claim:
            mark = done / str(number)
            if not mark.exists():  # as a status says that a stack is done
                with open(done / f"{number}.log", "a") as log:
                    log.write(me + "\\n")
                mark.touch()
"""


def test_a_claim_keeps_others_away_until_it_is_released(tmp_path):
    with take_claim(tmp_path, "a/b", "one") as claim:
        assert claim.check()
        other = take_claim(tmp_path, "a/b", "two")
        assert other == ClaimOwner.here("one")
        assert holder_of(tmp_path, "a/b") == other
        assert str(os.getpid()) in str(other)
        with take_claim(tmp_path, "a", "two") as above:
            assert isinstance(above, StackClaim)
    assert holder_of(tmp_path, "a/b") is None
    again = take_claim(tmp_path, "a/b", "two")
    assert isinstance(again, StackClaim)
    with again:
        pass
    assert not (tmp_path / "a%2Fb").exists()


def left(tmp_path, owner: ClaimOwner, age: float = 0.0):
    """A claim whose holder does not touch it any more."""
    file = tmp_path / "s" / "1.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def test_a_claim_of_another_machine_counts_until_it_is_stale(tmp_path):
    owner = ClaimOwner("elsewhere", 1, "", "one")
    left(tmp_path, owner, STALE_S - 60)
    assert take_claim(tmp_path, "s", "two") == owner
    left(tmp_path, owner, STALE_S + 60)
    with take_claim(tmp_path, "s", "two") as claim:
        assert claim.check()
        assert take_claim(tmp_path, "s", "three") == ClaimOwner.here("two")
    assert holder_of(tmp_path, "s") is None


def test_a_claim_that_was_being_written_counts_until_it_is_stale(tmp_path):
    left(tmp_path, ClaimOwner()).write_text("", encoding="utf-8")
    assert take_claim(tmp_path, "s", "two") == ClaimOwner()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say which processes run")
def test_a_claim_of_a_process_that_has_ended_does_not_count(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = replace(ClaimOwner.here("one"), pid=process.pid)
    assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not waited for
    if sys.platform == "linux":
        assert owner.is_gone()
    process.wait()
    assert owner.is_gone()
    left(tmp_path, owner)
    with take_claim(tmp_path, "s", "two") as claim:
        assert claim.check()


def test_who_was_asleep_for_too_long_notices_that_the_claim_is_lost(tmp_path):
    first = take_claim(tmp_path, "s", "one", heartbeat_s=0.01)
    with first:
        stale = take_claim(tmp_path, "s", "two", stale_s=-1.0)
        with stale:
            end = time.monotonic() + 20
            while not first.lost and time.monotonic() < end:
                time.sleep(0.01)
            assert first.lost
            assert not first.check()
            assert stale.check()
        assert not stale.lost


def test_a_heartbeat_touches_the_claim(tmp_path):
    with take_claim(tmp_path, "s", "one", heartbeat_s=0.01):
        file = tmp_path / "s" / "1.json"
        os.utime(file, (1, 1))
        end = time.monotonic() + 20
        while file.stat().st_mtime < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert file.stat().st_mtime > 2


def test_of_many_that_see_a_stale_claim_one_takes_it(tmp_path):
    for number in range(20):
        claims = tmp_path / str(number)
        claims.mkdir()
        left(claims, ClaimOwner("elsewhere", 1, "", "one"), STALE_S + 60)
        start = threading.Barrier(6)
        found = []

        def race(claims=claims, start=start, found=found):
            start.wait()
            found.append(take_claim(claims, "s", "two"))

        threads = [threading.Thread(target=race) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = [each for each in found if isinstance(each, StackClaim)]
        assert len(held) == 1
        with held[0]:
            pass


def test_a_folder_that_another_process_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    """`Path.mkdir` fails where the folder was there, and is not any more when it looks again."""
    make, failed = Path.mkdir, []

    def racing(path, *args, **options):
        if not failed:
            failed.append(path)
            raise FileExistsError(17, "File exists", str(path))
        return make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", racing)
    claim = take_claim(tmp_path / "claims", "stack 0", "a")
    assert failed
    assert isinstance(claim, StackClaim)
    with claim:
        assert holder_of(tmp_path / "claims", "stack 0") is not None


def test_racing_processes_do_every_stack_once(tmp_path):
    claims, done = tmp_path / "claims", tmp_path / "done"
    done.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, claims, done, name, "60"], stdin=subprocess.PIPE
        )
        for name in "abc"
    ]
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.wait() for process in processes] == [0, 0, 0]
    for process in processes:
        process.stdin.close()
    times = Counter({n: len((done / f"{n}.log").read_text().split()) for n in range(60)})
    assert set(times.values()) == {1}


def test_a_folder_that_takes_no_claims_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(BatchError, match="file"):
        take_claim(blocked, "s", "one")
