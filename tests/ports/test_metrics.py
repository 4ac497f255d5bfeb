"""What a monitor sees over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream_mix.client import Producer
from stream_mix.ports.metrics import MetricsError, MetricsServer, Report, memory
from tests.workers.serving import rows, serving, settings, until


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def values(text: str) -> dict[str, float]:
    """Every sample by its name and the values of its labels."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_engine_in_numbers() -> None:
    with serving(settings(metrics={"bind": "127.0.0.1:0"})) as service:
        assert service.metrics is not None
        url = service.metrics.url
        with Producer(service.sockets.endpoints["push"], source="s") as producer:
            producer.send(rows(200))
            producer.send_raw(b"junk")
        until(lambda: 'rejected_total{reason="not_msgpack"} 1' in get(f"{url}/metrics")[1])
        seen = values(get(f"{url}/metrics")[1])
        assert seen["stream_mix_rejected_total not_msgpack"] == 1
        assert seen["stream_mix_model_components m"] == 3
        assert seen["stream_mix_model_generation m"] == 3
        assert seen["stream_mix_model_late m"] == 0
        assert seen["stream_mix_memory_bytes"] > 1 << 20
        assert 1 <= seen["stream_mix_model_clusters m"] <= 3
        assert -1 <= seen["stream_mix_model_silhouette m"] <= 1
        assert seen["stream_mix_model_icl m"] >= seen["stream_mix_model_bic m"]
        assert "stream_mix_model_stability m" not in seen, "there is no second seed"
        code, body = get(f"{url}/health")
        assert code == 200
        assert json.loads(body)["models"]["m"]["rows"] == 200
        assert get(f"{url}/ready") == (200, "ready\n")
        assert get(f"{url}/else")[0] == 404


def test_every_figure_has_help_and_nothing_is_made_up() -> None:
    server = MetricsServer("127.0.0.1", 0)
    try:
        assert get(f"{server.url}/ready")[0] == 503
        server.show(Report(models={"m": {"log_likelihood": None, "generation": 0}}))
        families = list(text_string_to_metric_families(get(f"{server.url}/metrics")[1]))
        assert all(family.documentation for family in families)
        assert all(family.name.startswith("stream_mix_") for family in families)
        assert not [f for f in families if f.name == "stream_mix_model_log_likelihood" and f.samples]
    finally:
        server.close()


def test_a_port_in_use_is_one_line() -> None:
    server = MetricsServer("127.0.0.1", 0)
    try:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(
            MetricsError, match=rf"^metrics.bind: cannot bind 127.0.0.1:{port}: address already in use$"
        ):
            MetricsServer("127.0.0.1", port)
    finally:
        server.close()


def test_memory_is_what_the_process_has() -> None:
    assert 1 << 20 < memory() < 1 << 36
