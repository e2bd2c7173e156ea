package orgsim

import (
	"net/url"
	"strings"
	"testing"
)

// organization asks what the org says of itself.
func organization(t *testing.T, o *Org, base string) (out struct {
	ID, InstanceName string
	IsSandbox        bool
}) {
	t.Helper()
	token, err := o.Issue("")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(token, o.ID()[:15]+"!") {
		t.Errorf("token %s of org %s", token, o.ID())
	}
	body := struct{ Records []any }{Records: []any{&out}}
	restRequest(t, base, token, "GET", "/services/data/v66.0/query?q="+url.QueryEscape("SELECT Id, InstanceName, IsSandbox FROM Organization"), "", &body)
	return out
}

func placeOrders(t *testing.T, o *Org, n int) (ids []int64) {
	t.Helper()
	for range n {
		if _, err := o.Publish("Order__e", nil); err != nil {
			t.Fatal(err)
		}
	}
	for e := range o.LedgerFrom(0) {
		ids = append(ids, e.ReplayID)
	}
	return ids[len(ids)-n:]
}

// A refreshed sandbox is another org, whose bus begins where the old one began and
// takes the old ids: whoever goes on behind one misses what lies before it.
func TestRefreshSandbox(t *testing.T) {
	o := newOrg(t, Config{Seed: 4})
	base := serve(t, o)
	before, old := organization(t, o, base), placeOrders(t, o, 6)
	c := newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	control(t, base)("refresh", "{}")
	if rep, _ := c.connect(); rep.ok() {
		t.Error("the session went on")
	}
	after, fresh := organization(t, o, base), placeOrders(t, o, 12)
	if after.ID == before.ID || after.ID != o.ID() || len(after.ID) != 18 || !after.IsSandbox || before.IsSandbox || after.InstanceName == before.InstanceName {
		t.Errorf("before %+v, after %+v, the org says %s", before, after, o.ID())
	}
	if fresh[0] > old[len(old)-1] {
		t.Errorf("ids were %v and are %v: they do not overlap", old, fresh)
	}
	c = newClient(t, o, base, nil).ready(old[5], "/event/Order__e")
	lost := 0
	for _, id := range fresh {
		if id <= old[5] {
			lost++
		}
	}
	if got := c.collect(12 - lost); lost == 0 || len(got) != 12-lost || got[0].Data.Event.ReplayID != fresh[lost] {
		t.Errorf("%d events behind the old id, %d of the new bus have smaller ones", len(got), lost)
	}
	if got := newClient(t, o, base, nil).ready(-2, "/event/Order__e").collect(12); len(got) != 12 {
		t.Errorf("%d events from the earliest on", len(got))
	}
}

// A migrated org is the same one on another instance. Its bus is new, and refuses the
// old ids or takes them.
func TestMigrateInstance(t *testing.T) {
	for _, anyID := range []bool{false, true} {
		o := newOrg(t, Config{Seed: 4})
		base := serve(t, o)
		before, old := organization(t, o, base), placeOrders(t, o, 6)
		o.MigrateInstance("USA412", anyID)
		if after := organization(t, o, base); after.ID != before.ID || after.InstanceName != "USA412" || after.IsSandbox {
			t.Errorf("before %+v, after %+v", before, after)
		}
		c := newClient(t, o, base, nil).ready(-1)
		for range 2 {
			if rep := c.subscribe("/event/Order__e", old[5]); rep.ok() != anyID {
				t.Errorf("an old id, taken if %v: %q", anyID, rep.Error)
			}
			placeOrders(t, o, 12)
		}
		if o.MigrateInstance("", anyID); organization(t, o, base).InstanceName != "SIM3" {
			t.Errorf("%+v", organization(t, o, base))
		}
	}
}
