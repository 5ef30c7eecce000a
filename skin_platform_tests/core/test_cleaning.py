"""Promises of cleaning: nothing but the picture is kept, and the picture is the same, pixel for pixel."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from skin_platform.core.cleaning import cleaned, stripped
from skin_platform.core.jpeg_segments import strip_jpeg
from skin_platform.core.orientation import orientation_in
from skin_platform.core.redrawing import READ_ERRORS
from skin_platform_tests.core.pictures import chunk, encoded, jpeg, orientation, picture, png, segment

SECRET = b"Anna Rossi 1961-04-02"
JFIF_PICTURE = b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x02\x02" + bytes(12) + SECRET
GREY_RAMP = np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 40
JPEGS = {
    "baseline 4:2:0": jpeg(1, 90, 70), "4:2:2": jpeg(1, 90, 70, subsampling=1), "4:4:4": jpeg(1, 90, 70, subsampling=0),
    "progressive": jpeg(1, 90, 70, progressive=True), "grey": encoded(picture(1, 90, 70).convert("L")),
    "CMYK": encoded(picture(1, 90, 70).convert("CMYK")), "restart markers": jpeg(1, 90, 70, restart_marker_blocks=1),
    "RGB": jpeg(1, 90, 70, keep_rgb=True), "optimized": jpeg(1, 90, 70, optimize=True, quality=95),
}
PALETTE = picture(1).convert("P")
PNGS = {
    "RGB": png(1), "alpha": encoded(picture(1).convert("RGBA"), "PNG"), "grey": encoded(picture(1).convert("L"), "PNG"),
    "grey with alpha": encoded(picture(1).convert("LA"), "PNG"), "one bit": encoded(picture(1).convert("1"), "PNG"),
    "palette": encoded(PALETTE, "PNG"), "transparent palette": encoded(PALETTE, "PNG", transparency=bytes([0, 100, 255])),
    "transparent colour": encoded(picture(1), "PNG", transparency=(1, 2, 3)),
    "16 bit": encoded(Image.fromarray(GREY_RAMP), "PNG"),
}


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA") if "transparency" in image.info else image)


def _with_segments(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def _with_chunks(data: bytes, *chunks: bytes) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


@pytest.fixture(scope="module")
def interlaced() -> bytes:
    """A PNG interlaced by Adam7, which Pillow cannot write: 8x8 pixels of grey, its seven passes one after the other."""
    plane = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    passes = [plane[0::8, 0::8], plane[0::8, 4::8], plane[4::8, 0::4], plane[0::4, 2::4], plane[2::4, 0::2],
              plane[0::2, 1::2], plane[1::2, 0::1]]
    raw = b"".join(b"\x00" + row.tobytes() for rows in passes for row in rows)
    header = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1])
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    assert np.array_equal(_pixels(data), plane)
    return data


@pytest.mark.parametrize("data", [*JPEGS.values(), *PNGS.values()], ids=[*JPEGS, *(f"PNG {name}" for name in PNGS)])
def test_what_is_clean_comes_back_as_it_is(data):
    assert cleaned(data) is data


def test_an_interlaced_png_stays_interlaced(interlaced):
    dirty = _with_chunks(interlaced, chunk(b"tEXt", b"Name\x00" + SECRET))
    assert cleaned(dirty) == interlaced


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_of_a_jpeg_only_the_metadata_go_and_no_byte_of_the_picture(data):
    first = 2 if data[3] == 0xEE else 20  # behind the JFIF header, where there is one
    planted = b"".join(
        segment(marker, head + SECRET) for marker, head in SEGMENTS.values() if first == 20 or head != JFIF_PICTURE)
    dirty = data[:first] + planted + data[first:] + SECRET
    assert cleaned(dirty) == data
    assert np.array_equal(_pixels(cleaned(dirty)), _pixels(dirty))


@pytest.mark.parametrize("data", PNGS.values(), ids=PNGS)
def test_of_a_png_only_the_metadata_go_and_no_byte_of_the_picture(data):
    end = data.rindex(b"IEND") - 4
    dirty = _with_chunks(data[:end] + chunk(b"tEXt", SECRET) + data[end:] + SECRET, *(chunk(*item) for item in CHUNKS))
    assert cleaned(dirty) == data


SEGMENTS = {
    "JFXX thumbnail": (0xE0, b"JFXX\x00\x10"), "second JFIF with a thumbnail": (0xE0, JFIF_PICTURE),
    "EXIF": (0xE1, b"Exif\x00\x00"),
    "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\x00<tiff:Orientation>6</tiff:Orientation>"),
    "ICC": (0xE2, b"ICC_PROFILE\x00\x01\x01"),
    "MPF": (0xE2, b"MPF\x00"), "FlashPix": (0xE2, b"FPXR\x00"), "IPTC": (0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00"),
    "short Adobe": (0xEE, b"Adobe"[:4]), "comment": (0xFE, b""), "DNL": (0xDC, b""),
    **{f"APP{number}": (0xE0 + number, b"") for number in range(16)},
}
CHUNKS = [
    (b"tEXt", b"Author\x00" + SECRET), (b"zTXt", b"Author\x00\x00" + zlib.compress(SECRET)), (b"iTXt", SECRET),
    (b"eXIf", SECRET), (b"iCCP", SECRET + b"\x00\x00" + zlib.compress(b"x")), (b"tIME", SECRET[:7]), (b"sPLT", SECRET),
    (b"pHYs", SECRET[:9]), (b"prVt", SECRET), (b"gAMA", SECRET), (b"sBIT", SECRET), (b"bKGD", SECRET[:6]),
    (b"hIST", SECRET[:6]), (b"caBX", SECRET), (b"zTXt", SECRET),
]


@pytest.mark.parametrize(("marker", "head"), SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("name", ["baseline 4:2:0", "progressive", "CMYK"])
def test_no_segment_lets_a_name_through_wherever_it_stands(name, marker, head):
    data, planted = JPEGS[name], segment(marker, head + SECRET)
    scans = [at for at in range(len(data) - 1) if data[at:at + 2] in (b"\xff\xda", b"\xff\xd9")]
    for at in [2, *scans]:
        clean = cleaned(data[:at] + planted + data[at:])
        assert SECRET not in clean
        assert np.array_equal(_pixels(clean), _pixels(data))


@pytest.mark.parametrize("broken", [
    lambda data, planted: data[:2] + planted + b"\x00" + data[2:],
    lambda data, planted: data[:2] + b"\xff\xd0" + planted + data[2:],
    lambda data, planted: data[:-2] + planted + SECRET + b"\xff\xd9" + SECRET,
], ids=["junk behind a segment", "a lone marker", "junk behind the scan"])
@pytest.mark.parametrize("held", [1, 6])
def test_a_broken_structure_is_drawn_anew_or_refused_but_lets_nothing_through(broken, held):
    data = jpeg(1, 96, 64, exif=orientation(held))
    damaged = broken(data, segment(0xFE, SECRET))
    assert stripped(damaged).orientation is None
    with Image.open(io.BytesIO(damaged)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image), dtype=int)
    clean = cleaned(damaged)
    assert SECRET not in clean
    assert b"Some camera" not in clean
    assert np.abs(_pixels(clean) - shown).mean() < 0.5
    assert cleaned(clean) is clean


def test_a_thumbnail_in_the_jfif_header_goes_and_the_header_stays():
    data = JPEGS["4:4:4"]
    with_thumbnail = data[:2] + segment(0xE0, data[6:18] + b"\x02\x02" + SECRET[:12]) + data[20:]
    assert cleaned(with_thumbnail) == data


def test_what_stands_behind_the_colour_transform_of_adobe_goes():
    data = JPEGS["CMYK"]
    at = data.index(b"\xff\xee")
    longer = data[:at] + segment(0xEE, data[at + 4:at + 16] + SECRET) + data[at + 16:]
    assert cleaned(longer) == data


def test_the_further_pictures_of_a_telephone_go():
    data = encoded(picture(1, 90, 70), "MPO", save_all=True, append_images=[picture(2, 90, 70)])
    clean = cleaned(data)
    assert clean.count(b"\xff\xd8") == 1
    assert b"MPF" not in clean
    assert np.array_equal(_pixels(clean), _pixels(data))


@pytest.mark.parametrize(("kind", "content"), [
    (b"PLTE", bytes(900)), (b"tRNS", SECRET), (b"IHDR", bytes(13)), (b"ABCD", SECRET)])
def test_what_a_png_may_not_hold_never_gets_into_the_store(kind, content):
    data = PNGS["RGB"] if kind != b"PLTE" else PNGS["palette"]
    try:
        clean = cleaned(_with_chunks(data, chunk(kind, content)))
    except READ_ERRORS:
        return
    assert SECRET not in clean
    assert kind not in (b"tRNS", b"ABCD") or np.array_equal(_pixels(clean)[..., :3], _pixels(data))


def test_a_palette_picture_without_a_palette_is_no_picture():
    data = PNGS["palette"]
    at = data.index(b"PLTE") - 4
    with pytest.raises(ValueError, match="without a palette"):
        cleaned(data[:at] + data[at + 12 + int.from_bytes(data[at:at + 4], "big"):])


def test_a_png_without_its_end_and_with_a_wrong_checksum_is_drawn_anew():
    data = _with_chunks(PNGS["RGB"], chunk(b"tEXt", SECRET))
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4:at], "big")
    for damaged in (data[:-12], data[:at + 4 + length] + bytes(4) + data[at + 8 + length:]):
        assert SECRET not in cleaned(damaged)
        assert np.array_equal(_pixels(cleaned(damaged)), _pixels(data))


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("data", PNGS.values(), ids=PNGS)
def test_a_turned_png_loses_nothing(tag, data):
    dirty = _with_chunks(data, chunk(b"gAMA", (45455).to_bytes(4, "big")), chunk(b"eXIf", orientation(tag)[6:]))
    clean = cleaned(dirty)
    with Image.open(io.BytesIO(dirty)) as image:
        shown = ImageOps.exif_transpose(image)
        assert np.array_equal(_pixels(clean), np.asarray(shown.convert("RGBA") if "transparency" in image.info else shown))
    assert b"gAMA" in clean
    assert b"eXIf" not in clean
    assert cleaned(clean) is clean


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize(("options", "mean", "most"), [
    ({"subsampling": 0}, 0.15, 4), ({"subsampling": 2}, 0.25, 4), ({"subsampling": 1}, 2.5, 25), ({"keep_rgb": True}, 0.15, 4),
    ({"subsampling": 2, "progressive": True, "quality": 95}, 0.25, 4)], ids=["4:4:4", "4:2:0", "4:2:2", "RGB", "progressive"])
def test_a_turned_jpeg_of_whole_blocks_differs_by_rounding(tag, options, mean, most):
    data = jpeg(7, 192, 128, exif=orientation(tag), **options)
    with Image.open(io.BytesIO(data)) as image:
        shown, tables = np.asarray(ImageOps.exif_transpose(image), dtype=int), image.quantization
    clean = cleaned(data)
    off = np.abs(_pixels(clean) - shown)
    assert off.mean() <= mean
    assert off.max() <= most
    with Image.open(io.BytesIO(clean)) as image:
        swapped = {name: np.reshape(table, (8, 8)).T.ravel().tolist() for name, table in tables.items()}
        assert image.quantization == (swapped if tag >= 5 else tables)
        assert ("progressive" in image.info) == ("progressive" in options)
    assert cleaned(clean) is clean
    assert cleaned(data) == clean


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("data", [
    jpeg(7, 181, 131), jpeg(7, 181, 131, subsampling=0), encoded(picture(7, 181, 131).convert("L")),
], ids=["4:2:0", "4:4:4", "grey"])
def test_a_turned_jpeg_of_broken_blocks_is_quantised_finer_and_stays_close(tag, data):
    dirty = _with_segments(data, segment(0xE1, orientation(tag)))
    with Image.open(io.BytesIO(dirty)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image), dtype=int)
    off = np.abs(_pixels(cleaned(dirty)) - shown)
    assert off.mean() <= 1.2
    assert off.max() <= 16


def test_a_header_that_makes_no_sense_is_not_divided_by():
    data = jpeg(7, 181, 131, exif=orientation(3))
    at = data.index(b"\xff\xc0") + 11  # the sampling factors of the first component
    with pytest.raises(READ_ERRORS):
        cleaned(data[:at] + b"\x00" + data[at + 1:])


def test_a_turned_cmyk_jpeg_stays_close():
    dirty = _with_segments(JPEGS["CMYK"], segment(0xE1, orientation(3)))
    with Image.open(io.BytesIO(dirty)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image), dtype=int)
    assert np.abs(_pixels(cleaned(dirty)) - shown).mean() < 2


def test_exif_decides_how_a_picture_is_held_and_xmp_does_not():
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\x00<rdf:Description tiff:Orientation="6"/>')
    data = JPEGS["4:4:4"]
    assert cleaned(_with_segments(data, xmp)) == data
    assert _pixels(cleaned(_with_segments(data, xmp, segment(0xE1, orientation(8))))).shape[:2] == (90, 70)
    assert _pixels(cleaned(_with_segments(data, segment(0xE1, orientation(1)), xmp))).shape[:2] == (70, 90)


@pytest.mark.parametrize(("exif", "tag"), [
    (orientation(6), 6), (orientation(6)[6:], 6), (b"", 1), (b"Exif\x00\x00", 1), (b"II*\x00\xff\xff\xff\xff", 1),
    (b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00", 8),
    (b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x02\x00\x01\x00\x00\x00\x08\x00\x00\x00", 1),
    (b"II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03\x00\x01\x00\x00\x00\x63\x00\x00\x00", 1),
    (b"II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03\x00\x01", 1)])
def test_the_orientation_is_read_from_whatever_calls_itself_exif(exif, tag):
    assert orientation_in(exif) == tag


def test_what_is_neither_jpeg_nor_png_is_not_cleaned():
    assert stripped(b"GIF89a") is None
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        cleaned(b"GIF89a")


def test_texts_that_pillow_writes_by_itself_go_too():
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", SECRET.decode(), zip=True)
    assert cleaned(png(1, pnginfo=notes, icc_profile=SECRET, dpi=(72, 72))) == png(1)
    data = jpeg(1, comment=SECRET, icc_profile=SECRET, xmp=SECRET, dpi=(72, 72), exif=orientation(1))
    assert SECRET not in strip_jpeg(data)[0]
