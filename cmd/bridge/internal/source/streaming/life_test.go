package streaming

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// life is a week of one lane against a server and a Kafka that fail in every
// way that is known, in virtual time.
type life struct {
	seed   uint64
	server *cometdtest.Server
	lane   *pipeline.Lane
	stats  *pipeline.Stats

	mu        sync.Mutex
	rnd       *rand.Rand
	rough     bool   // faults happen
	token     string // the one that the server accepts
	tokens    int
	published map[string][]string // payloads by channel
	committed map[string][]string
	positions map[string]replay.Entry
}

const (
	week     = 7 * 24 * time.Hour
	fault    = 0.02 // of the requests
	orders   = "/event/Order__e"
	perHour  = 120 // requests an hour that a week of faults may cost at the most, in the mean
	perToken = 3 * time.Minute
)

var lifeChannels = []string{accounts, contacts, orders}

func TestAWeekOfFaults(t *testing.T) {
	seeds := 12
	if text := os.Getenv("BRIDGE_LIFE_SEEDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { newLife(uint64(seed)).run(t) }) //nolint:gosec // not negative
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func newLife(seed uint64) *life {
	l := &life{
		seed: seed, stats: &pipeline.Stats{}, rnd: rand.New(rand.NewPCG(seed, 3)), //nolint:gosec // reproducible on purpose
		published: make(map[string][]string), committed: make(map[string][]string), positions: make(map[string]replay.Entry),
	}
	l.server = &cometdtest.Server{
		Retention: 72 * time.Hour,
		Gap:       func() int64 { return 1 + int64(l.roll(40)) },
		Token:     l.accepts, Fault: l.fault,
		MaxEvents: 1 + l.roll(50), EventsWithSubscribe: l.roll(2) == 0, ReplyFirst: l.roll(2) == 0,
		NumericIDs: l.roll(4) == 0, BareObject: l.roll(4) == 0,
	}
	streams := make([]pipeline.Stream, 0, len(lifeChannels))
	for _, c := range lifeChannels {
		late := l.roll(2) == 0
		streams = append(streams, pipeline.Stream{
			Key: replay.Key{Org: orgID, Channel: c}, Start: pipeline.Start{Latest: late, Earliest: !late},
			OnExpired: pipeline.Start{Earliest: true},
		})
	}
	tokens := salesforce.NewTokenSource(l)
	l.lane = pipeline.NewLane(pipeline.LaneConfig{
		Streams: streams, Positions: l, Encoder: l, Ledger: noLedger{}, MaxEvents: 100, MaxBytes: 1 << 20, Stats: l.stats, Log: zerolog.Nop(),
		OpenWriter: func(context.Context) (pipeline.Writer, error) { return l, nil },
		OpenSource: func(_ context.Context, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
			return Open(Config{
				Client: cometd.Config{Transport: l.server, ReadBufferBytes: 512}, Tokens: tokens, APIVersion: "66.0", OrgID: orgID,
			}, resume, trace)
		},
	})
	return l
}

func (l *life) roll(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rnd.IntN(n)
}

func (l *life) run(t *testing.T) {
	intake, drain := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.lane.Run(t.Context(), intake) }()
	pass(time.Minute)
	l.setRough(true)
	for start := time.Now(); time.Since(start) < week; {
		pass(time.Duration(l.roll(4*3600)) * time.Second)
		l.publish(1 + l.roll(60))
		if l.roll(10) == 0 {
			l.server.Forget()
		}
		if l.roll(10) == 0 {
			l.expireToken()
		}
	}
	l.setRough(false)
	pass(time.Hour)
	l.publish(5)
	pass(time.Hour)
	drain()
	if err := <-ended; err != nil {
		t.Errorf("the lane ended with %v", err)
	}
	l.judge(t)
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (l *life) setRough(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rough = on
}

func (l *life) publish(n int) {
	for range n {
		channel := lifeChannels[l.roll(3)*l.roll(2)] // the first one is lively, the others are quiet
		l.mu.Lock()
		payload := fmt.Sprintf(`{"n":%d}`, len(l.published[channel]))
		l.published[channel] = append(l.published[channel], payload)
		l.mu.Unlock()
		l.server.Publish(channel, `{"schema":"s1","payload":`+payload+`}`)
	}
}

func (l *life) judge(t *testing.T) {
	for _, channel := range slices.Sorted(maps.Keys(l.published)) {
		if want, got := l.published[channel], l.committed[channel]; !slices.Equal(want, got) {
			at := 0
			for at < min(len(want), len(got)) && want[at] == got[at] {
				at++
			}
			t.Errorf("%s: %d published, %d committed, equal up to %d", channel, len(want), len(got), at)
		}
	}
	for _, s := range l.stats.Snapshot() {
		if s.InFlight != 0 {
			t.Errorf("counters do not balance: %+v", s)
		}
	}
	t.Logf("seed %d: %d requests, %d tokens, sessions ended: %v", l.seed, l.server.Requests(), l.tokens, l.stats.SessionsEnded())
	hours := int(week / time.Hour)
	if n := l.server.Requests(); n > perHour*hours {
		t.Errorf("%d requests in a week, more than %d an hour", n, perHour)
	}
	if l.tokens > int(week/perToken) {
		t.Errorf("%d tokens in a week", l.tokens)
	}
}

// Exchange is a login; the server accepts the newest token only.
func (l *life) Exchange(context.Context) (salesforce.Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens++
	l.token = fmt.Sprintf("t%d", l.tokens)
	return salesforce.Token{Access: salesforce.Secret(l.token), OrgID: orgID, InstanceURL: "https://org.example"}, nil
}

func (l *life) expireToken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = "none"
}

func (l *life) accepts(authorization string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return authorization == "Bearer "+l.token
}

// fault makes one in so many requests go wrong.
func (l *life) fault(*cometdtest.Request) *cometdtest.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.rough || l.rnd.Float64() > fault {
		return nil
	}
	html := "<html>Down for maintenance</html>"
	cut, at := l.rnd.IntN(3000), l.rnd.IntN(100)
	none, handshake, again := `{"reconnect":"none"}`, `{"reconnect":"handshake","interval":0}`, `{"reconnect":"retry","interval":2000}`
	faults := []cometdtest.Fault{
		{Status: 500, Body: html}, {Status: 502, Body: html}, {Status: 503, Body: html}, {Status: 401}, {Status: 413, Body: html},
		{Empty: true}, {Body: html}, {Body: "[{]"}, {Drop: true}, {Cut: &cut}, {Cut: &at}, {Refuse: true}, {Forget: true},
		{Delay: time.Duration(l.rnd.IntN(300)) * time.Second}, {Chunk: 1 + l.rnd.IntN(64), Pause: time.Duration(l.rnd.IntN(5000)) * time.Millisecond},
		{Error: "403::Unknown client", Advice: handshake}, {Error: "402::Unknown client"},
		{Error: "401::Authentication invalid", Advice: none}, {Error: "401::Authentication invalid", Advice: none, FailureReason: "503::Server is too busy. Please try your request again later."},
		{Error: "403::Handshake denied", Advice: none, FailureReason: "401::Authentication invalid"},
		{Error: "403::Organization concurrent user limit exceeded", Advice: none}, {Error: "503::Server is too busy", Advice: again},
	}
	return &faults[l.rnd.IntN(len(faults))]
}

// Positions, encoder, ledger and writer in memory.

func (l *life) Barrier(int32) replay.Barrier { return replay.Barrier{} }

func (l *life) Load(context.Context, int32, replay.Barrier) (map[replay.Key]replay.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[replay.Key]replay.Entry)
	for _, e := range l.positions {
		out[e.Key] = e
	}
	return out, nil
}

// Record keeps the entry in the record's context, where Commit finds it.
func (l *life) Record(e replay.Entry) *kgo.Record {
	return &kgo.Record{Topic: "positions", Key: []byte(e.Key.Channel), Context: context.WithValue(context.Background(), entryKey{}, e)}
}

type entryKey struct{}

func (l *life) Encode(_ context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error) {
	return append(dst, &kgo.Record{Topic: ev.Channel, Value: ev.Payload}), transform.Meta{Time: ev.ReceivedAt}, nil
}

func (l *life) Commit(_ context.Context, records, positions []*kgo.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	applied, err := true, error(nil)
	if l.rough && len(records) > 0 && l.rnd.IntN(20) == 0 {
		applied, err = l.rnd.IntN(2) == 0, &sink.UnknownOutcomeError{TransactionalID: "life", Step: "commit", Err: errors.New("no answer")}
	}
	if !applied {
		return err
	}
	for _, r := range records {
		l.committed[r.Topic] = append(l.committed[r.Topic], string(r.Value))
	}
	for _, p := range positions {
		if p.Context == nil {
			continue // the barrier
		}
		if e, ok := p.Context.Value(entryKey{}).(replay.Entry); ok {
			l.positions[e.Key.Channel] = e
		}
	}
	return err
}

func (l *life) Close(context.Context) error { return nil }

// noLedger puts entries where nobody counts them.
type noLedger struct{}

func (noLedger) Record(context.Context, *transform.Hole) (*kgo.Record, error) {
	return &kgo.Record{Topic: "gaps"}, nil
}
