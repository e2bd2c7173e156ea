//go:build failpoints

package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// The points at which a build for tests can kill itself, in the order in which
// the life of a lane passes them.
const (
	pointAssigned     = "assigned"     // told that lanes are ours, none has begun
	pointFenced       = "fenced"       // the older owner is fenced, the barrier not written
	pointBarrier      = "barrier"      // the barrier is about to be written
	pointLoading      = "loading"      // the barrier is committed, no position was read
	pointBegin        = "begin"        // a transaction's first record is about to be written
	pointRecord       = "record"       // between two records
	pointPosition     = "position"     // the records are handed over, a position is not
	pointAcknowledged = "acknowledged" // everything is written, the commit was not asked for
	pointCommitting   = "committing"   // the commit was asked for, the answer is open
	pointCommitted    = "committed"    // the answer is there, and not yet acted upon
	pointRevoke       = "revoke"       // asked to give lanes back
	pointRevoked      = "revoked"      // they are drained, Kafka was not told
)

func points() []string {
	return []string{
		pointAssigned, pointFenced, pointBarrier, pointLoading, pointBegin, pointRecord, pointPosition,
		pointAcknowledged, pointCommitting, pointCommitted, pointRevoke, pointRevoked,
	}
}

// failpoints kills the process, as SIGKILL does, when it passes a point for the
// n-th time: BRIDGE_FAILPOINT=point:n.
type failpoints struct {
	mu    sync.Mutex
	read  bool
	point string
	left  int
}

func (f *failpoints) pass(point string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.read {
		f.read = true
		f.point, f.left = wanted(os.Getenv("BRIDGE_FAILPOINT"))
	}
	if point != f.point {
		return
	}
	if f.left--; f.left == 0 {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(fmt.Sprintf("failpoint %s: %v", point, err))
		}
		select {} // nothing more happens here, however late the signal is
	}
}

// wanted panics at what it does not understand: a test that kills nothing would
// prove nothing.
func wanted(text string) (point string, n int) {
	if text == "" {
		return "", 0
	}
	point, number, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || !slices.Contains(points(), point) {
		panic(fmt.Sprintf("BRIDGE_FAILPOINT=%s: want point:n, n from 1, point one of %v", text, points()))
	}
	return point, n
}

// producer adds the points that a lane's producer passes.
func (f *failpoints) producer(client []kgo.Opt, positions string) []kgo.Opt {
	return append(client, kgo.WithHooks(&producerPoints{failpoints: f, positions: positions}))
}

// member adds the points that the group's member passes.
func (f *failpoints) member(a pipeline.Assigning) pipeline.Assigning {
	assigned, revoked := a.Assigned, a.Revoked
	a.Assigned = func(lanes []int32) {
		if len(lanes) > 0 {
			f.pass(pointAssigned)
		}
		assigned(lanes)
	}
	a.Revoked = func(lanes []int32) {
		if len(lanes) == 0 {
			revoked(lanes)
			return
		}
		f.pass(pointRevoke)
		revoked(lanes)
		f.pass(pointRevoked)
	}
	return a
}

// producerPoints sees what the client of a lane does. The commits of a lane follow
// each other: a record after a position belongs to the next one.
type producerPoints struct {
	*failpoints
	positions string // topic

	state struct {
		sync.Mutex
		pending    int
		begun      bool
		positioned bool
		barrier    bool
	}
}

var (
	_ kgo.HookProduceRecordBuffered   = (*producerPoints)(nil)
	_ kgo.HookProduceRecordUnbuffered = (*producerPoints)(nil)
	_ kgo.HookBrokerWrite             = (*producerPoints)(nil)
	_ kgo.HookBrokerRead              = (*producerPoints)(nil)
)

func (p *producerPoints) OnProduceRecordBuffered(r *kgo.Record) {
	s := &p.state
	s.Lock()
	first, position := !s.begun, r.Topic == p.positions
	s.begun = true
	s.pending++
	if first {
		s.positioned = false
		s.barrier = position && strings.HasPrefix(string(r.Key), "barrier/")
	}
	s.positioned = s.positioned || position
	barrier := s.barrier
	s.Unlock()
	switch {
	case barrier && first:
		p.pass(pointBarrier)
	case first:
		p.pass(pointBegin)
	case position:
		p.pass(pointPosition)
	default:
		p.pass(pointRecord)
	}
}

func (p *producerPoints) OnProduceRecordUnbuffered(_ *kgo.Record, err error) {
	s := &p.state
	s.Lock()
	s.pending--
	whole := s.pending == 0 && s.positioned
	if whole {
		s.begun = false
	}
	barrier := s.barrier
	s.Unlock()
	if whole && !barrier && err == nil {
		p.pass(pointAcknowledged)
	}
}

func (p *producerPoints) committing() (barrier bool) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.barrier
}

func (p *producerPoints) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.EndTxn) && err == nil && !p.committing() {
		p.pass(pointCommitting)
	}
}

func (p *producerPoints) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case err != nil:
	case key == int16(kmsg.InitProducerID):
		p.pass(pointFenced)
	case key != int16(kmsg.EndTxn):
	case p.committing():
		p.pass(pointLoading)
	default:
		p.pass(pointCommitted)
	}
}
