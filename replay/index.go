package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Moment is a place of a stream whose time is known: the last event before the
// position happened then. A stream has a few of them for the last days, so that a
// time can be turned into a position.
type Moment struct {
	Key      Key
	Time     time.Time // millisecond precision, UTC
	Position Position
	// Generation is that of the entry whose position it was.
	Generation int
}

const (
	// IndexEvery is the time between two moments that the index of a stream keeps.
	IndexEvery = 15 * time.Minute
	// indexSlots bounds the index: a moment takes the place of the one that is four
	// days older, longer than Salesforce retains any event.
	indexSlots = int64(4 * 24 * time.Hour / IndexEvery)

	indexPrefix = "index/"
)

type wireMoment struct {
	V          int       `json:"v"`
	Position   string    `json:"position"`
	Time       time.Time `json:"time"`
	Generation int       `json:"generation,omitempty"`
}

// Slot is the part of the index that a time belongs to. Of each, one moment is
// kept.
func Slot(t time.Time) int64 { return t.UnixMilli() / IndexEvery.Milliseconds() }

func (m Moment) recordKey() string {
	slot := Slot(m.Time) % indexSlots
	return indexPrefix + strconv.FormatInt(slot, 10) + "/" + m.Key.Org + m.Key.Channel
}

// MomentRecord returns the record that enters m into the stream's index, its
// partition set. It is to be committed together with the position. It panics for
// an entry that Record would not take.
func (s *Store) MomentRecord(m Moment) *kgo.Record {
	r := s.Record(Entry{Key: m.Key, Position: m.Position}) // for its checks, and its partition
	r.Key = []byte(m.recordKey())
	r.Value = encode(wireMoment{V: version, Position: string(m.Position), Time: m.Time.UTC().Truncate(time.Millisecond), Generation: m.Generation})
	return r
}

// decodeMoment reads a record of the index.
func decodeMoment(key string, value []byte) (Moment, error) {
	slot, stream, ok := strings.Cut(strings.TrimPrefix(key, indexPrefix), "/")
	if !ok {
		return Moment{}, errors.New("its key has no slot")
	}
	k, err := ParseKey(streamPrefix + stream)
	if err != nil {
		return Moment{}, err
	}
	var w wireMoment
	if err := decode(value, &w); err != nil {
		return Moment{}, err
	}
	m := Moment{Key: k, Time: w.Time.UTC(), Position: Position(w.Position), Generation: w.Generation}
	if m.Position == "" || m.Time.IsZero() {
		return Moment{}, errors.New("position or time is missing")
	}
	if n, err := strconv.ParseInt(slot, 10, 64); err != nil || n != Slot(m.Time)%indexSlots {
		return Moment{}, fmt.Errorf("its time %s does not belong into slot %q", m.Time, slot)
	}
	return m, nil
}

// Index returns the moments of a stream that are committed when it is called, in
// the order of their times: those of its present generation, since the positions of
// an older one mean nothing any more.
func (s *Store) Index(ctx context.Context, k Key) ([]Moment, error) {
	start, lane := time.Now(), s.LaneOf(k)
	last, err := s.latest(ctx, lane)
	if err != nil {
		return nil, s.typed(err, fmt.Sprintf("reading lane %d", lane), start)
	}
	entries, err := s.decode(lane, last)
	if err != nil {
		return nil, err
	}
	var out []Moment
	for key, r := range last {
		if r.Value == nil || !strings.HasPrefix(key, indexPrefix) {
			continue
		}
		if m, err := decodeMoment(key, r.Value); err == nil && m.Key == k && m.Generation == entries[k].Generation { // decode has judged it already
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Moment) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// Before returns the latest of the moments, which are in order, that is not later
// than t, and whether there is one.
func Before(moments []Moment, t time.Time) (Moment, bool) {
	n, exact := slices.BinarySearchFunc(moments, t, func(m Moment, t time.Time) int { return m.Time.Compare(t) })
	if exact {
		return moments[n], true
	}
	if n == 0 {
		return Moment{}, false
	}
	return moments[n-1], true
}
