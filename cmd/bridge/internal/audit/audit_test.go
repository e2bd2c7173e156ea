package audit_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// drifted shows the drifts of a report: the kind and the fields of each, by id.
func drifted(drifts []audit.Drift) map[string]string {
	out := make(map[string]string)
	for _, d := range drifts {
		text := string(d.Kind)
		var fields []string
		for _, f := range d.Fields {
			fields = append(fields, f.Field)
		}
		slices.Sort(fields)
		out[d.ID] = strings.TrimSpace(text + " " + strings.Join(fields, " "))
	}
	return out
}

// seeded makes the world lose one event of each kind, and returns what an audit must
// find.
func (w *world) seeded(t *testing.T, ids []string) map[string]string {
	t.Helper()
	want := map[string]string{
		ids[0]: "missing", ids[1]: "gone", ids[2]: "differs LastModifiedDate Sic__c", ids[3]: "differs LastModifiedDate Site__c", ids[4]: "missing",
	}
	w.loses(func(e *orgsim.Entry) bool {
		switch e.RecordIDs[0] {
		case ids[0]:
			return true
		case ids[1]:
			return e.ChangeType == "DELETE"
		case ids[2], ids[3]:
			return e.ChangeType == "UPDATE"
		case ids[4]:
			return e.ChangeType == "UNDELETE"
		}
		return false
	})
	// LastModifiedDate has whole seconds: an update in the second of the creation would
	// leave it as it is.
	w.quiet(t)
	w.ahead = 2 * time.Second
	w.org.AdvanceClock(w.ahead)
	check(t, w.org.Delete(object, ids[1]))
	check(t, w.org.Update(object, ids[2], orgsim.Fields{"Sic__c": "lost"}))
	check(t, w.org.Update(object, ids[3], orgsim.Fields{"Site__c": nil}))
	check(t, w.org.Delete(object, ids[4]))
	check(t, w.org.Undelete(object, ids[4]))
	return want
}

// While 200 changes a second go on and each comes late, an audit finds the records that
// were drifted on purpose, and no other.
func TestDriftsAreFoundAmongChanges(t *testing.T) {
	for _, sample := range []int{0, 1000} {
		t.Run(fmt.Sprintf("sample %d", sample), func(t *testing.T) {
			w := newWorld(t, 250*time.Millisecond)
			ids := w.create(t, 400)
			want := w.seeded(t, ids)
			pumped := spin(w.pump)
			changed := spin(w.change(ids[5:]))
			cfg := w.config(t, 3*time.Second)
			cfg.Sample = sample
			report, err := audit.Run(t.Context(), cfg)
			check(t, errors.Join(err, changed(), pumped()))
			if got := drifted(report.Drifts); !maps.Equal(got, want) {
				t.Errorf("drifts %v, want %v", got, want)
			}
			if len(report.Undecided) > 0 {
				t.Errorf("undecided: %v", drifted(report.Undecided))
			}
			if report.Settled == 0 {
				t.Error("nothing was on its way: the test shows nothing")
			}
			if report.Same() || len(report.IDs()) != len(want) {
				t.Errorf("same: %v, ids %q", report.Same(), report.IDs())
			}
			if report.Compared < 390 || report.Equal != report.Compared-len(want) {
				t.Errorf("%d compared, %d equal", report.Compared, report.Equal)
			}
		})
	}
}

// quiet writes everything that there is.
func (w *world) quiet(t *testing.T) {
	t.Helper()
	check(t, spin(w.pump)())
}

func TestEqual(t *testing.T) {
	for _, sample := range []int{0, 10, 40, 1000} {
		t.Run(fmt.Sprintf("sample %d", sample), func(t *testing.T) {
			w := newWorld(t, 0)
			w.create(t, 200)
			w.quiet(t)
			cfg := w.config(t, time.Second)
			cfg.Sample = sample
			report, err := audit.Run(t.Context(), cfg)
			check(t, err)
			if !report.Same() || report.Topic != 200 || report.Org != 200 {
				t.Errorf("%+v", report)
			}
			if report.Compared < min(200, sample) || sample > 0 && report.Compared > 2*sample {
				t.Errorf("a sample of %d compared %d", sample, report.Compared)
			}
		})
	}
}

// A sample that sees none of the missing records says by the numbers that there are some.
func TestSampleCounts(t *testing.T) {
	w := newWorld(t, 0)
	ids := w.create(t, 300)
	missing := ids[299]
	w.loses(func(e *orgsim.Entry) bool { return e.RecordIDs[0] == missing })
	w.quiet(t)
	cfg := w.config(t, 200*time.Millisecond)
	cfg.Sample = 1
	cfg.Draw = func(int) int { return 0 } // the first range
	report, err := audit.Run(t.Context(), cfg)
	check(t, err)
	if len(report.Drifts) > 0 || !report.CountsDiffer || report.Same() || report.Org != 300 || report.Topic != 299 {
		t.Errorf("%+v", report)
	}
}

// Values are shown if they are kept, and never else.
func TestValues(t *testing.T) {
	w := newWorld(t, 0)
	ids := w.create(t, 1)
	w.loses(func(e *orgsim.Entry) bool { return e.ChangeType == "UPDATE" })
	check(t, w.org.Update(object, ids[0], orgsim.Fields{"Site__c": "secret"}))
	w.quiet(t)
	for _, values := range []bool{false, true} {
		cfg := w.config(t, 100*time.Millisecond)
		cfg.Topic.Values = values
		report, err := audit.Run(t.Context(), cfg)
		check(t, err)
		if len(report.Drifts) != 1 {
			t.Fatalf("%+v", report)
		}
		for _, f := range report.Drifts[0].Fields {
			if f.Field == "Site__c" && (string(f.WantValue) != map[bool]string{true: `"secret"`}[values] || f.WantSum == f.HaveSum) {
				t.Errorf("values %v: %+v", values, f)
			}
		}
	}
}

// A long text of which the topic has a diff alone is not compared, and told.
func TestDiffsAreUnclear(t *testing.T) {
	w := newWorld(t, 0)
	ids := w.create(t, 1)
	check(t, w.org.UpdateDiff(object, ids[0], "Note__c", "a long text"))
	w.quiet(t)
	report, err := audit.Run(t.Context(), w.config(t, 100*time.Millisecond))
	check(t, err)
	if !report.Same() || report.Unclear != 1 {
		t.Errorf("%+v", report)
	}
}

// An object of which the topic has next to nothing ends the audit early.
func TestTooMany(t *testing.T) {
	w := newWorld(t, 0)
	w.create(t, 30)
	cfg := w.config(t, time.Second)
	cfg.MostDoubts = 20
	_, err := audit.Run(t.Context(), cfg)
	if _, ok := errors.AsType[*audit.TooManyError](err); !ok {
		t.Error(err)
	}
}

// What comes while the org is read is not among too many.
func TestManyOnTheirWay(t *testing.T) {
	w := newWorld(t, 0)
	w.create(t, 30)
	cfg := w.config(t, time.Second)
	cfg.MostDoubts = 5
	late := sync.OnceFunc(func() { w.quiet(t) })
	cfg.Now = func() time.Time { late(); return time.Now() } // asked with the first doubt
	report, err := audit.Run(t.Context(), cfg)
	check(t, err)
	if !report.Same() || report.Settled == 0 {
		t.Errorf("%+v", report)
	}
}

// Records of the topic are drawn from its beginning to its end.
func TestSampleOfTheWholeTopic(t *testing.T) {
	w := newWorld(t, 0)
	ids := w.create(t, 300)
	w.loses(func(e *orgsim.Entry) bool { return e.ChangeType == "DELETE" })
	gone := ids[200:]
	for _, id := range gone {
		check(t, w.org.Delete(object, id))
	}
	w.quiet(t)
	cfg := w.config(t, 200*time.Millisecond)
	cfg.Sample = 150 // fewer than those that are not gone
	report, err := audit.Run(t.Context(), cfg)
	check(t, err)
	if found := len(report.Drifts); found < 25 {
		t.Errorf("of %d records that are gone a half was to be found, and %d were", len(gone), found)
	}
}

// A row that never rests is neither right nor wrong.
func TestUndecided(t *testing.T) {
	w := newWorld(t, 0)
	ids := w.create(t, 1)
	w.loses(func(e *orgsim.Entry) bool { return true })
	cfg := w.config(t, 200*time.Millisecond)
	n := 0
	cfg.Wait = func(ctx context.Context, d time.Duration) error {
		n++
		w.org.AdvanceClock(time.Second)
		if err := w.org.Update(object, ids[0], orgsim.Fields{"Site__c": fmt.Sprint(n)}); err != nil {
			return err
		}
		return ctx.Err()
	}
	now := time.Now()
	cfg.Now = func() time.Time { now = now.Add(5 * time.Millisecond); return now }
	report, err := audit.Run(t.Context(), cfg)
	check(t, err)
	if len(report.Undecided) != 1 || len(report.Drifts) > 0 || report.Same() {
		t.Errorf("%+v", report)
	}
}

// A record that changes faster than its events come is equal all the same: the topic
// comes by what the row once said. So does the number of records.
func TestSlowTopic(t *testing.T) {
	for _, sample := range []int{0, 100} {
		w := newWorld(t, 0)
		ids := w.create(t, 1)
		w.quiet(t)
		check(t, w.org.Update(object, ids[0], orgsim.Fields{"Site__c": "first"}))
		w.create(t, 2)
		w.hold = 4 // at rest the topic has an odd number of records less than the org ever had
		cfg := w.config(t, 10*time.Second)
		cfg.Sample = sample
		now, rounds := time.Now(), 0
		cfg.Now = func() time.Time { return now }
		cfg.Wait = func(ctx context.Context, d time.Duration) error {
			now = now.Add(d)
			if rounds++; rounds > 100 {
				return errors.New("it does not end")
			}
			if err := w.org.Update(object, ids[0], orgsim.Fields{"Site__c": fmt.Sprint(rounds)}); err != nil {
				return err
			}
			w.create(t, 2)
			return errors.Join(spin(w.pump)(), ctx.Err())
		}
		report, err := audit.Run(t.Context(), cfg)
		check(t, err)
		if !report.Same() || report.Settled < 1 {
			t.Errorf("sample %d: %+v", sample, report)
		}
	}
}

// The end of the context ends an audit that waits.
func TestEnds(t *testing.T) {
	w := newWorld(t, 0)
	w.create(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := w.config(t, time.Hour)
	cfg.Progress = func(s audit.Step) {
		if strings.HasPrefix(s.Doing, "waiting") {
			cancel()
		}
	}
	if _, err := audit.Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
