package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readCommitted = 1
	// One fetch of positions. The broker sends at least one batch, however
	// large it is.
	fetchBytes = 4 << 20
)

// reader reads one partition with fetch requests of its own. A consumer would
// not do: it does not say how far it has come when what it read were only
// markers, aborted records, or holes left by compaction.
type reader struct {
	s      *Store
	lane   int32
	offset int64
	leader int32 // -1: to be looked up
	dec    kgo.Decompressor
}

// page is the answer to one fetch.
type page struct {
	records []*kgo.Record
	stable  int64 // the last stable offset
	empty   bool  // the broker had nothing at or after the offset
}

func (s *Store) reader(lane int32) *reader {
	return &reader{s: s, lane: lane, leader: -1, dec: kgo.DefaultDecompressor()}
}

// start goes to the first offset that the partition still has.
func (r *reader) start(ctx context.Context) error {
	offset, err := r.listed(ctx, r.s.adm.ListStartOffsets)
	r.offset = offset
	return err
}

// end returns the last stable offset: everything before it is decided.
func (r *reader) end(ctx context.Context) (int64, error) {
	return r.listed(ctx, r.s.adm.ListCommittedOffsets)
}

func (r *reader) listed(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
	var offset int64
	err := r.retry(ctx, func() error {
		all, err := list(ctx, r.s.cfg.Topic)
		if err != nil {
			return err
		}
		l, ok := all.Lookup(r.s.cfg.Topic, r.lane)
		if !ok {
			return kerr.UnknownTopicOrPartition
		}
		offset = l.Offset
		return l.Err
	})
	return offset, err
}

// next fetches once, waiting up to wait for something to come, and goes on
// behind what it read.
func (r *reader) next(ctx context.Context, wait time.Duration) (page, error) {
	var got page
	err := r.retry(ctx, func() error {
		var err error
		got, err = r.fetch(ctx, wait)
		return err
	})
	return got, err
}

func (r *reader) fetch(ctx context.Context, wait time.Duration) (page, error) {
	if r.leader < 0 {
		d, err := r.s.lookUp(ctx)
		if err != nil {
			return page{}, err
		}
		// A lane loaded while the positions move to another number of lanes
		// would lack those that have moved out of it.
		if n := len(d.Partitions); n != r.s.cfg.Lanes {
			return page{}, &LaneCountError{Topic: r.s.cfg.Topic, Have: n, Want: r.s.cfg.Lanes}
		}
		p, ok := d.Partitions[r.lane]
		if !ok {
			return page{}, kerr.UnknownTopicOrPartition
		}
		r.leader = p.Leader
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(wait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = fetchBytes
	req.IsolationLevel = readCommitted
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = r.s.cfg.Topic, r.s.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = r.lane, r.offset, fetchBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)

	kresp, err := r.s.cl.Broker(int(r.leader)).Request(ctx, req)
	if err != nil {
		return page{}, err
	}
	resp, ok := kresp.(*kmsg.FetchResponse)
	if !ok {
		return page{}, fmt.Errorf("answer to a fetch is a %T", kresp)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return page{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return page{}, fmt.Errorf("answer to a fetch of one partition has %d topics", len(resp.Topics))
	}
	return r.process(&resp.Topics[0].Partitions[0], resp.ThrottleMillis > 0)
}

func (r *reader) process(rp *kmsg.FetchResponseTopicPartition, throttled bool) (page, error) {
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		return page{}, err
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         r.offset,
		IsolationLevel: kgo.ReadCommitted(),
		Topic:          r.s.cfg.Topic,
		Partition:      r.lane,
	}, rp, r.dec, nil)
	if fp.Err != nil {
		return page{}, &UnreadableError{Topic: r.s.cfg.Topic, Partition: r.lane, Offset: next, Err: fp.Err}
	}
	got := page{
		records: fp.Records,
		stable:  rp.LastStableOffset,
		// A broker that enforces a quota sends nothing though there is
		// something.
		empty: len(rp.RecordBatches) == 0 && !throttled,
	}
	r.offset = next
	return got, nil
}

// retry repeats do until it works, ctx ends, or an error comes that will not go
// away.
func (r *reader) retry(ctx context.Context, do func() error) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.leader = -1
		if err := r.fatal(ctx, err); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fatal returns the error to give up with, or nil if it is worth another try.
func (r *reader) fatal(ctx context.Context, err error) error {
	switch {
	case isOurs(err), isSASL(err):
		return err
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &AuthorizationError{Operation: "Read", Topic: r.s.cfg.Topic, Err: err}
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		return r.gone(ctx, err)
	case isTransport(err), kerr.IsRetriable(err):
		return nil
	default:
		return err
	}
}

// gone decides whether the topic is missing for good, or only not known yet to
// the broker that was asked.
func (r *reader) gone(ctx context.Context, err error) error {
	d, lerr := r.s.lookUp(ctx)
	missing := &TopicMissingError{Topic: r.s.cfg.Topic, Lanes: r.s.cfg.Lanes, Err: err}
	switch {
	case errors.Is(lerr, kerr.UnknownTopicOrPartition):
		return missing
	case lerr == nil && d.ID != r.s.id:
		missing.Recreated = true
		return missing
	case lerr == nil && len(d.Partitions) <= int(r.lane):
		return &LaneCountError{Topic: r.s.cfg.Topic, Have: len(d.Partitions), Want: r.s.cfg.Lanes}
	default:
		return nil
	}
}

// typed turns an error of the client into one of this package's types, or
// leaves it as it is if it has one already or there is none that fits.
func (s *Store) typed(err error, doing string, start time.Time) error {
	return typed(err, doing, start, s.brokers, s.watch)
}

// typed gives an error of the client the type of this package that fits, if one
// does.
func typed(err error, doing string, start time.Time, brokers []string, w *watch) error {
	switch {
	case isOurs(err):
		return err
	case isSASL(err):
		return &AuthenticationError{Brokers: brokers, Err: err}
	case !isTransport(err):
		return err
	}
	e := &UnreachableError{Brokers: brokers, Doing: doing, Within: time.Since(start), Err: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.ctx = context.DeadlineExceeded
	}
	if last := w.last(); last != nil {
		if isSASL(last) {
			return &AuthenticationError{Brokers: brokers, Err: last}
		}
		e.Err = last
	}
	return e
}

// watch remembers the last error that a broker connection met. The client
// retries such errors silently, so that without it a timeout could not say why.
type watch struct {
	mu  sync.Mutex
	err error
}

var (
	_ kgo.HookBrokerConnect = (*watch)(nil)
	_ kgo.HookBrokerRead    = (*watch)(nil)
)

// OnBrokerConnect is called by the client after each dial and login.
func (w *watch) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	w.note(err)
}

// OnBrokerRead is called by the client after each response.
func (w *watch) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	w.note(err)
}

func (w *watch) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
}

func (w *watch) last() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
