// Package schemas turns Salesforce's event schemas into Avro schemas that a
// Kafka reader can rely on, and registers them.
//
// # What it does
//
// [Parse] reads the COMPACT form of an event schema (Salesforce REST API,
// "Platform Event Schema by Schema ID") and compiles it into a tree of [Node]
// that encoders walk, and into the text that goes to the schema registry.
// [Catalog] fetches each schema id once and shares the result. [Registry]
// registers a schema under a subject by Confluent's REST protocol and
// remembers the id. [Diff] tells what is different between two schemas, in a
// refusal too. [Decoder] reads values back, as any consumer would, for
// tools and tests.
//
// The registry text is Salesforce's schema with these changes, and no others:
//
//   - Every field of the event's body, at any depth, is a union with null as
//     its first branch and null as its default, so that a field that Salesforce
//     adds or drops stays compatible. The ChangeEventHeader keeps the types
//     that Salesforce gives it. [Field.Required] remembers which fields of a
//     platform event Salesforce itself declares as never null.
//   - Logical types, where the Avro type can carry them: a long documented as
//     DateTime or Date is timestamp-millis, an int documented as Time is
//     time-millis, an int documented as Date is date. The doc text is kept, so
//     that a Date is still told from a DateTime. Nothing else is read from doc
//     texts.
//   - The top-level attribute uuid is dropped: it repeats the schema id, which
//     travels with each record, and would make two orgs' equal schemas differ.
//     Other attributes that Avro does not define are kept as they came.
//   - An empty namespace means the enclosing one, and names are written with
//     an explicit namespace where it changes.
//
// PushTopics and generic channels have no schema of Salesforce's. [Catalog.PushTopic]
// makes one of what the org says of the PushTopic's query and of its object, with the
// types that an event schema of Salesforce's has for such fields (parts of compound
// fields have the names that REST gives them), and [Catalog.Generic] has one that is
// always the same. Their ids are hashes of their texts. [Catalog.RenewPushTopic] asks
// again when an event tells that a query was edited.
//
// [WithExtras] adds one field of ours at the end, [ExtrasField], for those who
// keep what an event has beyond its schema.
//
// [Flat] and [Debezium] make the schemas of other shapes of an event, named
// bridge.flat.<event> and bridge.debezium.<event>.Envelope (with .Value and .Source
// inside), so that no name of Salesforce's gets a second meaning; [Flatten] has
// the names of their rows. [JSONSchema] is the JSON Schema of what a schema is in
// JSON.
//
// [Registry.Documented] adds docs: what people of the org call an object and its
// fields, from a [Describer]. They are added to a text when it is registered, never
// to a schema, since they change while schema ids do not. No type is read from a
// description: it says what a field is now, a schema id what it was.
//
// # What it promises
//
// Text and tree are a pure function of the bytes fetched. The text was parsed
// by an independent Avro implementation with an empty name cache before
// anybody sees it. Field names are exactly Salesforce's: a name that is not
// legal in Avro is an error, never rewritten. The name of a PushTopic is none of a
// field: what is not legal in it becomes _ and its byte in hex.
//
// A schema id is fetched once and a (subject, schema) pair registered once for
// all callers together, however many ask at the same time; each caller's
// context ends only that caller's wait.
//
// Docs never make a version: a version that differs from a schema in docs alone is
// that schema. An object is asked for at most once, for at most five seconds, and
// only before something is registered; without an answer there are no docs.
//
// # What it does not do
//
// It does not read the EXPANDED form (it is not Avro). It refuses recursive
// types. It makes no retries: whoever calls decides about backing off. It does not choose a compatibility level: the registry's holds.
//
// # Concurrency
//
// [Catalog], [Registry] and [Decoder] are safe for concurrent use and start no goroutines.
// A [*Schema] and its tree must not be modified.
//
// # Errors
//
// [*SchemaError]: the text is not a usable schema; permanent. [*FetchError]:
// Salesforce did not hand out the schema. [*TopicError]: no schema can be made of a
// PushTopic; permanent. [*IncompatibleError]: the registry
// refuses the schema for its compatibility rule. [*NotRegisteredError]: the
// registry does not have it, and nothing is registered. [*RegistryError]: any
// other trouble with the registry. [*UndescribedError]: an object has no
// docs, which fails nothing. [*DecodeError]: a value is not what its schema
// says. [Retryable] says whether the same call may succeed
// later without anybody changing anything.
package schemas
