"""Reads and writes the wire format of Protocol Buffers, as far as ONNX files need it; weights are not copied."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Reader", "write_field", "write_varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST = 10  # bytes of a number of 64 bits


class Reader:
    """Reads messages of one file; the number of fields is limited, so that a file of nothing but fields takes no time.

    Args:
        most: fields of all messages together.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yield (number, value) of each field: an integer, or the bytes of a text, a number or a message.

        Raises:
            ValueError: if these are no such bytes, or more fields than allowed.

        Example:
            >>> [(number, value) for number, value in Reader(9).fields(memoryview(write_varint(1, 300)))]
            [(1, 300)]
        """
        place, end = 0, len(message)
        while place < end:
            self.left -= 1
            if self.left < 0:
                raise ValueError("it has too many parts")
            tag, place = _read_varint(message, place)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, place = _read_varint(message, place)
                yield number, value
                continue
            size, place = (_SIZES[kind], place) if kind in _SIZES else _read_size(message, place, kind)
            if place + size > end:
                raise ValueError("it is cut off")
            yield number, message[place : place + size]
            place += size


def _read_size(message: memoryview, place: int, kind: int) -> tuple[int, int]:
    if kind != _BYTES:
        raise ValueError("its bytes are not those of an ONNX file")
    return _read_varint(message, place)


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return (number, place behind it)."""
    number = shift = 0
    for byte in message[place : place + _LONGEST]:
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
    raise ValueError("its bytes are not those of an ONNX file")


def write_varint(number: int, value: int) -> bytes:
    """Return a field that holds an integer, 0 or above."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def write_field(number: int, value: bytes | memoryview) -> bytes:
    """Return a field that holds bytes: a text or a message.

    Example:
        >>> write_field(2, b"ab")
        b'\\x12\\x02ab'
    """
    return b"".join((_varint(number << 3 | _BYTES), _varint(len(value)), value))


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
