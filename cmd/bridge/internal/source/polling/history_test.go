package polling

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// version is a record from a change on.
type version struct {
	stamp   time.Time // as the org has it: whole seconds of its own clock
	visible time.Time // by our clock
	text    string
	gone    bool
}

// history is what happens to the records of an object, decided beforehand. It is the
// table of a stream, which shows at each moment what is visible then.
type history struct {
	t       *testing.T
	r       *rand.Rand
	skew    time.Duration // of the org's clock ahead of ours
	records map[string][]version
	ids     []string
	end     time.Time // of ours, when nothing happens any more
	all     bool      // pages have deleted records
	stale   bool      // the list of deletions has those of records that came back, too
	faults  float64
	slow    time.Duration
	pages   int
}

func id(n int) string { return fmt.Sprintf("001xx%010dAAA", n) }

// newHistory draws a history. Changes become visible up to late after they happened,
// those of one record in their order.
func newHistory(t *testing.T, r *rand.Rand, late time.Duration) *history {
	t.Helper()
	h := &history{t: t, r: r, records: map[string][]version{}, skew: time.Duration(r.Int64N(int64(40*time.Minute))) - 20*time.Minute}
	h.stale = r.IntN(2) == 0
	h.faults = []float64{0, .05, .3}[r.IntN(3)]
	h.slow = []time.Duration{0, 300 * time.Millisecond, 3 * time.Second}[r.IntN(3)]
	began := time.Now()
	length := time.Duration(2+r.IntN(8)) * time.Minute
	before := r.IntN(60) // records that are there when the bridge comes
	for n := range before {
		h.change(id(n), began.Add(-time.Hour+time.Duration(r.IntN(30))*time.Second), 0)
	}
	at := began.Add(-late)
	known := before
	for at.Before(began.Add(length)) {
		for range []int{1, 1, 3, 20, 90}[r.IntN(5)] { // at the same moment
			which := r.IntN(known + 1)
			if which == known || r.IntN(3) == 0 {
				which = known
				known++
			}
			h.change(id(which), at, late)
			if r.IntN(4) == 0 { // again, within a second or nearly so
				h.change(id(which), at.Add(time.Duration(r.IntN(1200))*time.Millisecond), late)
			}
		}
		at = at.Add(time.Duration(r.Int64N(int64(20 * time.Second))))
	}
	h.end = began.Add(length + late)
	slices.Sort(h.ids)
	return h
}

// change gives a record another version.
func (h *history) change(id string, at time.Time, late time.Duration) {
	versions := h.records[id]
	v := version{stamp: at.Add(h.skew).Truncate(time.Second).UTC(), visible: at, text: fmt.Sprintf("v%d", len(versions))}
	if late > 0 && h.r.IntN(3) == 0 {
		v.visible = at.Add(time.Duration(h.r.Int64N(int64(late))))
	}
	if len(versions) == 0 {
		h.ids = append(h.ids, id)
	} else {
		last := versions[len(versions)-1]
		v.gone = !last.gone && h.r.IntN(6) == 0
		if v.visible.Before(last.visible) {
			v.visible = last.visible // a record is locked while it is being changed
		}
		if v.stamp.Before(last.stamp) {
			v.stamp = last.stamp
		}
	}
	h.records[id] = append(versions, v)
}

// now is the version of a record that is visible.
func (h *history) now(id string) (v version, ok bool) {
	for _, one := range h.records[id] {
		if !one.visible.After(time.Now()) {
			v, ok = one, true
		}
	}
	return v, ok
}

// ask takes the time that a request takes, and may fail before or after the org has
// looked.
func (h *history) ask(ctx context.Context, look func()) error {
	pause := func() error {
		if h.slow == 0 {
			return ctx.Err()
		}
		t := time.NewTimer(time.Duration(h.r.Int64N(int64(h.slow))))
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := pause(); err != nil {
		return err
	}
	if h.r.Float64() < h.faults/2 {
		return h.trouble()
	}
	look()
	if err := pause(); err != nil {
		return err
	}
	if h.r.Float64() < h.faults/2 {
		return h.trouble()
	}
	return nil
}

func (h *history) trouble() error {
	switch h.r.IntN(3) {
	case 0:
		return &salesforce.APIError{Status: 503, Message: "maintenance"}
	case 1:
		return &salesforce.APIError{Status: 400, Code: codeTimeout}
	}
	return &salesforce.NetworkError{Host: "org.example", Err: errors.New("the connection was cut")}
}

func (h *history) page(ctx context.Context, behind place, n int) (rows []*row, more bool, _ error) {
	h.pages++
	if n > 1 && h.r.Float64() < h.faults/4 {
		return nil, false, &salesforce.ReplyError{Problem: "it is larger than it may be"}
	}
	err := h.ask(ctx, func() {
		for _, id := range h.ids {
			v, ok := h.now(id)
			if ok && (h.all || !v.gone) && behind.before(v.stamp, id) {
				rows = append(rows, &row{id: id, at: v.stamp, paged: v.stamp, org: v.stamp, gone: v.gone})
			}
		}
		slices.SortFunc(rows, func(a, b *row) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return strings.Compare(a.id, b.id)
		})
		if len(rows) >= n {
			rows, more = rows[:n], true
		}
	})
	return rows, more, err
}

func (h *history) fill(ctx context.Context, rows []*row, most int) (n int, _ error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err := h.ask(ctx, func() {
		bytes := 0
		for n < len(rows) && (bytes < most || n == 0) {
			r := rows[n]
			n++
			if r.gone {
				continue
			}
			v, ok := h.now(r.id)
			if r.lost = !ok || v.gone; !r.lost {
				r.at, r.json = v.stamp, fmt.Appendf(nil, `{"Name":%q}`, v.text)
				bytes += len(r.json)
			}
		}
	})
	return n, err
}

func (h *history) deleted(ctx context.Context, from, to time.Time) (out salesforce.Changes, _ error) {
	err := h.ask(ctx, func() {
		out.Covered = time.Now().Add(h.skew).Truncate(time.Minute).UTC()
		if end := to.Truncate(time.Minute).Add(time.Minute); out.Covered.After(end) {
			out.Covered = end
		}
		out.Earliest = time.Now().Add(-remembered)
		for _, id := range h.ids {
			v, _ := h.now(id)
			for _, one := range h.records[id] {
				listed := one == v || h.stale && !one.visible.After(time.Now())
				if one.gone && listed && !one.stamp.Before(from.Truncate(time.Minute)) && one.stamp.Before(out.Covered) {
					out.Deleted = append(out.Deleted, salesforce.Deletion{ID: id, At: one.stamp})
				}
			}
		}
	})
	return out, err
}

func (h *history) latest(ctx context.Context) (at time.Time, _ error) {
	err := h.ask(ctx, func() {
		for _, id := range h.ids {
			if v, ok := h.now(id); ok && (h.all || !v.gone) && v.stamp.After(at) {
				at = v.stamp
			}
		}
	})
	return at, err
}

func (h *history) missing(ctx context.Context, ids []string) (map[string]bool, error) {
	out := make(map[string]bool)
	err := h.ask(ctx, func() {
		for _, id := range ids {
			v, ok := h.now(id)
			out[id] = !ok || v.gone
		}
	})
	return out, err
}
