import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericEnumSymbol;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics as a stranger would: read_committed, from their beginnings, with Apache's own Kafka
 * and Avro, decoding Confluent's wire format (a zero byte, the schema's id in four bytes, Avro
 * binary) by what the registry says of the id. Prints one JSON object a line.
 *
 * <p>Usage: Reader BROKERS REGISTRY_URL TOPIC,TOPIC,... WANT SECONDS
 *
 * <p>It ends when it has at least WANT records and has read every partition to the end that it had
 * after that, so that one record too many is seen as well. Exit status: 0 done, 1 something cannot
 * be read (standard error says which record and why), 2 wrong arguments, 3 out of time.
 */
public final class Reader {
  private final String registry;
  private final HttpClient http =
      HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
  private final ObjectMapper json = new ObjectMapper();
  private final Map<Integer, GenericDatumReader<Object>> readers = new HashMap<>();
  private final JsonGenerator out;
  private BinaryDecoder decoder;

  private Reader(String registry, JsonGenerator out) {
    this.registry = registry;
    this.out = out;
  }

  /** See the class comment. */
  public static void main(String[] args) throws Exception {
    if (args.length != 5) {
      System.err.println("usage: Reader BROKERS REGISTRY_URL TOPIC,TOPIC,... WANT SECONDS");
      System.exit(2);
    }
    long deadline = System.nanoTime() + Duration.ofSeconds(Long.parseLong(args[4])).toNanos();
    JsonGenerator out =
        new JsonFactory().createGenerator(new BufferedOutputStream(System.out, 1 << 16));
    out.setRootValueSeparator(null);
    int status = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(consumerConfig(args[0]))) {
      new Reader(args[1], out)
          .read(consumer, List.of(args[2].split(",")), Long.parseLong(args[3]), deadline);
    } catch (OutOfTime e) {
      System.err.println("out of time: " + e.getMessage());
      status = 3;
    } catch (Unreadable e) {
      System.err.println(e.getMessage());
      e.getCause().printStackTrace();
      status = 1;
    }
    out.close();
    System.exit(status);
  }

  private static Properties consumerConfig(String brokers) {
    Properties p = new Properties();
    p.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    p.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    p.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    p.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    p.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    p.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "5000");
    p.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    p.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    return p;
  }

  private void read(Consumer<byte[], byte[]> consumer, List<String> topics, long want, long deadline)
      throws IOException, OutOfTime, Unreadable {
    List<TopicPartition> partitions = partitions(consumer, topics, deadline);
    consumer.assign(partitions);
    consumer.seekToBeginning(partitions);
    long got = 0;
    Map<TopicPartition, Long> ends = null;
    while (ends == null || !reached(consumer, ends)) {
      if (System.nanoTime() > deadline) {
        throw new OutOfTime(got + " of " + want + " records of " + topics + " read");
      }
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
        print(record);
        got++;
      }
      if (ends == null && got >= want) {
        ends = consumer.endOffsets(partitions);
      }
    }
  }

  /** A topic that is not there yet may be made while we wait. */
  private static List<TopicPartition> partitions(
      Consumer<byte[], byte[]> consumer, List<String> topics, long deadline) throws OutOfTime {
    while (true) {
      Map<String, List<PartitionInfo>> all = consumer.listTopics(Duration.ofSeconds(30));
      if (all.keySet().containsAll(topics)) {
        return topics.stream()
            .flatMap(t -> all.get(t).stream())
            .map(p -> new TopicPartition(p.topic(), p.partition()))
            .collect(Collectors.toList());
      }
      if (System.nanoTime() > deadline) {
        throw new OutOfTime("not all of the topics " + topics + " exist");
      }
      try {
        Thread.sleep(100);
      } catch (InterruptedException e) {
        throw new OutOfTime("interrupted while waiting for the topics " + topics);
      }
    }
  }

  private static boolean reached(
      Consumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
    return ends.entrySet().stream()
        .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
  }

  private void print(ConsumerRecord<byte[], byte[]> record) throws IOException, Unreadable {
    out.writeStartObject();
    out.writeStringField("topic", record.topic());
    out.writeNumberField("partition", record.partition());
    out.writeNumberField("offset", record.offset());
    out.writeNumberField("timestamp", record.timestamp());
    out.writeFieldName("key");
    bytes(record.key());
    out.writeArrayFieldStart("headers");
    for (Header header : record.headers()) {
      out.writeStartObject();
      out.writeStringField("key", header.key());
      out.writeFieldName("value");
      bytes(header.value());
      out.writeEndObject();
    }
    out.writeEndArray();
    if (record.value() != null) {
      try {
        value(record.value());
      } catch (IOException | RuntimeException e) {
        throw new Unreadable(
            String.format(
                "record %s/%d@%d cannot be decoded: %s",
                record.topic(), record.partition(), record.offset(), e.getMessage()),
            e);
      }
    }
    out.writeEndObject();
    out.writeRaw('\n');
  }

  private void value(byte[] wire) throws IOException {
    ByteBuffer head = ByteBuffer.wrap(wire);
    if (wire.length < 5 || head.get() != 0) {
      throw new IOException("not in Confluent's wire format: no zero byte and schema id in front");
    }
    int id = head.getInt();
    GenericDatumReader<Object> reader = readers.get(id);
    if (reader == null) {
      reader = new GenericDatumReader<>(schema(id));
      readers.put(id, reader);
    }
    decoder = DecoderFactory.get().binaryDecoder(wire, 5, wire.length - 5, decoder);
    Object datum = reader.read(null, decoder);
    if (!decoder.isEnd()) {
      throw new IOException("bytes are left after what schema " + id + " describes");
    }
    out.writeNumberField("schemaId", id);
    out.writeStringField("schema", reader.getSchema().getFullName());
    out.writeFieldName("value");
    datum(datum);
  }

  private Schema schema(int id) throws IOException {
    URI uri = URI.create(registry + "/schemas/ids/" + id);
    HttpRequest request =
        HttpRequest.newBuilder(uri)
            .timeout(Duration.ofSeconds(20))
            .header("Accept", "application/vnd.schemaregistry.v1+json")
            .build();
    HttpResponse<String> response;
    try {
      response = http.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    } catch (InterruptedException e) {
      throw new IOException("interrupted at GET " + uri, e);
    }
    if (response.statusCode() != 200) {
      throw new IOException("GET " + uri + ": " + response.statusCode() + " " + response.body());
    }
    JsonNode answer = json.readTree(response.body());
    String type = answer.path("schemaType").asText("AVRO");
    if (!type.equals("AVRO") || !answer.path("schema").isTextual()) {
      throw new IOException("GET " + uri + ": no Avro schema: " + response.body());
    }
    return new Schema.Parser().parse(answer.get("schema").asText());
  }

  /** Avro's generic data as plain JSON: unions by their value alone, bytes as base64. */
  private void datum(Object d) throws IOException {
    if (d == null) {
      out.writeNull();
    } else if (d instanceof IndexedRecord record) {
      out.writeStartObject();
      for (Schema.Field field : record.getSchema().getFields()) {
        out.writeFieldName(field.name());
        datum(record.get(field.pos()));
      }
      out.writeEndObject();
    } else if (d instanceof Collection<?> items) {
      out.writeStartArray();
      for (Object item : items) {
        datum(item);
      }
      out.writeEndArray();
    } else if (d instanceof Map<?, ?> map) {
      out.writeStartObject();
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.writeFieldName(entry.getKey().toString());
        datum(entry.getValue());
      }
      out.writeEndObject();
    } else {
      scalar(d);
    }
  }

  private void scalar(Object d) throws IOException {
    if (d instanceof ByteBuffer buffer) {
      byte[] copy = new byte[buffer.remaining()];
      buffer.duplicate().get(copy);
      out.writeBinary(copy);
    } else if (d instanceof GenericFixed fixed) {
      out.writeBinary(fixed.bytes());
    } else if (d instanceof Boolean b) {
      out.writeBoolean(b);
    } else if (d instanceof Integer i) {
      out.writeNumber(i);
    } else if (d instanceof Long l) {
      out.writeNumber(l);
    } else if (d instanceof Float f) {
      out.writeNumber(f); // NaN and the infinities as strings
    } else if (d instanceof Double f) {
      out.writeNumber(f);
    } else if (d instanceof CharSequence || d instanceof GenericEnumSymbol<?>) {
      out.writeString(d.toString());
    } else {
      throw new IOException("a value of " + d.getClass());
    }
  }

  private void bytes(byte[] b) throws IOException {
    if (b == null) {
      out.writeNull();
    } else {
      out.writeBinary(b);
    }
  }

  private static final class OutOfTime extends Exception {
    private static final long serialVersionUID = 1L;

    OutOfTime(String message) {
      super(message);
    }
  }

  private static final class Unreadable extends Exception {
    private static final long serialVersionUID = 1L;

    Unreadable(String message, Exception cause) {
      super(message, cause);
    }
  }
}
