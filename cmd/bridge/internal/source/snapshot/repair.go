package snapshot

import (
	"regexp"
	"slices"
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

// mostIDs bounds how many records one task names: its state is written with each commit.
const mostIDs = 5000

// repair is the task that fills holes of a stream; nil if it is not known how to fill
// any of them.
func (w *Worker) repair(key replay.Key, holes []transform.Hole) *task {
	s := &State{Kind: Repair, Standing: Running, Ordered: time.Now()}
	q := questions{}
	for i := range holes {
		if q.ids < mostIDs && q.ask(&holes[i], w.objectsOf(key.Channel, &holes[i]), w.cfg.Alive != nil) {
			s.Holes = append(s.Holes, &holes[i])
		}
	}
	if len(s.Holes) == 0 {
		return nil
	}
	s.Parts = q.parts
	return &task{key: key, id: repairID(s.Holes[0].ID()), state: s}
}

// objectsOf are those whose rows a hole may lack; none if that is not known.
func (w *Worker) objectsOf(channel string, h *transform.Hole) []string {
	switch {
	case !strings.HasPrefix(channel, "/data/"):
		return nil // what a platform event said is in no row
	case h.Object != "":
		return []string{h.Object}
	default:
		return w.cfg.Objects(channel)
	}
}

// questions are what is to be read to fill some holes, one of a kind for each object.
type questions struct {
	parts []*Part
	ids   int
}

// ask adds what a hole needs, and says whether it is known.
func (q *questions) ask(h *transform.Hole, objects []string, sweeps bool) bool {
	if whole := recordIDs(h.RecordIDs); h.Reason == transform.GapEvent.String() && len(whole) > 0 && len(whole) == len(h.RecordIDs) && h.Object != "" && len(objects) > 0 {
		p := q.part(h.Object, true)
		for _, id := range whole {
			if !slices.Contains(p.IDs, id) {
				p.IDs = append(p.IDs, id)
				q.ids++
			}
		}
		return true
	}
	for _, object := range objects {
		fresh := !q.has(object)
		p := q.part(object, false)
		// Nothing is known of when, or the change did not touch the rows' times.
		all := h.FromTime.IsZero() || h.Reason == transform.GapWildcard.String()
		since := h.FromTime.Add(-margin).UTC()
		switch {
		case all:
			p.All, p.Sweep = true, p.Sweep || sweeps && h.FromTime.IsZero()
		case fresh || since.Before(p.Since) || p.Since.IsZero():
			p.Since = since
		}
	}
	return len(objects) > 0
}

func (q *questions) has(object string) bool {
	return slices.ContainsFunc(q.parts, func(p *Part) bool { return p.Object == object && !p.ByIDs })
}

func (q *questions) part(object string, byIDs bool) *Part {
	for _, p := range q.parts {
		if p.Object == object && p.ByIDs == byIDs {
			return p
		}
	}
	p := &Part{Object: object, ByIDs: byIDs, Deletions: true}
	q.parts = append(q.parts, p)
	return p
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

// filled are the ledger's last states of the holes that a task has filled.
func (s *State) filled() []*transform.Hole {
	return s.holes(transform.HoleRepaired, func(string) string { return s.summary() })
}

// holes are the task's, in another state.
func (s *State) holes(state string, detail func(was string) string) (out []*transform.Hole) {
	for _, h := range s.Holes {
		one := *h
		one.State, one.Detail = state, detail(h.Detail)
		out = append(out, &one)
	}
	return out
}
