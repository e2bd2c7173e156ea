import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.serde.Legacy4ByteIdHandler;
import io.apicurio.registry.utils.converter.AvroConverter;
import io.debezium.connector.jdbc.JdbcSinkConnectorTask;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.storage.StringConverter;
import org.apache.kafka.connect.transforms.HoistField;

/**
 * Gives records to Debezium's JDBC sink connector as a worker of Kafka Connect would: through a
 * converter that asks the registry, and Kafka's transform HoistField, since the connector takes only
 * keys that are structures. The database is a PostgreSQL that is started for it. Reads one JSON array
 * a line, a batch of objects {"topic", "key", "value"} with the value as base64 or null, and prints
 * after each the rows that the table has then.
 *
 * <p>Usage: JdbcSink REGISTRY_URL TABLE NAME=VALUE... with the URL of Apicurio's own API and
 * settings of the connector. Exit status: 0 done, 1 the connector cannot take a record, 3 no
 * PostgreSQL runs here.
 */
public final class JdbcSink {
  private static final String LOGIN = "postgres";

  private final ObjectMapper json = new ObjectMapper();
  private final StringConverter keys = new StringConverter();
  private final AvroConverter<Object> values = new AvroConverter<>();
  private final HoistField<SinkRecord> hoist = new HoistField.Key<>();
  private final JdbcSinkConnectorTask task = new JdbcSinkConnectorTask();
  private final String database;
  private final String table;
  private long offset;

  private JdbcSink(String database, String registry, String table, Map<String, String> settings) {
    this.database = database;
    this.table = table;
    keys.configure(Map.of(), true);
    values.configure(
        Map.of(
            "apicurio.registry.url", registry,
            "apicurio.registry.id-handler", Legacy4ByteIdHandler.class.getName(),
            "apicurio.registry.use-id", "contentId"),
        false);
    hoist.configure(Map.of("field", settings.get("primary.key.fields")));
    Map<String, String> config = new HashMap<>(settings);
    config.put("connection.url", database);
    config.put("connection.username", LOGIN);
    config.put("connection.password", LOGIN);
    task.start(config);
  }

  /** See the class comment. */
  public static void main(String[] args) throws Exception {
    Map<String, String> settings = new HashMap<>();
    for (String setting : List.of(args).subList(2, args.length)) {
      String[] nameAndValue = setting.split("=", 2);
      settings.put(nameAndValue[0], nameAndValue[1]);
    }
    try (EmbeddedPostgres server = start()) {
      JdbcSink sink = new JdbcSink(server.getJdbcUrl(LOGIN, LOGIN), args[0], args[1], settings);
      BufferedReader in =
          new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        sink.put(sink.json.readTree(line));
        System.out.write(sink.json.writeValueAsBytes(sink.rows()));
        System.out.println();
      }
      sink.task.stop();
    }
  }

  /** There are processors without binaries, and PostgreSQL refuses to be run by root. */
  private static EmbeddedPostgres start() {
    try {
      return EmbeddedPostgres.start();
    } catch (IOException | RuntimeException e) {
      System.err.println(e);
      System.exit(3);
      throw new IllegalStateException(e);
    }
  }

  private void put(JsonNode batch) {
    List<SinkRecord> records = new ArrayList<>();
    for (JsonNode in : batch) {
      records.add(hoist.apply(record(in)));
    }
    task.put(records);
    // Of what fails, a worker would hear at the next call.
    if (task.getLastProcessingException() != null) {
      throw new IllegalStateException(task.getLastProcessingException());
    }
    task.preCommit(
        records.stream()
            .collect(
                Collectors.toMap(
                    r -> new TopicPartition(r.topic(), r.kafkaPartition()),
                    r -> new OffsetAndMetadata(r.kafkaOffset() + 1),
                    (earlier, later) -> later)));
  }

  private SinkRecord record(JsonNode in) {
    String topic = in.get("topic").asText();
    SchemaAndValue key =
        keys.toConnectData(topic, in.get("key").asText().getBytes(StandardCharsets.UTF_8));
    byte[] wire =
        in.path("value").isTextual() ? Base64.getDecoder().decode(in.get("value").asText()) : null;
    SchemaAndValue value = values.toConnectData(topic, wire);
    return new SinkRecord(
        topic,
        0,
        key.schema(),
        key.value(),
        value.schema(),
        value.value(),
        offset++,
        0L,
        TimestampType.CREATE_TIME);
  }

  private List<Map<String, Object>> rows() throws SQLException {
    List<Map<String, Object>> out = new ArrayList<>();
    try (Connection connection = DriverManager.getConnection(database, LOGIN, LOGIN);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT * FROM \"" + table + "\" ORDER BY 1")) {
      while (rows.next()) {
        Map<String, Object> row = new LinkedHashMap<>();
        for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
          Object value = rows.getObject(i);
          row.put(
              rows.getMetaData().getColumnName(i),
              value == null || value instanceof Number || value instanceof Boolean
                  ? value
                  : rows.getString(i));
        }
        out.add(row);
      }
    }
    return out;
  }
}
