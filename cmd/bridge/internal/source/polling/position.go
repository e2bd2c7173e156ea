package polling

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// place is a point in the order of rows: by time, then by id. What lies at or before it
// is done; without an id, what lies before its time.
type place struct {
	at time.Time
	id string
}

// before says whether a point lies behind the place. Ids of one second are compared as
// Salesforce orders them, by their bytes, only where both came from one reply of it.
func (p place) before(at time.Time, id string) bool {
	if !at.Equal(p.at) {
		return at.After(p.at)
	}
	return p.id == "" || id > p.id
}

// progress is how far a stream is, and what its positions say.
type progress struct {
	rows      place
	deletions place // zero where the list of deletions is not asked, or for all of it
	seen      memory
	// looked is, by our clock, when the last look began that came to its end: what was
	// deleted before it is known. Zero: nobody knows, or asks.
	looked time.Time
	// beginning says that nothing of the stream is in its topic, so that deletions from
	// before need not be known; latest that it begins with what changes from now on.
	beginning, latest bool
}

// earliest is a time before every row that SOQL has a literal for.
func earliest() time.Time { return time.Date(1700, 1, 2, 0, 0, 0, 0, time.UTC) }

const positionVersion = "1"

// token writes a position, such as
//
//	1;rows=1772700000,001xx0000000001AAA;deletions=1772699940;looked=1772700031;seen=…
func (p *progress) token() string {
	var b strings.Builder
	b.WriteString(positionVersion + ";rows=" + p.rows.text())
	if !p.deletions.at.IsZero() {
		b.WriteString(";deletions=" + p.deletions.text())
	}
	if !p.looked.IsZero() {
		b.WriteString(";looked=" + place{at: p.looked}.text())
	}
	if len(p.seen.entries) > 0 {
		b.WriteString(";seen=" + base64.RawURLEncoding.EncodeToString(p.seen.appendTo(nil)))
	}
	return b.String()
}

// Everything is the position of a stream that reads all rows.
func Everything() replay.Position { return Since(earliest()) }

// Since is the position of a stream that reads the rows that changed since a time, and
// the deletions that Salesforce remembers since then.
func Since(t time.Time) replay.Position {
	p := progress{rows: place{at: t.UTC().Truncate(time.Second)}}
	if t.After(earliest()) {
		p.deletions, p.looked = p.rows, p.rows.at
	}
	return replay.Position(p.token())
}

func (p place) text() string {
	text := strconv.FormatInt(p.at.Unix(), 10)
	if p.id != "" {
		text += "," + p.id
	}
	return text
}

func parsePlace(text string) (place, error) {
	seconds, id, _ := strings.Cut(text, ",")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("%q is no place among rows", text)
	}
	return place{at: time.Unix(n, 0).UTC(), id: id}, nil
}

// parse reads a position. Nothing in it is guessed (I5).
func parse(token replay.Position) (progress, error) {
	version, rest, _ := strings.Cut(string(token), ";")
	if version != positionVersion {
		return progress{}, fmt.Errorf("it is of version %q, and this bridge knows version %s", version, positionVersion)
	}
	var p progress
	for part := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "rows":
			p.rows, err = parsePlace(value)
		case "deletions":
			p.deletions, err = parsePlace(value)
		case "looked":
			var at place
			at, err = parsePlace(value)
			p.looked = at.at
		case "seen":
			var text []byte
			if text, err = base64.RawURLEncoding.DecodeString(value); err == nil {
				err = p.seen.readFrom(text)
			}
		default:
			err = fmt.Errorf("%q is not known", key)
		}
		if err != nil {
			return progress{}, err
		}
	}
	if p.rows.at.IsZero() {
		return progress{}, fmt.Errorf("it has no rows")
	}
	return p, nil
}

// from is where a stream begins.
func from(channel string, start pipeline.Start) (progress, error) {
	if start.Earliest || start.Latest {
		return progress{rows: place{at: earliest()}, beginning: true, latest: start.Latest}, nil
	}
	p, err := parse(start.After)
	if err != nil {
		return p, &pipeline.PositionError{Channel: channel, Position: string(start.After), Err: err}
	}
	return p, nil
}

// clocksDiffer is more than our clock and the org's do.
const clocksDiffer = 24 * time.Hour

// settle says what the beginning means, when the time of the row that changed last is
// known; of an object without rows it is zero, and all that comes is new. It is the org's
// time, so that no two clocks are compared; what happened within the overlap before may
// still become visible. listed says whether the list of deletions is asked for.
func (p *progress) settle(last time.Time, overlap time.Duration, listed bool) {
	begin := last.Add(-overlap - time.Second).Truncate(time.Second)
	if p.latest && !last.IsZero() {
		p.rows = place{at: begin}
	}
	p.latest = false
	switch {
	case !listed:
		p.deletions = place{}
	case p.beginning && p.deletions.at.IsZero():
		p.deletions = place{at: begin}
		if before := time.Now().UTC().Add(-clocksDiffer).Truncate(time.Second); begin.Before(before) { // nothing has changed for long
			p.deletions.at = before
		}
	}
}
