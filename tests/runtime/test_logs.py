"""The k8s-file format, and readers of a log that grows, is cut or is replaced."""

import os
import pathlib

import pytest

from pyctr.runtime import logs

NOW = 1_700_000_000_123_456_789


def write(path: pathlib.Path, *chunks: tuple[str, bytes]) -> None:
    with open(path, "ab") as file:
        for stream, data in chunks:
            file.write(logs.format_chunk(stream, data, NOW))


def read(reader: logs.Reader) -> list[tuple[str, bool, bytes]]:
    return [(entry.stream, entry.partial, entry.data) for entry in reader.entries()]


def test_a_line_is_written_as_kubernetes_and_podman_do() -> None:
    assert logs.format_line("stdout", False, b"hi", NOW) == b"2023-11-14T22:13:20.123456789Z stdout F hi\n"
    assert logs.format_line("stderr", True, b"", NOW) == b"2023-11-14T22:13:20.123456789Z stderr P \n"


def test_a_chunk_is_full_lines_and_a_partial_rest() -> None:
    text = logs.format_chunk("stdout", b"one\n\ntwo", NOW)
    assert [line.split(b" ", 2)[2] for line in text.splitlines()] == [b"F one", b"F ", b"P two"]
    assert logs.format_chunk("stdout", b"", NOW) == b""


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"2023 stdin F x", b"x stdout F y", b"2023-11-14 stdout"]
)
def test_what_is_no_entry_is_skipped(line: bytes) -> None:
    assert logs.parse_line(line) is None


def test_content_keeps_spaces_carriage_returns_and_bytes() -> None:
    entry = logs.parse_line(logs.format_line("stdout", False, b"  a b\r\xff\0", NOW)[:-1])
    assert entry is not None and entry.data == b"  a b\r\xff\0"


def test_a_reader_goes_on_where_it_stopped(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    reader = logs.Reader(str(path))
    assert read(reader) == []
    write(path, ("stdout", b"one\n"))
    assert read(reader) == [("stdout", False, b"one")]
    with open(path, "ab") as file:
        file.write(logs.format_line("stderr", False, b"torn", NOW)[:-3])
    assert read(reader) == []
    with open(path, "ab") as file:
        file.write(b"rn\n")
    assert read(reader) == [("stderr", False, b"torn")]
    reader.close()


def test_a_reader_follows_truncation_and_replacement(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    write(path, ("stdout", b"one long first line\n"))
    reader = logs.Reader(str(path))
    assert len(read(reader)) == 1
    os.truncate(path, 0)
    write(path, ("stdout", b"two\n"))
    assert read(reader) == [("stdout", False, b"two")]
    write(path, ("stdout", b"last of the old\n"))
    path.rename(tmp_path / "log.1")
    write(path, ("stdout", b"first of the new\n"))
    assert read(reader) == [("stdout", False, b"last of the old"), ("stdout", False, b"first of the new")]
    reader.close()


@pytest.mark.parametrize(
    "count, expected", [(0, []), (1, [b"c"]), (2, [b"b1", b"b2", b"c"]), (9, [b"a", b"b1", b"b2", b"c"])]
)
def test_the_tail_counts_lines_not_entries(
    tmp_path: pathlib.Path, count: int, expected: list[bytes]
) -> None:
    path = tmp_path / "log"
    write(path, ("stdout", b"a\n"), ("stdout", b"b1"), ("stdout", b"b2\n"), ("stdout", b"c\n"))
    reader = logs.Reader(str(path))
    reader.skip_to_tail(count)
    assert [data for _, _, data in read(reader)] == expected
    reader.close()


def test_the_tail_counts_an_unfinished_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    write(path, ("stdout", b"a\n"), ("stdout", b"prompt> "))
    reader = logs.Reader(str(path))
    reader.skip_to_tail(1)
    assert [data for _, _, data in read(reader)] == [b"prompt> "]
    reader.close()


def test_the_tail_of_many_blocks(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    lines = [b"%d " % number + b"x" * (number % 700) for number in range(2000)]
    write(path, *[("stdout", line + b"\n") for line in lines])
    for count in (1, 99, 1500, 2000, 3000):
        reader = logs.Reader(str(path))
        reader.skip_to_tail(count)
        assert [data for _, _, data in read(reader)] == lines[-count:]
        reader.close()
