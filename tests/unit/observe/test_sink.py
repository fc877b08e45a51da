import os
import select

import pytest

from hornbeamd.observe.sink import Sink


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.log"


@pytest.fixture
def sink(path):
    made = Sink(str(path))
    yield made
    made.close()


def test_appends_in_one_write(sink, path, full):
    path.write_bytes(b"before\n")
    assert sink.write(b"1\n" * 100_000) == 200_000
    assert path.read_bytes() == b"before\n" + b"1\n" * 100_000
    assert full.writes == 1


def test_others_cannot_read_a_new_file(sink, path):
    assert path.stat().st_mode & 0o007 == 0


def test_two_sinks_share_a_file_line_by_line(sink, path):
    other = Sink(str(path))
    for _ in range(3):
        sink.write(b"one\n")
        other.write(b"two\n")
    other.close()
    assert path.read_bytes() == b"one\ntwo\n" * 3


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        Sink(str(tmp_path / "nowhere" / "a.log"))


def test_a_full_disk_is_told_and_not_raised(sink, path, full):
    full.room = 0
    assert sink.write(b"lost\n") == 0
    assert "No space" in str(sink.error)
    full.room = None
    assert sink.write(b"kept\n") == 5
    assert path.read_bytes() == b"kept\n"


def test_a_torn_line_is_ended_before_the_next(sink, path, full):
    full.room = 8
    assert sink.write(b"whole\ntorn\n") == 8
    assert sink.write(b"lost\n") == 0
    full.room = None
    sink.write(b"next\n")
    assert path.read_bytes() == b"whole\nto\nnext\n"


def test_a_disk_full_between_lines_tears_none(sink, path, full):
    full.room = 6
    assert sink.write(b"whole\ntorn\n") == 6
    full.room = None
    sink.write(b"next\n")
    assert path.read_bytes() == b"whole\nnext\n"


def test_a_closed_descriptor_loses_lines_only():
    reader, writer = os.pipe()
    os.close(reader)
    sink = Sink(None, writer)
    assert sink.write(b"x\n") == 0  # the reader is gone
    os.close(writer)
    assert sink.write(b"x\n") == 0
    assert Sink(None, -1).write(b"x\n") == 0


def test_a_pipe_gets_portions_that_stay_whole(full):
    reader, writer = os.pipe()
    sink = Sink(None, writer)
    lines = [b"%d" % number * 300 + b"\n" for number in range(30)]
    long = b"x" * (select.PIPE_BUF + 10) + b"\n"
    portions = []

    def collect(descriptor, data):
        portions.append(data)
        return len(data)

    os.write = collect  # the fixture puts it back
    data = b"".join(lines) + long + b"end\n"
    assert sink.write(data) == len(data)
    assert b"".join(portions) == data
    assert all(portion.endswith(b"\n") for portion in portions)
    assert [len(portion) for portion in portions if len(portion) > select.PIPE_BUF] == [len(long)]
    assert len(portions) < 10
    os.close(reader)
    os.close(writer)


def test_reopen_follows_a_rotation(sink, path):
    sink.write(b"old\n")
    path.rename(path.with_suffix(".1"))
    sink.write(b"still old\n")
    sink.reopen()
    sink.write(b"new\n")
    assert path.with_suffix(".1").read_bytes() == b"old\nstill old\n"
    assert path.read_bytes() == b"new\n"


def test_reopen_that_fails_keeps_the_old_file(sink, path):
    kept = path.rename(path.with_suffix(".1"))
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        sink.reopen()
    sink.write(b"here\n")
    assert kept.read_bytes() == b"here\n"


def test_reopen_leaves_descriptors_of_others_open():
    reader, writer = os.pipe()
    sink = Sink(None, writer)
    sink.reopen()
    sink.close()
    assert os.write(writer, b"x") == 1
    assert sink.write(b"x\n") == 0
    os.close(reader)
    os.close(writer)


def test_a_file_is_given_to_its_owner(path):
    sink = Sink(str(path), owner=(os.getuid(), os.getgid()))
    sink.close()
    assert path.stat().st_uid == os.getuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestOwner:
    NOBODY = (65534, 65534)

    @pytest.fixture
    def other(self, tmp_path):
        other = tmp_path / "other"
        other.write_bytes(b"")
        return other

    def test_a_file_is_given_to_its_owner(self, path):
        Sink(str(path), owner=self.NOBODY).close()
        assert (path.stat().st_uid, path.stat().st_gid) == self.NOBODY

    def test_a_link_of_the_owner_is_refused(self, path, other):
        path.symlink_to(other)
        os.chown(path, *self.NOBODY, follow_symlinks=False)
        with pytest.raises(OSError, match="symbolic links"):
            Sink(str(path), owner=self.NOBODY)
        assert other.stat().st_uid == 0

    def test_a_link_of_our_own_is_followed(self, path, other):
        path.symlink_to(other)
        Sink(str(path), owner=self.NOBODY).close()
        assert other.stat().st_uid == self.NOBODY[0]

    def test_a_file_of_two_names_is_not_given_away(self, path, other):
        path.hardlink_to(other)
        Sink(str(path), owner=self.NOBODY).close()
        assert other.stat().st_uid == 0
