package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// state is what the two topics of a migration hold.
type state struct {
	topic, copied held
	mark          *mark // of the copy, if it has one
}

// held is one topic and what is in it.
type held struct {
	exists bool
	detail kadm.TopicDetail
	shape  shape
	// entries has one place for each key, and stray what lies in another
	// partition than it belongs in, or lies there a second time. Barriers are
	// of no use to a new owner, and are left where they lie.
	entries map[string]place
	stray   []place
}

// place is a record and where it lies. Records are kept as they are, since what is
// copied must be the same bytes.
type place struct {
	partition int32
	record    *kgo.Record
}

// among is where the record belongs among so many lanes. That it belongs anywhere
// was judged when it was read.
func (p place) among(lanes int) int32 {
	want, _ := home(string(p.record.Key), p.partition, lanes)
	return want
}

func (h held) partitions() int { return len(h.detail.Partitions) }

// doubtAbsent is how often the topics are looked for again, within about a second,
// when there is none, or one vanished while it was read: a broker may be behind the
// others.
const doubtAbsent = 6

func (m *Migration) observe(ctx context.Context) (state, error) {
	pause := 20 * time.Millisecond
	for doubted := 0; ; doubted++ {
		at, err := m.glance(ctx)
		sure := err == nil && (at.topic.exists || at.copied.exists) || err != nil && !is[*TopicMissingError](err)
		if sure || doubted == doubtAbsent {
			return at, err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

func (m *Migration) glance(ctx context.Context) (state, error) {
	// The copy is looked at last: it is there before the topic goes, so that
	// both missing means that there was nothing.
	topic, _, err := m.hold(ctx, m.s.cfg.Topic)
	if err != nil {
		return state{}, err
	}
	copied, marked, err := m.hold(ctx, copyOf(m.s.cfg.Topic))
	return state{topic: topic, copied: copied, mark: marked}, err
}

// hold reads a topic with however many partitions it has.
func (m *Migration) hold(ctx context.Context, topic string) (held, *mark, error) {
	view := m.view(topic)
	detail, err := view.await(ctx, func(kadm.TopicDetail) bool { return true })
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return held{}, nil, nil
	}
	if err != nil {
		return held{}, nil, err
	}
	view.cfg.Lanes, view.id = len(detail.Partitions), detail.ID
	h := held{exists: true, detail: detail, entries: make(map[string]place)}
	policy, err := view.policy(ctx)
	if err != nil {
		return held{}, nil, err
	}
	if !compacted(policy) {
		return held{}, nil, &NotCompactedError{Topic: topic, Policy: policy}
	}
	if h.shape, err = view.shapeOf(ctx, detail); err != nil {
		return held{}, nil, err
	}
	var marked *mark
	for lane := range int32(len(detail.Partitions)) { //nolint:gosec // partitions are numbered with 32 bits
		last, err := view.latest(ctx, lane)
		if err != nil {
			return held{}, nil, err
		}
		if topic == copyOf(m.s.cfg.Topic) {
			one, err := view.takeMark(lane, last)
			if err != nil {
				return held{}, nil, err
			}
			if one != nil { // somebody may have made the copy, with more partitions
				marked = one
			}
		}
		if err := h.sortIn(view, lane, last); err != nil {
			return held{}, nil, err
		}
	}
	return h, marked, nil
}

// takeMark takes the mark out of what the copy holds.
func (s *Store) takeMark(lane int32, last latest) (*mark, error) {
	r, ok := last[markKey]
	if !ok {
		return nil, nil //nolint:nilnil // a copy without a mark is no error
	}
	delete(last, markKey)
	if r.Value == nil {
		return nil, nil //nolint:nilnil // as above
	}
	m, err := decodeMark(r.Value)
	if err != nil {
		return nil, &UnreadableError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Key: markKey, Err: err}
	}
	if m.Org != s.cfg.Org {
		return nil, &OtherOrgError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Found: m.Org, Want: s.cfg.Org}
	}
	return &m, nil
}

// sortIn adds what a partition holds, whether it belongs there or not.
func (h *held) sortIn(view *Store, lane int32, last latest) error {
	byOffset := func(a, b *kgo.Record) int { return cmp.Compare(a.Offset, b.Offset) }
	for _, r := range slices.SortedFunc(maps.Values(last), byOffset) {
		key := string(r.Key)
		if r.Key != nil && r.Value == nil {
			continue
		}
		want, err := home(key, lane, view.cfg.Lanes)
		if err == nil {
			// Judged as if it lay where it belongs.
			_, _, err = view.decodeRecord(want, r)
		}
		if err != nil {
			return view.found(err, lane, r)
		}
		if strings.HasPrefix(key, barrierPrefix) {
			continue
		}
		at, stray := place{partition: lane, record: r}, want != lane
		if stray {
			h.stray = append(h.stray, at)
		}
		other, twice := h.entries[key]
		if twice && !bytes.Equal(other.record.Value, r.Value) {
			return &AmbiguousError{
				Topic: view.cfg.Topic, Key: shorten(r.Key),
				Partitions: [2]int32{other.partition, lane}, Offsets: [2]int64{other.record.Offset, r.Offset},
			}
		}
		if !twice || !stray {
			h.entries[key] = at // the one that lies where it belongs, if there is one
		}
	}
	return nil
}

// home is the partition that a record belongs in, among so many lanes; lane is
// where it lies. A kind of record that has no case here is refused: where it
// belongs cannot be guessed (I5).
func home(key string, lane int32, lanes int) (int32, error) {
	switch {
	case strings.HasPrefix(key, barrierPrefix):
		return lane, nil
	case strings.HasPrefix(key, notePrefix):
		return noteLane, nil
	case strings.HasPrefix(key, indexPrefix):
		_, stream, _ := strings.Cut(strings.TrimPrefix(key, indexPrefix), "/")
		key = streamPrefix + stream
	case strings.HasPrefix(key, taskPrefix):
		_, stream, err := taskStream(key)
		return LaneOf(stream, lanes), err
	}
	k, err := ParseKey(key)
	return LaneOf(k, lanes), err
}

// found says where a record lies that was judged as if it lay elsewhere.
func (s *Store) found(err error, lane int32, r *kgo.Record) error {
	switch e := err.(type) { //nolint:errorlint // decodeRecord's own
	case *UnreadableError:
		e.Partition = lane
		return e
	case *OtherOrgError:
		e.Partition = lane
		return e
	default:
		return &UnreadableError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Key: shorten(r.Key), Err: err}
	}
}

// view is a store of another topic, on the same connections.
func (m *Migration) view(topic string) *Store {
	v := *m.s
	v.cfg.Topic = topic
	return &v
}
