package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// fleet is several instances of one bridge.
type fleet struct {
	site      *site
	instances []*instance
	// unclean are the moments at which an instance was killed or stopped: only then
	// may a stream have two subscribers for a while.
	unclean []time.Time
}

// instance is one of them: the same configuration but for the address of its
// probes.
type instance struct {
	*site
	*process
}

func (s *site) fleet(tb testing.TB, n int, change ...func(*site)) *fleet {
	tb.Helper()
	f := &fleet{site: s}
	for i := range n {
		one := *s
		one.ops, one.file = freeAddress(tb), fmt.Sprintf("instance-%d.yaml", i)
		for _, c := range change {
			c(&one)
		}
		f.instances = append(f.instances, &instance{site: &one, process: one.start(tb)})
	}
	return f
}

// restart starts an instance that has ended.
func (i *instance) restart(tb testing.TB) {
	tb.Helper()
	i.process = i.start(tb)
}

// ownership is what an instance says about itself.
type ownership struct {
	Instance string   `json:"instance"`
	Lanes    []int32  `json:"lanes"`
	Members  int      `json:"members"`
	Differ   []string `json:"differ"`
	Streams  []struct {
		Stream string `json:"stream"`
		Owned  bool   `json:"owned"`
	} `json:"streams"`
}

// carries says whether it has a stream: there are lanes without any.
func (o ownership) carries() bool {
	for _, s := range o.Streams {
		if s.Owned {
			return true
		}
	}
	return false
}

func (i *instance) ownership(ctx context.Context) (o ownership, err error) {
	body, _, err := get(ctx, "http://"+i.ops+"/status")
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	return o, err
}

// settle waits until the instances that run are ready and own n lanes together.
func (f *fleet) settle(tb testing.TB, lanes int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for {
		problem := f.unsettled(ctx, lanes)
		if problem == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatalf("%v\n%s", problem, f.state())
		}
	}
}

func (f *fleet) unsettled(ctx context.Context, lanes int) error {
	var owned []int32
	for _, i := range f.instances {
		select {
		case <-i.done:
			continue
		default:
		}
		body, code, err := get(ctx, "http://"+i.ops+"/readyz")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%s: not ready: %w: %s", i.file, err, body)
		}
		o, err := i.ownership(ctx)
		if err != nil {
			return err
		}
		owned = append(owned, o.Lanes...)
	}
	slices.Sort(owned)
	if len(slices.Compact(owned)) != lanes || len(owned) != lanes {
		return fmt.Errorf("the instances own the lanes %v, want each of %d once", owned, lanes)
	}
	return nil
}

func (f *fleet) state() string {
	var b strings.Builder
	for _, i := range f.instances {
		fmt.Fprintf(&b, "--- %s\n%s\n", i.file, tail(i.output()))
	}
	return b.String()
}

// overlap is a time in which a stream had two subscribers.
type overlap struct {
	channel string
	began   time.Time
	lasted  time.Duration
}

// overlaps looks them up in the org's ledger of sessions.
func overlaps(sessions []orgsim.SessionInfo, now time.Time) []overlap {
	subs := make(map[string][]orgsim.SubscriptionInfo)
	for _, s := range sessions {
		for _, sub := range s.Subscriptions {
			if sub.Closed.IsZero() {
				sub.Closed = now
			}
			subs[sub.Channel] = append(subs[sub.Channel], sub)
		}
	}
	var out []overlap
	for channel, list := range subs {
		slices.SortFunc(list, func(a, b orgsim.SubscriptionInfo) int { return a.Opened.Compare(b.Opened) })
		for i, a := range list {
			for _, b := range list[i+1:] {
				if !b.Opened.Before(a.Closed) {
					continue
				}
				end := a.Closed
				if b.Closed.Before(end) {
					end = b.Closed
				}
				out = append(out, overlap{channel, b.Opened, end.Sub(b.Opened)})
			}
		}
	}
	return out
}

// afterUnclean is how long after an unclean death the org may still hold its
// session: it waits for a connect for 40 s, and answers one that is held for up to
// 110 s.
const afterUnclean = 160 * time.Second

// alone checks that no stream had two subscribers but for those that an unclean
// death left behind, and returns those.
func (f *fleet) alone(tb testing.TB) []overlap {
	tb.Helper()
	found := overlaps(f.site.org.Sessions(), time.Now())
	for _, o := range found {
		excused := slices.ContainsFunc(f.unclean, func(at time.Time) bool {
			return o.began.After(at) && o.began.Before(at.Add(afterUnclean))
		})
		if !excused {
			tb.Errorf("%s had two subscribers for %s at %s, and nobody was killed before", o.channel, o.lasted, o.began.Format(time.RFC3339Nano))
		}
	}
	return found
}
