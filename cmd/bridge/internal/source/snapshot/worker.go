package snapshot

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// RepairMode is what is done about the holes of a stream.
type RepairMode string

// The ways to treat holes.
const (
	RepairAuto   RepairMode = "auto"   // they are repaired
	RepairManual RepairMode = "manual" // when somebody asks
	RepairOff    RepairMode = "off"    // not even then
)

// Holes are the holes in a bridge's streams, as the gap ledger has them.
type Holes interface {
	// Open are those of a stream that lack data, and which nobody waived; false while
	// that is not known.
	Open(channel string) ([]transform.Hole, bool)
	// Changed returns what is closed when there may be others.
	Changed() <-chan struct{}
}

// Signals are what is asked for by the topic of signals.
type Signals interface {
	// From are the signals for a stream from an offset on, in their order, and the
	// offset that the next signal will have; -1 while that is not known.
	From(channel string, offset int64) ([]Signal, int64)
	Changed() <-chan struct{}
}

// Config is what a Worker is made of.
type Config struct {
	Client *salesforce.Client
	// Reader reads rows. Its Spend should call [Spent].
	Reader *salesforce.Reader
	// Objects are those whose rows a stream tells of, as far as they are known.
	Objects func(channel string) []string
	// Repair says what is done about a stream's holes. Nil: nothing.
	Repair  func(channel string) RepairMode
	Holes   Holes   // nil for none
	Signals Signals // nil for none
	// NoticesTopic is told of each task; empty for none.
	NoticesTopic string
	// Alive are the ids of an object's records that the topics have, for a sweep. Nil:
	// a sweep is refused.
	Alive func(ctx context.Context, channel, object string) iter.Seq2[string, error]

	Method   Method // empty: Auto
	BulkFrom int    // rows from which on Auto takes Bulk API. 0: 50,000
	// BulkRange is how many rows a job is to have, about. 0: 100,000.
	BulkRange int
	// Parallel is how many ranges of an object are read at the same time. 0: 2.
	Parallel int
	// PageRows is how many rows a query asks for, as the Reader's, and CommitRows how
	// many of them are committed at once: events wait for that. 0: 2,000 and 200.
	PageRows, CommitRows int
	// Pause is how long a task waits that the org gave no answer to. 0: a minute.
	Pause time.Duration
	Log   zerolog.Logger
}

// Worker reads rows for the lanes of a process. It is safe for concurrent use.
type Worker struct {
	cfg Config
	// held counts how often commits were held for a record that kept changing.
	held atomic.Uint64

	mu     sync.Mutex
	boards map[*board]struct{} // of the sessions that run
}

// New makes a worker.
func New(cfg Config) *Worker {
	for _, d := range []struct {
		v       *int
		instead int
	}{{&cfg.BulkFrom, 50_000}, {&cfg.BulkRange, 100_000}, {&cfg.Parallel, 2}, {&cfg.PageRows, 2000}, {&cfg.CommitRows, 200}} {
		if *d.v <= 0 {
			*d.v = d.instead
		}
	}
	if cfg.Method == "" {
		cfg.Method = Auto
	}
	if cfg.Pause <= 0 {
		cfg.Pause = time.Minute
	}
	if cfg.Repair == nil {
		cfg.Repair = func(string) RepairMode { return RepairOff }
	}
	return &Worker{cfg: cfg}
}

// Held is how often commits were held for a record that kept changing.
func (w *Worker) Held() uint64 { return w.held.Load() }

type spentKey struct{}

// Spent counts calls of the org's API for the task in whose context they are made.
func Spent(ctx context.Context, calls int) {
	if n, ok := ctx.Value(spentKey{}).(*atomic.Int64); ok {
		n.Add(int64(calls))
	}
}

type urgentKey struct{}

// Urgent says whether what is read in a context keeps a lane from committing until it
// is read.
func Urgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }

// Run works through the tasks of a lane until ctx ends: it is a [pipeline.RowWorker].
func (w *Worker) Run(ctx context.Context, desk *pipeline.RowDesk) error {
	b, err := newBoard(w, desk)
	if err != nil {
		return err
	}
	w.enter(b)
	defer w.leave(b)
	return b.run(ctx)
}

// passingError says that a task cannot go on now, and may later.
type passingError struct{ err error }

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// passing says whether a task is to be tried again later. What the org refuses for
// good ends it.
func passing(err error) bool {
	_, marked := errors.AsType[*passingError](err)
	return marked || salesforce.Retryable(err) || salesforce.Unauthorized(err)
}

// key of a task on a board.
type taskKey struct {
	stream replay.Key
	id     string
}
