package config

import (
	"strings"
	"time"
)

// StreamSource is where the events of a stream come from.
type StreamSource string

// The sources.
const (
	SourceCometD StreamSource = "cometd" // a channel of the streaming API
	SourceQuery  StreamSource = "query"  // rows that are asked for again and again
)

// Query is what a stream with SourceQuery asks for.
type Query struct {
	Object           string // read whole; "" if SOQL says what
	SOQL             string
	Name             string // of the stream, with SOQL
	Every            time.Duration
	IncrementalField IncrementalField
	Deletions        Deletions
	Overlap          time.Duration
}

// IncrementalField is the field by which the rows that changed are found.
type IncrementalField string

// The fields that move.
const (
	FieldSystemModstamp   IncrementalField = "SystemModstamp"
	FieldLastModifiedDate IncrementalField = "LastModifiedDate"
	FieldCreatedDate      IncrementalField = "CreatedDate"
)

// Deletions says how deleted records are found.
type Deletions string

// The ways; DeletionsAuto is by what the object has.
const (
	DeletionsAuto     Deletions = "auto"
	DeletionsQueryAll Deletions = "query_all"
	DeletionsDeleted  Deletions = "deleted"
	DeletionsNone     Deletions = "none"
)

// queryChannel is what the channel of rows begins with.
const queryChannel = "/query/"

// maxQueryName is how long the name of a query may be: as a PushTopic's, and some more.
const maxQueryName = 40

// queryFields are the keys of a stream of rows.
func queryFields(s *Stream) []field {
	q := &s.Query
	return []field{
		{key: "source", def: string(SourceCometD), value: choice(&s.Source, SourceCometD, SourceQuery),
			meaning: "Where the stream comes from: a channel of the streaming API, or queries, for objects of which Salesforce sends no change events. With query the stream has object or soql in place of channel."},
		{key: "object", example: "Entitlement", optional: true, value: checked(&q.Object, "object", checkEntity),
			meaning: "Object whose rows are read, with all fields that change events have. source: query only."},
		{key: "soql", example: "SELECT Id, SystemModstamp, Owner.Name FROM Entitlement", optional: true, value: text(&q.SOQL),
			meaning: "Query in place of object: SELECT with names of fields, one object, and a condition or none. It selects Id and the incremental field; parents' fields and date literals are allowed. Of rows that the condition does not select any more nothing is told. source: query only."},
		{key: "name", example: "active_entitlements", optional: true, value: checked(&q.Name, "name", checkQueryName),
			meaning: "Name of a stream with soql: its channel is /query/<name>, and {{.Object}} is the name."},
		{key: "every", def: "1m", optional: true, value: duration(&q.Every, time.Second, 24*time.Hour),
			meaning: "How often is asked, which costs a call of the org's API allowance, and more where rows have changed. source: query only."},
		{key: "incremental_field", def: string(FieldSystemModstamp), optional: true, value: choice(&q.IncrementalField, FieldSystemModstamp, FieldLastModifiedDate, FieldCreatedDate),
			meaning: "Field by which changed rows are found. CreatedDate finds new rows alone. source: query only."},
		{key: "deletions", def: string(DeletionsAuto), optional: true, value: choice(&q.Deletions, DeletionsAuto, DeletionsQueryAll, DeletionsDeleted, DeletionsNone),
			meaning: "How deleted records are found: query_all reads the recycle bin with the rows, deleted asks for the list that Salesforce keeps for some 15 days, which costs a call more each time, and another where there are some, and has what was deleted for good, too; none finds none. auto is query_all for objects with IsDeleted and SystemModstamp, deleted for others. source: query only."},
		{key: "overlap", def: "30s", optional: true, value: duration(&q.Overlap, 2*time.Second, time.Hour),
			meaning: "How late a change may become visible: rows of this time are read again, and left out if they are as they were. A transaction of Salesforce's may take ten minutes; what becomes visible later than this is not found. source: query only."},
	}
}

func checkQueryName(s string) *valueError {
	if !isName(s) || len(s) > maxQueryName {
		return &valueError{message: quote(s) + " is not a name of a query", hint: "a letter, and up to 39 letters, digits and underscores"}
	}
	return nil
}

// channel is the name that the stream has where others have Salesforce's.
func (q *Query) channel() string {
	if q.SOQL != "" {
		return queryChannel + q.Name
	}
	return queryChannel + q.Object
}

// checkQueries gives streams of rows their channels, and holds which keys go together.
func (w *walker) checkQueries(c *Config) {
	for i := range c.Streams {
		s, path := &c.Streams[i], index("streams", i)
		if w.bad[path+".source"] {
			continue
		}
		if s.Source != SourceQuery {
			w.checkNoQuery(path, s)
			continue
		}
		for _, key := range []string{"channel", "retention"} {
			if p := path + "." + key; w.given(p) {
				w.fail(w.line(p), p, "is not for source: query", "its removal")
			}
		}
		if w.checkQuery(path, &s.Query) {
			s.Channel, s.Kind, s.Multi = s.Query.channel(), Rows, false
		}
		if p := path + ".start"; s.Start.At == StartAfter && !w.bad[p] {
			w.fail(w.line(p), p, "is a replay id, and rows have none", "latest, or earliest for all rows")
		}
		if c.Format == FormatRaw && !w.bad["format"] {
			w.fail(w.line(path+".source"), path+".source", "format raw has the payload as Salesforce sent it, and rows are no events of Salesforce's", "format avro or json")
		}
	}
}

// checkNoQuery holds that a channel has no keys of a query.
func (w *walker) checkNoQuery(path string, s *Stream) {
	if w.given(path+".source") && s.Channel == "" && !w.bad[path+".channel"] {
		w.fail(w.line(path), path+".channel", "is required", "channel: /data/AccountChangeEvent")
	}
	for _, f := range queryFields(s)[1:] {
		if p := path + "." + f.key; w.given(p) {
			w.fail(w.line(p), p, "is for source: query", "source: query in place of the channel, or its removal")
		}
	}
	s.Query = Query{}
}

// checkQuery says whether it is known what a query asks for.
func (w *walker) checkQuery(path string, q *Query) bool {
	object, soql, name := path+".object", path+".soql", path+".name"
	switch {
	case w.bad[object] || w.bad[soql] || w.bad[name]:
		return false
	case q.Object != "" && q.SOQL != "":
		w.fail(w.line(soql), soql, "excludes object", "only one of the two")
	case q.Object == "" && strings.TrimSpace(q.SOQL) == "":
		w.fail(w.line(path), object, "is required by source: query", "object: Entitlement, or soql: with name:")
	case q.SOQL != "" && q.Name == "":
		w.fail(w.line(soql), name, "is required by soql", "name: active_entitlements")
	case q.Object != "" && q.Name != "":
		w.fail(w.line(name), name, "is for soql; a stream with object is called after it", "its removal")
	default:
		return w.checkDeletions(path, q)
	}
	return false
}

// checkDeletions holds what the ways to find deleted records need.
func (w *walker) checkDeletions(path string, q *Query) bool {
	if p := path + ".deletions"; q.Deletions == DeletionsQueryAll && q.IncrementalField != FieldSystemModstamp {
		w.fail(w.line(p), p, "query_all needs incremental_field: SystemModstamp: a deletion moves no other field", "deletions: deleted")
		return false
	}
	return true
}
