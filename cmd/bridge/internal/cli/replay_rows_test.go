package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

func changes(channel string, multi bool, entities ...string) config.Stream {
	s := config.Stream{Channel: channel, Kind: config.ChangeData, Multi: multi, Retention: 72 * time.Hour}
	for _, name := range entities {
		s.Entities = append(s.Entities, config.Entity{Name: name})
	}
	return s
}

// Which rows stand for events that are gone, or what is to be given so that some can.
func TestRowsInPlaceOfEvents(t *testing.T) {
	at := time.Date(2026, 1, 1, 10, 0, 0, 700_000_000, time.UTC)
	accounts := changes("/data/AccountChangeEvent", false)
	for name, tt := range map[string]struct {
		flags  replayFlags
		stream config.Stream
		want   string // entities, with "-" in front if deletions are left out; or what the error says
	}{
		"one entity":                     {stream: accounts, want: "Account"},
		"a custom one":                   {stream: changes("/data/Invoice__ChangeEvent", false), want: "Invoice__c"},
		"of many that are configured":    {stream: changes("/data/ChangeEvents", true, "Contact", "Account"), want: "Account Contact"},
		"of many that are asked for":     {replayFlags{entities: []string{"Lead", "Account", "Lead"}}, changes("/data/ChangeEvents", true, "Contact"), "Account Lead"},
		"of many that are not known":     {stream: changes("/data/ChangeEvents", true), want: "try: --entity"},
		"nothing of it is wanted":        {replayFlags{entities: []string{"Contact"}}, accounts, ""},
		"a filter that names rows":       {replayFlags{changes: []string{"UPDATE", "SNAPSHOT", "DELETE"}}, accounts, "Account"},
		"rows without what is gone":      {replayFlags{changes: []string{"SNAPSHOT"}}, accounts, "-Account"},
		"a filter that does not":         {replayFlags{changes: []string{"UPDATE", "DELETE"}}, accounts, "--change-type SNAPSHOT too"},
		"an end in the past":             {replayFlags{toTime: "1h"}, accounts, "without --to-id and --to-time"},
		"an id for an end":               {replayFlags{toID: "7"}, accounts, "without --to-id and --to-time"},
		"refused":                        {replayFlags{noRows: true}, accounts, "try: --from earliest"},
		"platform events":                {stream: config.Stream{Channel: "/event/Order__e", Kind: config.PlatformEvent}, want: "try: --from earliest"},
		"push topics":                    {stream: config.Stream{Channel: "/topic/Orders", Kind: config.PushTopic}, want: "they are of no object"},
		"refused, of what is not wanted": {replayFlags{noRows: true, entities: []string{"Contact"}}, accounts, "try: --from earliest"},
	} {
		part, err := tt.flags.instead(tt.stream, at)
		switch {
		case err != nil:
			if tt.want == "" || !strings.Contains(err.Error(), tt.want) || exitCode(err) != 2 {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
		case part == nil:
			if tt.want != "" {
				t.Errorf("%s: no rows, want %q", name, tt.want)
			}
		default:
			got := strings.Join(part.Entities, " ")
			if !part.Deletions {
				got = "-" + got
			}
			if got != tt.want || !part.Since.Equal(at.Truncate(time.Second)) {
				t.Errorf("%s: %q since %s, want %q", name, got, part.Since, tt.want)
			}
		}
	}
}

// rowsRun is a run that reads rows of accounts since a time.
func rowsRun() *replayer {
	since := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	return &replayer{
		bridge: &bridge{org: &org{id: "00D000000000001AAA"}, cfg: &config.Config{Snapshot: config.Snapshot{Reader: "auto", PageRows: 2000, BulkFrom: 50_000}}},
		run: backfill.Run{
			ID: "r1", Filter: backfill.Filter{RecordIDs: []string{"001000000000001", "001000000000002"}},
			Streams: []backfill.Stream{{Channel: "/data/AccountChangeEvent", Rows: &backfill.RowPart{Since: since, Entities: []string{"Account"}, Deletions: true}}, {Channel: "/event/Order__e"}},
		},
	}
}

// A task says what is asked for, and later what has become of it; one that the org
// refused begins where it was when the run is taken up again.
func TestRowTasks(t *testing.T) {
	r, now := rowsRun(), time.Now().UTC().Truncate(time.Millisecond)
	tasks := r.rowTasks(now)
	if len(tasks) != 1 || tasks[0].ID != "replay/Account" || tasks[0].Object != "Account" || tasks[0].Key.Channel != "/data/AccountChangeEvent" {
		t.Fatalf("%+v", tasks)
	}
	state, err := snapshot.ReadState(tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	p := state.Parts[0]
	if state.Standing != snapshot.Running || !state.Begun.Equal(now) || p.Object != "Account" || !p.Since.Equal(r.run.Streams[0].Rows.Since) || !p.Deletions || p.Where != "Id IN ('001000000000001', '001000000000002')" {
		t.Errorf("%+v", p)
	}
	for standing, want := range map[snapshot.Standing]backfill.Outcome{
		snapshot.Running: {Unsure: "some"},
		snapshot.Done:    {Unsure: "some", Ended: now},
		snapshot.Aborted: {Unsure: "some", Ended: now, Failed: "no access"},
	} {
		text, err := json.Marshal(&snapshot.State{Standing: standing, Why: "no access", Ended: now, Unsure: "some"})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := outcomeOf(replay.Task{Body: text}); err != nil || o != want {
			t.Errorf("%s: %+v, %v", standing, o, err)
		}
	}
	if _, err := outcomeOf(replay.Task{Body: []byte(`{"later":1}`)}); err == nil {
		t.Error("a task of a newer version was read")
	}
	r.run.Filter.RecordIDs = make([]string, askedIDs+1)
	if where := r.onlyIDs(); where != "" {
		t.Errorf("a question of %d ids: %s", askedIDs+1, where)
	}
}

// The seam's entry is no open gap, and each beginning has one of its own.
func TestSeamEntry(t *testing.T) {
	r := rowsRun()
	seam := backfill.Seam{Channel: "/data/AccountChangeEvent", Part: *r.run.Streams[0].Rows, First: "7", Time: time.Now()}
	h := r.hole(seam)
	if h.Unfilled() || h.Reason != transform.RowsForEvents || h.ToPosition != "7" || !h.ToTime.Equal(seam.Time) || !h.FromTime.Equal(seam.Part.Since) ||
		!strings.Contains(h.Detail, "r1") || !strings.Contains(h.Detail, "Account") {
		t.Errorf("%+v", h)
	}
	seam.Part.Since = seam.Part.Since.Add(time.Second)
	if other := r.hole(seam); other.ID() == h.ID() {
		t.Error("two seams that end at the same event are one")
	}
}

// A run ends before it makes more calls than it may, and whoever wanted to waits for
// the end.
func TestMaxAPICalls(t *testing.T) {
	r := rowsRun()
	if err := r.spend(t.Context(), 5); err != nil {
		t.Errorf("without a bound: %v", err)
	}
	r.flags.maxCalls = 8
	ctx, stop := context.WithCancel(t.Context())
	r.bounds = backfill.NewBounds(r.run, nil, time.Minute, 0, stop)
	if err := errors.Join(r.spend(ctx, 1), r.spend(ctx, 2)); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	err := r.spend(ctx, 1)
	if why, _ := r.bounds.Ending(); !errors.Is(err, context.Canceled) || why != backfill.OutOfCalls || r.spent.Load() != 8 {
		t.Errorf("%v, ended by %q, %d calls", err, why, r.spent.Load())
	}
}

func TestRowsEstimate(t *testing.T) {
	r := rowsRun()
	for rows, want := range map[int]int{0: 8, 10_000: 13, 49_999: 32, 50_000: 29, 1_000_000: 248} {
		if got := r.calls(rows); got != want {
			t.Errorf("%d rows: %d calls, want %d", rows, got, want)
		}
	}
	n, calls := 12, 8
	one := rowsOf{Object: "Account", Since: r.run.Streams[0].Rows.Since, Rows: &n, Calls: &calls}
	if got := one.String(); got != "of Account, changed since 2026-01-01T10:00:00Z: 12, with about 8 API calls" {
		t.Error(got)
	}
	one.Rows = nil
	if got := one.String(); !strings.Contains(got, "did not count") {
		t.Error(got)
	}
}
