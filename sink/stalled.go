package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// explained is err with its type, and with what the brokers say of themselves if
// it only tells that something took too long.
func (p *Producer) explained(ctx context.Context, err error, doing string) error {
	if stalled := p.stalled(ctx, err, doing); stalled != nil {
		return stalled
	}
	return p.typed(err, "", doing)
}

// stalled says why brokers that are there did not do what they were asked for in
// time. It is nil if err is no such end of a wait, if the caller gave up and does
// not want to wait for more, and if no broker answers.
//
// The client repeats a request whose answer says "not now" until its time is up,
// and does not tell what the answers were. So the brokers are asked again, for
// what they know of the topics.
func (p *Producer) stalled(ctx context.Context, err error, doing string) error {
	if ctx.Err() != nil || !p.isTransport(err) {
		return nil
	}
	within := p.sinceStart()
	actx, cancel := context.WithTimeout(ctx, p.cfg.Grace)
	defer cancel()
	topics := p.open.topics()
	if len(topics) == 0 { // nothing was begun: it waited for the last transaction, or for a look
		topics = slices.AppendSeq(slices.Clone(p.whole.touched), maps.Keys(p.whole.doubts))
		slices.Sort(topics)
		topics = slices.Compact(topics)
	}
	why := "they say no reason: see the brokers' logs"
	details, lerr := p.list(actx, topics)
	if said := p.ailment(actx, details, topics); lerr == nil && said != "" {
		why = said
	} else if waited := p.watch.waited(); waited > 0 { // the client may keep silent then, whatever it is asked
		why = fmt.Sprintf("they made this client wait for %s by a quota: raise its producer_byte_rate, or make batches smaller", waited.Round(time.Millisecond))
	} else if lerr != nil {
		return nil
	}
	return &StalledError{Doing: doing, Within: within, Why: why, Err: err}
}

// topics are those of the records and positions, each once.
func (d *delivery) topics() []string {
	if d == nil {
		return nil
	}
	var names []string
	for _, rs := range [][]*kgo.Record{d.records, d.positions} {
		for _, r := range rs {
			if len(names) == 0 || r.Topic != names[len(names)-1] {
				names = append(names, r.Topic)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ailment is the first thing that is wrong with the topics.
func (p *Producer) ailment(ctx context.Context, details kadm.TopicDetails, topics []string) string {
	for _, name := range topics {
		d, ok := details[name]
		if !ok {
			continue
		}
		if d.Err != nil {
			return fmt.Sprintf("topic %q: %v", name, d.Err)
		}
		least := p.leastInSync(ctx, name)
		for _, part := range d.Partitions.Sorted() {
			where := fmt.Sprintf("partition %d of topic %q", part.Partition, name)
			switch {
			case part.Leader < 0, errors.Is(part.Err, kerr.LeaderNotAvailable):
				return where + " has no leader: are enough brokers up, and do their disks have room?"
			case len(part.ISR) < least:
				return fmt.Sprintf("%s has %d replicas in sync, and its min.insync.replicas wants %d: are enough brokers up?", where, len(part.ISR), least)
			case len(part.OfflineReplicas) > 0:
				return fmt.Sprintf("%s has replicas that are offline, on brokers %v: are they up, and do their disks have room?", where, part.OfflineReplicas)
			}
		}
	}
	return ""
}

// leastInSync is the topic's min.insync.replicas, or 0 if it cannot be read.
func (p *Producer) leastInSync(ctx context.Context, topic string) int {
	confs, err := p.settings(ctx, []string{topic})
	if err != nil {
		return 0
	}
	rc, err := confs.On(topic, nil)
	if err != nil {
		return 0
	}
	for _, c := range rc.Configs {
		if c.Key == "min.insync.replicas" {
			least, _ := strconv.Atoi(c.MaybeValue())
			return least
		}
	}
	return 0
}
