package integration

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// The command is killed at random moments under load. Either it has changed nothing,
// or the position and the way back; a lane that it only took is taken up again by its
// owner.
func TestPositionsCommandIsKilled(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	e := &expectation{site: s}
	r := s.read(t)
	f := s.fleet(t, 1)
	f.settle(t, 2)
	if err := s.org.StartLoad(orgsim.LoadConfig{Rate: 50}); err != nil {
		t.Fatal(err)
	}
	more := func(n int) { r.wait(t, r.count()+n, time.Minute, f.state) }
	more(200)
	channel := s.channels[0]
	rnd := rand.New(rand.NewPCG(7, 1)) //nolint:gosec // reproducible on purpose
	killed, changed := 0, 0
	for i := range 2 { // a lane is given up that is taken more often without a word
		before := s.lastChange(t, channel)
		id := s.idOf(t, channel, rnd.Float64())
		p := command(t, "positions", "set", "--channel", channel, "--id", id, "--yes", "-c", s.config(t))
		if !p.tells(t, "effect", time.Duration(i)*70*time.Millisecond+time.Duration(rnd.Int64N(int64(50*time.Millisecond)))) {
			p.kill(t)
			killed++
		}
		if after := s.lastChange(t, channel); after.At != before.At {
			changed++
			e.changes = append(e.changes, after.moved(channel, id))
		}
		more(200)
	}
	e.move(t, true, "set", "--channel", channel, "--id", s.idOf(t, channel, 0.5))
	more(100)
	if err := s.org.StopLoad(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, e.total(), 2*time.Minute, f.state)
	f.instances[0].drain(t)
	e.judge(t, r)
	t.Logf("%d commands were killed, %d of them had changed the position", killed, changed)
}

// kept is what the positions topic knows of the last change of a position.
type kept struct {
	To *struct{ Position string }
	At time.Time `json:"changed_at"`
}

func (s *site) lastChange(tb testing.TB, channel string) kept {
	tb.Helper()
	out, errs := s.positions(tb, 0, "get", "--channel", channel, "--json")
	var got struct{ Undo kept }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		tb.Fatalf("%v in %s%s", err, out, errs)
	}
	return got.Undo
}

// moved is the change that a command has made which did not live to tell.
func (k kept) moved(channel, to string) (m moved) {
	m.Changes = append(m.Changes, movedStream{Channel: channel, From: k.To, To: &struct{ Position string }{to}, Applied: true})
	return m
}

// tells waits until a process has said something and then for a moment, and says
// whether it has ended by itself before.
func (p *process) tells(tb testing.TB, what string, moment time.Duration) bool {
	tb.Helper()
	late := time.After(time.Minute)
	often := time.NewTicker(time.Millisecond)
	defer often.Stop()
	for !strings.Contains(p.output(), what) {
		select {
		case <-p.done:
			return true
		case <-often.C:
		case <-late:
			tb.Fatalf("it did not say %q:\n%s", what, p.output())
		}
	}
	select {
	case <-p.done:
		return true
	case <-time.After(moment):
		return false
	}
}
