package streaming

import (
	"context"
	"crypto/rsa"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// Ceilings of a week in which everything goes wrong.
const (
	// mostRequests is what one client of the streaming API may send in any minute
	// beyond the requests that bring events: what cometd promises.
	mostRequests = 80
	// mostCalls is how many logins and REST requests a process may make in any minute.
	mostCalls = 30
	// mostReopened is how often in any minute the lane may be taken up anew, with a
	// session at the org of its own each time: in the worst weeks Kafka takes one
	// event a commit and refuses one commit in five.
	mostReopened = 60
	// mostTokens is how many token requests may be sent in any hour by all
	// processes. In the worst weeks one request in fifty ends the token, and a
	// login in ten fails. mostTokensAWeek is far below the number of sessions.
	mostTokens      = 200
	mostTokensAWeek = 2000
	// mostNeedless is how many tokens may be issued in a week without one having
	// been ended by the org: replies with a token get lost, an idle token lapses,
	// and in an outage, or when the org has moved, a login now and then shows where
	// it is.
	mostNeedless = 25
	// batchesHeld is how many batches are between the source and Kafka: one in
	// the committer's hands and one that waits.
	batchesHeld = 2
	// largestEvent is more than an event of this org has in bytes.
	largestEvent = 64 << 10
)

const lifetime = 7 * 24 * time.Hour

// week is the life of a bridge against a simulated org, in virtual time.
type week struct {
	*situation
	app       orgsim.App
	key       *rsa.PrivateKey
	org       *orgsim.Org
	transport http.RoundTripper
	kafka     *kafka
	load      map[string]*orgsim.Load
	rnd       *rand.Rand // of the main line of events
	fields    int

	tokens, requests, reopened meter
	processes                  []*process
	now                        *process    // the one that is to run
	began                      time.Time   // of the bridge's life
	rough                      time.Time   // faults begin again then
	failures                   int         // processes that ended by themselves, one after another
	storm                      atomic.Bool // faults come
	ctx                        context.Context
	log                        zerolog.Logger

	mu         sync.Mutex
	begun      map[string]time.Time
	complaints []string
	highest    map[string]int
}

// TestAWeekAgainstTheOrg lives weeks, one for each seed: nothing is lost,
// nothing doubled, order is kept, and the org is not asked more than is right.
// A seed draws everything but the pauses of the pipeline's own backoff.
func TestAWeekAgainstTheOrg(t *testing.T) {
	seeds, first := fromEnv(t, "BRIDGE_LIFE_SEEDS", usualSeeds), fromEnv(t, "BRIDGE_LIFE_FIRST", 0)
	// The heap is small and the garbage much: collecting it all the time would
	// take a fifth of the test.
	usual := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(usual) })
	key, _, err := orgsim.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sum := &summary{highest: map[string]int{}, faults: map[string]int{}}
	const chunks = 16
	told := seeds == 1 && testing.Verbose()
	t.Run("weeks", func(t *testing.T) {
		for chunk := range chunks {
			t.Run(fmt.Sprint(chunk), func(t *testing.T) {
				t.Parallel()
				for seed := first + chunk; seed < first+seeds; seed += chunks {
					t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
						live(t, uint64(seed), key, told, sum) //nolint:gosec // not negative
					})
				}
			})
		}
	})
	sum.judge(t, seeds)
}

func fromEnv(t *testing.T, name string, usual int) int {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func live(t *testing.T, seed uint64, key *rsa.PrivateKey, told bool, sum *summary) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, draw(seed), key)
		if told {
			w.log = zerolog.New(t.Output()).Hook(clock{w})
		}
		w.run()
		w.judge()
		sum.add(w)
		for i, c := range w.complaints {
			if i == 10 {
				t.Errorf("seed %d: and %d more", seed, len(w.complaints)-i)
				break
			}
			t.Errorf("seed %d: %s", seed, c)
		}
		if len(w.complaints) > 0 {
			t.Errorf("repeat with: BRIDGE_LIFE_FIRST=%d BRIDGE_LIFE_SEEDS=1 go test -count=1 -run TestAWeek ./cmd/bridge/internal/source/streaming", seed)
		}
	})
}

// clock gives log lines the time since the bridge came to life.
type clock struct{ w *week }

func (c clock) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("at", time.Since(c.w.began).String())
}

func newWeek(t *testing.T, s *situation, key *rsa.PrivateKey) *week {
	w := &week{situation: s, ctx: t.Context(), log: zerolog.Nop(), key: key, app: orgsim.DefaultApp(&key.PublicKey), kafka: newKafka(s),
		load: map[string]*orgsim.Load{}, begun: map[string]time.Time{}, highest: map[string]int{}, rnd: rand.New(rand.NewPCG(s.seed, 4))} //nolint:gosec // reproducible on purpose
	s.config.Apps = []orgsim.App{w.app}
	var err error
	if w.org, err = orgsim.New(s.config); err != nil {
		t.Fatal(err)
	}
	w.transport = w.org.RoundTripper()
	for _, object := range objects() {
		if w.load[object], err = w.org.NewLoad(orgsim.LoadConfig{Objects: []string{object}, Seed: s.seed + 1}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *week) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, time.Since(w.began).Round(time.Second).String()+": "+fmt.Sprintf(format, args...))
}

// run is the whole life: the time before, a week with faults, recovery, drain.
func (w *week) run() {
	w.began = time.Now()
	w.happen(w.before, w.traffic)
	w.began = time.Now()
	w.now = w.start()
	w.pass(time.Duration(w.rnd.IntN(120)) * time.Second)
	w.stormy(true)
	w.happen(lifetime, slices.Concat(w.traffic, w.troubles))
	w.recover()
	w.now.drain()
	w.now.settled(true)
	if err := w.org.Close(); err != nil {
		w.complain("closing the org: %v", err)
	}
}
