"""Sealed blobs: what goes in comes out, and any change on disk is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import blobs as module
from appliance.blobs import SEGMENT, Blobs, copy_sealed
from appliance.errors import Corrupted

KEY = b"k" * 32


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 3 * SEGMENT + 7])
def test_round_trip_at_segment_borders(blobs: Blobs, size: int) -> None:
    content = os.urandom(size)
    blob = blobs.put(content, KEY)
    assert (blobs.get(blob.digest, KEY), blob.bytes) == (content, size)
    assert blobs.is_intact(blob.digest)


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 100))
@settings(deadline=None, max_examples=60)
def test_any_part_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, count: int
) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("b"))
    original, module.SEGMENT = module.SEGMENT, 64  # many segments without many bytes
    try:
        blob = blobs.put(content, KEY)
        with blobs.open(blob.digest, KEY) as stream:
            stream.seek(at)
            assert stream.read(count) == content[at : at + count]
    finally:
        module.SEGMENT = original


def test_the_content_is_not_on_the_disk(blobs: Blobs) -> None:
    blob = blobs.put(b"the customer's name" * 10, KEY)
    assert b"customer" not in blobs.path(blob.digest).read_bytes()
    assert blobs.path(blob.digest).stat().st_mode & 0o777 == 0o600


def test_every_changed_byte_is_found(blobs: Blobs) -> None:
    blob = blobs.put(b"0123456789" * 20, KEY)
    path = blobs.path(blob.digest)
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Corrupted, match="damaged"):
            blobs.get(blob.digest, KEY)
        assert not blobs.is_intact(blob.digest)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_cut_or_longer_file_is_found(blobs: Blobs, keep: int) -> None:
    blob = blobs.put(os.urandom(3 * SEGMENT), KEY)
    path = blobs.path(blob.digest)
    good = path.read_bytes()
    header, sealed = module._HEADER, SEGMENT + 16
    path.write_bytes(good[: header + keep * sealed])
    with pytest.raises(Corrupted):
        blobs.get(blob.digest, KEY)
    path.write_bytes(good + good[header : header + sealed])
    with pytest.raises(Corrupted):
        blobs.get(blob.digest, KEY)


def test_swapped_segments_are_found(blobs: Blobs) -> None:
    blob = blobs.put(os.urandom(3 * SEGMENT), KEY)
    path = blobs.path(blob.digest)
    good, header, sealed = path.read_bytes(), module._HEADER, SEGMENT + 16
    first, second = good[header : header + sealed], good[header + sealed : header + 2 * sealed]
    path.write_bytes(good[:header] + second + first + good[header + 2 * sealed :])
    with pytest.raises(Corrupted):
        blobs.get(blob.digest, KEY)


def test_another_key_opens_nothing(blobs: Blobs) -> None:
    blob = blobs.put(b"x", KEY)
    with pytest.raises(Corrupted):
        blobs.get(blob.digest, b"o" * 32)


def test_a_missing_file_is_told(blobs: Blobs) -> None:
    with pytest.raises(Corrupted, match="missing"):
        blobs.get("ab" * 32, KEY)


def test_a_failed_write_leaves_nothing(blobs: Blobs) -> None:
    def write_and_fail() -> None:
        with blobs.writer(KEY) as writer:
            writer.write(os.urandom(2 * SEGMENT))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert [path for path in blobs.folder.rglob("*") if path.is_file()] == []


def test_sweep_takes_only_what_nobody_owns_and_is_old(blobs: Blobs) -> None:
    kept, lost = blobs.put(b"kept", KEY), blobs.put(b"lost", KEY)
    unowned: dict[str, float] = {}
    assert [blobs.sweep({kept.digest}, unowned, now) for now in (10.0, 3600.0, 3611.0)] == [0, 0, 1]
    assert unowned == {}
    assert blobs.path(kept.digest).exists()
    assert not blobs.path(lost.digest).exists()


def test_the_sweep_does_not_believe_the_time_of_a_file(blobs: Blobs) -> None:
    """An hour forward between two sweeps makes no file old; one that was owned meanwhile begins anew."""
    sealed = blobs.put(b"not owned yet", KEY).digest
    os.utime(blobs.path(sealed), (1, 1))
    unowned: dict[str, float] = {}
    assert blobs.sweep(set(), unowned, 10.0) == 0
    assert blobs.sweep({sealed}, unowned, 2000.0) == 0
    assert blobs.sweep(set(), unowned, 4000.0) == 0
    assert blobs.path(sealed).exists()


def test_copying_stops_at_the_limit(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with blobs.writer(KEY) as writer, open(path, "rb") as source:
        assert not copy_sealed(source, writer, 99)
    with blobs.writer(KEY) as writer, open(path, "rb") as source:
        assert copy_sealed(source, writer, 100)
    assert blobs.get(writer.blob.digest, KEY) == b"x" * 100
