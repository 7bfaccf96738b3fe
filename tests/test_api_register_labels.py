"""QR labels: the code is read back, module by module, by a decoder that shares nothing with the one who drew it."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import pytest
from psycopg_pool import ConnectionPool

from api.labels import QUIET_ZONE, Label, png, svg
from tests.api_builders import NORTH, SOUTH, Api, an_api, an_asset
from ticketing.actors import Role

Modules = list[list[bool]]
# ISO/IEC 18004, versions 1 to 10 of the levels M, Q and H by their two bits: data codewords of each block.
BLOCKS: dict[int, list[list[int]]] = {
    0b00: [
        [16], [28], [44], [32] * 2, [43] * 2, [27] * 4, [31] * 4, [38] * 2 + [39] * 2, [36] * 3 + [37] * 2,
        [43] * 4 + [44],
    ],
    0b11: [
        [13], [22], [17] * 2, [24] * 2, [15] * 2 + [16] * 2, [19] * 4, [14] * 2 + [15] * 4, [18] * 4 + [19] * 2,
        [16] * 4 + [17] * 4, [19] * 6 + [20] * 2,
    ],
    0b10: [
        [9], [16], [13] * 2, [9] * 4, [11] * 2 + [12] * 2, [15] * 4, [13] * 4 + [14], [14] * 4 + [15] * 2,
        [12] * 4 + [13] * 4, [15] * 6 + [16] * 2,
    ],
}  # fmt: skip
ALIGNMENT = {
    1: [], 2: [6, 18], 3: [6, 22], 4: [6, 26], 5: [6, 30], 6: [6, 34], 7: [6, 22, 38], 8: [6, 24, 42], 9: [6, 26, 46],
    10: [6, 28, 50],
}  # fmt: skip
MASKS = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)


def decoded(modules: Modules) -> str:
    """The text of an undamaged code: format, mask, zigzag, blocks, byte segments."""
    size = len(modules)
    version = (size - 17) // 4
    bits = [modules[8][column] for column in (0, 1, 2, 3, 4, 5, 7, 8)] + [
        modules[row][8] for row in (7, 5, 4, 3, 2, 1, 0)
    ]
    form = sum(bit << (14 - place) for place, bit in enumerate(bits)) ^ 0b101010000010010
    assert form >> 13 in BLOCKS, "level M or better"
    lengths = BLOCKS[form >> 13][version - 1]
    mask = MASKS[form >> 10 & 0b111]
    stream: list[bool] = []
    column, is_up = size - 1, True
    while column > 0:
        if column == 6:
            column -= 1
        for row in range(size - 1, -1, -1) if is_up else range(size):
            for at in (column, column - 1):
                if not is_function(row, at, size, version):
                    stream.append(modules[row][at] != mask(row, at))
        column, is_up = column - 2, not is_up
    words = [
        sum(bit << (7 - place) for place, bit in enumerate(stream[i : i + 8])) for i in range(0, len(stream) - 7, 8)
    ]
    blocks: list[list[int]] = [[] for _ in lengths]
    words_left = iter(words)
    for place in range(max(lengths)):
        for block, length in zip(blocks, lengths, strict=True):
            if place < length:
                block.append(next(words_left))
    return bytes_of([word for block in blocks for word in block], version).decode("utf-8", "replace")


def is_function(row: int, column: int, size: int, version: int) -> bool:
    corners = ((0, 0), (0, size - 8), (size - 8, 0))
    if any(top <= row < top + 8 + (top == 0) and left <= column < left + 8 + (left == 0) for top, left in corners):
        return True
    if row == 6 or column == 6 or (row, column) == (size - 8, 8):
        return True
    if (row == 8 and column >= size - 8) or (column == 8 and row >= size - 8):
        return True
    if version >= 7 and ((row < 6 and column >= size - 11) or (column < 6 and row >= size - 11)):
        return True
    centres = ALIGNMENT[version]
    for top in centres:
        for left in centres:
            is_on_finder = (top, left) in ((6, 6), (6, centres[-1]), (centres[-1], 6))
            if not is_on_finder and abs(row - top) <= 2 and abs(column - left) <= 2:
                return True
    return False


def bytes_of(words: Sequence[int], version: int) -> bytes:
    bits = "".join(f"{word:08b}" for word in words)
    assert bits[:4] == "0100", "one segment of bytes"
    length_bits = 8 if version < 10 else 16
    length = int(bits[4 : 4 + length_bits], 2)
    start = 4 + length_bits
    return bytes(int(bits[start + 8 * place : start + 8 * place + 8], 2) for place in range(length))


def modules_of_svg(drawn: str) -> Modules:
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    width = int(root.attrib["viewBox"].split()[2])
    dark = {(int(y), int(x)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", root.find(f"{space}path").attrib["d"])}
    inside = range(QUIET_ZONE, width - QUIET_ZONE)
    assert all(row in inside and column in inside for row, column in dark), "the quiet zone is blank"
    return [[(row, column) in dark for column in inside] for row in inside]


def modules_of_png(content: bytes) -> tuple[Modules, float]:
    """The modules, and the width in millimetres that the picture says it has."""
    chunks: dict[bytes, bytes] = {}
    place = 8
    while place < len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        name = content[place + 4 : place + 8]
        chunks[name] = chunks.get(name, b"") + content[place + 8 : place + 8 + length]
        place += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (width, depth, colour) == (height, 1, 0)
    raw, stride = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 7) // 8
    rows: Modules = []
    above = bytes(stride - 1)
    for row in range(height):
        kind, line = raw[row * stride], raw[row * stride + 1 : (row + 1) * stride]
        assert kind in (0, 2), "a line as it is, or as its difference from the one above"
        above = bytes((one + up) % 256 for one, up in zip(line, above, strict=True)) if kind else line
        rows.append([not above[column // 8] >> (7 - column % 8) & 1 for column in range(width)])
    left = next(column for column in range(width) if any(row[column] for row in rows))
    scale = left // QUIET_ZONE
    inside = range(left + scale // 2, width - left, scale)
    per_metre = struct.unpack(">I", chunks[b"pHYs"][:4])[0]
    return [[rows[row][column] for column in inside] for row in inside], width / per_metre * 1000


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.mark.parametrize("length", [20, 40, 60, 90, 120, 150, 180, 210])
def test_the_code_is_read_back_in_every_size(length: int) -> None:
    address = ("https://plant.example/assets/" + "7" * length)[:length]
    label = Label(address, "M-1", "Motor")
    assert decoded(modules_of_svg(svg(label, 30))) == address
    modules, width_mm = modules_of_png(png(label, 30))
    assert decoded(modules) == address
    assert abs(width_mm - 30) < 0.3


def test_a_damaged_code_is_not_read_as_the_address() -> None:
    """The decoder mends nothing, so one module that is wrong in the data must show."""
    modules = modules_of_svg(svg(Label("https://plant.example/assets/7", "M-1", "Motor"), 30))
    modules[-1][-9] = not modules[-1][-9]
    assert decoded(modules) != "https://plant.example/assets/7"


def test_a_label_leads_to_the_assets_page_and_names_it_for_people(api: Api) -> None:
    body = {"site": NORTH, "asset_type": "motor", "tag": "M-7", "name": "一号 <电机> & Söhne"}
    made = api.post("/assets", body).json()
    answer = api.get(f"/assets/{made['id']}/label", Role.ENGINEER, size_mm=25)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert decoded(modules_of_svg(answer.text)) == f"http://testserver/assets/{made['id']}"
    root = ElementTree.fromstring(answer.text)
    assert root.attrib["width"] == "25mm"
    assert [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")] == ["M-7", "一号 <电机> & Söhne"]
    picture = api.get(f"/assets/{made['id']}/label", format="png")
    assert picture.headers["content-type"] == "image/png"
    api.app.state.public_url = "https://plant.example/wear"
    modules, _ = modules_of_png(api.get(f"/assets/{made['id']}/label", format="png").content)
    assert decoded(modules) == f"https://plant.example/wear/assets/{made['id']}"


def test_a_long_name_ends_where_the_label_does() -> None:
    root = ElementTree.fromstring(svg(Label("https://plant.example/assets/7", "M" * 64, "长" * 200), 30))
    tag, name = (one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text"))
    assert tag.endswith("…")
    assert len(tag) < 20
    assert name.endswith("…")
    assert len(name) < 15


def test_a_page_has_the_labels_asked_for_or_those_of_a_site(api: Api) -> None:
    with api.pool.connection() as connection:
        ids = [an_asset(connection, NORTH, f"M-{number}") for number in range(3)]
        theirs = an_asset(connection, SOUTH, "S-1")
        connection.execute("update asset set status = 'decommissioned' where id = %s", (ids[2],))

    def tags(answer: object) -> list[str]:
        assert answer.status_code == 200, answer.text  # type: ignore[attr-defined]
        return re.findall(r'font-weight="bold"[^>]*>([^<]+)<', answer.text)  # type: ignore[attr-defined]

    page = api.client.get("/api/v1/assets/labels", params={"ids": [ids[0], ids[2]]}, headers=api.headers(Role.PLANNER))
    assert tags(page) == ["M-0", "M-2"]
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == "default-src 'none'"
    assert "<script" not in page.text
    assert "style" not in page.text, "nothing that the policy would leave out"
    assert tags(api.get("/assets/labels", Role.PLANNER, NORTH, site_=NORTH)) == ["M-0", "M-1"]
    assert api.get("/assets/labels", Role.PLANNER, NORTH, site_=SOUTH).status_code == 404
    assert api.get("/assets/labels", Role.PLANNER, NORTH, ids=theirs).status_code == 404
    assert api.get("/assets/labels").status_code == 422
    for wrong in (14, 201, "nan"):
        assert api.get(f"/assets/{ids[0]}/label", size_mm=wrong).status_code == 422, wrong
