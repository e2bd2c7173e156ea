package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

// topics are a Kafka in memory: records, positions and tasks become durable together,
// and the newest producer fences those before it.
type topics struct {
	mu        sync.Mutex
	rnd       *rand.Rand
	owner     int
	trouble   float64
	records   []*kgo.Record
	positions map[replay.Key]replay.Entry
	tasks     map[taskKey]replay.Task
	arrived   chan struct{} // closed when there are more records
}

func newTopics(rnd *rand.Rand, trouble float64) *topics {
	return &topics{rnd: rnd, trouble: trouble, positions: make(map[replay.Key]replay.Entry), tasks: make(map[taskKey]replay.Task), arrived: make(chan struct{})}
}

func (k *topics) open() *producer {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owner++
	return &producer{topics: k, number: k.owner}
}

func (k *topics) Barrier(int32) replay.Barrier { return replay.Barrier{} }

func (k *topics) Load(context.Context, int32, replay.Barrier) (map[replay.Key]replay.Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.positions), nil
}

func (k *topics) Tasks(context.Context, int32) ([]replay.Task, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.tasks)), nil
}

type kept struct{}

func (k *topics) Record(e replay.Entry) *kgo.Record {
	return &kgo.Record{Topic: "positions", Context: context.WithValue(context.Background(), kept{}, e)}
}

func (k *topics) TaskRecord(t replay.Task) *kgo.Record {
	return &kgo.Record{Topic: "positions", Context: context.WithValue(context.Background(), kept{}, t)}
}

func (k *topics) MomentRecord(replay.Moment) *kgo.Record { return nil }

// all are the records that are durable.
func (k *topics) all() []*kgo.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.records)
}

// standing says where the streams are, and which tasks are under way.
func (k *topics) standing() (at map[string]string, busy []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at = make(map[string]string)
	for key, e := range k.positions {
		at[key.Channel] = string(e.Position)
	}
	for key, t := range k.tasks {
		if key.id == cursorID || len(t.Body) == 2 { // "{}": until when rows hold what happened
			continue
		}
		s, err := ReadState(t)
		if err != nil {
			return nil, nil, err
		}
		if s.Standing == Aborted {
			return nil, nil, errors.New("a task was aborted: " + s.Why)
		}
		if s.Standing != Done {
			busy = append(busy, fmt.Sprintf("%s is %s", key.id, s.Standing))
		}
	}
	return at, busy, nil
}

type producer struct {
	*topics
	number int
}

var errAway = errors.New("no answer")

func (p *producer) Commit(ctx context.Context, records, positions []*kgo.Record) error {
	p.mu.Lock()
	d := time.Duration(2+p.rnd.IntN(60)) * time.Millisecond
	if p.rnd.IntN(20) == 0 {
		d = time.Duration(p.rnd.IntN(6000)) * time.Millisecond
	}
	p.mu.Unlock()
	// What was sent may become durable though nobody hears of it.
	gone := !pause(ctx, d)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number != p.owner {
		return &sink.FencedError{TransactionalID: "history", Err: errAway}
	}
	failed := gone || p.rnd.Float64() < p.trouble
	if failed && p.rnd.IntN(2) == 0 {
		return &sink.AbortedError{TransactionalID: "history", Err: errAway}
	}
	p.records = append(p.records, records...)
	for _, r := range positions {
		switch v := contextValue(r).(type) {
		case replay.Entry:
			p.positions[v.Key] = v
		case replay.Task:
			if key := (taskKey{v.Key, v.ID}); v.Body == nil {
				delete(p.tasks, key)
			} else {
				p.tasks[key] = v
			}
		}
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
	if failed {
		return &sink.UnknownOutcomeError{TransactionalID: "history", Step: "commit", Err: errAway}
	}
	return nil
}

func contextValue(r *kgo.Record) any {
	if r.Context == nil {
		return nil
	}
	return r.Context.Value(kept{})
}

func (p *producer) Close(context.Context) error { return nil }
