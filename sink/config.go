package sink

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Delivery says what a Commit guarantees.
type Delivery uint8

const (
	// ExactlyOnce writes records and positions in one Kafka transaction.
	ExactlyOnce Delivery = iota
	// AtLeastOnce writes the records, waits for their acknowledgement, then
	// writes the positions: for brokers or ACLs without transactions. A
	// commit that fails in between, or a takeover, writes records again.
	AtLeastOnce
)

// String gives the spelling of the configuration file.
func (d Delivery) String() string {
	switch d {
	case ExactlyOnce:
		return "exactly_once"
	case AtLeastOnce:
		return "at_least_once"
	default:
		return fmt.Sprintf("Delivery(%d)", uint8(d))
	}
}

// Compression is the codec of produced batches.
type Compression string

// The codecs. The zero value of Compression means CompressLZ4.
const (
	CompressNone   Compression = "none"
	CompressGzip   Compression = "gzip"
	CompressSnappy Compression = "snappy"
	CompressLZ4    Compression = "lz4"
	CompressZstd   Compression = "zstd"
)

// TopicConfig says how the topics of records come to be.
type TopicConfig struct {
	// Create allows creating a topic that a record names and that does not
	// exist. If false, such a topic is a *TopicError.
	Create bool
	// Partitions of a created topic; 0 or -1 leaves it to the broker.
	Partitions int32
	// ReplicationFactor of a created topic; 0 or -1 leaves it to the broker.
	ReplicationFactor int16
	// Settings of a created topic, such as "retention.ms".
	Settings map[string]string
}

// Place is a partition.
type Place struct {
	Topic     string
	Partition int32
}

// Config is what Open needs.
type Config struct {
	// Client holds the options of the connection: seed brokers, TLS, SASL,
	// client id, hooks. Options that decide about delivery are set by this
	// package and win over those given here.
	Client []kgo.Opt
	// TransactionalID is required for ExactlyOnce and must be the same for
	// every instance that may own this lane, and different between lanes.
	TransactionalID string
	Delivery        Delivery
	// Positions is where the positions of this transactional id go, if they go to
	// one place. What a torn transaction has left open there is ended before Open
	// returns: later, the coordinator may have forgotten how it ended.
	Positions Place
	// TransactionTimeout bounds a Commit, and is what the broker is told:
	// after it, the broker aborts a transaction on its own. At most the
	// broker's transaction.max.timeout.ms. Default 60 s, at least 1 s.
	TransactionTimeout time.Duration
	// Grace bounds what must go on after a failure or the end of a context:
	// waiting for requests in flight, the abort, the answer to an end
	// request that is under way. Default 5 s.
	Grace time.Duration
	// OpenTimeout bounds Open, except while it ends a torn transaction: that takes
	// twice TransactionTimeout at most. Default 30 s.
	OpenTimeout time.Duration
	Topics      TopicConfig
	// Special has what differs for single topics, by name.
	Special     map[string]TopicConfig
	Compression Compression
}

// withDefaults is a copy in which -1 stands for what is left to the broker.
func (t TopicConfig) withDefaults() TopicConfig {
	if t.Partitions == 0 {
		t.Partitions = -1
	}
	if t.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	t.Settings = maps.Clone(t.Settings)
	return t
}

// topic is the configuration that holds for a topic of records.
func (c Config) topic(name string) TopicConfig {
	if special, ok := c.Special[name]; ok {
		return special
	}
	return c.Topics
}

const (
	defaultTransactionTimeout = 60 * time.Second
	defaultGrace              = 5 * time.Second
	defaultOpenTimeout        = 30 * time.Second

	// Kafka's default of message.max.bytes, assumed where a topic's own
	// setting cannot be read. If the broker takes less, it says so.
	defaultMaxMessageBytes = 1048588
)

func (c Config) withDefaults() (Config, error) {
	if c.Delivery != ExactlyOnce && c.Delivery != AtLeastOnce {
		return c, &ConfigError{Field: "Delivery", Err: fmt.Errorf("%s is neither exactly_once nor at_least_once", c.Delivery)}
	}
	if c.Delivery == ExactlyOnce && c.TransactionalID == "" {
		return c, &ConfigError{Field: "TransactionalID", Err: errors.New("exactly_once needs one")}
	}
	for _, d := range []struct {
		field string
		v     *time.Duration
		def   time.Duration
		least time.Duration
	}{
		{"TransactionTimeout", &c.TransactionTimeout, defaultTransactionTimeout, time.Second},
		{"Grace", &c.Grace, defaultGrace, time.Millisecond},
		{"OpenTimeout", &c.OpenTimeout, defaultOpenTimeout, time.Millisecond},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < d.least {
			return c, &ConfigError{Field: d.field, Err: fmt.Errorf("%s is less than %s", *d.v, d.least)}
		}
	}
	c.Topics = c.Topics.withDefaults()
	c.Special = maps.Clone(c.Special)
	for name, special := range c.Special {
		c.Special[name] = special.withDefaults()
	}
	if c.Compression == "" {
		c.Compression = CompressLZ4
	}
	return c, nil
}

func (c Config) codec() (kgo.CompressionCodec, error) {
	switch c.Compression {
	case CompressNone:
		return kgo.NoCompression(), nil
	case CompressGzip:
		return kgo.GzipCompression(), nil
	case CompressSnappy:
		return kgo.SnappyCompression(), nil
	case CompressLZ4:
		return kgo.Lz4Compression(), nil
	case CompressZstd:
		return kgo.ZstdCompression(), nil
	default:
		return kgo.CompressionCodec{}, &ConfigError{Field: "Compression", Err: fmt.Errorf("%q is none of none, gzip, snappy, lz4, zstd", string(c.Compression))}
	}
}

// options puts our settings after the caller's, so that ours win: no default
// of the client, and no option of the caller, decides about delivery.
func (p *Producer) options() ([]kgo.Opt, error) {
	codec, err := p.cfg.codec()
	if err != nil {
		return nil, err
	}
	opts := append([]kgo.Opt{}, p.cfg.Client...)
	opts = append(opts,
		kgo.WithHooks(p.watch),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(partitioner{inner: kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytesFn(p.limits.forClient),
		// A record is never given up on while its transaction may live: what
		// bounds a Commit is its context, in one place.
		kgo.RecordRetries(1<<30),
		// A topic that was just created is known to one broker before it is
		// known to all.
		kgo.UnknownTopicRetries(10),
		// Proxies in front of restarting brokers accept and close at once.
		// That is not a wrong TLS setting, and worth another try.
		kgo.AlwaysRetryEOF(),
		// How long an answer about topics and leaders is kept at least. The
		// client's 5 s would be a pause of that length whenever a topic was
		// just created or a leader just moved.
		kgo.MetadataMinAge(250*time.Millisecond),
		// Produce blocks above this, so that a large Commit is throttled
		// rather than refused.
		kgo.MaxBufferedRecords(10_000),
		// Long enough to fill batches while Commit hands over its records;
		// the flush at the end does not wait for it.
		kgo.ProducerLinger(10*time.Millisecond),
	)
	if p.cfg.Delivery == ExactlyOnce {
		opts = append(opts,
			kgo.TransactionalID(p.cfg.TransactionalID),
			kgo.TransactionTimeout(p.cfg.TransactionTimeout),
		)
	}
	return opts, nil
}
