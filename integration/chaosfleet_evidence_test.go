package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
)

// evidence is a folder with what is needed to find out what happened in a run that
// failed. It stays.
type evidence struct {
	tb  testing.TB
	dir string
}

func (e evidence) text(name, text string) {
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
		e.tb.Error(err)
	}
}

// lines writes a file with a JSON object on each line.
func (e evidence) lines(name string, each func(put func(any))) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	each(func(v any) {
		if err := enc.Encode(v); err != nil {
			e.tb.Error(err)
		}
	})
	e.text(name, b.String())
}

// keepEvidence writes it at the end of a test that failed.
func (c *trial) keepEvidence() {
	if !c.t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "bridge-chaos-")
	if err != nil {
		c.t.Error(err)
		return
	}
	e := evidence{c.t, dir}
	e.text("seed", fmt.Sprintf("BRIDGE_CHAOS_SEED=%d, %+v\n", c.plan.seed, c.plan))
	e.text("diary", strings.Join(c.diary, "\n"))
	for i, m := range c.members {
		for j, p := range m.lives {
			e.text(fmt.Sprintf("instance-%d-%04d.log", i, j), p.output())
		}
	}
	e.lines("org-ledger.jsonl", func(put func(any)) {
		for entry := range c.site.org.LedgerFrom(0) {
			put(entry)
		}
	})
	e.lines("org-sessions.jsonl", func(put func(any)) {
		for _, s := range c.site.org.Sessions() {
			put(s)
		}
	})
	c.reader.mu.Lock()
	seen, at := slices.Clone(c.reader.seen), slices.Clone(c.reader.at)
	c.reader.mu.Unlock()
	e.lines("read.jsonl", func(put func(any)) {
		for i, r := range seen {
			put(struct {
				At time.Time
				oracle.Record
			}{at[i], r})
		}
	})
	e.topics(c.site)
	c.t.Logf("what is needed to find out is in %s", dir)
}

// topics writes what the topics hold, also of transactions that were aborted.
func (e evidence) topics(s *site) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		e.tb.Error(err)
		return
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		e.tb.Error(err)
		return
	}
	for _, topic := range topics.Names() {
		all, err := contents(ctx, s.brokers, topic, kgo.ReadUncommitted())
		if err != nil {
			e.tb.Error(err)
		}
		e.lines("topic-"+topic+".jsonl", func(put func(any)) {
			for _, r := range all {
				headers := make(map[string]string, len(r.Headers))
				for _, h := range r.Headers {
					headers[h.Key] = string(h.Value)
				}
				line := map[string]any{
					"partition": r.Partition, "offset": r.Offset, "time": r.Timestamp, "producer": r.ProducerID,
					"epoch": r.ProducerEpoch, "control": r.Attrs.IsControl(), "key": string(r.Key), "headers": headers,
				}
				if topic != s.name+".positions" {
					line["bytes"] = len(r.Value)
				} else {
					line["value"] = string(r.Value)
				}
				put(line)
			}
		})
	}
}

var errUnread = errors.New("not read to its end")

// contents are what a topic holds at the moment, markers of transactions too, in
// the order of each partition; nothing if there is no such topic.
func contents(ctx context.Context, brokers []string, topic string, level kgo.IsolationLevel) (out []*kgo.Record, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(level), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil || !topics.Has(topic) {
		return nil, err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	next := make(map[int32]int64)
	for {
		behind := false
		ends.Each(func(o kadm.ListedOffset) { behind = behind || next[o.Partition] < o.Offset })
		if !behind {
			return out, nil
		}
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return out, fmt.Errorf("%s: %w: %w, at %v", topic, errUnread, ctx.Err(), next)
		}
		for r := range fetches.RecordsAll() {
			next[r.Partition] = r.Offset + 1
			out = append(out, r)
		}
	}
}
