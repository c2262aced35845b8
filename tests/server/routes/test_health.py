from __future__ import annotations

from pathlib import Path

from clipwright.server.rejection import RejectionError
from clipwright.server.settings import ServerSettings
from tests.server.gate.gated import gated
from tests.server.serving import serving


def test_ready_is_a_server_that_embeds(tmp_path: Path, tiny_model: Path) -> None:
    with serving(ServerSettings(models=(str(tiny_model),), database=tmp_path / "photos.db")) as running:
        assert running.client.get("/healthz").json() == {"status": "alive"}
        assert running.client.get("/readyz").json() == {"status": "ready"}
        text = running.client.get("/metrics").text
    assert 'clipwright_requests_total{method="GET",route="/readyz",status="200"} 1.0' in text


def test_a_server_whose_model_fails_is_alive_but_not_ready(tmp_path: Path) -> None:
    with gated(tmp_path) as server:

        async def check(deadline: float) -> None:
            raise RejectionError(503, "worker_restarting", "the model is being started again", retry_after=1)

        server.serving.app.state.services.models.check = check
        assert server.client.get("/healthz").status_code == 200
        answer = server.client.get("/readyz")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_restarting")
        assert answer.headers["retry-after"] == "1"


def test_a_request_is_counted_when_its_answer_is_here(tmp_path: Path) -> None:
    counted = 'clipwright_requests_total{method="GET",route="/healthz",status="200"} '
    with gated(tmp_path) as server:
        for number in range(1, 51):
            server.client.get("/healthz")
            assert f"{counted}{number}.0" in server.client.get("/metrics").text


def test_what_clients_make_up_is_no_label(tmp_path: Path) -> None:
    with gated(tmp_path) as server:
        for number in range(50):
            server.client.get(f"/made/up/{number}")
            server.client.get(f"/test/raise/{number}x")
            server.client.request(["LOCK", "PURGE", "SEARCH"][number % 3], "/healthz")
        text = server.client.get("/metrics").text
    assert "made" not in text
    assert 'method="other",route="/healthz",status="405"' in text
    assert text.count("clipwright_requests_total{") < 10
