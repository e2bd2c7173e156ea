package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Step is one thing that a migration does. What comes next is never remembered,
// but seen from what the topics hold, so that a migration goes on wherever it was
// interrupted, and whoever does one of its steps by hand has done it.
type Step string

// The steps. More lanes take the first two. Kafka cannot take partitions away, so
// fewer lanes take the others: through a copy, which is there from before the
// topic is deleted until it is whole again, and with which Open refuses.
const (
	AddPartitions Step = "add partitions"
	MoveEntries   Step = "move positions"
	CreateCopy    Step = "create copy"
	WriteCopy     Step = "write copy"
	DeleteTopic   Step = "delete topic"
	CreateTopic   Step = "create topic"
	WriteBack     Step = "write positions back"
	DeleteCopy    Step = "delete copy"
)

// Decisive says whether a step relies on nobody having written a position since
// the topics were looked at: its caller proves that first, see
// [MigrationPlan.Barrier].
func (s Step) Decisive() bool {
	switch s {
	case MoveEntries, WriteBack, DeleteTopic, DeleteCopy:
		return true
	default:
		return false
	}
}

// Reshapes says whether a step creates, deletes or enlarges a topic. Producers
// that knew the topic before are not to be used after it.
func (s Step) Reshapes() bool {
	switch s {
	case MoveEntries, WriteCopy, WriteBack:
		return false
	default:
		return true
	}
}

// Move is where a stream's position is and where it belongs.
type Move struct {
	Key      Key
	From, To int32
}

// MigrationPlan is what a migration would do from here.
type MigrationPlan struct {
	Topic string
	Copy  string
	From  int // lanes that the positions come from
	To    int // lanes that they go to
	Have  int // lanes that the topic has now; 0 while it is not there
	// Streams are all of them, in the order of their keys.
	Streams []Move
	// Steps are what is left to be done. None is left if the topic is as it
	// should be.
	Steps []Step

	org   string
	token string
	at    state
}

// Barrier returns the record that proves, committed through the lane's producer,
// that nobody has taken over the lane since that producer was opened (I7). Lanes
// are those of the topic as it is: 0 to Have-1.
func (p *MigrationPlan) Barrier(lane int32) *kgo.Record {
	return Barrier{topic: p.Topic, org: p.org, lane: lane, token: p.token}.Record()
}

// Write makes records durable: all batches as one transaction, or, where there
// are no transactions, each one acknowledged before the next begins. The records
// have their partitions set.
type Write func(ctx context.Context, batches ...[]*kgo.Record) error

// Migration brings the positions to the number of lanes that its Config says. It
// reads and shapes topics; what is written is written by the caller, who first
// makes sure that nobody else writes positions.
type Migration struct{ s *Store }

// OpenMigration connects. It looks at nothing yet.
func OpenMigration(ctx context.Context, cfg Config) (*Migration, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, cfg, "opening the migration of positions", func(*Store, context.Context) error { return nil })
	if err != nil {
		return nil, err
	}
	return &Migration{s: s}, nil
}

// Close closes the connections. Closing twice is fine.
func (m *Migration) Close() { m.s.Close() }

// Look reads the topic and the copy, all of both, and says what is to be done. It
// changes nothing. What it cannot read it refuses, so that nothing is left behind
// (I5). It gives up after Config.OpenTimeout.
func (m *Migration) Look(ctx context.Context) (*MigrationPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, m.s.cfg.OpenTimeout)
	defer cancel()
	start := time.Now()
	at, err := m.observe(ctx)
	if err != nil {
		return nil, m.s.typed(err, "looking at the positions", start)
	}
	steps, err := at.decide(m.s.cfg)
	if err != nil {
		return nil, err
	}
	return &MigrationPlan{
		Topic: m.s.cfg.Topic, Copy: copyOf(m.s.cfg.Topic),
		From: at.from(), To: m.s.cfg.Lanes, Have: at.topic.partitions(),
		Streams: at.moves(m.s.cfg.Lanes), Steps: steps,
		org: m.s.cfg.Org, token: m.s.cfg.Token(), at: at,
	}, nil
}

// Do takes the first step of a plan. The topics are to be looked at again after
// it, which is also what verifies it.
func (m *Migration) Do(ctx context.Context, p *MigrationPlan, write Write) error {
	if len(p.Steps) == 0 {
		return errors.New("the migration has nothing left to do")
	}
	start := time.Now()
	step := p.Steps[0]
	if err := m.take(ctx, step, p.at, write); err != nil {
		return fmt.Errorf("%s: %w", step, m.s.typed(err, string(step), start))
	}
	return nil
}

func (m *Migration) take(ctx context.Context, step Step, at state, write Write) error {
	switch step {
	case AddPartitions:
		return m.addPartitions(ctx)
	case MoveEntries, WriteBack:
		return write(ctx, at.settling(m.s.cfg)...)
	case CreateCopy:
		return m.create(ctx, copyOf(m.s.cfg.Topic), 1, at.topic.shape)
	case WriteCopy:
		return write(ctx, at.copying(m.s.cfg)...)
	case DeleteTopic:
		return m.remove(ctx, m.s.cfg.Topic)
	case CreateTopic:
		return m.create(ctx, m.s.cfg.Topic, m.s.cfg.Lanes, at.mark.shape())
	case DeleteCopy:
		return m.remove(ctx, copyOf(m.s.cfg.Topic))
	default:
		return fmt.Errorf("there is no step %q", step)
	}
}
