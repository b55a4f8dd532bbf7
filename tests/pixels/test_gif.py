"""What stands before and behind the first image of a GIF."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from corpus import NOISE, encode
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header
from sightline.pixels.gif import gif_parts


def animation(count: int) -> bytes:
    frames = [Image.fromarray(np.roll(NOISE, k, 1)).quantize(64) for k in range(count)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], transparency=3, duration=40)
    return out.getvalue()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_images_are_counted_as_pillow_counts_them(count: int) -> None:
    data = animation(count)
    assert read_header(data).frames == Image.open(io.BytesIO(data)).n_frames == count


@pytest.mark.parametrize("count", [1, 3])
def test_comments_before_the_image_cost_nothing(count: int) -> None:
    data = animation(count)
    palette = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    comments = (b"\x21\xfe" + (b"\xff" + b"A" * 255) * 20 + b"\0") * 100
    longer = data[:palette] + comments + data[palette:]
    np.testing.assert_array_equal(decode_image(longer), decode_image(data))
    assert len(gif_parts(longer, "").needed) <= len(data)
    assert read_header(longer).frames == count


def test_more_blocks_than_a_file_of_that_size_needs_are_refused() -> None:
    data = encode(Image.fromarray(NOISE).quantize(64), "GIF")
    palette = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    with pytest.raises(UnreadableImage, match="blocks before its first image"):
        decode_image(data[:palette] + b"\x21\xfe" + b"\1A" * 1_000_001 + b"\0" + data[palette:])


def test_many_images_are_counted_up_to_a_limit() -> None:
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + b"\x20\0\x20\0\x80\0\0" + b"\0\0\0\xff\xff\xff"
    assert read_header(head + frame * 5_000 + b";").frames == 5_000
    assert read_header(head + frame * 200_000 + b";").frames == 150_000
