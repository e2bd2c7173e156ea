package polling

import (
	"context"
	"time"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
)

// Deletions says how deleted records are found.
type Deletions string

// The ways to find them.
const (
	// DeletionsAuto is QueryAll where the object and the field allow it, else Deleted.
	DeletionsAuto Deletions = ""
	// QueryAll reads the rows in the recycle bin: those whose IsDeleted is true.
	QueryAll Deletions = "query_all"
	// Deleted asks for the list of deletions that Salesforce keeps for some 15 days.
	Deleted Deletions = "deleted"
	// NoDeletions finds none.
	NoDeletions Deletions = "none"
)

const (
	defaultEvery   = time.Minute
	defaultOverlap = 30 * time.Second
	defaultPage    = 1000
	defaultBytes   = 2 << 20
	largestPage    = 2000 // what Salesforce puts into one reply
	// maxRemembered bounds what a position holds: about 14 kB of text when it is full.
	maxRemembered = 500
	// describeEvery is how long a description of an object is believed: a field that was
	// added becomes part of the rows after this time at the latest.
	describeEvery = time.Hour
)

// Stream is what is read for one stream.
type Stream struct {
	// Object is read whole, by all fields that change events have.
	Object string
	// SOQL is a query in place of Object: SELECT fields FROM object, with or without a
	// condition.
	SOQL string
	// Every is the time between two looks. 0: a minute.
	Every time.Duration
	// Field is the field that moves with each change. Empty: SystemModstamp.
	Field     string
	Deletions Deletions
	// Overlap is how late a change may become visible. 0: 30 seconds.
	Overlap time.Duration
}

// Config is what a source needs.
type Config struct {
	Client *salesforce.Client // required
	// OrgID is the org that is read, for entries of the gap ledger.
	OrgID string
	// Catalog is told the schemas of the rows. Required.
	Catalog *schemas.Catalog
	// Streams by channel. Required.
	Streams map[string]Stream
	// MaxEvents and MaxBytes bound a batch. 0: 1,000 and 2 MiB.
	MaxEvents, MaxBytes int
	// Spend is called before requests with their number, see [salesforce.ReaderConfig].
	// Nil: nobody counts.
	Spend func(ctx context.Context, calls int) error
	// Warn is told what should be looked at and stops nothing. Nil: nobody is.
	Warn func(channel, text string)

	// open makes the table of a stream, and remember is how many rows a position may
	// hold. Tests have others.
	open     func(ctx context.Context, s *stream) error
	remember int
}

func (c *Config) fill() {
	if c.MaxEvents <= 0 {
		c.MaxEvents = defaultPage
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultBytes
	}
	if c.remember <= 0 {
		c.remember = maxRemembered
	}
	if c.Spend == nil {
		c.Spend = func(context.Context, int) error { return nil }
	}
	if c.Warn == nil {
		c.Warn = func(string, string) {}
	}
}

func (s Stream) filled() Stream {
	if s.Every <= 0 {
		s.Every = defaultEvery
	}
	if s.Overlap <= 0 {
		s.Overlap = defaultOverlap
	}
	if s.Field == "" {
		s.Field = fieldModstamp
	}
	return s
}
