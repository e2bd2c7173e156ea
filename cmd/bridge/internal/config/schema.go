package config

import (
	"slices"
	"strings"
	"time"
)

// registryNone is the registry.url that means: no registry.
const registryNone = "none"

// field describes one key. The table of fields below is the only place that
// knows a key: the walker fills a Config through it, and the reference is
// printed from it.
//
// Exactly one of value, list, table, section, items and named is set.
type field struct {
	key      string
	meaning  string
	required bool
	unless   string // another key of the section, with which it is not required
	def      string // default, as it would be written; set before the file is read
	derived  string // default in words, where it depends on other keys
	example  string // shown by the reference where there is no default
	optional bool   // shown by the reference as a comment: it excludes another key, or needs one

	value   *scalar
	list    *list
	table   *map[string]string
	section []field
	items   func(n int) [][]field          // makes n sections and returns the fields of each
	named   func(names []string) [][]field // the same of a section for each of some names

	// Of table and named: what a name must be, nil for any. Of table: what a value is,
	// nil for any text.
	name  func(string) *valueError
	entry func(p *string) *scalar
}

// list is a sequence of scalars of one kind.
type list struct {
	to   *[]string
	item func(p *string) *scalar
}

// schema is the table, bound to c: what is set through it lands in c.
func schema(c *Config) []field {
	return []field{
		{key: "name", required: true, example: "acme", value: checked(&c.Name, "name", checkName),
			meaning: "Name of this bridge. Its own topics (<name>.positions), its transactional ids (<name>-lane-0) and its client id begin with it, so it must not change and no other bridge on the same Kafka may have it. Lower-case letters, digits, and . _ - after the first."},
		{key: "org", section: orgFields(&c.Org),
			meaning: "The Salesforce org that is read."},
		{key: "streams", required: true, items: func(n int) [][]field {
			c.Streams = make([]Stream, n)
			fields := make([][]field, n)
			for i := range fields {
				fields[i] = streamFields(&c.Streams[i])
			}
			return fields
		}, example: "a list of sections, each with a channel", meaning: "The channels that are read, each once."},
		{key: "kafka", section: kafkaFields(&c.Kafka),
			meaning: "The Kafka cluster that is written."},
		{key: "registry", section: registryFields(&c.Registry),
			meaning: "The schema registry (Confluent's REST protocol)."},
		{key: "format", def: string(FormatAvro), value: choice(&c.Format, FormatAvro, FormatJSON, FormatRaw),
			meaning: "Encoding of record values. avro is Confluent's wire format; json is the same record as a JSON document; raw is the event's payload as Salesforce sent it, byte for byte, by no schema."},
		{key: "envelope", def: string(EnvelopeEvent), value: choice(&c.Envelope, EnvelopeEvent, EnvelopeFlat, EnvelopeDebezium),
			meaning: "Shape of the values of /data/ and /event/ streams that say nothing else. event is Salesforce's own; flat is one row, with compound fields under the names that SOQL has for their parts (BillingCity) and the header's fields as _changeType and so on; debezium is a change as Debezium has it, with before, after, source and op."},
		{key: "delivery", def: string(ExactlyOnce), value: choice(&c.Delivery, ExactlyOnce, AtLeastOnce),
			meaning: "exactly_once writes records and positions in one transaction. at_least_once is for clusters without transactions: a crash may repeat the last batch, nothing is lost."},
		{key: "lanes", def: "4", value: integer(&c.Lanes, 1, 256, false),
			meaning: "Number of lanes over which the streams are spread, each with a Salesforce session and a producer of its own. It is the partition count of <name>.positions and must not change once that topic exists."},
		{key: "topics", section: topicFields(&c.Topics),
			meaning: "The topics that records are written to."},
		{key: "internal_topics", section: internalTopicFields(&c.InternalTopics),
			meaning: "The topics in which the bridge keeps its own state."},
		{key: "dead_letter", section: []field{
			{key: "topic", derived: "<name>.dead-letter", example: "acme.dead-letter", value: checked(&c.DeadLetter.Topic, "topic name", checkTopic),
				meaning: "Topic of events that could not become records: the untouched payload, the reason in headers."},
		}, meaning: "Where events go that cannot become records."},
		{key: "batch", section: []field{
			{key: "max_events", def: "1000", value: integer(&c.Batch.MaxEvents, 1, 100_000, false),
				meaning: "Most events in one batch."},
			{key: "max_bytes", def: "2MiB", value: size(&c.Batch.MaxBytes, 64<<10, 256<<20),
				meaning: "Most payload bytes in one batch. A lane holds two batches at most."},
		}, meaning: "Bounds of what is read before it is written; with the number of lanes they bound the memory."},
		{key: "watchdog", section: watchdogFields(&c.Watchdog),
			meaning: "Salesforce may keep a subscription alive and deliver nothing, as after a large load. The watchdog counts by REST the rows that were changed since the last event of a silent change-data stream; on_starvation of the stream says what follows."},
		{key: "snapshot", section: snapshotFields(&c.Snapshot),
			meaning: "How rows of the org are read: for snapshot and repair of the streams, and when somebody asks."},
		{key: "ops", section: []field{
			{key: "listen", def: ":8080", value: checked(&c.Ops.Listen, "address", checkListen),
				meaning: `Address of the HTTP server with /livez, /readyz, /metrics and /status. ":8080" is every interface, "127.0.0.1:8080" this machine only, port 0 any free one.`},
		}, meaning: "Probes and metrics."},
		{key: "shutdown_timeout", def: "25s", value: duration(&c.ShutdownTimeout, time.Second, 10*time.Minute),
			meaning: "How long a shutdown may take to write what was read. Keep it below the grace period of whatever stops the process."},
		{key: "log", section: []field{
			{key: "level", def: string(LogInfo), value: choice(&c.Log.Level, LogDebug, LogInfo, LogWarn, LogError),
				meaning: "Least severity that is logged."},
			{key: "format", def: string(LogJSON), value: choice(&c.Log.Format, LogJSON, LogConsole),
				meaning: "json is one object a line, console is for people."},
		}, meaning: "Logging, to standard error."},
	}
}

func orgFields(o *Org) []field {
	return []field{
		{key: "login_url", def: "https://login.salesforce.com", value: checked(&o.LoginURL, "URL", checkLoginURL),
			meaning: "Where tokens come from: https://login.salesforce.com, https://test.salesforce.com for sandboxes, or the org's My Domain (https://acme.my.salesforce.com), which client_credentials needs, as do the government clouds that have domains of their own (https://acme.my.salesforce.mil)."},
		{key: "api_version", derived: "the newest that the org offers", example: `"66.0"`, optional: true, value: checked(&o.APIVersion, "version", checkAPIVersion),
			meaning: "Salesforce API version, 37.0 or newer."},
		{key: "allow_plain_http", def: "false", value: boolean(&o.AllowPlainHTTP),
			meaning: "Allows a login_url with http:// on another machine than this one. Tokens and events then cross the network in the clear."},
		{key: "proxy_url", derived: "what the environment says in HTTPS_PROXY, HTTP_PROXY and NO_PROXY", example: "http://proxy.acme.example:3128", optional: true, value: proxyURL(&o.ProxyURL),
			meaning: "Proxy for every request to Salesforce, streaming too: http://, https:// or socks5://. It may hold a user name and a password; then put it into ${env:NAME}. It replaces the environment's, NO_PROXY included."},
		{key: "tls", section: []field{
			{key: "ca_file", derived: "the system's authorities", example: "/etc/bridge/ca.pem", optional: true, value: text(&o.TLS.CAFile),
				meaning: "PEM file of the authorities that are trusted, such as that of a proxy which looks into TLS. Relative paths begin at the configuration's folder."},
		}, meaning: "TLS to Salesforce."},
		{key: "auth", section: authFields(&o.Auth),
			meaning: "As whom the org is read: an OAuth 2.0 grant of a connected app or external client app."},
		{key: "on_other_org", def: string(OtherOrgHalt), value: choice(&o.OnOtherOrg, OtherOrgHalt, OtherOrgRestart),
			meaning: "What to do at the start when the login leads to another org than the one whose positions are stored, as after the refresh of a sandbox: halt refuses to start; restart gives the old org's positions up, begins each stream by its on_expired, and enters the holes into the gap ledger. For sandboxes only: with it a wrong login is not noticed."},
		{key: "max_api_calls_per_day", def: "10000", value: integer(&o.MaxAPICalls, 1, 100_000_000, false),
			meaning: "Most API calls that an instance makes within 24 hours for rows and for the watchdog. When they are used up, rows wait and the watchdog asks nothing. Streaming takes none."},
	}
}

func authFields(a *Auth) []field {
	return []field{
		{key: "type", required: true, example: string(AuthJWTBearer), value: choice(&a.Type, AuthJWTBearer, AuthClientCredentials, AuthRefreshToken, AuthPassword),
			meaning: "jwt_bearer needs client_id, username, and private_key or private_key_file. client_credentials needs client_id, client_secret. refresh_token needs client_id, token_file, and client_secret if the app asks for it. password needs client_id, client_secret, username, password."},
		{key: "client_id", required: true, example: "${env:SF_CLIENT_ID}", value: text(&a.ClientID),
			meaning: "Consumer key of the app."},
		{key: "client_secret", example: "${env:SF_CLIENT_SECRET}", optional: true, value: secret(&a.ClientSecret),
			meaning: "Consumer secret of the app."},
		{key: "username", example: "bridge@acme.example", value: text(&a.Username),
			meaning: "User as whom events are read."},
		{key: "password", example: "${env:SF_PASSWORD}", optional: true, value: secret(&a.Password),
			meaning: "Password of the user."},
		{key: "security_token", example: "${env:SF_SECURITY_TOKEN}", optional: true, value: secret(&a.SecurityToken),
			meaning: "Security token of the user; not needed from trusted networks."},
		{key: "private_key", example: "${file:/etc/bridge/org.key}", value: privateKey(&a.PrivateKey),
			meaning: "RSA private key in PEM text, whose certificate the app holds. It is read once, at the start."},
		{key: "private_key_file", example: "/etc/bridge/org.key", optional: true, value: text(&a.PrivateKeyFile),
			meaning: "File of the private key, instead of private_key. It is looked at for each login, so that the key can be replaced while the bridge runs. Relative paths begin at the configuration's folder."},
		{key: "private_key_password", example: "${env:SF_PRIVATE_KEY_PASSWORD}", optional: true, value: secret(&a.PrivateKeyPassword),
			meaning: "Password of the private key, if it is protected by one."},
		{key: "audience", derived: "https://test.salesforce.com for sandboxes and scratch orgs, https://login.salesforce.com for other orgs, or those of the cloud's own domain", example: "https://login.salesforce.com", optional: true, value: checked(&a.Audience, "URL", checkURL),
			meaning: "Audience of the signed assertion; jwt_bearer only. Experience Cloud sites need their own URL."},
		{key: "token_file", example: "/var/lib/bridge/refresh-token", optional: true, value: text(&a.TokenFile),
			meaning: "File of the refresh token, written by bridge login, mode 0600; refresh_token only. If the app rotates refresh tokens, the bridge replaces the file, so its folder must be writable. Relative paths begin at the configuration's folder."},
	}
}

func streamFields(s *Stream) []field {
	return slices.Concat([]field{
		{key: "channel", required: true, unless: "source", example: "/data/AccountChangeEvent", value: channelName(s),
			meaning: "/data/AccountChangeEvent, /data/Invoice__ChangeEvent, /data/ChangeEvents, /data/Sales__chn, /event/Order__e, /event/Orders__chn, /topic/InvoiceUpdates (with a filter: /topic/InvoiceUpdates?Status__c='Open'), /u/notifications/orders. Names are case-sensitive."},
		{key: "start", def: "latest", value: startPoint(&s.Start),
			meaning: "Where a stream without a stored position begins: with what comes from now on, with all that Salesforce still retains, or after a replay id. A stored position always wins."},
		{key: "topic", derived: "topics.template", example: "crm.accounts", optional: true, value: checked(&s.Topic, "template", checkTemplate),
			meaning: "Topic of this stream's records, in place of all that topics says, with the placeholders of topics.template."},
		{key: "key", derived: "the event's UUID", example: "Order_Number__c", optional: true, value: checked(&s.Key, "field", checkField),
			meaning: "Field of a platform event that becomes the record's key. Records of change events and PushTopics are keyed by record id, those of generic channels by channel and replay id, always."},
		{key: "entities", optional: true, name: checkEntity, named: func(names []string) [][]field {
			s.Entities = make([]Entity, len(names))
			fields := make([][]field, len(names))
			for i, name := range names {
				s.Entities[i].Name = name
				fields[i] = entityFields(&s.Entities[i])
			}
			return fields
		}, example: "Account", meaning: "What differs for single entities of a channel that carries several (/data/ChangeEvents, /data/Sales__chn, /event/Orders__chn), by the entity's API name: Account, Invoice__c, Order__e."},
		{key: "envelope", derived: "envelope", example: string(EnvelopeFlat), optional: true, value: choice(&s.Envelope, EnvelopeEvent, EnvelopeFlat, EnvelopeDebezium),
			meaning: "Shape of this stream's values, in place of the envelope for all. For /data/ and /event/ channels only."},
		{key: "on_expired", def: string(ExpiredEarliest), value: choice(&s.OnExpired, ExpiredEarliest, ExpiredLatest, ExpiredHalt),
			meaning: "What to do when Salesforce no longer retains the stored position: go on with the earliest retained event, with the latest, or halt the stream."},
		{key: "on_bad_event", def: string(BadEventDeadLetter), value: choice(&s.OnBadEvent, BadEventDeadLetter, BadEventHalt),
			meaning: "What to do with an event that cannot become a record: write it to the dead-letter topic and go on, or halt the stream."},
		{key: "on_unknown_field", derived: "on_bad_event", example: string(UnknownFieldKeep), optional: true, value: choice(&s.OnUnknownField, UnknownFieldDeadLetter, UnknownFieldHalt, UnknownFieldKeep),
			meaning: "What to do with an event that has a field which its schema lacks: write it to the dead-letter topic, halt the stream, or keep the field. keep gives the value's schema one more field, _extras, a map from the field's path to its value as JSON text."},
		{key: "on_starvation", def: string(StarvationSession), value: choice(&s.OnStarvation, StarvationSession, StarvationResubscribe, StarvationTip, StarvationAlarm, StarvationIgnore),
			meaning: "What to do when rows were changed and no event comes. session begins a new session after the stored position, resubscribe only a new subscription; tip subscribes to new events and enters the hole into the gap ledger; alarm tells it and does nothing; ignore does not watch the stream. For /data/ channels only: others have no rows to compare with."},
		{key: "retention", derived: "24h for /topic/ and /u/ channels, 72h for others", example: "24h", optional: true, value: duration(&s.Retention, time.Hour, 7*24*time.Hour),
			meaning: "How long Salesforce keeps the stream's events, for telling when they begin to be lost. It is 24h also for standard-volume platform events of the old kind."},
	}, streamSnapshotFields(s), queryFields(s))
}

func entityFields(e *Entity) []field {
	return []field{
		{key: "topic", derived: "that of the stream", example: "crm.accounts", optional: true, value: checked(&e.Topic, "template", checkTemplate),
			meaning: "Topic of this entity's records, in place of the stream's and of all that topics says."},
		{key: "key", derived: "that of the stream", example: "Order_Number__c", optional: true, value: checked(&e.Key, "field", checkField),
			meaning: "Field of a platform event that becomes the record's key, in place of the stream's."},
	}
}

func routeFields(r *TopicRoute) []field {
	return []field{
		{key: "match", required: true, example: `(\w+?)__\w+`, value: checked(&r.Match, "regular expression", checkExpression),
			meaning: "Regular expression (RE2) that the whole of an object's API name must match: Account matches Account alone, Account.* what begins so."},
		{key: "topic", required: true, example: `"crm.{{.Match1}}"`, value: checked(&r.Topic, "template", checkRouteTemplate),
			meaning: "Topic of what matches, with the placeholders of topics.template and those of the expression's groups: {{.Match1}} by number, {{.Match.name}} of (?P<name>…)."},
	}
}

func watchdogFields(g *Watchdog) []field {
	return []field{
		{key: "every", def: "15m", value: duration(&g.Every, time.Second, 24*time.Hour),
			meaning: "How often a silent stream is questioned. It becomes longer by itself where daily_calls is too little for all streams."},
		{key: "delay", def: "10m", value: duration(&g.Delay, time.Second, 6*time.Hour),
			meaning: "How late Salesforce may deliver: rows that were changed within this time are not missed yet."},
		{key: "daily_calls", def: "2000", value: integer(&g.DailyCalls, 0, 1_000_000, false),
			meaning: "Most API calls that the watchdog makes in a day; 0 switches it off. A question is one call, and one for each object where a channel carries several."},
		{key: "reserve_percent", def: "10", value: integer(&g.ReservePercent, 0, 90, false),
			meaning: "Share of the org's daily API requests that is left to others: while less than that remains the watchdog asks nothing, and rows wait."},
	}
}

func kafkaFields(k *Kafka) []field {
	return []field{
		{key: "brokers", required: true, example: "[localhost:9092]", list: &list{to: &k.Brokers, item: func(p *string) *scalar { return checked(p, "host:port", checkBroker) }},
			meaning: "Brokers to begin with; the others are learned from them. One item may name several, with commas between them."},
		{key: "client_id", derived: "bridge-<name>", example: "bridge-acme", value: text(&k.ClientID),
			meaning: "Client id in the brokers' logs and quotas."},
		{key: "tls", section: tlsFields(&k.TLS),
			meaning: "TLS to the brokers."},
		{key: "sasl", section: saslFields(&k.SASL),
			meaning: "Authentication by user name and password. Without a mechanism there is none."},
		{key: "transaction_timeout", def: "60s", value: duration(&k.TransactionTimeout, time.Second, 15*time.Minute),
			meaning: "After how long the broker aborts a transaction whose producer has gone. It must not exceed the broker's transaction.max.timeout.ms."},
		{key: "session_timeout", def: "6s", value: duration(&k.SessionTimeout, time.Second, 5*time.Minute),
			meaning: "How long an instance may be silent before Kafka gives its lanes to others. Brokers refuse less than their group.min.session.timeout.ms, which is 6 seconds unless set otherwise."},
		{key: "compression", def: string(CompressionLZ4), value: choice(&k.Compression, CompressionNone, CompressionGzip, CompressionSnappy, CompressionLZ4, CompressionZstd),
			meaning: "Compression of produced batches."},
	}
}

func saslFields(s *SASL) []field {
	return []field{
		{key: "mechanism", example: string(SASLScramSHA512), optional: true, value: choice(&s.Mechanism, SASLPlain, SASLScramSHA256, SASLScramSHA512),
			meaning: "How the password is proven."},
		{key: "username", example: "bridge", optional: true, value: text(&s.Username),
			meaning: "User name."},
		{key: "password", example: "${file:/etc/bridge/kafka.password}", optional: true, value: secret(&s.Password),
			meaning: "Password."},
	}
}

func registryFields(r *Registry) []field {
	return []field{
		{key: "url", derived: "required for format avro", example: "http://localhost:8081", value: checked(&r.URL, "URL or none", checkRegistryURL),
			meaning: "Base URL of the registry. none works without one: a header of each record carries the schema's fingerprint instead (for demonstrations)."},
		{key: "allow_plain_http", def: "false", value: boolean(&r.AllowPlainHTTP),
			meaning: "Allows a url with http:// on another machine than this one."},
		{key: "username", example: "bridge", optional: true, value: text(&r.Username),
			meaning: "User name for basic authentication."},
		{key: "password", example: "${env:REGISTRY_PASSWORD}", optional: true, value: secret(&r.Password),
			meaning: "Password for basic authentication."},
		{key: "bearer_token", example: "${env:REGISTRY_TOKEN}", optional: true, value: secret(&r.BearerToken),
			meaning: "Bearer token, instead of user name and password."},
		{key: "tls", section: tlsFields(&r.TLS)[1:], // enabled by the URL
			meaning: "TLS to the registry; enabled by a url with https://."},
		{key: "subject_strategy", def: string(SubjectTopic), value: choice(&r.SubjectStrategy, SubjectTopic, SubjectRecord, SubjectTopicRecord),
			meaning: "Subject of a schema: <topic>-value, the record's full name, or <topic>-<full name>. A topic that holds several kinds of event needs one of the latter two."},
		{key: "auto_register", def: "true", value: boolean(&r.AutoRegister),
			meaning: "Whether schemas are registered. If not, they must be in the registry before their first event comes (bridge schemas show prints them): a stream whose schema is not there halts."},
		{key: "json_schema", def: "false", value: boolean(&r.JSONSchema),
			meaning: "Whether format json registers a JSON Schema of its records. Each value then begins with the five bytes that say which, as those of Confluent's JSON Schema serializer do."},
		{key: "on_incompatible", def: string(IncompatibleHalt), value: choice(&r.OnIncompatible, IncompatibleHalt, IncompatibleNewSubject),
			meaning: "What to do with a schema that its subject refuses as incompatible: halt the stream, with the differences in the message, or go on under <subject>-v2 (-v3, … if that refuses it too). Its records stay in the same topic and carry the id of their schema as always."},
		{key: "docs", def: string(DocsNone), value: choice(&r.Docs, DocsNone, DocsDescribe),
			meaning: "Docs in the schemas that are registered. none registers Salesforce's own remarks alone; describe adds the labels, types and help texts that the org has when a version is made, asked for once for each object. A difference in docs alone never makes a version, whatever this says, and a schema whose object cannot be described within 5 seconds is registered without."},
	}
}

func tlsFields(t *TLS) []field {
	return []field{
		{key: "enabled", def: "false", value: boolean(&t.Enabled),
			meaning: "Whether TLS is used."},
		{key: "ca_file", derived: "the system's authorities", example: "/etc/bridge/ca.pem", optional: true, value: text(&t.CAFile),
			meaning: "PEM file of the authorities that are trusted. Relative paths begin at the configuration's folder."},
		{key: "cert_file", example: "/etc/bridge/client.pem", optional: true, value: text(&t.CertFile),
			meaning: "PEM file of the client's certificate."},
		{key: "key_file", example: "/etc/bridge/client.key", optional: true, value: text(&t.KeyFile),
			meaning: "PEM file of the client's private key."},
		{key: "server_name", derived: "the host that is dialled", example: "kafka.acme.example", optional: true, value: text(&t.ServerName),
			meaning: "Name that the server's certificate must hold."},
		{key: "insecure_skip_verify", def: "false", value: boolean(&t.InsecureSkipVerify),
			meaning: "Accepts any certificate: anyone on the way can read and change everything."},
	}
}

func topicFields(t *Topics) []field {
	return []field{
		{key: "template", def: "{{.Prefix}}.{{.Object}}", value: checked(&t.Template, "template", checkTemplate),
			meaning: "Topic of records for which a stream's own topic, map and routes say nothing. Placeholders: {{.Prefix}}, {{.Object}} (Account, Order__e), {{.Channel}}, {{.ChangeType}}."},
		{key: "map", example: "{Account: crm.accounts}", optional: true, table: &t.Map, name: checkObject, entry: func(p *string) *scalar { return checked(p, "template", checkTemplate) },
			meaning: "Topics of single objects, by what {{.Object}} is for them (Account, Order__e; u.a.b of /u/a/b), with the same placeholders. A stream's own topic wins over them."},
		{key: "routes", optional: true, items: func(n int) [][]field {
			t.Routes = make([]TopicRoute, n)
			fields := make([][]field, n)
			for i := range fields {
				fields[i] = routeFields(&t.Routes[i])
			}
			return fields
		}, example: "a list of sections, each with match and topic", meaning: "Topics of objects that map does not name. The first route that matches counts, and template if none does."},
		{key: "key_format", def: string(KeyString), value: choice(&t.KeyFormat, KeyString, KeyAvro),
			meaning: "Encoding of record keys. string is the text alone; avro is the text in Confluent's wire format, with the schema \"string\" registered under <topic>-key whatever registry.subject_strategy says, and needs a registry in every format (where registry.auto_register is false, with that schema in it). Dead letters and the bridge's own topics keep plain keys."},
		{key: "prefix", def: "salesforce", value: checked(&t.Prefix, "text", checkTopic),
			meaning: "The template's {{.Prefix}}."},
		{key: "create", def: "true", value: boolean(&t.Create),
			meaning: "Whether missing topics are created. If not, a missing topic is an error."},
		{key: "partitions", def: "6", value: integer(&t.Partitions, 1, 10_000, true),
			meaning: "Partitions of created topics."},
		{key: "replication_factor", def: "-1", value: integer(&t.ReplicationFactor, 1, 100, true),
			meaning: "Replicas of created topics."},
		{key: "settings", example: `{cleanup.policy: compact, min.insync.replicas: "2"}`, optional: true, table: &t.Settings,
			meaning: "Kafka's settings of created topics, by their Kafka names."},
	}
}

func internalTopicFields(t *InternalTopics) []field {
	return []field{
		{key: "create", def: "true", value: boolean(&t.Create),
			meaning: "Whether they are created when missing. If not, <name>.positions must exist: compacted, with as many partitions as there are lanes."},
		{key: "replication_factor", def: "-1", value: integer(&t.ReplicationFactor, 1, 100, true),
			meaning: "Replicas of created topics."},
		{key: "settings", example: `{min.insync.replicas: "2"}`, optional: true, table: &t.Settings,
			meaning: "Kafka's settings of created topics, by their Kafka names, except cleanup.policy."},
	}
}

// privateKey is a secret that must at least look like PEM; whether it is a key is
// seen when its password is known.
func privateKey(p *Secret) *scalar {
	s := secret(p)
	set := s.set
	s.set = func(pem string) *valueError {
		if !strings.Contains(pem, "-----BEGIN ") {
			return checkPrivateKey(pem, Secret{})
		}
		return set(pem)
	}
	return s
}
