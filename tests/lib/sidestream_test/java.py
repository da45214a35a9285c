"""A Java consumer: kafka-clients with an Avro deserializer, as a stock Java application would read our topics.

Two deserializers. `Confluent` below asks `GET /schemas/ids/<id>` and `GET /subjects/<s>/versions/latest`, the two that
Confluent's own one asks for, and decodes with org.apache.avro; Confluent's is not on Maven Central. Apicurio's
(`AvroKafkaDeserializer`, as-confluent) speaks its own server's API and no other.
"""
import fcntl
import os
import pathlib
import subprocess
import tempfile

from . import ROOT

KAFKA, SERDES = "3.9.1", "2.6.13.Final"

POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>{KAFKA}</version></dependency>
<dependency><groupId>io.apicurio</groupId><artifactId>apicurio-registry-serdes-avro-serde</artifactId><version>{SERDES}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""

SOURCE = """
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.*;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.Deserializer;

public class Consume {
    /** The writer's schema by its id, the reader's is the subject's latest. */
    public static class Confluent implements Deserializer<GenericRecord> {
        private final HttpClient http = HttpClient.newHttpClient();
        private final Map<String, Schema> cache = new HashMap<>();
        private String url;
        private boolean isKey;

        @Override public void configure(Map<String, ?> configs, boolean isKey) {
            this.url = (String) configs.get("schema.registry.url");
            this.isKey = isKey;
        }

        private Schema schema(String path) {
            return cache.computeIfAbsent(path, p -> {
                try {
                    HttpResponse<String> got = http.send(HttpRequest.newBuilder(URI.create(url + p))
                        .header("Accept", "application/vnd.schemaregistry.v1+json").build(), HttpResponse.BodyHandlers.ofString());
                    if (got.statusCode() != 200) throw new RuntimeException(p + ": " + got.statusCode() + " " + got.body());
                    return new Schema.Parser().parse(new ObjectMapper().readTree(got.body()).get("schema").asText());
                } catch (java.io.IOException | InterruptedException e) {
                    throw new RuntimeException(e);
                }
            });
        }

        @Override public GenericRecord deserialize(String topic, byte[] data) {
            if (data == null) return null;
            ByteBuffer in = ByteBuffer.wrap(data);
            if (in.get() != 0) throw new RuntimeException("no magic byte");
            Schema writer = schema("/schemas/ids/" + in.getInt());
            Schema reader = schema("/subjects/" + topic + (isKey ? "-key" : "-value") + "/versions/latest");
            try {
                return new GenericDatumReader<GenericRecord>(writer, reader)
                    .read(null, DecoderFactory.get().binaryDecoder(data, in.position(), in.remaining(), null));
            } catch (java.io.IOException e) {
                throw new RuntimeException(e);
            }
        }
    }

    public static void main(String[] args) {
        Class<?> kind = args[0].equals("apicurio") ? AvroKafkaDeserializer.class : Confluent.class;
        int wanted = Integer.parseInt(args[4]);
        Map<String, Object> conf = new HashMap<>(Map.of("bootstrap.servers", args[1], "group.id", "java-" + UUID.randomUUID(),
            "auto.offset.reset", "earliest", "isolation.level", "read_committed", "enable.auto.commit", "false",
            "key.deserializer", kind, "value.deserializer", kind, "schema.registry.url", args[2], "apicurio.registry.url", args[2]));
        conf.put("apicurio.registry.as-confluent", "true");
        conf.put("apicurio.registry.use-id", "contentId");
        conf.put("apicurio.registry.headers.enabled", "false");
        try (KafkaConsumer<GenericRecord, GenericRecord> consumer = new KafkaConsumer<>(conf)) {
            consumer.subscribe(List.of(args[3]));
            for (long end = System.currentTimeMillis() + 60000; wanted > 0 && System.currentTimeMillis() < end;)
                for (ConsumerRecord<GenericRecord, GenericRecord> r : consumer.poll(Duration.ofMillis(500))) {
                    StringBuilder line = new StringBuilder().append(r.key().get("id"));
                    for (String column : args[5].split(",")) {
                        boolean known = r.value().getSchema().getField(column) != null;
                        line.append('\\t').append(known ? r.value().get(column) : "absent");
                    }
                    System.out.println(line);
                    wanted--;
                }
        }
        if (wanted != 0) throw new RuntimeException(wanted + " records are wanting");
    }
}
"""


MAVEN = [ROOT / "tests/servers/mvn.sh", "dependency:copy-dependencies", "-DoutputDirectory=lib"]


def fetched(name, file, text, command):
    """A folder of .cache with what `command` fetched by `file`, once; others who want it wait. What they run is not put there."""
    folder = pathlib.Path(os.environ.get("SIDESTREAM_CACHE", ROOT / ".cache")) / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            (folder / file).write_text(text)
            subprocess.run(command, cwd=folder, check=True)
            (folder / ".complete").touch()
    return folder


def ran(folder, name, source, *args):
    """What a single file of Java prints, run with the folder's jars."""
    with tempfile.TemporaryDirectory(prefix="sst-java-", dir="/tmp") as own:
        path = pathlib.Path(own) / name
        path.write_text(source)
        got = subprocess.run(["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}/lib/*", path, *args],
                             text=True, capture_output=True, timeout=180)
    assert got.returncode == 0, got.stderr[-3000:]
    return got.stdout


def consume(kind, broker, url, topic, n, columns):
    """n records of a topic as sorted lists of texts: the key's id, then the columns. kind: confluent or apicurio."""
    folder = fetched(f"java-kafka-{KAFKA}-{SERDES}", "pom.xml", POM, MAVEN)
    out = ran(folder, "Consume.java", SOURCE, kind, broker.address(), url, topic, str(n), ",".join(columns))
    return sorted(line.split("\t") for line in out.splitlines())
