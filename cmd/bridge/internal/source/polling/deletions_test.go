package polling

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
)

// An object that rests is looked at all the same: nothing of it is forgotten, also if the
// bridge was killed amid the first look.
func TestRestingObjectsHaveNoHole(t *testing.T) {
	for _, deletions := range []Deletions{QueryAll, Deleted} {
		t.Run(string(deletions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { restingObjectHasNoHole(t, deletions) })
		})
	}
}

func restingObjectHasNoHole(t *testing.T, deletions Deletions) {
	const channel = "/query/Account"
	p := newPolled(t, nil, map[string]Stream{channel: {Object: "Account", Deletions: deletions, Every: time.Hour}})
	for range 20 {
		_, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
		must(t, err)
		pass(time.Minute)
	}
	pass(20 * 24 * time.Hour)
	p.begin(t)
	pass(2 * time.Hour)
	p.open(t)
	p.read(t, 20*24*time.Hour)
	_, err := p.org.Create("Account", orgsim.Fields{"Name": "New"})
	must(t, err)
	if p.read(t, 2*time.Hour); len(p.rows[channel]) != 21 || len(p.entries) != 0 {
		t.Errorf("%d rows, %d holes", len(p.rows[channel]), len(p.entries))
	}
}

// begin has the first batch of several.
func (p *polled) begin(t *testing.T) {
	t.Helper()
	p.cfg.MaxEvents = 7
	p.open(t)
	b, _, err := p.next(t, time.Minute)
	must(t, err)
	for i := range b.Events {
		p.fold(t, &b.Events[i])
	}
}

// Who was away for longer than deleted records are kept does not know which were deleted.
func TestAwayForLongIsAHole(t *testing.T) {
	for deletions, holes := range map[Deletions]int{QueryAll: 1, Deleted: 1, NoDeletions: 0} {
		t.Run(string(deletions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newAccounts(t, 3, Stream{Object: "Account", Deletions: deletions})
				p.read(t, 5*time.Minute)
				pass(20 * 24 * time.Hour)
				p.open(t)
				p.read(t, 5*time.Minute)
				_, err := p.org.Create("Account", orgsim.Fields{"Name": "New"})
				must(t, err)
				if p.read(t, 5*time.Minute); len(p.entries) != holes {
					t.Errorf("%d holes", len(p.entries))
				}
			})
		})
	}
}

// The same holds for who has never been to the end, and for who did not ask.
func TestWhatWasNotLookedAtIsAHole(t *testing.T) {
	const channel = "/query/Account"
	for name, live := range map[string]func(t *testing.T, p *polled){
		"it was killed amid the first look": func(t *testing.T, p *polled) {
			p.begin(t)
			pass(20 * 24 * time.Hour)
		},
		"deletions were not asked for": func(t *testing.T, p *polled) {
			p.cfg.Streams[channel] = Stream{Object: "Account", Every: time.Hour, Deletions: NoDeletions}
			p.open(t)
			p.read(t, 20*24*time.Hour)
			_, err := p.org.Create("Account", orgsim.Fields{"Name": "Late"})
			must(t, err)
			p.read(t, 2*time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newAccounts(t, 20, Stream{Object: "Account"})
				live(t, p)
				p.cfg.Streams[channel] = Stream{Object: "Account"}
				_, err := p.org.Create("Account", orgsim.Fields{"Name": "New"})
				must(t, err)
				p.open(t)
				if p.read(t, 5*time.Minute); len(p.entries) != 1 {
					t.Errorf("%d holes", len(p.entries))
				}
			})
		})
	}
}

// Where all rows are read again, what was deleted while nobody looked goes.
func TestEverythingAgainHasDeletions(t *testing.T) {
	for _, deletions := range []Deletions{QueryAll, Deleted} {
		t.Run(string(deletions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const channel = "/query/Account"
				p := newAccounts(t, 1, Stream{Object: "Account", Deletions: deletions})
				p.read(t, 5*time.Minute)
				for id := range p.rows[channel] {
					must(t, p.org.Delete("Account", id))
				}
				pass(time.Hour)
				_, err := p.org.Create("Account", orgsim.Fields{"Name": "Last"})
				must(t, err)
				p.position[channel] = Everything()
				p.open(t)
				if p.read(t, 5*time.Minute); len(p.rows[channel]) != 1 || len(p.entries) != 0 {
					t.Errorf("%v, %d holes", p.rows[channel], len(p.entries))
				}
			})
		})
	}
}

// refusing is an org that says that it remembers more than it answers questions about.
type refusing struct{ table }

func (refusing) deleted(_ context.Context, from, to time.Time) (salesforce.Changes, error) {
	if time.Since(from) > time.Hour {
		return salesforce.Changes{}, &salesforce.APIError{Status: 400, Code: codeTooOld}
	}
	return salesforce.Changes{Covered: to, Earliest: time.Now().Add(-remembered)}, nil
}

// What the org refuses to tell is a hole.
func TestRefusedDeletionsAreAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := time.Now().Add(-3 * time.Hour)
		s := &stream{cfg: &Config{}, table: refusing{}, deletions: Deleted, p: progress{deletions: place{at: away}}}
		must(t, s.list(t.Context()))
		if len(s.entries) != 1 || !s.entries[0].FromTime.Equal(away) || time.Since(s.entries[0].ToTime) > time.Hour {
			t.Errorf("%+v", s.entries)
		}
	})
}
