package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

func (b *bridge) schemaChangesTopic() string { return b.cfg.Name + ".schema-changes" }

// schemaHistory reads which schemas are recorded already.
func (b *bridge) schemaHistory(ctx context.Context) (*pipeline.SchemaHistory, error) {
	log, err := transform.NewSchemaLog(b.schemaChangesTopic(), b.encoding())
	if err != nil {
		return nil, err
	}
	history := pipeline.NewSchemaHistory(log)
	seen, err := readSchemaChanges(ctx, b.kafka, b.schemaChangesTopic())
	if err != nil {
		return nil, outside("topic of schema changes", err)
	}
	for _, s := range seen {
		if s.org == b.org.id {
			history.Know(s.object, s.schemaID)
		}
	}
	return history, nil
}

// recordedSchema is one record of the topic of schema changes. It is read from
// key and headers: whatever the format of the value, it needs no registry.
type recordedSchema struct {
	org, object, schemaID string
	channel, event        string
}

// readWithin is how long one of the bridge's own topics may take: it has a record for
// each schema that an entity ever had, or for each gap.
const readWithin = 30 * time.Second

// readSchemaChanges returns what is committed in the topic, in its order; of one
// that does not exist, nothing.
func readSchemaChanges(ctx context.Context, opts []kgo.Opt, topic string) ([]recordedSchema, error) {
	records, err := readOwnTopic(ctx, opts, topic)
	if err != nil {
		return nil, err
	}
	out := make([]recordedSchema, 0, len(records))
	for _, r := range records {
		var one recordedSchema
		var ok bool
		if one.org, one.object, one.schemaID, ok = transform.ParseSchemaChangeKey(string(r.Key)); !ok || r.Value == nil {
			continue // not ours, or taken out by somebody
		}
		for _, h := range r.Headers {
			switch h.Key {
			case "sf-channel":
				one.channel = string(h.Value)
			case "sf-event":
				one.event = string(h.Value)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// readOwnTopic is readTopic of one of the bridge's own topics, with a limit and with
// words for what usually goes wrong.
func readOwnTopic(ctx context.Context, opts []kgo.Opt, topic string) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readWithin, fmt.Errorf("%s was not read to its end within %s", topic, readWithin))
	defer cancel()
	records, err := readTopic(ctx, opts, topic)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = context.Cause(ctx)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = fmt.Errorf("%s may not be read: %w; try: grant the bridge's user Read and Describe on it", topic, err)
	}
	return records, err
}

// readTopic reads a small topic from its beginning to what is its committed end
// now, partition by partition.
func readTopic(ctx context.Context, opts []kgo.Opt, topic string) ([]*kgo.Record, error) {
	left, from, err := unread(ctx, opts, topic)
	if err != nil || len(left) == 0 {
		return nil, err
	}
	cl, err := kgo.NewClient(slices.Concat(opts, []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a transaction is a record of the log, often the last one:
		// without it the end would never be reached.
		kgo.KeepControlRecords(),
	})...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, failed := range fetches.Errors() {
			if !kerr.IsRetriable(failed.Err) {
				return nil, failed.Err
			}
		}
		for r := range fetches.RecordsAll() {
			end, more := left[r.Partition]
			if more && r.Offset < end && !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if more && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *kgo.Record) int { return int(a.Partition - b.Partition) })
	return out, nil
}

// unread returns the committed end of each partition that holds anything, and
// where it begins.
func unread(ctx context.Context, opts []kgo.Opt, topic string) (ends map[int32]int64, from map[int32]kgo.Offset, err error) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	begin, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	committed, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	ends, from = make(map[int32]int64), make(map[int32]kgo.Offset)
	for _, l := range committed[topic] {
		start, ok := begin.Lookup(topic, l.Partition)
		switch {
		case errors.Is(l.Err, kerr.UnknownTopicOrPartition), !ok, errors.Is(start.Err, kerr.UnknownTopicOrPartition):
			continue
		case l.Err != nil:
			return nil, nil, l.Err
		case start.Err != nil:
			return nil, nil, start.Err
		}
		if start.Offset < l.Offset {
			ends[l.Partition], from[l.Partition] = l.Offset, kgo.NewOffset().At(start.Offset)
		}
	}
	return ends, from, nil
}
