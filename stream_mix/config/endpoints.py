"""What the addresses of a configuration must be beside each other."""

from __future__ import annotations

from stream_mix.config.addresses import Address, parse_endpoint, parse_host_port
from stream_mix.config.sections import Ingest, Metrics, Publish, Query, Security
from stream_mix.config.values import rule


def check_endpoints(
    ingest: Ingest, publish: Publish, query: Query, metrics: Metrics, security: Security
) -> None:
    """Refuse a bind that others can reach unasked, an address bound twice, an engine that feeds itself."""
    texts = {
        "ingest.push": ingest.push, "ingest.acked": ingest.acked, "publish.bind": publish.bind,
        "query.bind": query.bind,
    }  # fmt: skip
    binds: dict[str, Address] = {key: parse_endpoint(text) for key, text in texts.items() if text}
    if metrics.bind:
        texts["metrics.bind"] = metrics.bind
        binds["metrics.bind"] = parse_host_port(metrics.bind)
    seen: dict[str, Address] = {}
    for key, address in binds.items():
        locked = bool(security.server_key) and key != "metrics.bind"  # HTTP has no keys
        if not (address.loopback or locked or security.allow_insecure):
            http = key == "metrics.bind"
            such = "127.0.0.1:PORT" if http else "tcp://127.0.0.1:PORT, ipc://PATH"
            keys = "" if http else "[security] server_key, "
            raise rule(
                f"{key}: found {texts[key]!r}, which other machines can reach, expected a loopback address "
                f"({such}), {keys}or [security] allow_insecure = true"
            )
        for other, taken in seen.items():
            if address.clashes(taken):
                raise rule(
                    f"{key}: found {texts[key]!r}, which {other} has already, expected an address of its own"
                )
        seen[key] = address
    for text in ingest.subscribe:
        for key, address in seen.items():
            if parse_endpoint(text, bind=False).clashes(address):
                raise rule(
                    f"ingest.subscribe: found {text!r}, which is this engine's {key}, expected another feed"
                )
    if not (ingest.push or ingest.acked or ingest.subscribe):
        raise rule("ingest: found push and acked off and no subscribe, expected one source of rows at least")
