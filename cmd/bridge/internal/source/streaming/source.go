package streaming

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// Config is what a session needs.
type Config struct {
	// Client is the CometD client's configuration; Open sets Authorize, Trace and Resubscribe.
	Client cometd.Config
	Tokens *salesforce.TokenSource
	// APIVersion is that of the endpoint, such as "66.0".
	APIVersion string
	// OrgID is the org whose positions are resumed; a token of another org is
	// an error, since its replay ids mean something else.
	OrgID string
	// Moved is an error if the org does not live any more where it did when the
	// source was opened, or if that cannot be said. It is asked before the first
	// events of each later session are handed on. Nil never asks.
	Moved func(ctx context.Context) error
}

// Source is one CometD session after the other.
type Source struct {
	client   *cometd.Client
	moved    func(ctx context.Context) error
	sessions int  // how many there have been
	moving   bool // nothing of the present one has been handed on, and it is not the first
	streams  map[string]*place
}

var _ pipeline.Source = (*Source)(nil)

// Open prepares a session that resumes the streams; nothing is sent before the
// first Next.
func Open(cfg Config, streams []pipeline.Resume, trace pipeline.SourceTrace) (*Source, error) {
	s := &Source{moved: cfg.Moved, streams: make(map[string]*place)}
	cfg.Client.Authorize = authorizer(cfg)
	cfg.Client.Trace = clientTrace(streams, trace)
	cfg.Client.Trace.Handshake = s.begins
	cfg.Client.Resubscribe = rewinding(trace)
	var err error
	if s.client, err = cometd.New(cfg.Client); err != nil {
		return nil, fmt.Errorf("making the CometD client: %w", err)
	}
	for _, one := range streams {
		from, err := from(one.Channel, one.Start)
		if err != nil {
			return nil, err
		}
		if err := s.client.Subscribe(one.Channel, from); err != nil {
			return nil, &pipeline.SourceError{Condition: pipeline.ChannelRefused, Channel: one.Channel, Err: err}
		}
		s.expect(one.Channel, from)
	}
	return s, nil
}

// rewinding keeps "latest" one moment: a stream that had no event before it is
// subscribed anew is read from the earliest event on, if the lane can leave out
// what happened before the moment.
func rewinding(trace pipeline.SourceTrace) func(string, cometd.From) cometd.From {
	return func(channel string, from cometd.From) cometd.From {
		if from == cometd.Latest() && trace.Rewind(channel) {
			return cometd.Earliest()
		}
		return from
	}
}

// Next returns the events that have arrived. Those that show that the org lives
// elsewhere, or that a position means something else, are not returned, nor is what
// came with them: it comes again when the streams are taken up anew.
func (s *Source) Next(ctx context.Context) (pipeline.Batch, error) {
	events, err := s.client.Next(ctx)
	b := pipeline.Batch{}
	if foreign := s.examine(ctx, events); foreign != nil {
		return b, foreign
	}
	if len(events) > 0 {
		now := time.Now()
		b.Events = make([]transform.Event, len(events))
		for i := range events {
			b.Events[i] = event(&events[i], now)
			b.Bytes += len(b.Events[i].Payload)
		}
	}
	if err != nil {
		return b, sourceError(err)
	}
	return b, nil
}

// event belongs to the stream that was subscribed to, whatever name the message
// has for it. The payload of a PushTopic's or a generic channel's event is its
// whole data, which has the type and the time beside the fields. A message without
// a payload keeps its whole data, too: it will be refused as an event, and its dead
// letter shall hold what Salesforce sent (I1).
func event(e *cometd.Event, received time.Time) transform.Event {
	ev := transform.Event{
		Channel: e.Subscription, SchemaID: e.Schema, UUID: e.UUID, APIName: e.APIName,
		Payload: e.Payload, ReceivedAt: received,
	}
	if ev.Channel == "" {
		ev.Channel = e.Channel
	}
	if ev.Payload == nil || wholeData(ev.Channel) {
		ev.Payload = e.Data
	}
	if e.HasReplayID {
		ev.Position = strconv.FormatInt(e.ReplayID, 10)
	}
	return ev
}

// wholeData says whether the records of a channel are made of the whole data of
// its messages.
func wholeData(channel string) bool {
	return strings.HasPrefix(channel, "/topic/") || strings.HasPrefix(channel, "/u/")
}

// Restart subscribes a stream again at another place.
func (s *Source) Restart(channel string, at pipeline.Start) error {
	from, err := from(channel, at)
	if err != nil {
		return err
	}
	s.expect(channel, from)
	return s.client.Subscribe(channel, from)
}

// Halt ends the subscription of one stream.
func (s *Source) Halt(channel string) error { return s.client.Unsubscribe(channel) }

// Resubscribe subscribes a stream again behind the last event taken from it.
func (s *Source) Resubscribe(channel string) error {
	s.again(channel)
	return s.client.Resubscribe(channel)
}

// Renew gives the session up for another.
func (s *Source) Renew() { s.client.Renew() }

// Wake makes Next return when the org has answered the request that it is at.
func (s *Source) Wake() { s.client.Wake() }

// Close disconnects from the org.
func (s *Source) Close(ctx context.Context) error { return s.client.Close(ctx) }

func from(channel string, at pipeline.Start) (cometd.From, error) {
	switch {
	case at.Earliest:
		return cometd.Earliest(), nil
	case at.Latest:
		return cometd.Latest(), nil
	}
	id, err := strconv.ParseInt(string(at.After), 10, 64)
	if err == nil && id < 0 {
		err = fmt.Errorf("a replay id is not negative")
	}
	if err != nil {
		return cometd.From{}, &pipeline.PositionError{Channel: channel, Position: string(at.After), Err: err}
	}
	return cometd.After(id), nil
}
