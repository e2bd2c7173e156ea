package backfill

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// Runs keeps runs and how far they have come, in a topic like that of the bridge's
// positions with one partition. What a stream is to the bridge, a stream within a
// run is here: its channel has the run's id before it.
type Runs struct {
	Store *replay.Store
	Org   string
}

const notePrefix = "run/"

// Note is the record that keeps a run.
func (r Runs) Note(run Run, now time.Time) *kgo.Record {
	return r.Store.NoteRecord(replay.Note{Name: notePrefix + run.ID, Body: run.encode(), Updated: now})
}

// Beginning are the records that begin a run, with the tasks that read its rows: they
// are to be committed together, before anything of it is read.
func (r Runs) Beginning(run Run, now time.Time, tasks ...replay.Task) []*kgo.Record {
	out := r.Resuming(run, now, tasks...)
	for _, s := range run.Streams {
		if s.After == "" && s.Since.IsZero() {
			continue // the earliest is where it begins without a position
		}
		out = append(out, r.Store.Record(replay.Entry{
			Key: r.key(run, s.Channel), Position: s.After, Since: s.Since, Updated: now, Source: "replay",
		}))
	}
	return out
}

// Resuming are the records with which a run goes on, with the tasks of it that are to
// be tried again.
func (r Runs) Resuming(run Run, now time.Time, again ...replay.Task) []*kgo.Record {
	out := []*kgo.Record{r.Note(run, now)}
	for _, t := range again {
		out = append(out, r.taskRecord(run, t))
	}
	return out
}

func (r Runs) key(run Run, channel string) replay.Key {
	return replay.Key{Org: r.Org, Channel: "/" + run.ID + channel}
}

// List returns all runs, the newest first.
func (r Runs) List(ctx context.Context) ([]Run, error) {
	notes, err := r.Store.Notes(ctx)
	if err != nil {
		return nil, err
	}
	var out []Run
	for name, note := range notes {
		if !strings.HasPrefix(name, notePrefix) {
			continue
		}
		var run Run
		if err := json.Unmarshal(note.Body, &run); err != nil {
			return nil, fmt.Errorf("the note of run %q cannot be read: %w", strings.TrimPrefix(name, notePrefix), err)
		}
		out = append(out, run)
	}
	slices.SortFunc(out, func(a, b Run) int { return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// Positions is what the run's lane needs.
func (r Runs) Positions(run Run) pipeline.Positions { return positions{r, run} }

type positions struct {
	runs Runs
	run  Run
}

func (p positions) Barrier(lane int32) replay.Barrier { return p.runs.Store.Barrier(lane) }

func (p positions) Load(ctx context.Context, lane int32, b replay.Barrier) (map[replay.Key]replay.Entry, error) {
	all, err := p.runs.Store.Load(ctx, lane, b)
	if err != nil {
		return nil, err
	}
	out := make(map[replay.Key]replay.Entry, len(p.run.Streams))
	for _, s := range p.run.Streams {
		if e, ok := all[p.runs.key(p.run, s.Channel)]; ok {
			e.Key.Channel = s.Channel
			out[e.Key] = e
		}
	}
	return out, nil
}

func (p positions) Record(e replay.Entry) *kgo.Record {
	e.Key = p.runs.key(p.run, e.Key.Channel)
	return p.runs.Store.Record(e)
}

// MomentRecord is nil: nobody looks times up in a run.
func (positions) MomentRecord(replay.Moment) *kgo.Record { return nil }
