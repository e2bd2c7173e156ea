package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/schemas"
)

// delivered is one record as an independent consumer sees it.
type delivered struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Time      time.Time       `json:"time"`
	Key       string          `json:"key"`
	Operation string          `json:"operation"` // change type, EVENT for a platform event, TOMBSTONE
	Changed   []field         `json:"-"`
	Channel   string          `json:"channel"`
	ReplayID  int64           `json:"replay_id"`
	Index     int             `json:"record_index"`
	Value     json.RawMessage `json:"value"` // null: a tombstone
}

// tail is a read_committed consumer of record topics that knows nothing of the
// bridge but where Kafka and the registry are.
type tail struct {
	client  *kgo.Client
	decoder *schemas.Decoder
	show    func(delivered) error

	mu    sync.Mutex
	seen  []oracle.Record
	moved chan struct{} // has a token when seen grew
}

// tailRefresh is how soon a new topic is found.
const tailRefresh = 200 * time.Millisecond

func newTail(brokers []string, topics string, decoder *schemas.Decoder, show func(delivered) error) (*tail, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeRegex(), kgo.ConsumeTopics(topics),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(tailRefresh), kgo.MetadataMaxAge(tailRefresh),
		kgo.FetchMaxWait(tailRefresh),
	)
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	return &tail{client: client, decoder: decoder, show: show, moved: make(chan struct{}, 1)}, nil
}

// run reads until ctx ends.
func (t *tail) run(ctx context.Context) error {
	for {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("consuming: %w", err)
		}
		for r := range fetches.RecordsAll() {
			d, err := t.read(ctx, r)
			if err != nil {
				return fmt.Errorf("record %d of %s: %w", r.Offset, r.Topic, err)
			}
			if err := t.show(d); err != nil {
				return err
			}
		}
		select {
		case t.moved <- struct{}{}:
		default:
		}
	}
}

// wait blocks until n records were seen or ctx ends.
func (t *tail) wait(ctx context.Context, n int) {
	for t.count() < n {
		select {
		case <-t.moved:
		case <-ctx.Done():
			return
		}
	}
}

func (t *tail) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.seen)
}

func (t *tail) records() []oracle.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[:len(t.seen):len(t.seen)]
}

func (t *tail) read(ctx context.Context, r *kgo.Record) (delivered, error) {
	id, err := oracle.Read(r)
	if err != nil {
		return delivered{}, err
	}
	d := delivered{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp, Key: id.Key,
		Operation: id.Operation, Channel: id.Channel, ReplayID: id.ReplayID, Index: id.Index,
		Value: json.RawMessage("null"),
	}
	t.mu.Lock()
	t.seen = append(t.seen, id)
	t.mu.Unlock()
	if r.Value == nil {
		return d, nil
	}
	value, err := t.decoder.JSON(ctx, r.Value)
	if err != nil {
		return d, err
	}
	d.Value = value
	d.Changed, err = changed(value)
	return d, err
}
