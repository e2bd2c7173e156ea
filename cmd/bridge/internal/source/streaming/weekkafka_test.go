package streaming

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

// kafka is a Kafka in memory: records and positions become durable together,
// the newest producer fences those before it, and commits fail in every way.
type kafka struct {
	largest int // bytes of a record

	mu        sync.Mutex
	rnd       *rand.Rand
	trouble   float64 // of the commits, while it is rough
	rough     bool
	stalled   time.Time // nothing becomes durable before
	owner     int       // the newest producer
	records   []*kgo.Record
	positions map[replay.Key]replay.Entry
}

func newKafka(s *situation) *kafka {
	return &kafka{
		rnd: rand.New(rand.NewPCG(s.seed, 2)), trouble: s.trouble, largest: s.largest, //nolint:gosec // reproducible on purpose
		positions: make(map[replay.Key]replay.Entry),
	}
}

func (k *kafka) set(rough bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rough = rough
}

func (k *kafka) stall(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stalled = time.Now().Add(d)
}

// goesWrong draws whether this step does.
func (k *kafka) goesWrong() bool { return k.rough && k.rnd.Float64() < k.trouble }

var errAway = errors.New("no answer")

func (k *kafka) unreachable(doing string) error {
	return &sink.UnreachableError{Doing: doing, Within: time.Minute, Err: errAway}
}

// open makes a producer, which fences the older ones.
func (k *kafka) open() (*writer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.goesWrong() {
		return nil, k.unreachable("opening the producer")
	}
	k.owner++
	return &writer{kafka: k, number: k.owner}, nil
}

// The positions topic. A barrier is a record without an entry.

func (k *kafka) Barrier(int32) replay.Barrier { return replay.Barrier{} }

func (k *kafka) Load(context.Context, int32, replay.Barrier) (map[replay.Key]replay.Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.goesWrong() {
		return nil, context.DeadlineExceeded
	}
	return maps.Clone(k.positions), nil
}

// Record keeps the entry in the record's context, where Commit finds it.
func (k *kafka) Record(e replay.Entry) *kgo.Record {
	return &kgo.Record{Topic: "positions", Context: context.WithValue(context.Background(), entryKey{}, e)}
}

// MomentRecord keeps nothing: nobody looks a time up in these weeks.
func (k *kafka) MomentRecord(replay.Moment) *kgo.Record {
	return &kgo.Record{Topic: "positions", Context: context.Background()}
}

type entryKey struct{}

// writer is one producer.
type writer struct {
	*kafka
	number int
}

func (w *writer) Commit(ctx context.Context, records, positions []*kgo.Record) error {
	for i, r := range records {
		if size := len(r.Key) + len(r.Value); size > w.largest {
			return &sink.RecordTooLargeError{Index: i, Topic: r.Topic, Size: size, Limit: w.largest}
		}
	}
	gone := w.wait(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.number != w.owner {
		return &sink.FencedError{TransactionalID: "week", Err: errAway}
	}
	durable, err := true, error(nil)
	switch {
	case gone: // it was sent, and nobody will hear what became of it
		durable, err = w.rnd.IntN(2) == 0, ctx.Err()
	case w.goesWrong():
		durable, err = w.failure()
	}
	if durable {
		w.apply(records, positions)
	}
	return err
}

// wait is what a commit takes: some milliseconds, or until Kafka answers again.
// It says whether ctx ended meanwhile.
func (w *writer) wait(ctx context.Context) (gone bool) {
	w.mu.Lock()
	d := time.Duration(5+w.rnd.IntN(50)) * time.Millisecond
	if w.rough && w.rnd.IntN(50) == 0 {
		d = time.Duration(w.rnd.IntN(60)) * time.Second
	}
	d = max(d, time.Until(w.stalled))
	w.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-ctx.Done():
		return true
	}
}

// failure draws how a commit fails, and whether it was durable nevertheless.
func (w *writer) failure() (durable bool, err error) {
	switch w.rnd.IntN(4) {
	case 0:
		return false, &sink.AbortedError{TransactionalID: "week", Err: errAway}
	case 1: // the broker gave up on a transaction that took too long
		return false, &sink.FencedError{TransactionalID: "week", Outlived: true, Err: errAway}
	case 2:
		return false, w.unreachable("producing")
	default:
		return w.rnd.IntN(2) == 0, &sink.UnknownOutcomeError{TransactionalID: "week", Step: "commit", Err: errAway}
	}
}

func (w *writer) apply(records, positions []*kgo.Record) {
	w.records = append(w.records, records...)
	for _, p := range positions {
		if p.Context == nil {
			continue // a barrier
		}
		if e, ok := p.Context.Value(entryKey{}).(replay.Entry); ok {
			w.positions[e.Key] = e
		}
	}
}

func (w *writer) Close(context.Context) error { return nil }
