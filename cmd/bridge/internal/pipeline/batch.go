package pipeline

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// Batch is events in arrival order. All events of a stream that share one
// position are in the same batch, so the last one's position is reached when
// the batch is durable.
type Batch struct {
	Events []transform.Event
	// Bytes is the sum of the payloads' sizes.
	Bytes int
	// Holes are breaks in streams that lie before events of this batch.
	Holes []Hole
	// Quiet are breaks behind which nothing has come, though the org was asked for it as
	// long as it holds a request. They are entered as they are.
	Quiet []Hole
	// Entries are for the gap ledger as they are; they move no position.
	Entries []*transform.Hole
}

// Hole is a break in a stream: what comes behind it does not follow what was
// before it. It is entered into the gap ledger with the first event behind it,
// in the transaction that moves the position over it.
type Hole struct {
	Channel string
	Reason  string // of the ledger
	Detail  string
	At      int  // index of the batch's first event that can lie behind it
	entered bool // it was Quiet before: the ledger has it
}

// join appends b to a.
func (a Batch) join(b Batch) Batch {
	for _, h := range b.Holes {
		h.At += len(a.Events)
		a.Holes = append(a.Holes, h)
	}
	a.Quiet = append(a.Quiet, b.Quiet...)
	a.Entries = append(a.Entries, b.Entries...)
	a.Events = append(a.Events, b.Events...) // I3: in order
	a.Bytes += b.Bytes
	return a
}

// Start says where a stream is read from: "earliest" or "latest" of what the
// org retains, or after a position.
type Start struct {
	Earliest, Latest bool
	After            replay.Position
}

// Resume is one stream of a lane and where to take it up.
type Resume struct {
	Channel string
	Start   Start
}

// SourceTrace is what a source tells its lane while it works. The functions may
// be called only from the goroutine that uses the source.
type SourceTrace struct {
	// Subscribed: a stream's subscription began (true) or ended (false).
	Subscribed func(channel string, on bool)
	// SessionEnded: the session is over and will be made anew.
	SessionEnded func(why Condition)
	// Rewind: a stream that was subscribed at "latest" had no event yet and is
	// subscribed anew. True asks for the earliest event, so as to miss nothing:
	// the lane knows since when events are wanted. False means "latest" again.
	Rewind func(channel string) bool
	// Alive: the org answered; there was nothing wrong.
	Alive func()
	// Idle: the org held a request for events as long as it does, and answered it
	// with none.
	Idle func()
}

// Source is one session that yields events of a lane's streams. One goroutine
// calls its methods.
type Source interface {
	// Next blocks until it has at least one event, an error, or ctx ends. It
	// may return both events and an error: the events are good. After an
	// error for which the policy says so it is called again; it paces itself.
	Next(ctx context.Context) (Batch, error)
	// Restart subscribes a stream again at another place.
	Restart(channel string, at Start) error
	// Halt ends the subscription of one stream; the others go on.
	Halt(channel string) error
	// Resubscribe ends the subscription of one stream and makes it again behind
	// the last event taken, within the session.
	Resubscribe(channel string) error
	// Renew gives the session up for a new one, in which every stream goes on
	// behind the last event taken.
	Renew()
	// Wake makes Next return soon, with nothing. Any goroutine may call it.
	Wake()
	// Close releases the session at the org, within ctx.
	Close(ctx context.Context) error
}

// Encoder turns one event into the records that Kafka shall hold. It appends
// to dst and leaves dst as it was when it returns an error.
type Encoder interface {
	Encode(ctx context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error)
}

// Writer makes records and positions durable as one unit (I2).
type Writer interface {
	Commit(ctx context.Context, records, positions []*kgo.Record) error
	Close(ctx context.Context) error
}

// Positions is the part of the position topic that a lane needs;
// *[replay.Store] is one.
type Positions interface {
	Barrier(lane int32) replay.Barrier
	Load(ctx context.Context, lane int32, b replay.Barrier) (map[replay.Key]replay.Entry, error)
	Record(e replay.Entry) *kgo.Record
	// MomentRecord is nil where no index is kept.
	MomentRecord(m replay.Moment) *kgo.Record
}

var _ Positions = (*replay.Store)(nil)

// Tasks is where a lane keeps how far the work with rows has come; *[replay.Store] is
// one.
type Tasks interface {
	// Tasks are those of the lane, behind Load.
	Tasks(ctx context.Context, lane int32) ([]replay.Task, error)
	TaskRecord(t replay.Task) *kgo.Record
}

var _ Tasks = (*replay.Store)(nil)

// Ledger makes the records of the gap ledger; *[transform.Ledger] is one.
type Ledger interface {
	Record(ctx context.Context, h *transform.Hole) (*kgo.Record, error)
}

var _ Ledger = (*transform.Ledger)(nil)
