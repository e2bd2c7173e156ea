package snapshot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

var (
	historyFirst = flag.Uint64("history.first", 1, "the first seed of TestHistories")
	historyCount = flag.Uint64("history.count", 0, "how many seeds TestHistories runs; 0: as many as fit into a test run")
	historyLog   = flag.Bool("history.log", false, "log what the lane does")
)

func historyObjects() []string { return []string{"Account", "Widget__c"} }

func channelOf(object string) string {
	if base, custom := strings.CutSuffix(object, "__c"); custom {
		return "/data/" + base + "__ChangeEvent"
	}
	return "/data/" + object + "ChangeEvent"
}

// history is a life of an org and of a bridge beside it, decided by a seed: records are
// made, changed, deleted and brought back, also in the same second and in one
// transaction; events are late, replaced by gap events, and expire; requests and commits
// fail; the process is killed. At its end the topics must equal the org.
type history struct {
	seed   uint64
	rnd    *rand.Rand // of the org's life
	org    *orgsim.Org
	bus    *bus
	topics *topics
	holes  *ledgerHoles
	log    zerolog.Logger

	version int                 // of values, which go up with time
	ids     map[string][]string // by object
	gone    map[string][]string

	method   Method
	parallel int
	latest   bool // where streams begin
	restless bool // one record changes all the time
	wishful  bool // somebody asks for rows, and pauses what is under way
	wishes   *wishes
	repair   RepairMode
	latency  int // milliseconds of a request, at most

	mu     sync.Mutex
	netRnd *rand.Rand
	held   uint64
}

// TestHistories is the property that judges the package, over random histories.
func TestHistories(t *testing.T) {
	n := *historyCount
	if n == 0 {
		n = seedsOfARun
	}
	var sum lived
	for seed := *historyFirst; seed < *historyFirst+n; seed++ {
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(t, seed)
			faults = h.run(t)
			sum.add(h)
		})
		for _, f := range faults[:min(len(faults), 5)] {
			t.Errorf("history %d: %s", seed, f)
		}
		if t.Failed() {
			t.Fatalf("again: go test ./cmd/bridge/internal/source/snapshot -run TestHistories -history.first %d -history.count 1 -history.log", seed)
		}
	}
	t.Logf("%d histories: %d records, of them %d rows, %d late events, %d states of gaps; commits were held %d times", n, sum.records, sum.rows, sum.late, sum.gaps, sum.holds)
	if n >= seedsOfARun && (sum.rows == 0 || sum.late == 0 || sum.gaps == 0 || sum.holds == 0) {
		t.Error("something that is to be tested did not happen")
	}
}

// lived is what histories had in them.
type lived struct{ records, rows, gaps, late, holds int }

func (l *lived) add(h *history) {
	l.holds += int(h.held) //nolint:gosec // a small count
	for _, r := range h.topics.all() {
		switch {
		case r.Topic == "gaps":
			l.gaps++
		case header(r, pipeline.SnapshotHeader) != "":
			l.rows++
		case header(r, pipeline.InSnapshotHeader) != "":
			l.late++
		}
		l.records++
	}
}

func newHistory(t *testing.T, seed uint64) *history {
	rnd := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) } //nolint:gosec // reproducible on purpose
	h := &history{
		seed: seed, rnd: rnd(1), netRnd: rnd(2), ids: make(map[string][]string), gone: make(map[string][]string), log: zerolog.Nop(),
		method: REST, parallel: 1, latency: 3000, repair: RepairAuto,
	}
	if *historyLog {
		h.log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000"}).With().Timestamp().Logger()
		zerolog.TimeFieldFormat = zerolog.TimeFormatUnixMs
	}
	if h.rnd.IntN(3) == 0 {
		h.method = Bulk
	}
	h.parallel += h.rnd.IntN(2)
	h.wishful, h.wishes = h.rnd.IntN(3) == 0, newWishes()
	h.latest, h.restless = h.rnd.IntN(2) == 0, h.rnd.IntN(5) == 0
	if h.rnd.IntN(2) == 0 {
		h.latency = 300
	}
	text := func(name string) orgsim.Field { return orgsim.Field{Name: name, Type: orgsim.Text, Length: 80} }
	org, err := orgsim.New(orgsim.Config{
		Seed: seed, Retention: -1,
		Objects: []orgsim.Object{
			{Name: "Account", KeyPrefix: "001", Fields: []orgsim.Field{{Name: "Name", Type: orgsim.AccountName, Required: true}, text("Site"), text("Sic")}},
			{Name: "Widget__c", KeyPrefix: "a01", Fields: []orgsim.Field{{Name: "Name", Type: orgsim.AutoNumber, Format: "W-"}, text("Site__c"), text("Sic__c")}},
		},
		Bulk: orgsim.BulkConfig{Work: orgsim.Delay{Min: 0, Max: 8 * time.Second}, PageRows: 9},
	})
	must(t, err)
	h.org = org
	for range 5 + h.rnd.IntN(50) {
		h.create()
	}
	for range h.rnd.IntN(6) {
		h.step()
	}
	gap := []float64{0, 0, 0.03, 0.1}[h.rnd.IntN(4)]
	h.bus = newBus(org, rnd(3), gap)
	if h.restless {
		h.bus.prompt = 500
	}
	h.topics = newTopics(rnd(4), []float64{0, 0.02}[h.rnd.IntN(2)])
	h.holes = &ledgerHoles{h: h}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run lives the history, and returns what is wrong at its end.
func (h *history) run(t *testing.T) []string {
	defer func() { must(t, h.org.Close()) }()
	mix := orgsim.QueryMix().Scale(0.5 * float64(h.rnd.IntN(3)))
	must(t, h.org.RunFaults(orgsim.Faults(h.seed, mix)))
	life := time.Duration(20+h.rnd.IntN(100)) * time.Second
	kills := h.rnd.IntN(4)
	end := time.Now().Add(life)
	stop := h.process(t)
	nextKill := time.Now().Add(time.Duration(h.rnd.Int64N(int64(life))))
	for time.Now().Before(end) {
		time.Sleep(time.Duration(h.rnd.IntN(1200)) * time.Millisecond) //nolint:forbidigo // virtual time
		for range 1 + h.rnd.IntN(4) {
			h.step()
			h.bus.pull()
		}
		if h.restless {
			h.fidget()
		}
		if h.wishful && h.rnd.IntN(8) == 0 {
			h.wish()
		}
		if kills > 0 && time.Now().After(nextKill) {
			kills--
			stop()
			if h.rnd.IntN(3) == 0 {
				time.Sleep(time.Duration(h.rnd.IntN(30)) * time.Second) //nolint:forbidigo // virtual time
				for range h.rnd.IntN(8) {
					h.step()
					h.bus.pull()
				}
				at, _, err := h.topics.standing()
				must(t, err)
				if h.bus.expire(at) {
					h.log.Info().Msg("history: events expired")
				}
			}
			stop = h.process(t)
			nextKill = time.Now().Add(time.Duration(h.rnd.Int64N(int64(life))))
		}
	}
	h.org.StopFaults()
	h.goOn()
	h.topics.mu.Lock()
	h.topics.trouble = 0
	h.topics.mu.Unlock()
	if why := h.rest(); why != "" {
		stop()
		return []string{why}
	}
	stop()
	return h.judge()
}

// rest waits until nothing is left to do.
func (h *history) rest() string {
	deadline := time.Now().Add(3 * time.Hour)
	calm := time.Now() // since when; a hole may be found once the bus has had nothing for two minutes
	for {
		at, busy, err := h.topics.standing()
		if len(busy) > 0 || !h.bus.quiet(at) || !h.holes.none() {
			calm = time.Now()
		}
		switch {
		case err != nil:
			return err.Error()
		case time.Since(calm) > 5*time.Minute:
			return ""
		case time.Now().After(deadline):
			return fmt.Sprintf("it does not come to rest: positions %v, tasks %v, open holes %v", at, busy, !h.holes.none())
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual time
	}
}

// process starts the bridge: everything but Kafka and the bus is real. What it returns
// kills it.
func (h *history) process(t *testing.T) (kill func()) {
	ctx, cancel := context.WithCancel(t.Context())
	network := &slow{h: h}
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issued{h.org}), APIVersion: "66.0", HTTP: &http.Client{Transport: network},
	})
	must(t, err)
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{
		Client: client, PageRows: 10, BulkPageRows: 7, MaxJobs: 2,
		Spend: func(ctx context.Context, n int) error { Spent(ctx, n); return nil },
	})
	must(t, err)
	worker := New(Config{
		Client: client, Reader: reader, Holes: h.holes, Signals: h.wishes, NoticesTopic: "notices",
		Objects: func(channel string) []string {
			for _, object := range historyObjects() {
				if channelOf(object) == channel {
					return []string{object}
				}
			}
			return nil
		},
		Alive:  h.alive,
		Repair: func(string) RepairMode { return RepairAuto },
		Method: h.method, Parallel: h.parallel, BulkRange: 15, PageRows: 10, CommitRows: 4, Pause: 20 * time.Second, Log: h.log,
	})
	encoding := transform.Config{OrgID: h.org.ID(), Format: transform.JSON, TopicTemplate: "{{.Object}}", Schemas: schemas.NewCatalog(schemas.FetcherFunc(client.EventSchema))}
	encoder, err := transform.NewEncoder(encoding)
	must(t, err)
	ledger, err := transform.NewLedger("gaps", transform.Config{Format: transform.JSON})
	must(t, err)
	var streams []pipeline.Stream
	for _, object := range historyObjects() {
		streams = append(streams, pipeline.Stream{
			Key: replay.Key{Org: h.org.ID(), Channel: channelOf(object)}, Start: pipeline.Start{Latest: h.latest, Earliest: !h.latest},
			OnExpired: pipeline.Start{Earliest: true}, Begin: []replay.Task{InitialTask(object)},
		})
	}
	late := time.Duration(h.rnd.IntN(12000)) * time.Millisecond
	lane := func() *pipeline.Lane {
		return pipeline.NewLane(pipeline.LaneConfig{
			Streams: streams, Positions: h.topics, Tasks: h.topics, Rows: worker.Run, Encoder: encoder, Ledger: ledger,
			DeadLetter: pipeline.DeadLetter{Topic: "dead"}, MaxEvents: 20, MaxBytes: 1 << 20, Stats: &pipeline.Stats{}, Log: h.log,
			OpenWriter: func(context.Context) (pipeline.Writer, error) { return h.topics.open(), nil },
			OpenSource: func(_ context.Context, _ string, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
				return h.bus.subscribe(resume, trace, late), nil
			},
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil { // whoever watches over it starts it anew if its start fails
			if err := lane().Run(ctx, ctx); err != nil && ctx.Err() == nil && pipeline.Classify(err) == pipeline.Unforeseen {
				t.Errorf("history %d: the lane ended with %v", h.seed, err)
			}
			pause(ctx, time.Second)
		}
	}()
	return func() {
		network.dead.Store(true) // a process that is killed sends no farewell
		cancel()
		<-ended
		h.mu.Lock()
		defer h.mu.Unlock()
		h.held += worker.Held()
	}
}

// issued is a login that gives a new token each time.
type issued struct{ o *orgsim.Org }

func (i issued) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.o.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: "https://acme.my.salesforce.com"}, err
}

// slow is a network on which requests and replies take their time.
type slow struct {
	h    *history
	dead atomic.Bool
}

func (s *slow) wait(ctx context.Context) error {
	s.h.mu.Lock()
	d := time.Duration(s.h.netRnd.IntN(s.h.latency)) * time.Millisecond
	s.h.mu.Unlock()
	if !pause(ctx, d) {
		return ctx.Err()
	}
	return nil
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.dead.Load() {
		return nil, errAway
	}
	if err := s.wait(r.Context()); err != nil {
		return nil, err
	}
	resp, err := s.h.org.RoundTripper().RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body) // as the org has it now, whenever it arrives
	closed := resp.Body.Close()
	resp.Body = io.NopCloser(&cutShort{strings.NewReader(string(body)), err})
	if err := errors.Join(closed, s.wait(r.Context())); err != nil {
		return nil, err
	}
	return resp, nil
}

// cutShort is a body that ends as it ended at the org.
type cutShort struct {
	*strings.Reader
	err error
}

func (c *cutShort) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) && c.err != nil {
		err = c.err
	}
	return n, err
}
