package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sfbridge/bridge/transform"
)

// malformedLimit is how often running a reply may be no valid frame without
// one event between: a reply that is the same at each try will not get better.
// Those further apart than malformedWithin have nothing to do with each other.
const (
	malformedLimit  = 5
	malformedWithin = 15 * time.Minute
)

// poller asks one source of a lane, in a goroutine of its own.
type poller struct {
	*carrier
	src       Source
	channels  []string // of the lane's streams, those that it is the source of
	holes     []Hole   // found since the last batch
	malformed int
	garbled   time.Time                          // when the last of them came
	asking    atomic.Pointer[context.CancelFunc] // ends the call of Next that is under way
	orders    orders                             // of the watchdog
	// alone are the holes behind which nothing has come yet, by channel, and idle says
	// that the org had nothing more.
	alone map[string]Hole
	idle  bool
}

// poll asks the source until intake ends or the policy says so.
func (p *poller) poll(ctx, intake context.Context) error {
	halted := make(map[string]bool)
	asking, cancel := p.interruptible(intake)
	defer func() { cancel() }()
	for intake.Err() == nil {
		if asking.Err() != nil {
			asking, cancel = p.interruptible(intake)
		}
		if err := p.haltAtSource(halted); errors.Is(err, errDone) {
			return nil
		} else if err != nil {
			return err
		}
		if err := p.obey(ctx); err != nil {
			return err
		}
		if !p.tellQuiet(ctx) {
			return nil
		}
		b, err := p.src.Next(asking)
		if len(b.Events) > 0 {
			p.malformed = 0
			p.receive(&b)
			for i := range b.Events {
				if len(p.alone) == 0 {
					break
				}
				delete(p.alone, b.Events[i].Channel)
			}
			b.Holes, p.holes = append(b.Holes, p.holes...), nil
			if !p.put(ctx, b) {
				p.giveBack(b.Events)
				return nil
			}
		}
		if err != nil && asking.Err() == nil {
			if err := p.sourceFailed(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// wentIdle notes that the org has nothing more. A hole that was found shall not wait for
// an event to be known: what it took away may be read from rows.
func (p *poller) wentIdle() {
	if len(p.alone) > 0 {
		p.idle = true
		p.src.Wake()
	}
}

// tellQuiet hands over holes behind which nothing comes.
func (p *poller) tellQuiet(ctx context.Context) bool {
	if !p.idle {
		return true
	}
	p.idle = false
	var quiet []Hole
	for channel, h := range p.alone {
		quiet = append(quiet, h)
		p.dropHoles(channel)
	}
	return len(quiet) == 0 || p.put(ctx, Batch{Quiet: quiet})
}

// interruptible returns a context that interrupt ends.
func (p *poller) interruptible(intake context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(intake)
	p.asking.Store(&cancel)
	return ctx, cancel
}

// errDone says that a source has no stream left, while others of the lane have.
var errDone = errors.New("all streams of the source are halted")

// haltAtSource ends the subscriptions of streams that halted since the last call.
func (p *poller) haltAtSource(done map[string]bool) error {
	left := 0
	for _, channel := range p.channels {
		if p.streams[channel].stats.haltedWhy() == "" {
			left++
			continue
		}
		if !done[channel] {
			done[channel] = true
			if err := p.src.Halt(channel); err != nil {
				return err
			}
		}
	}
	if left == 0 {
		return cmp.Or(p.allHalted(), errDone)
	}
	return nil
}

// sourceFailed acts upon an error of the source. Nil means: ask it again.
func (p *poller) sourceFailed(err error) error {
	cond := Classify(err)
	channel := ""
	if se, ok := errors.AsType[*SourceError](err); ok {
		channel = se.Channel
	}
	d := Decide(cond, p.starting(channel))
	if cond == Malformed {
		if time.Since(p.garbled) > malformedWithin {
			p.malformed = 0
		}
		p.garbled = time.Now()
		if p.malformed++; p.malformed >= malformedLimit {
			return &ExitError{Code: ExitHalted, Err: fmt.Errorf("%d replies running were no valid frame: %w", p.malformed, err)}
		}
	}
	switch d.Action {
	case GoOn:
		p.cfg.Stats.trouble(p.cfg.Lane, cond, err)
		p.cfg.Log.Warn().Err(err).Str("condition", string(cond)).Int32("lane", p.cfg.Lane).Msg("source")
		return nil
	case HaltStream:
		p.haltStream(channel, err)
		return nil
	case Restart:
		return p.restart(channel, err)
	case Exit:
		return &ExitError{Code: d.Code, Err: err}
	default:
		return err
	}
}

// starting says whether a trouble of the source belongs to the start: a stream
// that was subscribed before was configured rightly.
func (p *poller) starting(channel string) bool {
	if channel != "" {
		s, ok := p.streams[channel]
		return ok && !s.stats.everSubscribed()
	}
	for _, s := range p.streams {
		if s.stats.everSubscribed() {
			return false
		}
	}
	return true
}

// restart takes up a stream whose position the org refuses, by its policy.
func (p *poller) restart(channel string, why error) error {
	s, ok := p.streams[channel]
	if !ok {
		return fmt.Errorf("the source reports trouble of a stream that this lane does not have: %w", why)
	}
	if s.agedOut(time.Now()) {
		p.cfg.Log.Info().Err(why).Str("channel", channel).Time("seen", s.readUntil()).
			Msg("the stream was quiet for longer than the org retains its position; it goes on with the earliest event that is retained, and nothing is lost")
		return p.src.Restart(channel, Start{Earliest: true})
	}
	if !s.OnExpired.Earliest && !s.OnExpired.Latest {
		p.haltStream(channel, why)
		return nil
	}
	p.cfg.Log.Error().Err(why).Str("channel", channel).Bool("earliest", s.OnExpired.Earliest).Bool("latest", s.OnExpired.Latest).
		Msg("the org refuses the stored position: events before the earliest that it retains are lost to the stream; it goes on by on_expired")
	p.dropHoles(channel) // one that was seen at the start is this one
	p.found(Hole{Channel: channel, Reason: transform.ReplayRefused, Detail: why.Error()})
	return p.src.Restart(channel, s.OnExpired)
}

// found notes a hole of a stream.
func (p *poller) found(h Hole) {
	p.holes = append(p.holes, h)
	p.alone[h.Channel] = h
}

// dropHoles forgets what was found of a stream and is not handed on yet.
func (p *poller) dropHoles(channel string) {
	delete(p.alone, channel)
	p.holes = slices.DeleteFunc(p.holes, func(h Hole) bool { return h.Channel == channel })
}
