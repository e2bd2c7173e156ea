package replay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Position is where a stream resumes. It is opaque (I4): nobody but the source
// that made it knows what it means, and nobody compares two of them.
type Position string

// Entry is what is known about a stream's position.
type Entry struct {
	Key      Key
	Position Position // required, unless Since is set
	// Since says that the stream was told to begin at that time: what happened
	// before it is not wanted, however far back the position lies. It stands
	// alone until the stream's first event, and beside the position until the
	// first event that is wanted. Millisecond precision, UTC.
	Since time.Time
	// EventTime is when the last event before the position happened at
	// Salesforce; zero if that is not known. Kept in UTC.
	EventTime time.Time
	// Seen is up to when the stream is known to have had nothing behind the
	// position; zero if it is not known to be later than EventTime. On a quiet
	// stream it says how far back a reader that comes late has to look. UTC.
	Seen time.Time
	// Updated is when the position was written, by the writer's clock. UTC.
	Updated time.Time
	Source  string // the kind of source that made the position: "cometd"
	Owner   string // the instance that wrote it, for people
	// OrgInstance is where the org lived when the position was made, by
	// Salesforce's name for it (USA412); empty if that was not known. Elsewhere
	// the position may be refused or, worse, mean something else.
	OrgInstance string
	// Generation counts how often the stream's positions have begun anew. Those of
	// two generations have nothing to do with each other.
	Generation int
}

// version of the values that this package writes, and the only one it reads.
const version = 1

// wireEntry is the value of a position record. Its order of fields is the order
// on the wire; testdata holds the golden form.
type wireEntry struct {
	V              int        `json:"v"`
	Position       string     `json:"position,omitempty"`
	PositionBase64 string     `json:"position_base64,omitempty"`
	Since          *time.Time `json:"since,omitempty"`
	Source         string     `json:"source"`
	EventTime      *time.Time `json:"event_time,omitempty"`
	Seen           *time.Time `json:"seen,omitempty"`
	Updated        *time.Time `json:"updated,omitempty"`
	Owner          string     `json:"owner,omitempty"`
	OrgInstance    string     `json:"org_instance,omitempty"`
	Generation     int        `json:"generation,omitempty"`
}

// wireBarrier is the value of a barrier record. The org is in it so that a lane
// without any stream still says whose it is.
type wireBarrier struct {
	V     int    `json:"v"`
	Org   string `json:"org"`
	Token string `json:"token"`
}

func (e Entry) check() error {
	if err := e.Key.check(); err != nil {
		return err
	}
	if e.Position == "" && e.Since.IsZero() {
		return fmt.Errorf("entry of %q has neither a position nor a time since when it is wanted", e.Key.String())
	}
	return nil
}

func encodeEntry(e Entry) []byte {
	w := wireEntry{
		V:         version,
		Since:     timeOrNil(e.Since),
		Source:    strings.ToValidUTF8(e.Source, "�"),
		EventTime: timeOrNil(e.EventTime),
		Seen:      timeOrNil(e.Seen),
		Updated:   timeOrNil(e.Updated),
		Owner:     strings.ToValidUTF8(e.Owner, "�"),

		OrgInstance: strings.ToValidUTF8(e.OrgInstance, "�"),
		Generation:  e.Generation,
	}
	if p := string(e.Position); utf8.ValidString(p) {
		w.Position = p
	} else {
		// JSON would replace what is not UTF-8, and the position with it.
		w.PositionBase64 = base64.StdEncoding.EncodeToString([]byte(p))
	}
	return encode(w)
}

// Text is the entry as the topic holds it: one line of strict JSON with a version,
// without the key.
func (e Entry) Text() []byte { return encodeEntry(e) }

// ReadEntry reads the text of the entry of a stream.
func ReadEntry(k Key, text []byte) (Entry, error) {
	if err := k.check(); err != nil {
		return Entry{}, err
	}
	return decodeEntry(k, text)
}

func decodeEntry(k Key, value []byte) (Entry, error) {
	var w wireEntry
	if err := decode(value, &w); err != nil {
		return Entry{}, err
	}
	e := Entry{Key: k, Position: Position(w.Position), Source: w.Source, Owner: w.Owner, OrgInstance: w.OrgInstance, Generation: w.Generation}
	if w.PositionBase64 != "" {
		if w.Position != "" {
			return Entry{}, errors.New("both position and position_base64 are set")
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(w.PositionBase64)
		if err != nil {
			return Entry{}, fmt.Errorf("position_base64: %w", err)
		}
		e.Position = Position(raw)
	}
	for _, t := range []struct {
		wire *time.Time
		to   *time.Time
	}{{w.Since, &e.Since}, {w.EventTime, &e.EventTime}, {w.Seen, &e.Seen}, {w.Updated, &e.Updated}} {
		if t.wire == nil {
			continue
		}
		*t.to = t.wire.UTC()
		if !expressible(*t.to) {
			return Entry{}, fmt.Errorf("time %s is out of range", t.wire)
		}
	}
	if e.Position == "" && e.Since.IsZero() {
		return Entry{}, errors.New("there is no position in it")
	}
	return e, nil
}

func decodeBarrier(value []byte) (wireBarrier, error) {
	var w wireBarrier
	if err := decode(value, &w); err != nil {
		return wireBarrier{}, err
	}
	if w.Org == "" || w.Token == "" {
		return wireBarrier{}, errors.New("org or token is missing")
	}
	return w, nil
}

func timeOrNil(t time.Time) *time.Time {
	t = t.UTC()
	// A time that cannot be written is as good as unknown: nothing depends on
	// it, and a commit must not fail for it.
	if t.IsZero() || !expressible(t) {
		return nil
	}
	return &t
}

// expressible reports whether RFC 3339 has a form for t, which is in UTC.
func expressible(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// encode cannot fail: the structs above hold nothing that JSON cannot express.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("replay: encoding a value: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decode is strict: one JSON object of our version with no field that we do not
// know. The version is looked at first, since it explains the fields.
func decode(value []byte, into any) error {
	if !utf8.Valid(value) {
		return errors.New("value is not UTF-8")
	}
	var v struct {
		V *int `json:"v"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("value is not a JSON object of ours: %w", err)
	}
	switch {
	case v.V == nil:
		return errors.New("value has no version")
	case *v.V != version:
		return fmt.Errorf("value has version %d, this program reads version %d: was it written by a newer one?", *v.V, version)
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	return nil
}
