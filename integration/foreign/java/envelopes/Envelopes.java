import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.utils.converter.avro.AvroData;
import io.debezium.transforms.ExtractNewRecordState;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.formats.avro.AvroRowDataDeserializationSchema;
import org.apache.flink.formats.avro.AvroToRowDataConverters;
import org.apache.flink.formats.avro.RegistryAvroDeserializationSchema;
import org.apache.flink.formats.avro.SchemaCoder;
import org.apache.flink.formats.avro.registry.confluent.debezium.DebeziumAvroDeserializationSchema;
import org.apache.flink.formats.avro.typeutils.AvroSchemaConverter;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.Collector;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.sink.SinkRecord;

/**
 * Does with records what their users do: Debezium's own unwrap transform, in its modes, and Flink's
 * own debezium-avro-confluent format. Reads one JSON object a line, {"topic", "key", "schema",
 * "value"} with the Avro schema's text and the value in Confluent's wire format as base64 or null,
 * and prints for each one with what came out, by consumer.
 *
 * <p>Usage: Envelopes COLUMN:TYPE,... with the columns of Flink's table, TYPE being STRING, INT,
 * DOUBLE or TIMESTAMP.
 */
public final class Envelopes {
  private final ObjectMapper json = new ObjectMapper();
  private final AvroData data = new AvroData(100);
  private final Map<String, ExtractNewRecordState<SinkRecord>> unwraps = new LinkedHashMap<>();
  private final RowType table;
  private final DebeziumAvroDeserializationSchema flink;

  private Envelopes(String columns) throws Exception {
    for (String mode : List.of("tombstone", "rewrite", "drop")) {
      ExtractNewRecordState<SinkRecord> unwrap = new ExtractNewRecordState<>();
      unwrap.configure(
          Map.of(
              "delete.tombstone.handling.mode", mode,
              "add.fields", "op,source.table,source.ts_ms,transaction.id"));
      unwraps.put(mode, unwrap);
    }
    List<DataTypes.Field> fields = new ArrayList<>();
    for (String column : columns.split(",")) {
      String[] nameAndType = column.split(":");
      fields.add(DataTypes.FIELD(nameAndType[0], typeOf(nameAndType[1])));
    }
    DataType physical = DataTypes.ROW(fields.toArray(new DataTypes.Field[0]));
    table = (RowType) physical.getLogicalType();
    flink = flinkFormat(physical);
  }

  private static DataType typeOf(String name) {
    switch (name) {
      case "INT":
        return DataTypes.INT();
      case "DOUBLE":
        return DataTypes.DOUBLE();
      case "TIMESTAMP":
        return DataTypes.TIMESTAMP(3);
      default:
        return DataTypes.STRING();
    }
  }

  /** The writer's schema of the record in hand: what the registry would have answered. */
  private static Schema writer;

  private static final class Handed implements SchemaCoder {
    @Override
    public Schema readSchema(InputStream in) throws IOException {
      if (in.readNBytes(5)[0] != 0) {
        throw new IOException("no magic byte");
      }
      return writer;
    }

    @Override
    public void writeSchema(Schema schema, OutputStream out) {
      throw new UnsupportedOperationException();
    }
  }

  /** As Flink's factory makes it, but for the registry's client. */
  private DebeziumAvroDeserializationSchema flinkFormat(DataType physical) throws Exception {
    RowType row = DebeziumAvroDeserializationSchema.createDebeziumAvroRowType(physical);
    TypeInformation<RowData> produced = InternalTypeInfo.of(table);
    AvroRowDataDeserializationSchema avro =
        new AvroRowDataDeserializationSchema(
            new RegistryAvroDeserializationSchema<>(
                GenericRecord.class, AvroSchemaConverter.convertToSchema(row), Handed::new),
            AvroToRowDataConverters.createRowConverter(row),
            produced);
    Constructor<DebeziumAvroDeserializationSchema> make =
        DebeziumAvroDeserializationSchema.class.getDeclaredConstructor(
            TypeInformation.class, AvroRowDataDeserializationSchema.class);
    make.setAccessible(true);
    DebeziumAvroDeserializationSchema format = make.newInstance(produced, avro);
    format.open(null);
    return format;
  }

  /** See the class comment. */
  public static void main(String[] args) throws Exception {
    Envelopes envelopes = new Envelopes(args[0]);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      System.out.println(
          envelopes.json.writeValueAsString(envelopes.record(envelopes.json.readTree(line))));
    }
  }

  private Map<String, Object> record(JsonNode in) throws Exception {
    byte[] value =
        in.path("value").isTextual() ? Base64.getDecoder().decode(in.get("value").asText()) : null;
    SinkRecord record;
    if (value == null) {
      writer = null;
      record = sinkRecord(in, null, null);
    } else {
      writer = new Schema.Parser().parse(in.get("schema").asText());
      Object avro =
          new GenericDatumReader<>(writer)
              .read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
      SchemaAndValue connect = data.toConnectData(writer, avro);
      record = sinkRecord(in, connect.schema(), connect.value());
    }
    Map<String, Object> out = new LinkedHashMap<>();
    for (Map.Entry<String, ExtractNewRecordState<SinkRecord>> unwrap : unwraps.entrySet()) {
      SinkRecord after = unwrap.getValue().apply(record);
      Map<String, Object> got = new LinkedHashMap<>();
      got.put("dropped", after == null);
      if (after != null) {
        got.put("name", after.valueSchema() == null ? null : after.valueSchema().name());
        got.put("value", plain(after.value()));
      }
      out.put(unwrap.getKey(), got);
    }
    List<Object> rows = new ArrayList<>();
    flink.deserialize(
        value,
        new Collector<RowData>() {
          @Override
          public void collect(RowData row) {
            rows.add(plainRow(row));
          }

          @Override
          public void close() {}
        });
    out.put("flink", rows);
    return out;
  }

  private static SinkRecord sinkRecord(
      JsonNode in, org.apache.kafka.connect.data.Schema schema, Object value) {
    return new SinkRecord(
        in.get("topic").asText(),
        0,
        org.apache.kafka.connect.data.Schema.STRING_SCHEMA,
        in.get("key").asText(),
        schema,
        value,
        0);
  }

  private static Object plain(Object value) {
    if (!(value instanceof Struct)) {
      return value instanceof java.util.Date ? ((java.util.Date) value).getTime() : value;
    }
    Map<String, Object> out = new LinkedHashMap<>();
    for (Field field : ((Struct) value).schema().fields()) {
      out.put(field.name(), plain(((Struct) value).get(field)));
    }
    return out;
  }

  private Map<String, Object> plainRow(RowData row) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("kind", row.getRowKind().shortString());
    for (int i = 0; i < table.getFieldCount(); i++) {
      Object value = RowData.createFieldGetter(table.getTypeAt(i), i).getFieldOrNull(row);
      out.put(
          table.getFieldNames().get(i),
          value == null || value instanceof Number ? value : value.toString());
    }
    return out;
  }
}
