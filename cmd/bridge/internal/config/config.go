package config

import (
	"time"
)

// Config is a whole, checked configuration: every default is filled in, every
// reference resolved, every cross-rule held. It is plain data; nothing in it
// is shared with the package.
type Config struct {
	Name            string // prefix of the bridge's own topics and transactional ids
	Org             Org
	Streams         []Stream // at least one, no channel twice, in the file's order
	Kafka           Kafka
	Registry        Registry
	Format          Format
	Envelope        Envelope // of streams that say nothing else; those have it filled in
	Delivery        Delivery
	Lanes           int
	Topics          Topics
	InternalTopics  InternalTopics
	DeadLetter      DeadLetter
	Batch           Batch
	Watchdog        Watchdog
	Snapshot        Snapshot
	Ops             Ops
	ShutdownTimeout time.Duration
	Log             Log
}

// Org says which Salesforce org is read and as whom.
type Org struct {
	LoginURL       string // scheme and host, no trailing slash
	APIVersion     string // "66.0"; "" is the newest that the org offers
	AllowPlainHTTP bool
	ProxyURL       Secret // may hold a password; "" is what the environment says
	TLS            OrgTLS
	Auth           Auth
	OnOtherOrg     OnOtherOrg
	MaxAPICalls    int // most API calls in 24 hours, of one instance
}

// OnOtherOrg is what is done at the start when the login leads to another org than
// the one whose positions are stored.
type OnOtherOrg string

// The policies for another org.
const (
	OtherOrgHalt    OnOtherOrg = "halt"
	OtherOrgRestart OnOtherOrg = "restart" // each stream begins anew by its on_expired
)

// OrgTLS is the client's side of the connections to Salesforce. The file is read
// and checked when the configuration is parsed.
type OrgTLS struct {
	CAFile string
	CAPEM  []byte
}

// AuthType is the OAuth 2.0 grant that gets access tokens.
type AuthType string

// The grants that are spoken.
const (
	AuthJWTBearer         AuthType = "jwt_bearer"
	AuthClientCredentials AuthType = "client_credentials"
	AuthRefreshToken      AuthType = "refresh_token"
	AuthPassword          AuthType = "password"
)

// Auth holds what its Type needs; the rest is empty.
type Auth struct {
	Type               AuthType
	ClientID           string
	ClientSecret       Secret
	Username           string
	Password           Secret
	SecurityToken      Secret
	PrivateKey         Secret // PEM text
	PrivateKeyFile     string // path of PEM text, which may be replaced at any time
	PrivateKeyPassword Secret
	Audience           string // "" is what the login URL suggests
	TokenFile          string // path of a refresh token, which the bridge replaces
}

// Stream is one channel of the org and its policies.
type Stream struct {
	Channel    string // /data/AccountChangeEvent; of a query /query/<object or name>
	Kind       ChannelKind
	Source     StreamSource
	Query      Query // with SourceQuery
	Multi      bool  // the channel carries several event types
	Start      Start
	Topic      string   // template in place of Topics.Template; "" for that
	Key        string   // field of a platform event; "" is the event's UUID
	Entities   []Entity // of a channel with several event types, in the file's order
	OnExpired  OnExpired
	Envelope   Envelope
	OnBadEvent OnBadEvent
	// OnUnknownField is what OnBadEvent says unless it is given.
	OnUnknownField OnUnknownField
	// OnStarvation is StarvationIgnore for what is not change data: it has no rows.
	OnStarvation OnStarvation
	Retention    time.Duration // how long Salesforce keeps its events
	Snapshot     SnapshotMode
	Repair       Repair // RepairOff where Snapshot is never, unless it is given
}

// Entity is what differs for one entity of a channel that carries several.
type Entity struct {
	Name  string // API name: Account, Order__e
	Topic string // template in place of that of the stream; "" for that
	Key   string // field in place of that of the stream; "" for that
}

// StartAt says where a stream without a stored position begins.
type StartAt int

// The places to begin at.
const (
	StartLatest   StartAt = iota // only what comes from now on
	StartEarliest                // all that Salesforce still retains
	StartAfter                   // what follows Start.ReplayID
)

// Start is a StartAt and, for StartAfter, the replay id.
type Start struct {
	At       StartAt
	ReplayID int64
}

// OnExpired is what a stream does when its position is no longer retained.
type OnExpired string

// The policies for an expired position.
const (
	ExpiredEarliest OnExpired = "earliest"
	ExpiredLatest   OnExpired = "latest"
	ExpiredHalt     OnExpired = "halt"
)

// OnBadEvent is what a stream does with an event that cannot become a record.
type OnBadEvent string

// The policies for a bad event.
const (
	BadEventDeadLetter OnBadEvent = "dead_letter"
	BadEventHalt       OnBadEvent = "halt"
)

// OnUnknownField is what a stream does with an event that has a field which its
// schema lacks.
type OnUnknownField string

// The policies for a field unknown to the schema.
const (
	UnknownFieldDeadLetter OnUnknownField = "dead_letter"
	UnknownFieldHalt       OnUnknownField = "halt"
	UnknownFieldKeep       OnUnknownField = "keep" // in a field of its own, as JSON text
)

// OnStarvation is what is done about a change-data stream that brings nothing
// though rows were changed.
type OnStarvation string

// The policies for a stream that starves.
const (
	StarvationSession     OnStarvation = "session"     // a new session, after the stored position
	StarvationResubscribe OnStarvation = "resubscribe" // a new subscription of the session, after the stored position
	StarvationTip         OnStarvation = "tip"         // a new subscription to new events; the hole is entered into the gap ledger
	StarvationAlarm       OnStarvation = "alarm"       // it is only told
	StarvationIgnore      OnStarvation = "ignore"      // the stream is not watched
)

// Kafka says how the brokers are reached.
type Kafka struct {
	Brokers            []string // host:port
	ClientID           string
	TLS                TLS
	SASL               SASL
	TransactionTimeout time.Duration
	SessionTimeout     time.Duration // how long an instance may be silent
	Compression        Compression
}

// Compression is the codec of produced batches.
type Compression string

// The codecs.
const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// SASLMechanism is how the bridge names itself to Kafka; "" is not at all.
type SASLMechanism string

// The mechanisms.
const (
	SASLPlain       SASLMechanism = "plain"
	SASLScramSHA256 SASLMechanism = "scram-sha-256"
	SASLScramSHA512 SASLMechanism = "scram-sha-512"
)

// SASL is off when Mechanism is empty.
type SASL struct {
	Mechanism SASLMechanism
	Username  string
	Password  Secret
}

// Registry is the schema registry; URL is empty when there is none.
type Registry struct {
	URL             string
	AllowPlainHTTP  bool
	Username        string
	Password        Secret
	BearerToken     Secret
	TLS             TLS
	SubjectStrategy SubjectStrategy
	AutoRegister    bool
	JSONSchema      bool // of format json
	OnIncompatible  OnIncompatible
	Docs            Docs
}

// SubjectStrategy names the subject under which a schema is registered.
type SubjectStrategy string

// The strategies, named as in Confluent's serializers without "NameStrategy".
const (
	SubjectTopic       SubjectStrategy = "topic"
	SubjectRecord      SubjectStrategy = "record"
	SubjectTopicRecord SubjectStrategy = "topic_record"
)

// OnIncompatible says what becomes of a schema that its subject refuses.
type OnIncompatible string

// What becomes of it.
const (
	IncompatibleHalt       OnIncompatible = "halt"
	IncompatibleNewSubject OnIncompatible = "new_subject"
)

// Docs says where the docs of registered schemas come from.
type Docs string

// Where they come from.
const (
	DocsNone     Docs = "none"
	DocsDescribe Docs = "describe"
)

// Format is the encoding of record values.
type Format string

// The formats.
const (
	FormatAvro Format = "avro"
	FormatJSON Format = "json"
	FormatRaw  Format = "raw"
)

// Envelope is the shape of record values.
type Envelope string

// The envelopes.
const (
	EnvelopeEvent    Envelope = "event"    // Salesforce's own
	EnvelopeFlat     Envelope = "flat"     // one row
	EnvelopeDebezium Envelope = "debezium" // a change as Debezium has it
)

// Delivery is the promise about records and positions.
type Delivery string

// The promises.
const (
	ExactlyOnce Delivery = "exactly_once"
	AtLeastOnce Delivery = "at_least_once"
)

// Topics says where records go and how missing topics are made.
type Topics struct {
	Template          string // placeholders {{.Prefix}} {{.Object}} {{.Channel}} {{.ChangeType}}
	Prefix            string
	Map               map[string]string // templates of single objects, by API name
	Routes            []TopicRoute      // for objects that Map has not: the first that matches
	KeyFormat         KeyFormat
	Create            bool
	Partitions        int32 // -1 is the broker's default
	ReplicationFactor int16 // -1 is the broker's default
	Settings          map[string]string
}

// TopicRoute sends the objects whose whole API name matches to a topic.
type TopicRoute struct {
	Match string // regular expression
	Topic string // template, which may have groups of Match: {{.Match1}}, {{.Match.name}}
}

// KeyFormat is the encoding of record keys.
type KeyFormat string

// The formats of keys.
const (
	KeyString KeyFormat = "string"
	KeyAvro   KeyFormat = "avro"
)

// InternalTopics says how the bridge's own topics are made.
type InternalTopics struct {
	Create            bool
	ReplicationFactor int16 // -1 is the broker's default
	Settings          map[string]string
}

// DeadLetter is where events go that cannot become records.
type DeadLetter struct {
	Topic string
}

// Batch bounds what one transaction takes.
type Batch struct {
	MaxEvents int
	MaxBytes  int
}

// Watchdog says how silent change-data streams are questioned: whether rows were
// changed of which no event came.
type Watchdog struct {
	Every          time.Duration // between two questions about a silent stream
	Delay          time.Duration // how late an event may come
	DailyCalls     int           // most API calls of a day; 0 is no watchdog
	ReservePercent int           // of the org's daily API requests, which are left to others
}

// Ops is the HTTP server for probes and metrics.
type Ops struct {
	Listen string // host:port or :port
}

// LogLevel is the least severity that is logged.
type LogLevel string

// The levels.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// LogFormat is the shape of log lines.
type LogFormat string

// The formats.
const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// Log is the logger's set-up.
type Log struct {
	Level  LogLevel
	Format LogFormat
}
