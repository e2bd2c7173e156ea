package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer owns one transactional id (ExactlyOnce) or one idempotent producer
// id (AtLeastOnce).
type Producer struct {
	cfg     Config
	cl      *kgo.Client
	adm     *kadm.Client
	brokers []string
	watch   *watch
	limits  *limits

	mu     sync.Mutex // serialises Commit, Topic and Close
	topics map[string]Topic
	// alone names topics whose broker refused a batch that should have fit:
	// their records are sent one by one, so that the one at fault is known.
	alone  map[string]bool
	open   *delivery  // of the transaction that is under way, or the last one
	id     producerID // that the transaction under way is written with
	whole  whole
	began  time.Time      // of the call that is under way
	calls  sync.WaitGroup // of the client that may have been left behind
	failed error          // why no further Commit is taken
	closed bool
}

// Open connects and takes over the transactional id before it returns: from
// then on the older owner is fenced, and its open transaction is aborted. It
// gives up after Config.OpenTimeout or at the end of ctx.
func Open(ctx context.Context, cfg Config) (*Producer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Producer{
		cfg:    cfg,
		watch:  &watch{},
		limits: &limits{},
		topics: make(map[string]Topic),
		alone:  make(map[string]bool),
		began:  time.Now(),
		id:     producerID{-1, -1},
		whole:  whole{doubts: make(map[string]bool)},
	}
	opts, err := p.options()
	if err != nil {
		return nil, err
	}
	p.cl, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, &ConfigError{Field: "Client", Err: err}
	}
	p.adm = kadm.NewClient(p.cl)
	p.brokers = seeds(p.cl)
	pinged := make(chan error, 1)
	go func() {
		pinged <- p.cl.Ping(ctx)
		close(pinged)
	}()
	if err := p.fence(ctx, pinged); err != nil {
		p.cl.Close()
		<-pinged // closing ends it
		return nil, err
	}
	return p, nil
}

// fence makes the client fetch its producer id now. Left to itself it would do
// so with the first record, and until then the older owner could still commit
// (I7). pinged gives the result of a ping, which comes first because it says
// what is wrong with a connection, where the request for a producer id retries
// until its time is up. The ping itself does not look at its context while a
// connection is set up, so the wait for it has to.
func (p *Producer) fence(ctx context.Context, pinged <-chan error) error {
	const doing = "opening the producer"
	octx, cancel := context.WithTimeout(ctx, p.cfg.OpenTimeout)
	defer cancel()

	var err error
	select {
	case err = <-pinged:
	case <-octx.Done():
		err = octx.Err()
	}
	if err == nil {
		err = p.takeOver(octx)
	}
	switch {
	case err == nil && p.id.id < 0:
		// The client takes a broker that cannot give out producer ids for an
		// old one and goes on without: records would be written outside of
		// any transaction.
		return &ConfigError{Field: "Delivery", Err: fmt.Errorf("%s: brokers %v do not support idempotent or transactional producers", p.cfg.Delivery, p.brokers)}
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("opening the producer of %q: %w", p.cfg.TransactionalID, context.Cause(ctx))
	default:
		return p.typed(err, "", doing)
	}
}

// Commit writes records and then positions as one unit. Either slice may be
// empty; with both empty it does nothing. Positions go to the partition in
// their Partition field.
//
// It ends at the latest after Config.TransactionTimeout and a few times
// Config.Grace. When ctx ends before the transaction's end was requested, the
// transaction is aborted; after that, the answer is waited for during Grace.
// Where a torn transaction is being ended, that may take TransactionTimeout more,
// also after the end of ctx.
func (p *Producer) Commit(ctx context.Context, records, positions []*kgo.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.usable(); err != nil {
		return err
	}
	if len(records)+len(positions) == 0 {
		return nil
	}
	p.began = time.Now()
	p.watch.reset()
	tooLarge, err := p.commit(ctx, records, positions)
	if err != nil {
		p.failed = err
		return err
	}
	p.open.release()
	if tooLarge != nil {
		return tooLarge
	}
	return nil
}

// Close aborts a transaction that is still open, if the coordinator answers
// within ctx and Config.Grace, and closes all connections. The error is that of
// the abort: whatever it is, the Producer is closed. Closing twice is fine.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	var err error
	// Every commit ends its own transaction. What can be left is one whose
	// abort was not confirmed. A commit with an open outcome is not touched:
	// it is settled by whoever opens the id next.
	if e, ok := errors.AsType[*UnknownOutcomeError](p.failed); ok && e.Step == stepAbort {
		if err = p.abortWithin(ctx); err != nil {
			err = p.notAborted(ctx, err)
		}
	}
	p.cl.Close()
	p.calls.Wait()
	return err
}

func (p *Producer) usable() error {
	switch {
	case p.closed:
		return ErrClosed
	case p.failed != nil:
		// The cause is told, not wrapped: it was returned and decided upon
		// once already.
		return fmt.Errorf("%w since an earlier error, reopen it: %s", ErrClosed, p.failed.Error())
	default:
		return nil
	}
}

// sinceStart is by the clock on the wall where that says more: the other one
// stands still while the machine sleeps, and the broker's does not.
func (p *Producer) sinceStart() time.Duration {
	now := time.Now()
	return max(now.Sub(p.began), now.Round(0).Sub(p.began.Round(0)))
}

// outlived reports whether the call under way took so long that the broker may
// have given up on its transaction.
func (p *Producer) outlived() bool {
	return p.cfg.Delivery == ExactlyOnce && p.sinceStart() >= p.cfg.TransactionTimeout
}
