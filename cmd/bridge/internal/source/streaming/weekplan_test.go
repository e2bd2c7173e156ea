package streaming

import (
	"math/rand/v2"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// situation is what a seed draws: an org, what the bridge takes from it, how
// much happens, and how much goes wrong.
type situation struct {
	seed    uint64
	config  orgsim.Config
	streams []streamPlan
	signed  bool          // logs in with a signed assertion, else with the app's secret
	before  time.Duration // that the org was alive before the bridge came

	faults  orgsim.FaultPlan
	holes   bool    // of a kind that takes events for good: what is missing is not judged
	twice   bool    // the org sends events twice: how often they are committed is not judged
	trouble float64 // share of the commits that fail
	// What happens in the org, and what happens to the bridge.
	traffic, troubles []action

	maxEvents, maxBytes, readBuffer int
	largest                         int // bytes of a record that Kafka takes
	json                            bool
}

type streamPlan struct {
	channel string
	latest  bool
}

// action is something that happens so many times a week.
type action struct {
	do     func(w *week) error
	weekly float64
}

const (
	orders     = "/event/Order__e"
	orderGroup = "/event/Orders__chn"
	sales      = "/data/Sales__chn"
	invoices   = "/data/Invoice__ChangeEvent"
	everything = "/data/ChangeEvents"

	retention = 72 * time.Hour
	// longestBefore keeps everything of the time before within the retention
	// until long after the first subscription, whatever goes wrong with that.
	longestBefore = 48 * time.Hour
	longestDelay  = 10 * time.Minute
)

// draw makes a seed's situation.
func draw(seed uint64) *situation {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
	s := &situation{
		seed: seed, signed: r.IntN(8) == 0, holes: r.IntN(10) == 0, twice: r.IntN(8) == 0,
		maxEvents: oneOf(r, 1, 20, 500, 10_000), maxBytes: oneOf(r, 20_000, 1<<20, 16<<20), readBuffer: oneOf(r, 512, 8<<10, 64<<10),
		largest: oneOf(r, 3_000, 1<<20, 1<<20), trouble: oneOf(r, 0, .01, .05, .2), json: r.IntN(3) == 0,
	}
	if r.IntN(2) == 0 {
		s.before = time.Duration(r.Int64N(int64(longestBefore)))
	}
	channels := []string{accounts, contacts, invoices, everything, sales, orders, orderGroup}
	r.Shuffle(len(channels), func(i, j int) { channels[i], channels[j] = channels[j], channels[i] })
	for _, c := range channels[:1+r.IntN(4)] {
		s.streams = append(s.streams, streamPlan{channel: c, latest: r.IntN(2) == 0})
	}
	s.config = drawOrg(r, seed)
	s.faults = orgsim.Faults(seed, s.mix(oneOf(r, .1, .5, 1, 2)))
	if r.IntN(4) == 0 {
		s.faults.MaxRun = -1 // faults may follow each other without a bound
	}
	s.drawActions(r)
	return s
}

func oneOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func drawOrg(r *rand.Rand, seed uint64) orgsim.Config {
	coin := func(n int) bool { return r.IntN(n) == 0 }
	c := orgsim.Config{
		Seed: seed + 1, Retention: retention, InstanceURL: instance,
		Channels: []orgsim.Channel{
			{Name: sales, Members: []string{"Invoice__ChangeEvent", "ContactChangeEvent"}}, {Name: orderGroup, Members: []string{"Order__e"}},
		},
		Hold:           110 * time.Second,
		MaxReplyEvents: oneOf(r, 1, 7, 100, 2000), MaxReplyBytes: oneOf(r, 20_000, 8<<20),
		ConnectReplyFirst: coin(3), EventsWithSubscribe: coin(3), Gzip: coin(8), ExpireByID: coin(3), SilentChannels: coin(4),
		DuplicateStatus: oneOf(r, 500, 409), TokenLifetime: oneOf(r, 2*time.Hour, 15*time.Minute, 12*time.Hour),
		NoMerge: coin(4), TextDiffs: coin(4), OmitChangedFields: coin(4),
	}
	if coin(8) {
		c.Hold = 40 * time.Second
	}
	if coin(4) {
		c.Affinity = oneOf(r, 3*time.Hour, 30*time.Minute)
	}
	if coin(4) {
		c.ProxyCut, c.ProxyStatus = time.Minute, oneOf(r, 0, 504)
	}
	return c
}

// mix is every kind of fault: orgsim's default mix, the answers that a broken
// proxy gives, which that leaves out, and in some weeks what takes events away.
func (s *situation) mix(scale float64) orgsim.Mix {
	m := orgsim.DefaultMix().With(orgsim.Mix{
		"http-301": .001, "http-308": .001, "http-400": .001, "http-404": .001, "http-405": .001,
		"rest:rest-limit": .05, "rest:dropped": .05, "rest:http-429": .05, "rest:http-502": .05, "oauth:http-429": .01, "oauth:http-502": .01, "oauth:dropped": .01,
	})
	if !s.twice {
		// The client hands on what the org sends twice, as its package comment says:
		// events may share a replay id, so that alone does not tell a copy.
		m = m.Without("duplicate-events")
	}
	m = m.Scale(scale)
	if s.holes {
		m = m.With(orgsim.Mix{"bus-reset": .01, "starvation": .02, "silent-subscribe": .02})
	}
	return m
}

func (s *situation) drawActions(r *rand.Rand) {
	for _, object := range objects() {
		busy := oneOf[float64](r, 2, 40, 40, 400)
		s.traffic = append(s.traffic,
			action{func(w *week) error { return w.load[object].Step() }, busy},
			action{func(w *week) error { return w.burst(object) }, oneOf[float64](r, 0, 0, 4)},
			action{func(w *week) error { return w.redelay(object) }, oneOf[float64](r, 0, 0, 10)},
		)
		if object != "Order__e" {
			s.traffic = append(s.traffic,
				action{func(w *week) error { return w.gap(object) }, oneOf[float64](r, 0, 3)},
				action{func(w *week) error { return w.ungrouped(object) }, oneOf[float64](r, 0, 5)})
		}
		s.traffic = append(s.traffic, action{func(w *week) error { return w.addField(object) }, oneOf[float64](r, 0, 1)})
	}
	s.troubles = append(s.troubles,
		action{(*week).calm, oneOf[float64](r, 0, 6)},
		action{(*week).outage, oneOf[float64](r, 0, 4)},
		action{(*week).everywhere, oneOf[float64](r, 0, 2)},
		action{(*week).garbage, oneOf[float64](r, 0, 15)},
		action{(*week).refusal, oneOf[float64](r, 0, 10)},
		action{(*week).oddity, oneOf[float64](r, 0, 10)},
		action{(*week).stall, oneOf[float64](r, 0, 5)},
		action{(*week).crash, oneOf[float64](r, 0, 5)},
		action{(*week).redeploy, oneOf[float64](r, 0, 5)},
		action{(*week).overlap, oneOf[float64](r, 0, 2)},
	)
}

func objects() []string { return []string{"Account", "Contact", "Invoice__c", "Order__e"} }
