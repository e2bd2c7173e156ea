"""Reads topics as a stranger would: read_committed, from their beginnings, with
confluent-kafka and fastavro, and prints one JSON object a line.

Usage: read_topics.py BROKERS REGISTRY_URL TOPIC,TOPIC,... WANT SECONDS

Every value is decoded twice: by confluent-kafka's AvroDeserializer, and by
fastavro with the writer's schema, fetched from the registry by the id in front
of the value. The two must agree.

It ends when it has at least WANT records and has read every partition to the
end that it had after that, so that one record too many is seen as well. Exit
status: 0 done, 1 something cannot be read (standard error says which record and
why), 2 wrong arguments, 3 out of time.
"""

import base64
import datetime
import io
import json
import math
import struct
import sys
import time
import traceback
import urllib.error
import urllib.request

import confluent_kafka
import fastavro
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MILLISECOND = datetime.timedelta(milliseconds=1)


class OutOfTime(Exception):
    pass


class Unreadable(Exception):
    pass


def consumer(brokers):
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "python-reader",  # demanded, and never joined
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            "enable.partition.eof": True,
        }
    )


def partitions(c, topics, deadline):
    """A topic that is not there yet may be made while we wait."""
    while True:
        known = c.list_topics(timeout=30).topics
        if all(t in known and known[t].error is None and known[t].partitions for t in topics):
            return [
                confluent_kafka.TopicPartition(t, p, confluent_kafka.OFFSET_BEGINNING)
                for t in topics
                for p in known[t].partitions
            ]
        if time.monotonic() > deadline:
            raise OutOfTime(f"not all of the topics {topics} exist")
        time.sleep(0.1)


def ends_of(admin, places):
    """How far a read_committed reader gets in each partition. It is asked through
    a connection of its own: on the consumer's it would wait behind a fetch."""
    latest = {
        confluent_kafka.TopicPartition(p.topic, p.partition): OffsetSpec.latest() for p in places
    }
    answers = admin.list_offsets(
        latest, isolation_level=confluent_kafka.IsolationLevel.READ_COMMITTED, request_timeout=30
    )
    return {(p.topic, p.partition): answer.result().offset for p, answer in answers.items()}


def read(c, admin, topics, want, deadline, show):
    places = partitions(c, topics, deadline)
    c.assign(places)
    # Where each partition was read to: a transaction's end marker has an offset
    # and is no message, so that only the end of the partition tells of it.
    reached = {}
    got, ends = 0, None
    while ends is None or any(reached.get(p, 0) < end for p, end in ends.items()):
        if time.monotonic() > deadline:
            raise OutOfTime(f"{got} of {want} records of {topics} read")
        for message in c.consume(num_messages=5000, timeout=0.05):
            place, error = (message.topic(), message.partition()), message.error()
            if error is None:
                show(message)
                got += 1
                reached[place] = message.offset() + 1
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                reached[place] = message.offset()
            else:
                raise Unreadable(f"{place[0]}/{place[1]}: {error}")
        if ends is None and got >= want:
            ends = ends_of(admin, places)


class Decoder:
    def __init__(self, registry):
        self.registry = registry
        self.schemas = {}
        self.confluent = AvroDeserializer(SchemaRegistryClient({"url": registry}))

    def value(self, topic, wire):
        """The schema's id and full name, and the value as plain JSON."""
        if len(wire) < 5 or wire[0] != 0:
            raise ValueError("not in Confluent's wire format: no zero byte and schema id in front")
        (number,) = struct.unpack(">I", wire[1:5])
        schema = self.schemas.get(number)
        if schema is None:
            schema = self.schemas[number] = fastavro.parse_schema(self.fetch(number))
        payload = io.BytesIO(wire[5:])
        mine = plain(fastavro.schemaless_reader(payload, schema, None))
        if payload.tell() != len(wire) - 5:
            raise ValueError(f"bytes are left after what schema {number} describes")
        theirs = plain(self.confluent(wire, SerializationContext(topic, MessageField.VALUE)))
        # As text, in which 1, 1.0 and true differ and NaN is itself.
        a, b = json.dumps(mine), json.dumps(theirs)
        if a != b:
            raise ValueError(f"fastavro reads {a}, the AvroDeserializer {b}")
        return number, schema["name"], mine

    def fetch(self, number):
        url = f"{self.registry}/schemas/ids/{number}"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as e:
            raise ValueError(f"GET {url}: {e.code} {e.read().decode(errors='replace')}") from e
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise ValueError(f"GET {url}: no Avro schema: {answer}")
        return json.loads(answer["schema"])


def plain(d):
    """A decoded value as JSON has it: times are milliseconds, bytes base64."""
    if d is None or isinstance(d, (bool, int, str)):
        return d
    if isinstance(d, float):
        if math.isfinite(d):
            return d
        return "NaN" if math.isnan(d) else "Infinity" if d > 0 else "-Infinity"
    if isinstance(d, bytes):
        return base64.b64encode(d).decode()
    if isinstance(d, dict):
        return {name: plain(value) for name, value in d.items()}
    if isinstance(d, list):
        return [plain(item) for item in d]
    if isinstance(d, datetime.datetime):
        return whole(d - EPOCH, MILLISECOND)
    if isinstance(d, datetime.date):
        return whole(d - EPOCH.date(), datetime.timedelta(days=1))
    if isinstance(d, datetime.time):
        since = datetime.timedelta(
            hours=d.hour, minutes=d.minute, seconds=d.second, microseconds=d.microsecond
        )
        return whole(since, MILLISECOND)
    raise ValueError(f"a value of {type(d)}")


def whole(span, unit):
    count, rest = divmod(span, unit)
    if rest:
        raise ValueError(f"{span} is no multiple of {unit}")
    return count


def text(raw):
    return None if raw is None else base64.b64encode(raw).decode()


def line(message, decoder):
    out = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": text(message.key()),
        "headers": [{"key": k, "value": text(v)} for k, v in message.headers() or []],
    }
    if message.value() is not None:
        try:
            number, name, value = decoder.value(message.topic(), message.value())
        except Exception as e:
            where = f"{message.topic()}/{message.partition()}@{message.offset()}"
            raise Unreadable(f"record {where} cannot be decoded: {e}") from e
        out.update(schemaId=number, schema=name, value=value)
    return json.dumps(out) + "\n"


def main(args):
    if len(args) != 5:
        print("usage: read_topics.py BROKERS REGISTRY_URL TOPIC,TOPIC,... WANT SECONDS", file=sys.stderr)
        return 2
    brokers, registry, topics, want, seconds = args
    deadline = time.monotonic() + float(seconds)
    decoder = Decoder(registry)
    c = consumer(brokers)
    admin = AdminClient({"bootstrap.servers": brokers})

    def show(message):
        sys.stdout.write(line(message, decoder))

    try:
        read(c, admin, topics.split(","), int(want), deadline, show)
    except OutOfTime as e:
        print("out of time:", e, file=sys.stderr)
        return 3
    except Unreadable as e:
        print(e, file=sys.stderr)
        traceback.print_exc()
        return 1
    finally:
        c.close()
    return 0


sys.exit(main(sys.argv[1:]))
