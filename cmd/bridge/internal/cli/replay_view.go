package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/transform"
)

// costs are what a run will take, as far as it can be known before.
type costs struct {
	// Deliveries is how many events the org still delivers today; nil is not known.
	Deliveries *int64 `json:"deliveries_left,omitempty"`
	// Estimate is how many records of the run's time are in the topics of its
	// streams now; nil is not known, as for channels of several entities.
	Estimate *int64 `json:"estimate,omitempty"`
	// RowsOf is the part of the run that is rows.
	RowsOf []rowsOf `json:"rows_of,omitempty"`
}

const deliveriesLimit = "DailyDeliveredPlatformEvents"

// costs asks the org and Kafka. What cannot be known is left out: a run does not
// depend on it.
func (r *replayer) costs(ctx context.Context) costs {
	var c costs
	if limits, err := r.org.rest.Limits(ctx); err == nil {
		if l, ok := limits[deliveriesLimit]; ok {
			c.Deliveries = &l.Remaining
		}
	}
	if n, err := r.estimate(ctx); err == nil {
		c.Estimate = &n
	}
	return c
}

var errNotEstimable = errors.New("the topics of a channel of several entities are not known")

func (r *replayer) estimate(ctx context.Context) (int64, error) {
	var total int64
	for _, s := range r.run.Streams {
		since := s.Since
		if since.IsZero() {
			since = time.Now().Add(-72 * time.Hour)
		}
		n, err := r.recordsSince(ctx, s.Channel, since)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// recordsSince is about how many records of what happened since then a channel's
// topic holds. What ends a transaction has a place in the topic, and counts.
func (b *bridge) recordsSince(ctx context.Context, channel string, since time.Time) (int64, error) {
	for _, s := range b.cfg.Streams {
		if s.Channel == channel && s.Multi {
			return 0, errNotEstimable
		}
	}
	object := (config.Stream{Channel: channel, Kind: config.ChangeData}).Object()
	topic, err := transform.TopicOf(b.encoding(), channel, object, "UPDATE")
	if err != nil {
		return 0, err
	}
	cl, err := kgo.NewClient(b.kafka...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	from, err := adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
	if err != nil {
		return 0, err
	}
	until, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	var total int64
	until.Each(func(end kadm.ListedOffset) {
		if begin, ok := from.Lookup(end.Topic, end.Partition); ok && begin.Err == nil && end.Err == nil {
			total += end.Offset - begin.Offset
		}
	})
	return total, nil
}

// progress is a moment of a run.
type progress struct {
	Run     string    `json:"run"`
	Events  uint64    `json:"events"`            // of which records were written
	Dropped uint64    `json:"dropped"`           // that are no part of the run
	Taken   uint64    `json:"deliveries"`        // all that the org delivered
	Rate    float64   `json:"events_per_second"` // deliveries, since the last one
	Reached time.Time `json:"reached,omitzero"`  // when the last committed event happened
	Left    float64   `json:"seconds_left"`      // estimated by the times of events; -1 is not known
	Trouble string    `json:"trouble,omitempty"` // what keeps it from going on
	// Rows is how many were written, and Reading what is read of them now; nil if
	// nothing is.
	Rows    uint64             `json:"rows,omitempty"`
	Reading *snapshot.Progress `json:"reading,omitempty"`
	began   time.Time          // of the run in this process
}

const (
	progressEvery = time.Second
	barWidth      = 24
)

// watchProgress tells of the run until the returned function is called.
func (r *replayer) watchProgress(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		last := progress{began: time.Now()}
		first := time.Time{}
		for {
			select {
			case <-tick.C:
				last = r.progress(last, &first)
				if r.show.progress(last, r.run, first) != nil {
					return // nobody reads it any more; the run goes on
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// progress looks at the run. first is the time of the first event that was seen.
func (r *replayer) progress(last progress, first *time.Time) progress {
	p := progress{Run: r.run.ID, Taken: r.bounds.Taken(), Left: -1, began: last.began}
	for _, s := range r.stats.Snapshot() {
		p.Events += s.Produced
		p.Dropped += s.Filtered
		p.Rows += s.Rows
		if !s.EventTime.IsZero() && (p.Reached.IsZero() || s.EventTime.Before(p.Reached)) {
			p.Reached = s.EventTime // the stream that is furthest behind
		}
	}
	if r.worker != nil {
		if tasks := r.worker.Tasks(); len(tasks) > 0 {
			p.Reading = &tasks[0]
		}
	}
	for _, t := range r.stats.Troubles() { // a run has one lane
		p.Trouble = fmt.Sprintf("%s: %s", t.Condition, t.Message)
	}
	p.Rate = float64(p.Taken-last.Taken) / progressEvery.Seconds()
	if first.IsZero() {
		*first = p.Reached
	}
	if whole, done := r.run.To.Time.Sub(*first), p.Reached.Sub(*first); !r.run.To.Time.IsZero() && done > 0 && whole > done {
		p.Left = (time.Since(p.began).Seconds()) * (whole - done).Seconds() / done.Seconds()
	}
	return p
}

// replayView tells of a run.
type replayView interface {
	plan(run backfill.Run, c costs) error
	progress(p progress, run backfill.Run, first time.Time) error
	end(run backfill.Run, e ending) error
}

// ending is what a run has come to.
type ending struct {
	Taken   uint64   `json:"deliveries"`
	Calls   int64    `json:"calls,omitempty"`  // of the org's API, for rows
	Unsure  []string `json:"unsure,omitempty"` // what could not be found out
	streams []pipeline.StreamState
	tallies []backfill.Tally
}

func newReplayView(asJSON bool, stdout, stderr io.Writer) replayView {
	if asJSON {
		return jsonReplay{stdout}
	}
	return &textReplay{w: stdout, bar: stderr, live: isTerminal(stderr)}
}

// jsonReplay prints one object a line.
type jsonReplay struct{ w io.Writer }

func (v jsonReplay) plan(run backfill.Run, c costs) error {
	return tagged(v.w, "plan", struct {
		backfill.Run
		costs
	}{run, c})
}

func (v jsonReplay) progress(p progress, _ backfill.Run, _ time.Time) error {
	return tagged(v.w, "progress", p)
}

func (v jsonReplay) end(run backfill.Run, e ending) error {
	for _, t := range e.tallies {
		if err := tagged(v.w, "count", t); err != nil {
			return err
		}
	}
	s := summarised(e.streams)
	return tagged(v.w, "end", struct {
		backfill.Run
		ending
		Records      uint64 `json:"records"`
		Dropped      uint64 `json:"dropped"`
		DeadLettered uint64 `json:"dead_lettered"`
	}{run, e, s.Records, s.Filtered, s.DeadLettered})
}

func summarised(streams []pipeline.StreamState) (sum pipeline.StreamState) {
	for _, s := range streams {
		sum.Records += s.Records
		sum.Produced += s.Produced
		sum.Filtered += s.Filtered
		sum.Rows += s.Rows
		sum.DeadLettered += s.DeadLettered + s.RowsRefused
	}
	return sum
}

// textReplay prints for people: the plan and the end as text, between them one
// line that is written over.
type textReplay struct {
	w, bar io.Writer
	live   bool
}

func (v *textReplay) plan(run backfill.Run, c costs) error {
	t := tabwriter.NewWriter(v.w, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", key, fmt.Sprintf(format, args...)) // Flush tells
	}
	line("run", "%s", run.ID)
	for _, s := range run.Streams {
		from := "the earliest that is retained"
		if s.After != "" {
			from = "behind the replay id " + string(s.After)
		}
		if !s.Since.IsZero() {
			from += ", dropping what happened before " + s.Since.Format(time.RFC3339)
		}
		line("channel", "%s", s.Channel)
		for _, part := range c.RowsOf {
			if part.Channel == s.Channel {
				line("  rows", "%s", part)
			}
		}
		line("  from", "%s", from)
	}
	switch {
	case run.To.Position != "":
		line("to", "the replay id %s", run.To.Position)
	case len(c.RowsOf) > 0:
		line("to", "%s, or when the rows are read", run.To.Time.Format(time.RFC3339))
	default:
		line("to", "%s", run.To.Time.Format(time.RFC3339))
	}
	into := run.Into
	if into == "" {
		into = "the same topics"
	}
	line("into", "%s", into)
	if c.Estimate != nil {
		line("estimate", "%d records of that time are in Kafka now", *c.Estimate)
	}
	if c.Deliveries != nil {
		line("deliveries", "%d are left of the org's today; each event that is read takes one", *c.Deliveries)
	} else {
		line("deliveries", "each event that is read counts against the org's daily allocation, which could not be asked for")
	}
	return t.Flush()
}

func (v *textReplay) progress(p progress, run backfill.Run, first time.Time) error {
	if !v.live {
		return nil
	}
	share := 0.0
	if whole := run.To.Time.Sub(first); !first.IsZero() && whole > 0 && !run.To.Time.IsZero() {
		share = min(1, max(0, p.Reached.Sub(first).Seconds()/whole.Seconds()))
	}
	full := int(share * barWidth)
	left := ""
	if p.Left >= 0 {
		left = " " + (time.Duration(p.Left) * time.Second).String() + " left"
	}
	reached := ""
	if !p.Reached.IsZero() {
		reached = " at " + p.Reached.Local().Format("01-02 15:04:05")
	}
	if p.Trouble != "" {
		left = " " + p.Trouble
	}
	rows := ""
	if p.Rows > 0 || p.Reading != nil {
		rows = fmt.Sprintf(" %d rows,", p.Rows)
	}
	if p.Reading != nil {
		rows = fmt.Sprintf(" %d rows (%s: %d read of %d),", p.Rows, p.Reading.Object, p.Reading.Read, p.Reading.Total)
	}
	_, err := fmt.Fprintf(v.bar, "\r\x1b[K[%s%s]%s %d events, %.0f/s%s%s",
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), rows, p.Events, p.Rate, reached, left)
	return err
}

func (v *textReplay) end(run backfill.Run, e ending) error {
	if v.live {
		if _, err := fmt.Fprint(v.bar, "\r\x1b[K"); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(v.w, 0, 0, 2, ' ', 0)
	if e.tallies != nil {
		_, _ = fmt.Fprintf(t, "ENTITY\tHOUR\tRECORDS\n")
		for _, one := range e.tallies {
			_, _ = fmt.Fprintf(t, "%s\t%s\t%d\n", one.Object, one.Hour.Format("2006-01-02 15:04Z"), one.Records)
		}
	}
	s := summarised(e.streams)
	_, _ = fmt.Fprintf(t, "%s\t%d records of %d events, %d dropped, %d dead letters, %d deliveries\n", run.State, s.Records, s.Produced, s.Filtered, s.DeadLettered, e.Taken)
	if s.Rows > 0 || e.Calls > 0 {
		_, _ = fmt.Fprintf(t, "rows\t%d, with %d API calls\n", s.Rows, e.Calls)
	}
	for _, what := range e.Unsure {
		_, _ = fmt.Fprintf(t, "unsure\t%s\n", what)
	}
	return t.Flush()
}
