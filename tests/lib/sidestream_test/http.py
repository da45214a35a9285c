"""The sidecar's HTTP face, asked as anybody would: urllib, and Prometheus' own parser."""
import http.client
import json
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from .ports import free_port


class Face:
    """`http: {listen: 127.0.0.1:port}` for a sidecar's settings, and requests to it."""

    def __init__(self, token=None):
        self.port, self.token = free_port(), token
        self.settings = {"listen": f"127.0.0.1:{self.port}", **({"token": token} if token else {})}

    def ask(self, path, body=None, headers=None, timeout=10, method=None):
        """(status, text, headers); a status of 400 and more is an answer too. None: nobody answered."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        req = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        if self.token:
            req.add_header("Authorization", f"Bearer {self.token}")
        if data is not None:
            req.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            req.add_header(name, value)
        try:
            with urllib.request.urlopen(req, timeout=timeout) as got:
                return got.status, got.read().decode(), got.headers
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(), e.headers
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return None

    def ready(self):
        """(True or False, reasons); None: nobody answered."""
        got = self.ask("/readyz")
        if got is None:
            return None
        told = json.loads(got[1])
        assert (got[0] == 200) == told["ready"], got
        return told["ready"], told["reasons"]

    def status(self):
        return json.loads(self.ask("/status")[1])

    def metrics(self):
        """{(name, (label, value)...): value}, labels without `pipeline`, as Prometheus would read it."""
        status, text, headers = self.ask("/metrics")
        assert status == 200 and "version=0.0.4" in headers["Content-Type"], (status, headers)
        found = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation and family.type != "unknown", family
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k != "pipeline"}
                key = (sample.name, *sorted(labels.items()))
                assert key not in found, f"twice: {key}"
                found[key] = sample.value
        return found

    def lag(self, rung):
        """(bytes, seconds) between the source's end and that rung."""
        got = self.metrics()
        return tuple(got[(f"sidestream_lag_{unit}", ("rung", rung))] for unit in ("bytes", "seconds"))
