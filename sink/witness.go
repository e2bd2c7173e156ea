package sink

import (
	"context"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// witnessed reads the outcome of a transaction from the partitions of positions,
// which are in every transaction of a lane: from the marker that follows its records
// there. It is "" if they have none of its records any more, no marker behind them, or
// if the transaction cannot be told from others, since all have one epoch.
func (p *Producer) witnessed(ctx context.Context, h hanging, positions []*kgo.Record) (string, error) {
	if !p.whole.bumps {
		return "", nil
	}
	places := make(map[string]map[int32]kgo.Offset)
	for _, r := range positions {
		if r.Topic == "" || r.Topic == h.topic && r.Partition == h.partition {
			continue
		}
		if places[r.Topic] == nil {
			places[r.Topic] = make(map[int32]kgo.Offset)
		}
		places[r.Topic][r.Partition] = kgo.NewOffset().AtStart()
	}
	if len(places) == 0 {
		return "", nil
	}
	cl, err := p.aside(kgo.ConsumePartitions(places), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	return p.marker(ctx, cl, h.by)
}

// marker is the outcome that the first marker behind a record of by tells. What does
// not come within Config.Grace is taken for not there.
func (p *Producer) marker(ctx context.Context, cl *kgo.Client, by producerID) (string, error) {
	type place struct {
		topic     string
		partition int32
	}
	open := make(map[place]bool)
	for {
		pctx, cancel := context.WithTimeout(ctx, p.cfg.Grace)
		fetches := cl.PollFetches(pctx)
		cancel()
		for r := range fetches.RecordsAll() {
			at := place{r.Topic, r.Partition}
			switch {
			case r.ProducerID != by.id:
			case r.Attrs.IsControl() && open[at]:
				return outcomeOf(isCommit(r.Key)), nil
			case !r.Attrs.IsControl():
				open[at] = r.ProducerEpoch == by.epoch
			}
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if fetches.NumRecords() == 0 {
			return "", nil
		}
	}
}

// isCommit reads the key of a marker: a version and a kind, of two bytes each. Kafka
// protocol, "Control Records".
func isCommit(key []byte) bool {
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 1
}
