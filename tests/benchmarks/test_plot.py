import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.plot import Axis, line_chart


def test_that_points_stand_where_the_axes_say(tmp_path: Path) -> None:
    x, y = Axis("n", (1, 10, 100), logarithmic=True), Axis("<share>", (0.0, 1.0))
    line_chart(tmp_path / "chart.svg", "a & b", x, y, {"one": [(1, 0.0), (10, 0.5), (100, 1.0)]})
    root = ET.fromstring((tmp_path / "chart.svg").read_text(encoding="utf-8"))
    dots = [
        (float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter("{http://www.w3.org/2000/svg}circle")
    ]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x1 - x0 == x2 - x1 > 0
    assert y0 - y1 == y1 - y2 > 0
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<share>" in texts
    assert "one" in texts
