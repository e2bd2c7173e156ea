package orgsim

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	updatedWindow = 30 * 24 * time.Hour // how long ago a list of updates may begin
	deletedWindow = 15 * 24 * time.Hour // and one of deletions
)

func errReplication(format string, args ...any) *RequestError {
	return &RequestError{Status: 400, Code: "INVALID_REPLICATION_DATE", Message: fmt.Sprintf(format, args...)}
}

// window is the time that a list of changes is about: whole minutes, seconds are
// cut off (REST API guide, sObject Get Updated and Get Deleted).
type window struct{ start, end, covered int64 }

func (w window) has(ms int64) bool { return ms >= w.start && ms < w.end && ms < w.covered }

// window reads start= and end=.
func (c *restCall) window(deleted bool) (w window, err error) {
	now := c.o.now()
	q := c.r.URL.Query()
	times := [2]time.Time{}
	for i, name := range []string{"start", "end"} {
		ms, ok := soqlMoment(q.Get(name))
		if !ok {
			return w, &RequestError{Status: 400, Code: "INVALID_ARGUMENT", Message: fmt.Sprintf("%s is %q, which is no date-time with an offset", name, q.Get(name))}
		}
		times[i] = time.UnixMilli(ms).Truncate(time.Minute)
	}
	start, end := times[0], times[1]
	oldest := updatedWindow
	if deleted {
		oldest = deletedWindow
	}
	switch {
	case end.Sub(start) < time.Minute:
		return w, errReplication("startDate must be at least one minute greater than endDate")
	case start.Before(now.Add(-oldest)):
		return w, errReplication("startDate before org allowable start date of %d days", oldest/(24*time.Hour))
	case start.After(now):
		return w, errReplication("startDate cannot be in the future")
	}
	covered := now.Add(-c.o.cfg.ReplicationLag).Truncate(time.Minute)
	if covered.After(end) {
		covered = end
	}
	return window{start.UnixMilli(), end.UnixMilli(), covered.UnixMilli()}, nil
}

// replicate is sobjects/X/updated and sobjects/X/deleted.
func (c *restCall) replicate(ob *object, deleted bool) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	w, err := c.window(deleted)
	if err != nil {
		return err
	}
	return c.locked(func() error { return c.changes(ob, deleted, w) })
}

// changes lists what was updated or deleted within the window.
func (c *restCall) changes(ob *object, deleted bool, w window) error {
	if earliest := time.UnixMilli(ob.purged).Truncate(time.Minute).UnixMilli(); deleted && w.start < earliest {
		return errReplication("startDate %s is before earliestDateAvailable %s", restTime(w.start), restTime(earliest))
	}
	found := []*record{}
	for _, r := range ob.index {
		if r.deleted == deleted && w.has(r.modstamp) {
			if found = append(found, r); len(found) > c.o.cfg.MaxReplicationIDs {
				return &RequestError{Status: 400, Code: "EXCEEDED_ID_LIMIT", Message: fmt.Sprintf("exceeded the limit of %d ids: ask for a shorter time", c.o.cfg.MaxReplicationIDs)}
			}
		}
	}
	if !deleted {
		ids := []string{}
		for _, r := range found {
			ids = append(ids, r.id)
		}
		c.ok(map[string]any{"ids": ids, "latestDateCovered": restTime(w.covered)})
		return nil
	}
	type gone struct {
		ID   string `json:"id"`
		Date string `json:"deletedDate"`
	}
	list := []gone{}
	slices.SortStableFunc(found, func(a, b *record) int { return int(a.modstamp - b.modstamp) })
	for _, r := range found {
		list = append(list, gone{r.id, restTime(r.modstamp)})
	}
	earliest := max(ob.purged, c.o.born.UnixMilli())
	c.ok(map[string]any{"deletedRecords": list, "earliestDateAvailable": restTime(time.UnixMilli(earliest).Truncate(time.Minute).UnixMilli()), "latestDateCovered": restTime(w.covered)})
	return nil
}

func restTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(restTimeLayout) }
