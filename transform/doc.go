// Package transform turns one event of Salesforce's into the Kafka records that
// stand for it.
//
// # What it does
//
// [Encoder.Encode] transcodes the event's JSON payload to Avro binary (or to
// normalised JSON) by the schema that the event names, and gives each record
// its topic, key, headers and timestamp. The payload is scanned once; no map
// and no float stands between the JSON text and the binary.
//
// Values (JSON to the schema's type):
//
//   - string: a text, escapes resolved to UTF-8. Numbers and booleans are not
//     made into texts. {"diff": "…"} in place of a text (Change Data Capture
//     guide, large text fields) is the diff text, and the field is listed in
//     ChangeEventHeader.diffFields.
//   - int, long: a number whose value is whole, computed exactly in decimal:
//     20, 20.0 and 2e1 are 20 (Salesforce's serializer may write any of them),
//     20.5 is an error, as is what does not fit.
//   - double, float: any number that fits.
//   - long in an event's body: also "2026-03-04T09:15:22.000Z", with or
//     without a fraction, as epoch milliseconds, and "2026-03-04" as those of
//     midnight UTC. A number is taken as it is.
//   - int in an event's body: also "13:30:00.000Z" as milliseconds of the day;
//     an int with the logical type date takes "2026-03-04" as days since 1970.
//   - boolean: true and false. enum: one of its symbols. Arrays and nested
//     records by the same rules. bytes, fixed and map: only null.
//   - A union takes the branch that fits the kind of the JSON value. A person
//     account's Name is an object, a business account's a text.
//
// A field that is absent is null or the schema's default; one that Salesforce
// declares as always present is an error. In an UPDATE an absent field is
// unchanged and a null one was cleared: ChangeEventHeader.changedFields and
// nulledFields say which, and are filled from the payload where Salesforce
// leaves them out, sends null or an empty list: changedFields (of an UPDATE)
// with every field present, parts of compound fields as Parent.Child, in schema
// order; nulledFields (of an UPDATE) with those that are null; diffFields with
// those that are diffs.
//
// Format JSON is the same logical record: what the Avro decodes to, with absent
// fields left out. Numbers of type double keep their spelling.
//
// Records: a change event becomes one record per id in its recordIds, each keyed
// by the 18-character id and each with the whole event as its value (recordIds
// stay complete: they say what the event was, while key and sf-record-index say
// which record this one is about). After each record of a DELETE comes a
// tombstone of the same key if [Config.Tombstone] asks for it. Wildcard ids
// ("001*"), the dummy id 000000000000000AAA and GAP_* events are keyed by what
// they carry and reported in [Meta.Gap]; they never get a tombstone. A platform
// event is one record, keyed by the configured field, else by its EventUuid,
// else by "<channel>#<position>".
//
// Headers, UTF-8 text, left out where an event has no such thing: sf-org,
// sf-channel, sf-replay-id, sf-object, sf-change-type, sf-schema-id,
// sf-event-uuid, sf-transaction-key, sf-sequence, sf-commit-number,
// sf-record-index (from 0), sf-record-count. A tombstone has those of the record
// before it. Timestamp: commitTimestamp of a change event, CreatedDate of a
// platform event.
//
// Values are in Confluent's wire format: 0x00, the registry's id as 4 bytes big
// endian, Avro binary. Without a registry they are bare Avro binary and a header
// sf-schema-fingerprint has the SHA-256 (hex) of the schema's text.
//
// # What it promises
//
// Nothing is guessed and nothing is dropped: an unknown key, a key that comes
// twice, an unknown enum symbol, a value that does not fit, text that is not
// UTF-8 are errors that name the place. Integers are exact. The same event
// gives the same bytes. On error the caller's slice is unchanged.
//
// # What it does not do
//
// It does not apply diffs, read records that a gap event leaves open, or decide
// about dead letters. It serves /data/ and /event/ channels; others are
// [*UnsupportedChannelError]. If Salesforce leaves changedFields out, enriched
// fields cannot be told from changed ones and are listed with them.
//
// # Concurrency
//
// An [Encoder] is for one goroutine at a time. Any number of them may share one
// catalog and one registry. Records of one event share memory (value, headers):
// treat them as read-only.
//
// # Errors
//
// [*FieldError], [*UnknownFieldError], [*EventError],
// [*UnsupportedChannelError]: the event, for good. [*ConfigError]: the
// configuration. Errors of package schemas pass through. [BadEvent] tells the
// first group from the rest, [Retryable] says whether the same event may
// encode later.
package transform
