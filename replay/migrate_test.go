package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// migrated is a topic of positions that a test moves about.
type migrated struct {
	t       *testing.T
	cfg     Config // as `bridge run` has it; Lanes are those of the topic
	brokers []string
	txn     string // without one, batches are written one after the other
	// cutAfter batches a write fails, if it is set.
	cutAfter int
}

// lying is a raw position: its value is not in the form that this package writes,
// so that one that was decoded and encoded again is seen.
func lying(i int) (Key, []byte) {
	k := Key{Org: orgA, Channel: fmt.Sprintf("/event/E%d__e", i)}
	return k, fmt.Appendf(nil, `{ "source":"cometd", "v":1,"position":"%d" }`, i)
}

const lyingStreams = 12

// beside is what lies beside a position: a moment of the stream, and one note.
func beside(s *Store, i int) *kgo.Record {
	if i == 0 {
		return s.NoteRecord(Note{Name: "n", Body: json.RawMessage(`{"a":1}`)})
	}
	k, _ := lying(i)
	return s.MomentRecord(Moment{Key: k, Time: time.UnixMilli(1_700_000_000_000), Position: "3"})
}

func newMigrated(t *testing.T, brokers []string, lanes int, transactions bool) *migrated {
	t.Helper()
	m := &migrated{t: t, brokers: brokers, cfg: config(t, brokers)}
	m.cfg.Lanes = lanes
	if transactions {
		m.txn = unique(t, "txn")
	}
	s := mustOpen(t, m.cfg)
	var rs []*kgo.Record
	for i := range lyingStreams {
		k, value := lying(i)
		rs = append(rs, &kgo.Record{
			Topic: m.cfg.Topic, Partition: s.LaneOf(k), Key: []byte(k.String()), Value: value,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{byte(i)}}},
		})
	}
	for i := range lyingStreams {
		rs = append(rs, beside(s, i))
	}
	gone := s.Record(entry("/event/Gone__e", "1"))
	rs = append(rs, gone, s.Tombstone(Key{Org: orgA, Channel: "/event/Gone__e"}))
	for lane := range int32(lanes) {
		rs = append(rs, s.Barrier(lane).Record())
	}
	put(t, brokers, rs...)
	return m
}

var errCut = errors.New("killed here")

func (m *migrated) write(_ context.Context, batches ...[]*kgo.Record) error {
	if m.txn != "" {
		newOwner(m.t, m.brokers, m.txn).commit(slices.Concat(batches...)...)
		return nil
	}
	for i, b := range batches {
		if m.cutAfter > 0 && i >= m.cutAfter {
			return errCut
		}
		put(m.t, m.brokers, b...)
	}
	return nil
}

// open opens the migration to a number of lanes.
func (m *migrated) open(lanes int) *Migration {
	m.t.Helper()
	cfg := m.cfg
	cfg.Lanes = lanes
	mig, err := OpenMigration(testCtx(m.t), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(mig.Close)
	return mig
}

// migrate takes at most so many steps and returns those that it took.
func (m *migrated) migrate(lanes, most int) []Step {
	m.t.Helper()
	mig := m.open(lanes)
	defer mig.Close()
	var did []Step
	for len(did) < most {
		p, err := mig.Look(testCtx(m.t))
		if err != nil {
			m.t.Fatal(err)
		}
		if len(p.Steps) == 0 {
			break
		}
		if err := mig.Do(testCtx(m.t), p, m.write); err != nil && !errors.Is(err, errCut) {
			m.t.Fatal(err)
		}
		did = append(did, p.Steps[0])
		if len(did) > 20 {
			m.t.Fatalf("it does not end: %v", did)
		}
	}
	return did
}

const allSteps = 1 << 10

// held are the positions by partition, key and value; headers are in the value.
func (m *migrated) held(lanes int) map[string]string {
	m.t.Helper()
	mig := m.open(lanes)
	defer mig.Close()
	at, err := mig.observe(testCtx(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	if at.copied.exists || len(at.topic.stray) > 0 || at.topic.partitions() != lanes {
		m.t.Fatalf("%d partitions, %d strays, copy %v", at.topic.partitions(), len(at.topic.stray), at.copied.exists)
	}
	out := make(map[string]string)
	for k, e := range at.topic.entries {
		out[fmt.Sprintf("%d %s", e.partition, k)] = fmt.Sprintf("%s %v", e.record.Value, e.record.Headers)
	}
	return out
}

// whole checks that everything is where it belongs, the same bytes as ever, and
// that the bridge starts.
func (m *migrated) whole(lanes int) {
	m.t.Helper()
	got := m.held(lanes)
	cfg := m.cfg
	cfg.Lanes = lanes
	s := mustOpen(m.t, cfg)
	defer s.Close()
	want := make(map[string]string)
	for i := range lyingStreams {
		k, value := lying(i)
		want[fmt.Sprintf("%d %s", s.LaneOf(k), k)] = fmt.Sprintf("%s %v", value, []kgo.RecordHeader{{Key: "h", Value: []byte{byte(i)}}})
		r := beside(s, i)
		want[fmt.Sprintf("%d %s", r.Partition, r.Key)] = fmt.Sprintf("%s []", r.Value)
	}
	if !maps.Equal(got, want) {
		m.t.Fatalf("the topic holds\n%v, want\n%v", got, want)
	}
}

// refused checks that the bridge does not start, whatever lanes it has, and says
// what helps.
func (m *migrated) refused(lanes ...int) {
	m.t.Helper()
	for _, n := range lanes {
		cfg := m.cfg
		cfg.Lanes = n
		s, err := Open(testCtx(m.t), cfg)
		if err == nil {
			s.Close()
			m.t.Fatalf("the bridge starts with %d lanes in the middle of a migration", n)
		}
		if !is[*LaneCountError](err) && !is[*MisplacedKeyError](err) && !is[*UnfinishedMigrationError](err) {
			m.t.Fatalf("%T: %v", err, err)
		}
		wantError[error](m.t, err, false, "bridge positions migrate")
	}
}

// eachDelivery runs f with transactions and without, with topic ids and without.
func eachDelivery(t *testing.T, f func(t *testing.T, brokers []string, transactions bool)) {
	t.Helper()
	for name, opts := range map[string][]kfake.Opt{"new": nil, "old": {kfake.MaxVersions(kversion.V2_7_0())}} {
		for _, transactions := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/transactions=%v", name, transactions), func(t *testing.T) {
				f(t, newFake(t, opts...).ListenAddrs(), transactions)
			})
		}
	}
}

var (
	growing   = []Step{AddPartitions, MoveEntries}
	shrinking = []Step{CreateCopy, WriteCopy, DeleteTopic, CreateTopic, WriteBack, DeleteCopy}
)

// Killed after each step, it goes on from there, and ends where one that was not
// killed ends. In between the bridge does not start.
func TestMigrateInterrupted(t *testing.T) {
	eachDelivery(t, func(t *testing.T, brokers []string, transactions bool) {
		for _, c := range []struct {
			from, to int
			steps    []Step
		}{{4, 6, growing}, {6, 2, shrinking}, {2, 1, shrinking}, {1, 3, growing}} {
			for kill := range len(c.steps) + 1 {
				t.Run(fmt.Sprintf("%d to %d killed after %d", c.from, c.to, kill), func(t *testing.T) {
					m := newMigrated(t, brokers, c.from, transactions)
					did := m.migrate(c.to, kill)
					switch {
					case kill == 0:
						m.refused(c.to)
					case kill < len(c.steps):
						m.refused(c.from, c.to)
					}
					did = append(did, m.migrate(c.to, allSteps)...)
					if !slices.Equal(did, c.steps) {
						t.Errorf("steps were %v, want %v", did, c.steps)
					}
					m.whole(c.to)
				})
			}
		}
	})
}

// Without transactions a write can be half done.
func TestMigrateHalfWritten(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	for _, c := range []struct{ from, to, steps int }{{4, 6, 2}, {6, 2, 2}, {6, 2, 5}} {
		t.Run(fmt.Sprintf("%d to %d in step %d", c.from, c.to, c.steps), func(t *testing.T) {
			m := newMigrated(t, brokers, c.from, false)
			m.migrate(c.to, c.steps-1)
			m.cutAfter = 1
			m.migrate(c.to, 1)
			m.refused(c.from, c.to)
			m.cutAfter = 0
			m.migrate(c.to, allSteps)
			m.whole(c.to)
		})
	}
}

// Somebody who changes their mind halfway loses nothing either.
func TestMigrateElsewhere(t *testing.T) {
	eachDelivery(t, func(t *testing.T, brokers []string, transactions bool) {
		for kill := range len(shrinking) {
			for _, to := range []int{1, 3, 6, 8} {
				t.Run(fmt.Sprintf("to 2 killed after %d to %d", kill, to), func(t *testing.T) {
					m := newMigrated(t, brokers, 6, transactions)
					m.migrate(2, kill)
					m.migrate(to, allSteps)
					m.whole(to)
				})
			}
		}
		for _, to := range []int{2, 4, 5, 7} {
			t.Run(fmt.Sprintf("to 6 killed after 1 to %d", to), func(t *testing.T) {
				m := newMigrated(t, brokers, 4, transactions)
				m.migrate(6, 1)
				m.migrate(to, allSteps)
				m.whole(to)
			})
		}
	})
}

func TestMigratePlan(t *testing.T) {
	m := newMigrated(t, newFake(t).ListenAddrs(), 4, true)
	p, err := m.open(4).Look(testCtx(t))
	if err != nil || len(p.Steps) != 0 || len(p.Streams) != lyingStreams {
		t.Fatalf("%+v, %v: want nothing to do", p, err)
	}
	for _, to := range []int{2, 6} {
		p, err := m.open(to).Look(testCtx(t))
		if err != nil {
			t.Fatal(err)
		}
		if p.From != 4 || p.Have != 4 || p.To != to || p.Topic != m.cfg.Topic || len(p.Streams) != lyingStreams {
			t.Errorf("%+v", p)
		}
		for _, s := range p.Streams {
			if s.From != LaneOf(s.Key, 4) || s.To != LaneOf(s.Key, to) {
				t.Errorf("%+v", s)
			}
		}
	}
	m.migrate(2, 3) // the topic is gone
	p, err = m.open(2).Look(testCtx(t))
	if err != nil || p.From != 4 || p.Have != 0 || len(p.Streams) != lyingStreams || p.Streams[0].From != LaneOf(p.Streams[0].Key, 4) {
		t.Errorf("%+v, %v", p, err)
	}
}

// What was made for the topic by hand is kept, through its deletion.
func TestMigrateKeepsSettings(t *testing.T) {
	m := newMigrated(t, newFake(t).ListenAddrs(), 6, true)
	adm := admin(t, m.brokers)
	if _, err := adm.AlterTopicConfigs(testCtx(t), alter("max.message.bytes", "54321"), m.cfg.Topic); err != nil {
		t.Fatal(err)
	}
	before := m.settings()
	m.migrate(2, allSteps)
	if after := m.settings(); before["max.message.bytes"] != "54321" || !reflect.DeepEqual(before, after) {
		t.Errorf("settings were %v and are %v", before, after)
	}
}

func (m *migrated) settings() map[string]string {
	m.t.Helper()
	mig := m.open(1)
	h, _, err := mig.hold(testCtx(m.t), m.cfg.Topic)
	if err != nil {
		m.t.Fatal(err)
	}
	return h.shape.settings
}

// A topic without positions is brought to the number of lanes all the same.
func TestMigrateNothing(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	for _, to := range []int{2, 6} {
		m := &migrated{t: t, brokers: brokers, cfg: config(t, brokers), txn: unique(t, "txn")}
		mustOpen(t, m.cfg).Close()
		m.migrate(to, allSteps)
		if got := m.held(to); len(got) != 0 {
			t.Errorf("%v", got)
		}
	}
}
