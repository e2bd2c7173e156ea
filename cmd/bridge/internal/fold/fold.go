package fold

import (
	"hash/maphash"
	"iter"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

// Config says what is read and what is kept.
type Config struct {
	// Client reads the topics. It must have been made with the options of
	// [ClientOptions], consume nothing else, and be of no group. Nil where records are
	// given to [Fold.Apply] alone.
	Client *kgo.Client
	// Topics of the object's records. Several are right only if no record of one id is
	// in two of them.
	Topics []string
	// Object is the API name, as the header sf-object has it. Records of others are
	// left out; empty: none are.
	Object string
	// Org is the 18-character id, as the header sf-org has it, likewise.
	Org string
	// Keep says of which records the fields are kept. Nil: of none, and values are not
	// looked at.
	Keep func(id string) bool
	// Values keeps the values of fields beside their checksums.
	Values bool
	// Format is that of the values; they may be of another one as well, except Raw,
	// which has no records.
	Format transform.Format
	// Decoder reads values whose schema is in a registry; nil for none.
	Decoder transform.ValueDecoder
	// Changed is called after each record that was folded, with its id. Nil: nobody is
	// told.
	Changed func(id string)
	// Progress is called from time to time while Read reads, with how many offsets it has
	// passed of those that it began with. Nil: nobody is told.
	Progress func(done, of int64)
}

// ClientOptions are what a client needs for [Config].
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a transaction is a record of the log, often the last one: without
		// it the end of a partition would never be reached.
		kgo.KeepControlRecords(),
	}
}

// Fold is what topics say of the records of an object. Make it with [New].
type Fold struct {
	cfg    Config
	alive  IDSet
	rows   map[id]*Row
	names  names
	seed   maphash.Seed
	counts Counts
	// next is the offset of each partition that is read next.
	next map[place]int64
	// failed is the error of a record, behind which nothing is right.
	failed error
}

type place struct {
	topic     string
	partition int32
}

// Counts are of records that were folded.
type Counts struct {
	Records int // all of the object
	// Contained are those that a SNAPSHOT before them contains.
	Contained int
	// Open are those that speak of no single record: wildcards and overflows.
	Open int
}

// New checks the configuration; it reads nothing. Its error is a *[ConfigError].
func New(cfg Config) (*Fold, error) {
	switch {
	case cfg.Format == transform.Raw && cfg.Keep != nil:
		return nil, &ConfigError{
			Setting: "the format", Problem: "is raw, whose values are what Salesforce sent and no records of a schema",
			Try: "format: json or avro; ids alone can be read of raw, too",
		}
	case cfg.Client != nil && !committedOnly(cfg.Client):
		return nil, &ConfigError{Setting: "the client", Problem: "does not read committed records and the ends of transactions", Try: "fold.ClientOptions"}
	case cfg.Client != nil && len(cfg.Topics) == 0:
		return nil, &ConfigError{Setting: "the topics", Problem: "are none", Try: "the topics that the object's records go to"}
	}
	return &Fold{cfg: cfg, rows: make(map[id]*Row), seed: maphash.MakeSeed(), next: make(map[place]int64)}, nil
}

// committedOnly says whether a client was made with the options of ClientOptions.
func committedOnly(cl *kgo.Client) bool {
	const readCommitted = int8(1) // as the protocol has it
	return cl.OptValue(kgo.FetchIsolationLevel) == readCommitted && cl.OptValue(kgo.KeepControlRecords) == true
}

// Len is how many records there are.
func (f *Fold) Len() int { return f.alive.Len() }

// Has says whether there is a record.
func (f *Fold) Has(id string) bool { return f.alive.Has(id) }

// IDs yields the ids of all records, with 18 characters, in the order of bytes. The Fold
// must not read meanwhile.
func (f *Fold) IDs() iter.Seq[string] { return f.alive.All() }

// Counts tells how many records were folded.
func (f *Fold) Counts() Counts { return f.counts }

// Row is what is known of a record's fields; false if there is no such record, or if
// its fields are not kept. It holds until the next record is folded.
func (f *Fold) Row(id string) (*Row, bool) {
	d, ok := packID(id)
	if !ok {
		return nil, false
	}
	row, ok := f.rows[d]
	return row, ok
}
