package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
)

// The change types of records that come of rows.
const (
	changeSnapshot = "SNAPSHOT"
	changeDelete   = "DELETE"
)

// instead are the rows that stand for the events of a stream since a time that the org
// does not retain any more; nil if the filter wants none of the stream's entities.
func (f replayFlags) instead(s config.Stream, at time.Time) (*backfill.RowPart, error) {
	wrong := func(problem, try string) (*backfill.RowPart, error) {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: Salesforce retains its events for %s, and %s is longer ago%s; try: %s",
			s.Channel, s.Retention, at.Format(time.RFC3339), problem, try))
	}
	const left = "--from earliest, which begins with the events that are left"
	switch {
	case f.noRows:
		return wrong("", left+", or without --no-rows")
	case s.Kind != config.ChangeData:
		return wrong(", and they are of no object whose rows could be read instead", left+", or the other channels alone, by --channel")
	case f.toID != "" || f.toTime != "":
		return wrong("; rows can be read instead, and are what the org has now, not at an end in the past", "it without --to-id and --to-time, or "+left)
	case len(f.changes) > 0 && !slices.Contains(f.changes, changeSnapshot):
		return wrong("; rows can be read instead, and do not say what kind of change they come of", "--change-type SNAPSHOT too, for rows (and DELETE for what is gone), or "+left)
	}
	entities := s.KnownObjects()
	if len(f.entities) > 0 {
		entities = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(f.entities))), func(e string) bool { return !s.Carries(e) })
		if len(entities) == 0 {
			return nil, nil //nolint:nilnil // no event of the stream is wanted either
		}
	}
	if len(entities) == 0 {
		return wrong("; which entities' rows are to be read instead is known from its events alone", "--entity, for each, or entities of the stream in the configuration, or "+left)
	}
	return &backfill.RowPart{
		Since:     at.Truncate(time.Second), // rows have whole seconds
		Entities:  entities,
		Deletions: len(f.changes) == 0 || slices.Contains(f.changes, changeDelete),
	}, nil
}

// rowsOf is what a run reads of one entity, and what that takes, as far as it can be
// known before.
type rowsOf struct {
	Channel string    `json:"channel"`
	Object  string    `json:"object"`
	Since   time.Time `json:"since"`
	Rows    *int      `json:"rows,omitempty"`  // nil: the org could not count them
	Calls   *int      `json:"calls,omitempty"` // of the org's API, about
}

// String says it for people.
func (o rowsOf) String() string {
	text := fmt.Sprintf("of %s, changed since %s", o.Object, o.Since.Format(time.RFC3339))
	if o.Rows == nil {
		return text + ", which the org did not count in time"
	}
	return text + fmt.Sprintf(": %d, with about %d API calls", *o.Rows, *o.Calls)
}

// hasRows says whether a part of the run is rows.
func (r *replayer) hasRows() bool {
	return slices.ContainsFunc(r.run.Streams, func(s backfill.Stream) bool { return s.Rows != nil })
}

// counted asks the org how many rows the run will read. An entity that cannot be read
// is refused before anything is written.
func (r *replayer) counted(ctx context.Context) (out []rowsOf, _ error) {
	for _, s := range r.run.Streams {
		if s.Rows == nil {
			continue
		}
		for _, object := range s.Rows.Entities {
			shape, err := snapshot.NewShape(ctx, snapshot.ShapeConfig{Client: r.org.rest, Org: r.org.id, Channel: s.Channel, Object: object})
			if err != nil {
				return nil, unreadable(s.Channel, object, err)
			}
			one := rowsOf{Channel: s.Channel, Object: object, Since: s.Rows.Since}
			n, err := r.reader.Count(ctx, salesforce.Selection{Form: shape.Form(), Where: salesforce.AllOf(r.wanted(s.Rows)...)})
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err == nil && n >= 0:
				calls := r.calls(n)
				one.Rows, one.Calls = &n, &calls
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// unreadable gives the org's refusal of an object its exit code.
func unreadable(channel, object string, err error) error {
	_, unfit := errors.AsType[*snapshot.ObjectError](err)
	refused, ok := errors.AsType[*salesforce.APIError](err)
	if unfit || ok && refused.Status == http.StatusNotFound {
		return exit(pipeline.ExitUsage, fmt.Errorf("%s: rows of %s cannot be read: %w", channel, object, err))
	}
	return outside("rows of "+object, err)
}

// wanted are the conditions of the rows of a part.
func (r *replayer) wanted(part *backfill.RowPart) []salesforce.Condition {
	out := []salesforce.Condition{salesforce.Where("SystemModstamp", ">=", salesforce.TimeLiteral(part.Since))}
	if where := r.onlyIDs(); where != "" {
		out = append(out, salesforce.SOQLCondition(where))
	}
	return out
}

// askedIDs is how many ids a question names; of more all rows are read, and those that
// are not wanted left out.
const askedIDs = 200

// onlyIDs is the condition of a run that wants some records alone; empty for others.
func (r *replayer) onlyIDs() string {
	ids := r.run.Filter.RecordIDs
	if len(ids) == 0 || len(ids) > askedIDs {
		return ""
	}
	return "Id IN ('" + strings.Join(ids, "', '") + "')" // Run.Check allows letters and digits
}

const (
	// besideRows is about how many calls a part costs beside those that read its rows:
	// the count and the ranges, the object and its schema, deletions and the bin.
	besideRows = 8
	// perJob is about how often a job of Bulk API is asked about.
	perJob = 20
	// jobRows and jobPage are how many rows a job and a page of its result have.
	jobRows = 100_000
	jobPage = 50_000
)

// calls is about how many calls of the org's API so many rows take.
func (r *replayer) calls(rows int) int {
	c := r.cfg.Snapshot
	bulk := c.Reader == "bulk" || c.Reader == "auto" && rows >= c.BulkFrom
	if !bulk {
		return besideRows + rows/c.PageRows
	}
	return besideRows + (rows/jobRows+1)*perJob + rows/jobPage
}
