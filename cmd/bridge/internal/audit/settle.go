package audit

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/salesforce"
)

// doubt is a record of which the topic did not say what the org had.
type doubt struct {
	// wants are what the org had, each time that it was asked and had something else;
	// nil: no such record. While a row changes faster than its events come the topic is
	// at one of the older ones.
	wants    []*fold.Row
	modified time.Time
	since    time.Time // when the org was first seen to have it so
	kind     Kind
	fields   []fold.Difference
}

// Rounds of looking once more, within Settle and in time.
const (
	rounds       = 12
	longestRound = 15 * time.Second
	// remembered is how much of a row's past is kept: that of more than Settle.
	remembered = 16
	// patience is how often Settle passes until rows that keep changing are given up.
	patience = 3
)

// count is what the topic's number of records is waited to be: one of those that the org
// had when it was asked.
type count struct {
	wants []int
	met   bool
}

func (c *count) add(want int) { c.wants = append(c.wants[max(0, len(c.wants)+1-remembered):], want) }

func (c *count) meet(have int) { c.met = c.met || slices.Contains(c.wants, have) }

// changed is called while the topic is read: a record that comes to be what its row
// said was on its way.
func (a *audit) changed(id string) {
	a.count.meet(a.topic.Len())
	if d := a.doubts[id]; d != nil {
		a.look(id, d)
	}
}

// look judges a record in doubt by what the topic says now.
func (a *audit) look(id string, d *doubt) {
	for _, want := range d.wants {
		kind, fields, unclear := a.judge(id, want)
		if kind == "" {
			a.report.Settled++
			a.report.Unclear += unclear
			delete(a.doubts, id)
			return
		}
		d.kind, d.fields = kind, fields // of the last one
	}
}

// settle looks once more at what is in doubt until nothing is. The rows are read before
// the topic, so that what they say is not behind the topic already.
func (a *audit) settle(ctx context.Context) error {
	began := a.Now()
	for len(a.doubts) > 0 || !a.count.met {
		a.Progress(Step{Doing: "waiting for what is on its way", Done: int64(len(a.doubts))})
		if err := a.Wait(ctx, min(a.Settle/rounds, longestRound)); err != nil {
			return err
		}
		if err := a.recount(ctx); err != nil {
			return err
		}
		if err := a.reread(ctx); err != nil {
			return err
		}
		if err := a.follow(ctx); err != nil {
			return err
		}
		a.decide(began)
		if !a.count.met && len(a.doubts) == 0 && a.Now().Sub(began) >= a.Settle {
			return nil
		}
	}
	return nil
}

// reread asks the org for the records in doubt.
func (a *audit) reread(ctx context.Context) error {
	if len(a.doubts) == 0 {
		return nil
	}
	rows, err := a.Reader.ByIDs(ctx, a.Shape.Form(), slices.Sorted(maps.Keys(a.doubts)))
	if err != nil {
		return a.reading(err)
	}
	return a.eachRow(rows, func(row salesforce.Row) error {
		d := a.doubts[row.ID]
		want, err := a.wanted(ctx, row)
		if err != nil {
			return err
		}
		if !d.unchanged(want, row) {
			d.wants = append(d.wants[max(0, len(d.wants)+1-remembered):], want)
			d.modified, d.since = row.Modstamp, a.Now()
		}
		a.look(row.ID, d)
		return nil
	})
}

// unchanged says whether a row is what it was.
func (d *doubt) unchanged(want *fold.Row, row salesforce.Row) bool {
	was := d.wants[len(d.wants)-1]
	if want == nil || was == nil {
		return want == was
	}
	return d.modified.Equal(row.Modstamp) && want.Equal(was)
}

// decide ends the doubts that have lasted.
func (a *audit) decide(began time.Time) {
	now := a.Now()
	for _, id := range slices.Sorted(maps.Keys(a.doubts)) {
		d := a.doubts[id]
		drift := Drift{ID: id, Kind: d.kind, Fields: d.fields, Modified: d.modified}
		switch {
		case now.Sub(d.since) >= a.Settle:
			a.report.Drifts = append(a.report.Drifts, drift)
		case now.Sub(began) >= patience*a.Settle:
			a.report.Undecided = append(a.report.Undecided, drift)
		default:
			continue
		}
		delete(a.doubts, id)
	}
}
