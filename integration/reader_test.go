package integration

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
)

// reader is an independent read_committed consumer of all record topics of a
// site.
type reader struct {
	mu    sync.Mutex
	seen  []oracle.Record
	at    []time.Time // when each of them was seen
	moved chan struct{}
	err   error
	side  string // part of the names of the topics that it reads; "" reads those of no run
}

// read starts a reader that ends with the test.
func (s *site) read(tb testing.TB) *reader { return s.readSide(tb, "") }

// sideMark is in the names of all side topics of the tests.
const sideMark = ".replay."

// readSide reads the side topics of a run in place of the others.
func (s *site) readSide(tb testing.TB, side string) *reader {
	tb.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(s.brokers...), kgo.ConsumeRegex(), kgo.ConsumeTopics(`^`+s.prefix+`\.([A-Z]|u\.).*`),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.AlwaysRetryEOF(),
	)
	if err != nil {
		tb.Fatal(err)
	}
	r := &reader{moved: make(chan struct{}, 1), side: side}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(ctx, cl)
	}()
	tb.Cleanup(func() { stop(); <-ended; cl.Close() })
	return r
}

func (r *reader) run(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx) // errors of a broker that restarts pass
		now := time.Now()
		r.mu.Lock()
		for rec := range fetches.RecordsAll() {
			if strings.Contains(rec.Topic, sideMark) != (r.side != "") || !strings.Contains(rec.Topic, r.side) {
				continue
			}
			id, err := oracle.Read(rec)
			if err != nil && r.err == nil {
				r.err = err
			}
			r.seen, r.at = append(r.seen, id), append(r.at, now)
		}
		r.mu.Unlock()
		select {
		case r.moved <- struct{}{}:
		default:
		}
	}
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// wait blocks until n records were seen, or fails.
func (r *reader) wait(tb testing.TB, n int, within time.Duration, state func() string) {
	tb.Helper()
	late := time.After(within)
	for r.count() < n {
		select {
		case <-r.moved:
		case <-late:
			tb.Fatalf("%d of %d records after %s\n%s", r.count(), n, within, state())
		}
	}
}

// exactly checks that what was read is exactly what the org published. Called
// when the bridge has ended, it would see a record too many as well.
func (s *site) exactly(tb testing.TB, r *reader) {
	tb.Helper()
	want := oracle.Expected(s.org.LedgerFrom(0), s.channels)
	r.mu.Lock()
	got, err := slices.Clone(r.seen), r.err
	r.mu.Unlock()
	if err != nil {
		tb.Error(err)
	}
	diff := oracle.Compare(want, got)
	for _, d := range diff[:min(len(diff), 20)] {
		tb.Error(d)
	}
	if len(diff) > 0 {
		tb.Errorf("%d differences between %d records published and %d read", len(diff), len(want), len(got))
	}
}
