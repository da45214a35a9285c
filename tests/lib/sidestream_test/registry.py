"""Schema registries: a real one (Apicurio, from Maven), and a stub that fails as it is told."""
import http.server
import io
import json
import shutil
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import fastavro

from . import ROOT, lake
from .java import MAVEN, fetched, ran
from .ports import free_port

TYPE = "application/vnd.schemaregistry.v1+json"


class Api:
    """Confluent's API as a client sees it: (status, JSON) of each call."""

    def __init__(self, url, token=None):
        self.url, self.token = url.rstrip("/"), token

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": TYPE, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                return got.status, json.loads(got.read() or b"null")
        except urllib.error.HTTPError as e:
            text = e.read()
            try:
                return e.code, json.loads(text)
            except ValueError:
                return e.code, text.decode(errors="replace")

    def get(self, path):
        return self.call("GET", path)

    def subjects(self):
        return sorted(self.get("/subjects")[1])

    def versions(self, subject):
        status, got = self.get(f"/subjects/{urllib.parse.quote(subject, safe='')}/versions")
        return got if status == 200 else []

    def version(self, subject, version="latest"):
        return self.get(f"/subjects/{urllib.parse.quote(subject, safe='')}/versions/{version}")[1]


class Real(Api):
    """Ends with the lab. Durable: stop and start keep the schemas."""

    def __init__(self, lab, name="registry"):
        self.base = lab.folder / name
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}/apis/ccompat/v7")
        self.app = self._shell("registry_fetch").strip()
        lab.undo.append(self.stop)
        self.start()

    def _shell(self, command):
        script = f". {ROOT}/tests/servers/registry.sh; {command}"
        return subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.PIPE, text=True).stdout

    def start(self):
        self._shell(f"registry_up '{self.app}' '{self.base}' {self.port} >/dev/null; registry_wait '{self.base}' {self.port}")
        return self

    def stop(self):
        self._shell(f"registry_down '{self.base}'")


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is what some faults are about."""


class Stub(Api):
    """A registry in memory. `fault` says how the next requests fail, until it is None again:

    an HTTP status (its number), "slow", "cut" (no answer at all), "half" (an answer that ends early), "html", "text",
    "no_id", "bad_id" (negative), "huge_id", "other_schema" (another text under the id), "echo" (500 that repeats the
    credentials). `only`: the fault hits requests whose method and path contain this.
    """

    def __init__(self, lab=None, need=None, tls=None):
        """tls: an ssl.SSLContext of a server."""
        self.fault, self.only, self.level = None, "", "BACKWARD"
        self.need, self.tls = need, tls  # need: the Authorization header that is wanted
        self.requests, self.schemas, self.by_subject, self.base = [], {}, {}, 0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                stub.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.handler, self.port = Handler, free_port()  # its own while it is stopped, too
        self.start()
        super().__init__(f"{'https' if tls else 'http'}://127.0.0.1:{self.port}")
        if lab:
            lab.undo.append(self.stop)

    def stop(self):
        """Refuses connections from here on."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def start(self):
        self.server = Quiet(("127.0.0.1", self.port), self.handler)
        self.port = self.server.server_port
        if self.tls:  # the handshake is then done by the connection's own thread
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def registered(self):
        return {s: len(v) for s, v in self.by_subject.items()}

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        path = urllib.parse.unquote(h.path.split("?")[0])
        self.requests.append((h.command, path, h.headers.get("Authorization")))
        if self.need and h.headers.get("Authorization") != self.need:
            return self.answer(h, 401, {"error_code": 401, "message": "Unauthorized"})
        fault = self.fault if self.only in f"{h.command} {path}" else None
        if fault == "slow":
            time.sleep(3)
        elif fault == "cut":
            return h.connection.close()
        elif fault == "html":
            return self.raw(h, 200, b"<html><body>It works!</body></html>")
        elif fault == "text":
            return self.raw(h, 200, b"\x00\xff{]")
        elif fault == "half":
            h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id\":")
            return h.connection.close()
        elif fault == "echo":
            return self.answer(h, 500, {"error_code": 50001, "message": f"no store; {h.headers.get('Authorization')} pass-word"})
        elif isinstance(fault, int):
            return self.answer(h, fault, {"error_code": fault, "message": "as told"}, fault)
        status, got = self.route(h.command, path.strip("/").split("/"), json.loads(body) if body else {})
        if fault in ("no_id", "bad_id", "huge_id") and isinstance(got, dict) and "id" in got:
            got.pop("id")
            got.update({"no_id": {}, "bad_id": {"id": -5}, "huge_id": {"id": 2**40}}[fault])
        if fault == "other_schema" and isinstance(got, dict) and "schema" in got:
            got["schema"] = got["schema"].replace('"Row"', '"Other"').replace('"Key"', '"Other"')
        self.answer(h, status, got)

    def raw(self, h, status, data, headers=()):
        h.send_response(status)
        for name, value in headers:
            h.send_header(name, value)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data)

    def answer(self, h, status, got, fault=None):
        headers = [("Location", self.url + "/elsewhere")] if fault and 300 <= fault < 400 else []
        self.raw(h, status, json.dumps(got).encode(), [("Content-Type", TYPE), *headers])

    def find(self, subject, schema):
        for version, (number, text) in enumerate(self.by_subject.get(subject, []), 1):
            if text == schema:
                return {"subject": subject, "version": version, "id": number, "schema": text}
        return None

    def route(self, method, path, body):
        missing = 404, {"error_code": 40401, "message": "Subject not found."}
        if path[0] == "config":
            return 200, {"compatibilityLevel": self.level} if method == "GET" else body
        if path == ["subjects"]:
            return 200, sorted(self.by_subject)
        if path[0] == "compatibility":
            return (200, {"is_compatible": True, "messages": []}) if path[2] in self.by_subject else missing
        if path[0] == "schemas":
            text = self.schemas.get(int(path[2]))
            return (200, {"schema": text}) if text else (404, {"error_code": 40403, "message": "Schema not found"})
        subject = path[1]
        if method == "POST" and len(path) == 2:
            found = self.find(subject, body["schema"])
            return (200, found) if found else missing
        if method == "POST":
            if not self.find(subject, body["schema"]):
                number = next((n for n, t in self.schemas.items() if t == body["schema"]), None)
                number = number or self.base + len(self.schemas) + 1
                self.schemas[number] = body["schema"]
                self.by_subject.setdefault(subject, []).append((number, body["schema"]))
            return 200, {"id": self.find(subject, body["schema"])["id"]}
        versions = self.by_subject.get(subject)
        if not versions:
            return missing
        if len(path) == 3:
            return 200, list(range(1, len(versions) + 1))
        number, text = versions[-1]
        return 200, {"subject": subject, "version": len(versions), "id": number, "schema": text}


def config(url, **more):
    """The section `registry` for a pipeline."""
    return {"type": "http", "url": [url] if isinstance(url, str) else url, **more}


# ---- deserializers that are not ours ----

AVRO_JAVA, AVRO_JS = "1.11.4", "4.1.0"

JS = """
const { SchemaRegistry } = require('@kafkajs/confluent-schema-registry')
const registry = new SchemaRegistry({ host: process.argv[1] })
Promise.all(process.argv.slice(2).map(m => registry.decode(Buffer.from(m, 'hex'))))
  .then(rows => console.log(JSON.stringify(rows)))
  .catch(e => { console.error(e); process.exit(1) })
"""

JAVA = """
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.DecoderFactory;

public class Decode {
    static Schema fetch(String url) throws Exception {
        HttpRequest req = HttpRequest.newBuilder(URI.create(url))
            .header("Accept", "application/vnd.schemaregistry.v1+json").build();
        String body = HttpClient.newHttpClient().send(req, HttpResponse.BodyHandlers.ofString()).body();
        return new Schema.Parser().parse(new ObjectMapper().readTree(body).get("schema").asText());
    }

    // as Confluent's deserializer asks: the reader's schema is the subject's latest, the writer's is that of the id
    public static void main(String[] args) throws Exception {
        Schema reader = fetch(args[0] + "/subjects/" + args[1] + "/versions/latest");
        for (int i = 3; i < args.length; i++) {
            ByteBuffer m = ByteBuffer.wrap(HexFormat.of().parseHex(args[i]));
            if (m.get() != 0) throw new Exception("magic");
            Schema writer = fetch(args[0] + "/schemas/ids/" + m.getInt() + "?fetchMaxId=false&subject=" + args[1]);
            GenericRecord row = new GenericDatumReader<GenericRecord>(writer, reader)
                .read(null, DecoderFactory.get().binaryDecoder(m.array(), m.position(), m.remaining(), null));
            StringBuilder line = new StringBuilder();
            for (String column : args[2].split(",")) line.append(row.get(column)).append('\\t');
            System.out.println(line);
        }
    }
}
"""


def messages(car, table=None):
    """A lake's rows as Kafka would carry them: 0, the schema's id, the record."""
    found = []
    for commit in lake.Lake(car.lake).commits():
        for entry in commit["files"]:
            if table and entry["table"] != table:
                continue
            with open(car.lake / entry["path"], "rb") as f:
                reader = fastavro.reader(f)
                for row in reader:
                    buf = io.BytesIO()
                    fastavro.schemaless_writer(buf, reader.writer_schema, row)
                    found.append(b"\0" + struct.pack(">I", entry["schema_id"]) + buf.getvalue())
    return found


def js_decode(url, sent):
    """Rows as objects, by @kafkajs/confluent-schema-registry."""
    from .lab import Skip
    if not shutil.which("npm"):
        raise Skip("npm is not here")
    wanted = {"name": "t", "version": "1.0.0", "private": True, "dependencies": {"@kafkajs/confluent-schema-registry": AVRO_JS}}
    folder = fetched(f"registry-js-{AVRO_JS}", "package.json", json.dumps(wanted), ["npm", "install", "--no-audit", "--no-fund", "--silent"])
    got = subprocess.run(["node", "-e", JS, url, *[m.hex() for m in sent]], cwd=folder, text=True, capture_output=True, timeout=180)
    assert got.returncode == 0, got.stderr
    return json.loads(got.stdout)


def java_decode(url, subject, sent, columns):
    """Rows as texts of the columns, by Avro for Java and the registry's paths."""
    wanted = ("<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version>"
              "<dependencies><dependency><groupId>org.apache.avro</groupId><artifactId>avro</artifactId>"
              f"<version>{AVRO_JAVA}</version></dependency><dependency><groupId>org.slf4j</groupId>"
              "<artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency></dependencies></project>")
    folder = fetched(f"registry-java-{AVRO_JAVA}", "pom.xml", wanted, MAVEN)
    out = ran(folder, "Decode.java", JAVA, url, subject, ",".join(columns), *[m.hex() for m in sent])
    return [line.rstrip("\n").split("\t")[:-1] for line in out.splitlines()]
