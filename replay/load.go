package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load reads a lane from its beginning until the barrier comes back, and
// returns the positions that were committed before it. The barrier must have
// been committed already, or be about to be. Load ends with ctx, and with
// nothing else while the brokers do not answer.
func (s *Store) Load(ctx context.Context, lane int32, b Barrier) (map[Key]Entry, error) {
	if b.lane != lane || b.topic != s.cfg.Topic || b.token == "" {
		return nil, fmt.Errorf("loading lane %d of topic %q with a barrier of lane %d of topic %q", lane, s.cfg.Topic, b.lane, b.topic)
	}
	start := time.Now()
	last := make(latest)
	r := s.reader(lane)
	err := r.start(ctx)
	for done := false; err == nil && !done; {
		var got page
		got, err = r.next(ctx, time.Second)
		for _, rec := range got.records {
			if b.matches(rec) {
				done = true
				break
			}
			last.add(rec)
		}
	}
	if err != nil {
		return nil, s.typed(err, fmt.Sprintf("loading lane %d", lane), start)
	}
	return s.decode(lane, last)
}

// matches reports whether rec is this barrier and not an older one.
func (b Barrier) matches(rec *kgo.Record) bool {
	if string(rec.Key) != barrierKey(b.lane) || rec.Value == nil {
		return false
	}
	w, err := decodeBarrier(rec.Value)
	return err == nil && w.Token == b.token
}

// Followed waits until another barrier is committed behind b, which has been: by
// then the lane has a new owner, who reads its positions. It ends with ctx, and with
// nothing else while the brokers do not answer.
func (s *Store) Followed(ctx context.Context, b Barrier) error {
	start := time.Now()
	r := s.reader(b.lane)
	err := r.start(ctx)
	for behind := false; err == nil; {
		var got page
		got, err = r.next(ctx, time.Second)
		for _, rec := range got.records {
			if behind && string(rec.Key) == barrierKey(b.lane) {
				return nil
			}
			behind = behind || b.matches(rec)
		}
	}
	return s.typed(err, fmt.Sprintf("waiting for the next owner of lane %d", b.lane), start)
}

// All returns every position that is committed when it is called, of all lanes.
// It writes nothing and fences nobody, so that a lane that has an owner may
// have moved on by the time it returns.
func (s *Store) All(ctx context.Context) (map[Key]Entry, error) {
	start := time.Now()
	all := make(map[Key]Entry)
	for lane := range int32(s.cfg.Lanes) {
		entries, err := s.upToEnd(ctx, lane)
		if err != nil {
			return nil, s.typed(err, fmt.Sprintf("reading lane %d", lane), start)
		}
		maps.Copy(all, entries)
	}
	return all, nil
}

// upToEnd returns what a lane holds at the end of its last finished transaction.
func (s *Store) upToEnd(ctx context.Context, lane int32) (map[Key]Entry, error) {
	last, err := s.latest(ctx, lane)
	if err != nil {
		return nil, err
	}
	return s.decode(lane, last)
}

// latest reads a lane up to the end of its last finished transaction.
func (s *Store) latest(ctx context.Context, lane int32) (latest, error) {
	r := s.reader(lane)
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	end, err := r.end(ctx)
	if err != nil {
		return nil, err
	}
	last := make(latest)
	for r.offset < end {
		got, err := r.next(ctx, 0)
		if err != nil {
			return nil, err
		}
		for _, rec := range got.records {
			last.add(rec)
		}
		if got.empty && got.stable >= end {
			break // what was between here and the end is compacted away
		}
	}
	return last, nil
}

// latest holds the last record of each key. Nothing is judged before the whole
// lane is read: the broker may compact the earlier records of a key away at any
// time, so they must not decide anything.
type latest map[string]*kgo.Record

func (l latest) add(r *kgo.Record) {
	key := string(r.Key)
	if r.Key == nil {
		// Cannot be overwritten by anything, and must not be overlooked.
		key = fmt.Sprintf("\x00%d", r.Offset)
	}
	l[key] = r
}

// decode turns what a lane holds into entries, and finds what must not be
// there.
func (s *Store) decode(lane int32, last latest) (map[Key]Entry, error) {
	entries := make(map[Key]Entry)
	var first error
	at := int64(-1)
	// The error of the lowest offset is the one that is told, so that the same
	// topic gives the same error.
	fail := func(r *kgo.Record, err error) {
		if first == nil || r.Offset < at {
			first, at = err, r.Offset
		}
	}
	for _, r := range last {
		e, ok, err := s.decodeRecord(lane, r)
		switch {
		case err != nil:
			fail(r, err)
		case ok:
			entries[e.Key] = e
		}
	}
	if first != nil {
		return nil, first
	}
	return entries, nil
}

// decodeRecord returns the entry in r, and whether there is one.
func (s *Store) decodeRecord(lane int32, r *kgo.Record) (Entry, bool, error) {
	unreadable := func(err error) error {
		return &UnreadableError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Key: shorten(r.Key), Err: err}
	}
	otherOrg := func(found string) error {
		return &OtherOrgError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Found: found, Want: s.cfg.Org}
	}
	key := string(r.Key)
	switch {
	case r.Key == nil:
		return Entry{}, false, unreadable(errors.New("it has no key"))
	case r.Value == nil:
		return Entry{}, false, nil // deleted, whatever it was
	case strings.HasPrefix(key, barrierPrefix):
		if key != barrierKey(lane) {
			return Entry{}, false, unreadable(fmt.Errorf("it is the barrier of another lane than %d", lane))
		}
		w, err := decodeBarrier(r.Value)
		if err != nil {
			return Entry{}, false, unreadable(err)
		}
		if w.Org != s.cfg.Org {
			return Entry{}, false, otherOrg(w.Org)
		}
		return Entry{}, false, nil
	}
	if strings.HasPrefix(key, indexPrefix) || strings.HasPrefix(key, notePrefix) || strings.HasPrefix(key, taskPrefix) {
		org, err := s.decodeBeside(lane, r)
		switch {
		case isOurs(err):
			return Entry{}, false, err
		case err != nil:
			return Entry{}, false, unreadable(err)
		case org != s.cfg.Org:
			return Entry{}, false, otherOrg(org)
		}
		return Entry{}, false, nil
	}
	k, err := ParseKey(key)
	if err != nil {
		return Entry{}, false, unreadable(err)
	}
	if k.Org != s.cfg.Org {
		return Entry{}, false, otherOrg(k.Org)
	}
	e, err := decodeEntry(k, r.Value)
	if err != nil {
		return Entry{}, false, unreadable(err)
	}
	// Last, so that a misplaced record is one that can be read and moved.
	if want := s.LaneOf(k); want != lane {
		return Entry{}, false, &MisplacedKeyError{Topic: s.cfg.Topic, Key: k, Partition: lane, Want: want, Lanes: s.cfg.Lanes, Offset: r.Offset}
	}
	return e, true, nil
}

// decodeBeside reads a record that is kept beside the positions, and returns whose
// it is.
func (s *Store) decodeBeside(lane int32, r *kgo.Record) (org string, err error) {
	if key := string(r.Key); strings.HasPrefix(key, notePrefix) {
		_, org, err = decodeNote(key, r.Value)
		if err == nil && lane != noteLane {
			err = fmt.Errorf("notes are in partition %d", noteLane)
		}
		return org, err
	}
	var of Key
	if strings.HasPrefix(string(r.Key), taskPrefix) {
		var t Task
		t, err = decodeTask(string(r.Key), r.Value)
		of = t.Key
	} else {
		var m Moment
		m, err = decodeMoment(string(r.Key), r.Value)
		of = m.Key
	}
	if want := s.LaneOf(of); err == nil && of.Org == s.cfg.Org && want != lane {
		err = &MisplacedKeyError{Topic: s.cfg.Topic, Key: of, Partition: lane, Want: want, Lanes: s.cfg.Lanes, Offset: r.Offset}
	}
	return of.Org, err
}

func shorten(key []byte) string {
	const most = 200
	return string(key[:min(len(key), most)])
}
