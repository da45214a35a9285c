"""A broker whose clients come by TLS with a user's name and password."""
import ctypes
import pathlib
import re
import subprocess

from . import sidecar
from .ports import free_port

PASSWORD = "Pa55-of-the-br0ker"
JAAS = "org.apache.kafka.common.security.{} required"


def certificates(folder):
    """An authority, a broker's certificate with its key, and an authority nobody uses."""
    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder.mkdir()
    for who in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", f"/CN={who}",
                "-keyout", folder / f"{who}.key", "-out", folder / f"{who}.pem")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker", "-keyout", folder / "broker.key", "-out", folder / "broker.csr")
    openssl("x509", "-req", "-in", folder / "broker.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial",
            "-days", 30, "-extfile", folder / "ext", "-out", folder / "broker.crt")
    (folder / "broker.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.crt").read_text())
    return folder


def secured(l, tls):
    """A broker whose clients come by TLS with SASL; the tests' own reader by plain text."""
    broker = l.kafka(start=False, env={"KAFKA_FORMAT": f"--add-scram SCRAM-SHA-256=[name=cdc,password={PASSWORD}]"})
    n = broker.nodes[0]
    port = free_port()
    broker.conf += [
        f"listeners=PLAINTEXT://127.0.0.1:{n.port},SECURE://127.0.0.1:{port},CONTROLLER://127.0.0.1:{n.cport}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{n.port},SECURE://127.0.0.1:{port}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256", "ssl.keystore.type=PEM", f"ssl.keystore.location={tls}/broker.pem",
        f"listener.name.secure.plain.sasl.jaas.config={JAAS.format('plain.PlainLoginModule')} user_cdc=\"{PASSWORD}\";",
        f"listener.name.secure.scram-sha-256.sasl.jaas.config={JAAS.format('scram.ScramLoginModule')};"]
    return broker.start(), f"127.0.0.1:{port}"


def librdkafka():
    """The version that the binary under test is linked with."""
    got = subprocess.run(["ldd", sidecar.BINARY], stdout=subprocess.PIPE, text=True).stdout
    path = re.search(r"librdkafka\.so\S* => (\S+)", got)
    return ctypes.CDLL(path[1]).rd_kafka_version() if path else 0


def properties(tls, **more):
    """Of the sink; the password comes from the environment (ENV)."""
    return {"security.protocol": "sasl_ssl", "ssl.ca.location": str(tls / "ca.pem"), "sasl.mechanism": "PLAIN", "sasl.username": "cdc",
            "sasl.password": "${env:BROKER_PASSWORD}", **{k.replace("_", "."): v for k, v in more.items()}}


ENV = {"BROKER_PASSWORD": PASSWORD}


def newer(folder):
    """An environment in which the sidecar runs with the librdkafka of confluent-kafka's wheel; None: there is none."""
    import confluent_kafka
    found = list(pathlib.Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*.so*"))
    if not found:
        return None
    folder.mkdir()
    (folder / "librdkafka.so.1").symlink_to(found[0])
    return {"LD_LIBRARY_PATH": str(folder)}


def works(l, pg, broker, address, name, given, env=None):
    """check, run and cat with these properties; what was printed, from which the password must be absent."""
    car = l.sidecar(pg, name=name, kafka=broker, sink={"brokers": address, "properties": given, "partitions": 1}, log={"level": "debug"})
    env = {**ENV, **(env or {})}
    told = [car.call("check", "CONFIG", env=env)]
    assert told[0].code == 0, told[0]
    car.catch_up(env=env)
    pg.sql("insert into shop.t select coalesce(max(id), 0) + 1 from shop.t")
    car.catch_up(env=env)
    assert car.output().count("shop.t") == 1
    told.append(car.call("cat", "CONFIG", env=env))
    assert told[1].code == 0 and len(told[1].out.splitlines()) == 1, told[1]
    return silent(car.log() + "".join(t.out + t.err for t in told))


def silent(printed):
    assert len(printed) > 300, "something was logged"
    assert PASSWORD not in printed, "the password was printed: " + printed[max(0, printed.find(PASSWORD) - 200):][:300]
    return printed
