package snapshot

import (
	"regexp"
	"strings"
	"time"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// margin is how far before a hole rows are read: what was changed before the last event
// in front of it may have been committed after it, by as long as a transaction takes,
// which Salesforce ends after ten minutes, and clocks differ.
const margin = 15 * time.Minute

func repairID(hole string) string { return string(Repair) + "/" + hole }

// repair is the task that fills a hole; nil if it is not known how.
func (w *Worker) repair(key replay.Key, h *transform.Hole) *task {
	parts := w.questions(key.Channel, h)
	if len(parts) == 0 {
		return nil
	}
	s := &State{Kind: Repair, Standing: Running, Hole: h, Parts: parts, Ordered: time.Now()}
	return &task{key: key, id: repairID(h.ID()), state: s}
}

// questions are what is to be read to fill a hole.
func (w *Worker) questions(channel string, h *transform.Hole) (out []*Part) {
	if !strings.HasPrefix(channel, "/data/") {
		return nil // what a platform event said is in no row
	}
	if whole := recordIDs(h.RecordIDs); h.Reason == transform.GapEvent.String() && len(whole) == len(h.RecordIDs) && len(whole) > 0 && h.Object != "" {
		return []*Part{{Object: h.Object, ByIDs: true, IDs: whole, Deletions: true}}
	}
	objects := []string{h.Object}
	if h.Object == "" {
		objects = w.cfg.Objects(channel)
	}
	for _, object := range objects {
		p := &Part{Object: object, Deletions: true}
		if h.FromTime.IsZero() {
			p.Sweep = w.cfg.Alive != nil // nothing is known: all rows, and what the org does not have any more
		} else {
			p.Since = h.FromTime.Add(-margin).UTC()
		}
		out = append(out, p)
	}
	return out
}

var wholeID = regexp.MustCompile(`^[0-9A-Za-z]{18}$`)

// recordIDs are those of the ids that name one record: no wildcard, and not the empty
// key of an overflow (protocol of change events, "wildcard ids").
func recordIDs(ids []string) (out []string) {
	for _, id := range ids {
		if wholeID.MatchString(id) && strings.Trim(id[3:15], "0") != "" {
			out = append(out, id)
		}
	}
	return out
}

// filled is the ledger's last state of the hole that a task has filled; nil if it has
// none.
func (s *State) filled() *transform.Hole {
	if s.Hole == nil {
		return nil
	}
	h := *s.Hole
	h.State = transform.HoleRepaired
	h.Detail = s.summary()
	return &h
}
