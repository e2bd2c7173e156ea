package streaming

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// process is one run of the bridge: everything but Kafka and the org is real.
type process struct {
	w       *week
	number  int
	killed  atomic.Bool
	garbage int // replies that were no JSON
	stats   *pipeline.Stats
	cancel  context.CancelFunc // ends it at once
	drain   context.CancelFunc
	ended   chan struct{} // closed when it has ended, with err
	err     error
	client  *http.Client

	mu         sync.Mutex
	subscribed bool
	overlapped bool       // another one ran meanwhile
	largest    int        // events that one call of Next gave
	calls      *network   // logins and REST
	clients    []*network // of the streaming API, one for each time that the lane was taken up
}

const (
	instance   = "https://acme.my.salesforce.com"
	apiVersion = "66.0"
	gapsTopic  = "week.gaps"
	letters    = "week.dead"
	// loginTimeout bounds a request of OAuth or REST, as the program does.
	loginTimeout = 60 * time.Second
)

// start begins another process.
func (w *week) start() *process {
	ctx, cancel := context.WithCancel(w.ctx)
	intake, drain := context.WithCancel(ctx)
	p := &process{w: w, number: len(w.processes), stats: &pipeline.Stats{}, cancel: cancel, drain: drain, ended: make(chan struct{})}
	p.calls = newNetwork(p, 0)
	p.client = &http.Client{Timeout: loginTimeout, Transport: p.calls}
	w.processes = append(w.processes, p)
	go func() {
		defer close(p.ended)
		p.err = p.run(ctx, intake)
	}()
	return p
}

// run is what `bridge run` does: log in, then carry events.
func (p *process) run(ctx, intake context.Context) error {
	tokens := salesforce.NewTokenSource(p.grant())
	token, err := tokens.Token(intake)
	if err != nil {
		return loginFailed(intake, err)
	}
	rest, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: tokens, APIVersion: apiVersion, HTTP: p.client})
	if err != nil {
		return err
	}
	lane, err := p.lane(tokens, rest, token.OrgID)
	if err != nil {
		return err
	}
	return lane.Run(ctx, intake)
}

// loginFailed is told to whoever started the process, unless they have stopped it.
func loginFailed(intake context.Context, err error) error {
	if intake.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return &pipeline.ExitError{Code: pipeline.ExitEnvironment, Err: fmt.Errorf("salesforce login: %w", err)}
}

func (p *process) grant() salesforce.Grant {
	app := p.w.app
	if p.w.signed {
		return salesforce.JWTBearer{LoginURL: instance, Audience: "https://login.salesforce.com", ClientID: app.ClientID, Username: app.RunAs, Key: p.w.key, HTTP: p.client}
	}
	return salesforce.ClientCredentials{LoginURL: instance, ClientID: app.ClientID, ClientSecret: salesforce.Secret(app.ClientSecret), HTTP: p.client}
}

// fetcher marks the answers of the schema endpoint that asking again does not
// change, as the program does.
func fetcher(rest *salesforce.Client) schemas.FetcherFunc {
	return func(ctx context.Context, id string) ([]byte, error) {
		text, err := rest.EventSchema(ctx, id)
		if err != nil && ctx.Err() == nil && !salesforce.Retryable(err) && !salesforce.Unauthorized(err) {
			return nil, schemas.Permanent(err)
		}
		return text, err
	}
}

func (p *process) lane(tokens *salesforce.TokenSource, rest *salesforce.Client, org string) (*pipeline.Lane, error) {
	w := p.w
	encoding := transform.Config{OrgID: org, Schemas: schemas.NewCatalog(fetcher(rest))}
	if w.json {
		encoding.Format = transform.JSON
	}
	encoder, err := transform.NewEncoder(encoding)
	if err != nil {
		return nil, err
	}
	ledger, err := transform.NewLedger(gapsTopic, transform.Config{Format: transform.JSON})
	if err != nil {
		return nil, err
	}
	streams := make([]pipeline.Stream, 0, len(w.streams))
	for _, s := range w.streams {
		streams = append(streams, pipeline.Stream{
			Key: replay.Key{Org: org, Channel: s.channel}, Start: pipeline.Start{Latest: s.latest, Earliest: !s.latest},
			OnExpired: pipeline.Start{Earliest: true}, Retention: retention,
		})
	}
	random := rand.New(rand.NewPCG(w.seed, uint64(p.number)+100)) //nolint:gosec // reproducible on purpose
	return pipeline.NewLane(pipeline.LaneConfig{
		Streams: streams, Positions: w.kafka, Encoder: encoder, Ledger: ledger, DeadLetter: pipeline.DeadLetter{Topic: letters},
		MaxEvents: w.maxEvents, MaxBytes: w.maxBytes, Stats: p.stats, Log: w.log,
		OpenWriter: func(context.Context) (pipeline.Writer, error) { return w.kafka.open() },
		OpenSource: func(_ context.Context, _ string, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
			subscribed := trace.Subscribed
			trace.Subscribed = func(channel string, on bool) {
				if on {
					p.begun(channel)
				}
				subscribed(channel, on)
			}
			w.reopened.mark(time.Now())
			p.mu.Lock()
			n := newNetwork(p, len(p.clients)+1)
			p.clients = append(p.clients, n)
			p.mu.Unlock()
			s, err := Open(Config{
				Client: cometd.Config{Transport: n, ReadBufferBytes: w.readBuffer, Rand: random.Float64},
				Tokens: tokens, APIVersion: apiVersion, OrgID: org,
			}, resume, trace)
			if err != nil {
				return nil, err
			}
			return &weighed{s, p}, nil
		},
	}), nil
}

// begun notes when a channel was subscribed to for the first time.
func (p *process) begun(channel string) {
	p.mu.Lock()
	p.subscribed = true
	p.mu.Unlock()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.w.begun[channel].IsZero() {
		p.w.begun[channel] = time.Now()
	}
}

// weighed is a source that looks, before it takes more, at how much is under way.
type weighed struct {
	pipeline.Source
	p *process
}

func (s *weighed) Next(ctx context.Context) (pipeline.Batch, error) {
	held := uint64(0)
	for _, st := range s.p.stats.Snapshot() {
		held += st.InFlight
	}
	s.p.mu.Lock()
	limit := batchesHeld * max(s.p.w.maxEvents, s.p.largest)
	s.p.mu.Unlock()
	if held > uint64(limit) { //nolint:gosec // not negative
		s.p.w.complain("%d events are under way when more are asked for, above %d", held, limit)
	}
	b, err := s.Source.Next(ctx)
	if n, most := piled(b), s.p.w.readBuffer+largestEvent; n > most {
		s.p.w.complain("%d bytes of events at once, above %d", n, most)
	}
	s.p.mu.Lock()
	s.p.largest = max(s.p.largest, len(b.Events))
	s.p.mu.Unlock()
	return b, err
}

// piled is how many bytes the events have, less the largest group of those that
// share a position: they come in one piece however large they are.
func piled(b pipeline.Batch) int {
	sum, group, largest := 0, 0, 0
	for i, e := range b.Events {
		if i > 0 && e.Position != b.Events[i-1].Position {
			group = 0
		}
		group += len(e.Payload)
		sum += len(e.Payload)
		largest = max(largest, group)
	}
	return sum - largest
}

// settled judges how a process ended that was asked to end, or that ended by itself.
func (p *process) settled(asked bool) {
	<-p.ended
	p.cancel()
	p.mu.Lock()
	starting := !p.subscribed
	p.mu.Unlock()
	exit, isExit := errors.AsType[*pipeline.ExitError](p.err)
	switch {
	case isExit && starting && (exit.Code == pipeline.ExitEnvironment || exit.Code == pipeline.ExitUsage):
		// A start that fails is told to whoever started it.
	case p.err == nil && asked, p.killed.Load():
	case p.overlapped && errors.Is(p.err, sink.ErrFenced):
	case asked && pipeline.Classify(p.err) != pipeline.Unforeseen && !isExit:
		// What was taken and not committed at the drain comes again.
	default:
		p.w.complain("a process ended (asked to: %v) with %v", asked, p.err)
	}
	for _, s := range p.stats.Snapshot() {
		if s.InFlight != 0 {
			p.w.complain("the counters of %s do not balance: %+v", s.Channel, s)
		}
		if s.Halted != "" {
			p.w.complain("%s is halted: %s", s.Channel, s.Halted)
		}
	}
}
