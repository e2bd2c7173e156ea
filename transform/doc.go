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
// with every field present, parts of compound fields as Parent.Child;
// nulledFields (of an UPDATE) with those that are null; diffFields with those
// that are diffs. Fields of the event come first, then the parts of compound
// ones, both in schema order: as [DecodeBitmap] gives them, so that a change has
// the same lists by whatever transport it comes.
//
// Lists that Salesforce sends stay as they are, also where they contradict the
// payload: a name without a value, of no field of the schema, or with a value in
// spite of nulledFields. What the payload proves is added at their end: a null of
// an UPDATE to nulledFields, a diff to diffFields. Nothing is added to
// changedFields: enriched fields are in the payload and did not change.
//
// A SNAPSHOT is a row: a whole record, as a CREATE is, in which null is no value. The
// lists are what its payload has, and nothing is added to them. A compound field whose
// parts are all null is null itself, since rows are made of the parts' columns and the
// CREATE lacks the field. A change with an empty transactionKey is of no transaction:
// it has no headers and no Debezium transaction that tell its place in one.
//
// Unknown keys are [*UnknownFieldError] unless the stream keeps them
// ([StreamOptions.Extras]). Then the value's schema is Salesforce's with one more
// field at the end, _extras: a nullable map from the path of each unknown key
// (New__c, BillingAddress.New, Changes[1].New) to its value as JSON text, byte for
// byte as Salesforce sent it. The header's lists do not name them. Two keys of one
// path are an error. The fingerprint and the id in the registry are those of the
// longer schema, and so it is with an envelope; sf-schema-id stays Salesforce's.
//
// Format JSON is the same logical record: what the Avro decodes to, with absent
// fields left out. Numbers of type double keep their spelling. With
// [Config.JSONSchema] its JSON Schema is registered and each value begins with the
// five bytes that Avro has there.
//
// Format Raw is the payload, byte for byte. No schema is asked for and no more is
// read than topic, key, headers and timestamp are made of, so that an event which
// does not fit its schema is a record too; one whose key or object cannot be told
// is an error. A timestamp that cannot be read is [Event.ReceivedAt], a header that
// cannot be made is left out.
//
// Envelopes ([StreamOptions.Envelope]) are other shapes of the values of change
// events and platform events, written from the same scan:
//
//   - flat: one row by [schemas.Flat], with parts of compound fields under the names
//     that SOQL has for them (BillingCity), the record's Id first, the header's
//     fields as _changeType and so on.
//   - debezium: {before, after, source, transaction, op, ts_ms} by
//     [schemas.Debezium]. after is the row that flat has, without the header, which
//     is in source. op is c for CREATE and UNDELETE, u for UPDATE, d for DELETE, r
//     for SNAPSHOT; that of a GAP_* event is the one of the operation that it names;
//     an overflow is u. before has the Id alone in an update and what the event
//     carries in a delete: Salesforce tells no old values. ts_ms is when the event
//     was received, source.ts_ms when it was committed. A platform event is a c.
//
// In both the lists of the header have the row's names, a compound field as a whole
// those of all its parts; names of no field stay. recordIds are left out: each
// record has its own Id, and so a value of its own, and what one event's records
// take together is bounded. Null in the row of an UPDATE still means unchanged unless
// nulledFields names it. _extras is last, in debezium beside the images.
//
// Records: a change event becomes one record per id in its recordIds, each keyed
// by the 18-character id and, without an envelope, each with the whole event as its
// value (recordIds stay complete: they say what the event was, while key and
// sf-record-index say which record this one is about). After each record of a DELETE comes a
// tombstone of the same key if [Config.Tombstone] asks for it. Wildcard ids
// ("001*"), the dummy id 000000000000000AAA and GAP_* events are keyed by what
// they carry and reported in [Meta.Gap]; they never get a tombstone. A platform
// event is one record, keyed by the configured field, else by its EventUuid,
// else by "<channel>#<position>".
//
// PushTopics (/topic/…) and generic channels (/u/…) have no schema of Salesforce's.
// Their payload is the whole data member, and so is the record:
//
//   - {"event": {"createdDate", "replayId", "type"}, "sobject": {…}} of a PushTopic,
//     by the schema that the catalog makes of the fields which the query selects.
//     A last field of ours, nullFields, lists the fields of sobject that came as
//     null, parts of compound ones as Parent.child: one that is null and not in the
//     list was not sent, as in an event of type deleted. An event that does not fit
//     the schema is a reason to ask for it anew, see
//     [schemas.Catalog.RenewPushTopic]; after that it is treated as others are. The
//     record is keyed by sobject.Id, its change type is the event's, and a deleted
//     one is followed by a tombstone where [Config.Tombstone] says so. Its object
//     is the name of the PushTopic, whatever filter the subscription has.
//   - {"event": {"createdDate", "replayId"}, "payload": …} of a generic channel, by
//     one schema for all. A payload that is no text is kept in a last field of ours,
//     payloadJson, as the JSON text that it is, and payload is null. The record is
//     keyed by "<channel>#<position>" and has no change type. Its object is "u." and
//     the channel's path with dots for slashes.
//
// Topics: the object of an event, not its channel, is what a topic is chosen by, so
// the entities of one channel may go to several. The first that says something
// counts: the entity on its channel ([StreamOptions.Entities]), the channel
// ([StreamOptions.Topic]), the object ([Config.TopicMap]), a name like its own
// ([Config.TopicRoutes]; the whole name must match), the template for all
// ([Config.TopicTemplate]). Two kinds of events may be in one topic only if one
// template sends both there and does not tell them apart by {{.Object}} (or two
// channels by {{.Channel}}), or if each has a template that is the topic's name in
// full. Others that meet do so by chance, and are [*CollisionError]; so is a topic of
// [Config.OwnTopics], and one whose name differs from that of another only by '.'
// and '_', since Kafka creates no two such topics. Names that differ only in case are
// two topics. By [Topics] the encoders of a process know of each other.
//
// Keys are the bare text, or with [AvroKeys] the text in Confluent's wire format by
// the Avro schema "string". It is registered under <topic>-key for every subject
// strategy, since it has no name. The same text gives the same bytes, also in the
// tombstone, and in every topic for which the registry has that schema under one id.
//
// Headers, UTF-8 text, left out where an event has no such thing: sf-org,
// sf-channel, sf-replay-id, sf-object, sf-change-type, sf-schema-id,
// sf-event-uuid, sf-transaction-key, sf-sequence, sf-commit-number,
// sf-record-index (from 0), sf-record-count. A tombstone has those of the record
// before it. Timestamp: commitTimestamp of a change event, CreatedDate of a
// platform event, createdDate of the others.
//
// Avro values are in Confluent's wire format: 0x00, the registry's id as 4 bytes
// big endian, Avro binary. Without a registry they are bare Avro binary and a header
// sf-schema-fingerprint has the SHA-256 (hex) of the schema's text.
//
// # What it promises
//
// Nothing is guessed and nothing is dropped: an unknown key that is not kept, a
// key that comes twice, an unknown enum symbol, a value that does not fit, text that is not
// UTF-8 are errors that name the place. Integers are exact. The same event
// gives the same bytes. On error the caller's slice is unchanged.
//
// # What it does not do
//
// It does not apply diffs, read records that a gap event leaves open, or decide
// about dead letters. It serves /data/, /event/, /topic/ and /u/ channels; others
// are [*UnsupportedChannelError]. If Salesforce leaves changedFields out, enriched
// fields cannot be told from changed ones and are listed with them.
//
// # Concurrency
//
// An [Encoder] is for one goroutine at a time. Any number of them may share one
// catalog, one registry and one [Topics]. Records of one event share memory (value,
// headers): treat them as read-only.
//
// # Errors
//
// [*FieldError], [*UnknownFieldError], [*EventError], [*BitmapError],
// [*UnsupportedChannelError]: the event, for good. They name the path in the
// payload, the field, what was found and what was expected; texts of string
// fields are not shown. [*ConfigError]: the configuration. [*CollisionError]: the
// topic, for every event of its kind. Errors of package schemas pass through.
// [BadEvent] tells the first group from the rest, [Retryable] says whether the same
// event may encode later.
package transform
