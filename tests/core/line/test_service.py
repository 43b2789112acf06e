"""The addresses of the service: what they take and answer."""

import base64
import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from fastapi.testclient import TestClient

from core.images import decode_image
from core.inspection import Inspector
from core.line.service.application import Service, make_app
from core.line.service.limits import Limits
from core.line.service.models import Shelf
from core.model_file import load_model, save_model
from core.overlay import overlay
from core.threshold import manual_threshold
from tests.core.cli_runs import model_in, picture
from tests.core.line.service_runs import BEARER, DEFECT, GOOD, SMALL, TOKEN, HeldShelf, png, shelf_in


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf_in(tmp_path_factory.mktemp("models"), "part", "other")


@pytest.fixture(scope="module")
def inspector(shelf: Shelf) -> Inspector:
    model = shelf.get("part")
    assert model is not None
    return model.inspector


def client_of(shelf: Shelf, limits: Limits = SMALL, token: str | None = None) -> TestClient:
    app = make_app(Service(shelf, limits, token))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def client(shelf: Shelf) -> Iterator[TestClient]:
    with client_of(shelf) as opened:
        yield opened


def assert_problem(response: object, status: int, *parts: str) -> None:
    assert response.status_code == status, response.text  # type: ignore[attr-defined]
    assert response.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    told = response.json()  # type: ignore[attr-defined]
    assert told["status"] == status
    for part in parts:
        assert part in told["detail"]


@pytest.mark.parametrize("data", [GOOD, DEFECT], ids=["good", "defect"])
def test_that_the_service_gives_the_inspectors_score_bit_for_bit(
    client: TestClient, inspector: Inspector, data: bytes
) -> None:
    found = client.post("/inspect", content=data).json()
    assert found["score"] == inspector.inspect(decode_image(data, "x")).score
    assert inspector.trained.threshold is not None
    assert found["threshold"] == inspector.trained.threshold.value
    assert found["verdict"] == ("defect" if data is DEFECT else "good")
    assert (found["width"], found["height"], found["model"]) == (48, 40, "part")
    assert bool(found["regions"]) == (data is DEFECT)


def test_that_a_region_is_told_in_pixels_of_the_image_as_sent(client: TestClient) -> None:
    large = np.kron(picture(2001, defect=True), np.ones((2, 2, 1), np.uint8))
    (region,) = client.post("/inspect", content=png(large)).json()["regions"]
    assert region["top"] <= 30 < 54 <= region["top"] + region["height"] <= 80
    assert region["left"] <= 36 < 60 <= region["left"] + region["width"] <= 96
    assert 30 <= region["peak_row"] < 54
    assert 36 <= region["peak_column"] < 60


def test_that_a_form_gives_the_same_as_plain_bytes(client: TestClient) -> None:
    plain = client.post("/inspect", content=DEFECT).json()
    form = client.post("/models/other/inspect", files={"image": ("a.png", DEFECT)}, data={"note": "x"}).json()
    assert (form["score"], form["regions"], form["model"]) == (plain["score"], plain["regions"], "other")


@pytest.mark.parametrize("asked", [{"params": {"map": "tiff"}}, {"headers": {"Accept": "image/tiff"}}])
def test_that_the_map_comes_as_float_tiff_at_the_size_of_the_image(
    client: TestClient, inspector: Inspector, asked: dict[str, dict[str, str]]
) -> None:
    response = client.post("/inspect", content=DEFECT, **asked)  # type: ignore[arg-type]
    assert response.headers["content-type"] == "image/tiff"
    inspection = inspector.inspect(decode_image(DEFECT, "x"))
    values = np.array(Image.open(io.BytesIO(response.content)))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, inspection.source_map())
    assert float(response.headers["cfa-score"]) == inspection.score
    assert response.headers["cfa-verdict"] == "defect"


def test_that_the_overlay_is_the_programs_own(client: TestClient, inspector: Inspector) -> None:
    response = client.post("/inspect", content=DEFECT, headers={"Accept": "text/html, image/*"})
    image = decode_image(DEFECT, "x")
    assert inspector.trained.threshold is not None
    expected = overlay(image, inspector.inspect(image).source_map(), inspector.trained.threshold.value)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(response.content))), expected)


def test_that_an_answer_that_nobody_can_give_is_refused(client: TestClient) -> None:
    assert_problem(client.post("/inspect", content=GOOD, headers={"Accept": "text/html"}), 406, "image/tiff")
    assert_problem(client.post("/inspect", params={"map": "jpeg"}, content=GOOD), 422, "query.map")


@pytest.mark.parametrize(
    ("data", "part"),
    [(b"", "empty"), (b"this is no picture", "no picture of a known kind"), (GOOD[:200], "damaged or incomplete")],
)
def test_that_what_is_no_image_gets_the_engines_sentence(client: TestClient, data: bytes, part: str) -> None:
    assert_problem(client.post("/inspect", content=data), 422, "The image", part)


def test_that_too_many_bytes_are_refused_by_their_announcement_and_while_they_come(client: TestClient) -> None:
    assert_problem(client.post("/inspect", content=bytes(100_001)), 413, "100,000 bytes")
    sent = []

    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            sent.append(1)
            yield bytes(1000)

    assert_problem(client.post("/inspect", content=chunks()), 413, "100,000 bytes")


def test_that_too_many_pixels_are_refused_before_they_are_decoded(client: TestClient) -> None:
    bomb = png(np.zeros((101, 100, 3), np.uint8))
    assert_problem(client.post("/inspect", content=bomb), 413, "100 × 101 pixels", "10,000")


def test_that_all_requests_together_hold_no_more_than_they_may(shelf: Shelf) -> None:
    limits = Limits(body_bytes=100_000, held_bytes=50_000)
    with client_of(shelf, limits) as client:
        response = client.post("/inspect", content=bytes(60_000))
        assert_problem(response, 503, "Too many large images")
        assert response.headers["retry-after"] == "1"
        assert client.post("/inspect", content=GOOD).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=a", b"no form", 400),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="b"\r\n\r\nc\r\n--a--\r\n',
            422,
        ),
    ],
)
def test_that_a_form_without_a_file_is_refused(client: TestClient, kind: str, body: bytes, status: int) -> None:
    assert_problem(client.post("/inspect", content=body, headers={"Content-Type": kind}), status, "form")


def test_that_unknown_addresses_models_and_methods_get_a_problem(client: TestClient) -> None:
    assert_problem(client.get("/nowhere"), 404)
    assert_problem(client.post("/models/third/inspect", content=GOOD), 404, "part, other")
    assert_problem(client.post("/models/third/reload"), 404)
    response = client.get("/inspect")
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"


def test_that_a_bug_is_a_problem_without_its_details(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("core.line.service.application.answer", broken)
    with client_of(shelf) as client:
        response = client.post("/inspect", content=GOOD)
    assert_problem(response, 500)
    assert "secret" not in response.text


def test_that_health_is_ready_only_once_every_model_is_loaded(tmp_path: Path) -> None:
    waiting = shelf_in(tmp_path, "one", "two", loaded=False)
    with client_of(waiting) as client:
        assert client.get("/health/live").status_code == 200
        waiting.load("one")
        assert_problem(client.get("/health"), 503)
        assert_problem(client.post("/models/two/inspect", content=GOOD), 503, "two")
        assert [model["ready"] for model in client.get("/models").json()["models"]] == [True, False]
        waiting.load("two")
        assert client.get("/health").json()["status"] == "ready"


def test_that_a_full_queue_turns_away_and_takes_again_once_there_is_room(shelf: Shelf) -> None:
    held = HeldShelf(shelf)
    statuses: list[int] = []
    with client_of(held) as client:

        def send() -> None:
            statuses.append(client.post("/inspect", content=GOOD).status_code)

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert held.held.begun.acquire(timeout=30)
        while "cfa_queue_length 2.0" not in client.get("/metrics").text:
            pass
        response = client.post("/inspect", content=GOOD)
        assert_problem(response, 503, "2 images wait already")
        assert response.headers["retry-after"] == "1"
        held.held.let_go.set()
        for thread in threads:
            thread.join()
        assert statuses == [200, 200, 200]
        assert client.post("/inspect", content=GOOD).status_code == 200


def test_that_what_takes_too_long_is_given_up(shelf: Shelf) -> None:
    held = HeldShelf(shelf)
    with client_of(held, Limits(work_seconds=0.05)) as client:
        assert_problem(client.post("/inspect", content=GOOD), 503, "within 0.05 seconds")
        held.held.let_go.set()


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_that_without_the_right_token_nothing_is_told_or_read(shelf: Shelf, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    with client_of(shelf, token=TOKEN) as client:
        for method, path in (
            ("POST", "/inspect"),
            ("POST", "/models/part/inspect"),
            ("POST", "/models/third/reload"),
            ("GET", "/models"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
        ):
            response = client.request(method, path, headers=headers)  # type: ignore[arg-type]
            assert_problem(response, 401, "Authorization: Bearer")
            assert response.headers["www-authenticate"] == "Bearer"


def test_that_the_right_token_opens_and_health_and_page_are_open(shelf: Shelf) -> None:
    with client_of(shelf, token=TOKEN) as client:
        assert client.post("/inspect", content=GOOD, headers=BEARER).status_code == 200
        assert client.get("/models", headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200
        assert client.get("/health").status_code == client.get("/").status_code == 200
        schema = client.get("/openapi.json", headers=BEARER).json()
    assert schema["paths"]["/inspect"]["post"]["security"]
    assert "401" in schema["paths"]["/inspect"]["post"]["responses"]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example:8000"}, {"Host": "127.0.0.1.evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_that_without_a_token_other_sites_pages_cannot_ask(client: TestClient, headers: dict[str, str]) -> None:
    assert_problem(client.post("/inspect", content=GOOD, headers=headers), 403)
    assert client.post("/inspect", content=GOOD, headers={"Host": "localhost:8000"}).status_code == 200
    assert client.post("/inspect", content=GOOD, headers={"Host": "[::1]:8000"}).status_code == 200


def test_that_a_model_is_read_again_and_a_broken_file_leaves_the_old_one(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path, "part")
    path = tmp_path / "part/part.cfa"
    with client_of(shelf) as client:
        score = client.post("/inspect", content=DEFECT).json()["score"]
        save_model(load_model(path).with_threshold(manual_threshold(score + 1)), path)
        assert client.post("/inspect", content=DEFECT).json()["verdict"] == "defect"
        assert client.post("/models/part/reload").json()["threshold"] == score + 1
        assert client.post("/inspect", content=DEFECT).json()["verdict"] == "good"
        path.write_bytes(b"broken")
        assert_problem(client.post("/models/part/reload"), 409, "stays", "part.cfa")
        assert client.post("/inspect", content=DEFECT).json()["score"] == score
        assert 'cfa_reloads_total{model="part",outcome="failed"} 1.0' in client.get("/metrics").text


def test_that_the_metrics_count_requests_verdicts_and_times(client: TestClient) -> None:
    for data in (GOOD, DEFECT, DEFECT, b"broken"):
        client.post("/inspect", content=data)
    client.get("/" + "x" * 1000)
    text = client.get("/metrics").text
    for line in (
        'cfa_requests_total{route="/inspect",status="200"} 3.0',
        'cfa_requests_total{route="/inspect",status="422"} 1.0',
        'cfa_requests_total{route="other",status="404"} 1.0',
        'cfa_inspections_total{model="part",verdict="defect"} 2.0',
        'cfa_inspections_total{model="part",verdict="good"} 1.0',
        'cfa_inspection_seconds_count{model="part",stage="inspecting"} 3.0',
        "cfa_queue_length 0.0",
        "cfa_held_bytes 0.0",
        "cfa_ready 1.0",
    ):
        assert line in text


def test_that_the_log_tells_of_requests_without_letting_them_forge_a_line(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="cfa.access"):
        client.post("/inspect", content=DEFECT)
        client.get("/%0Aforged")
    first, second = caplog.messages
    assert re.search(r"POST /inspect 200, \d+ bytes, [\d.]+ ms. part defect", first)
    assert "\n" not in second


def test_that_the_openapi_names_what_is_sent_and_only_that(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/inspect",
        "/models",
        "/models/{name}/inspect",
        "/models/{name}/reload",
        "/health",
        "/health/live",
        "/metrics",
    }
    inspect = schema["paths"]["/inspect"]["post"]
    assert {"image/png", "multipart/form-data"} <= set(inspect["requestBody"]["content"])
    assert set(inspect["responses"]["200"]["content"]) == {"application/json", "image/png", "image/tiff"}
    for status in ("406", "413", "422", "500", "503"):
        assert list(inspect["responses"][status]["content"]) == ["application/problem+json"]
    names = set(schema["components"]["schemas"])
    assert "Problem" in names
    assert not names & {"HTTPValidationError", "ValidationError"}
    assert set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schema))) <= names


def test_that_the_page_needs_nothing_from_elsewhere_and_its_policy_lets_it_run(client: TestClient) -> None:
    response = client.get("/")
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", response.text)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() in policy
    assert response.headers["x-content-type-options"] == "nosniff"


def test_that_a_copy_of_the_model_is_served_with_its_own_identity(tmp_path: Path, client: TestClient) -> None:
    from core.model_file import identity

    listed = client.get("/models").json()["models"]
    expected = identity(load_model(model_in(tmp_path)))
    assert [(model["name"], model["default"], model["identity"]) for model in listed] == [
        ("part", True, expected),
        ("other", False, expected),
    ]
