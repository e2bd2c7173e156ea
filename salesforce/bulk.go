package salesforce

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// endWithin is how long a job may take to be ended after its reader has gone.
const endWithin = 10 * time.Second

// BulkPosition is where the reading of a job's result stands. A program that keeps
// it can go on with the same job after a restart, within seven days.
type BulkPosition struct {
	Job        string `json:"job"`
	APIVersion string `json:"api_version"`
	// Locator is of the page that is being read, as Salesforce gave it; empty: the first.
	Locator string `json:"locator"`
	// Row is how many rows from there on have been handed out, LastID the id of the last.
	Row    int    `json:"row"`
	LastID string `json:"last_id"`
}

// begun says whether rows were handed out: then only the same job can go on.
func (p BulkPosition) begun() bool { return p.Locator != "" || p.Row > 0 }

// BulkRows reads a selection by a job of Bulk API 2.0, in no order. Use it from one
// goroutine at a time.
type BulkRows struct {
	reader    *Reader
	ctx       context.Context // see QueryRows
	selection Selection
	attempts  attempts
	placed    bool // among the reader's jobs

	job   Job // without an id: not made yet
	polls int
	at    BulkPosition
	page  *bulkPage
	ended bool
}

// Bulk reads a selection by a job of Bulk API 2.0. Nothing is sent before Start or
// the first Next. Close aborts the job and deletes it, also after ctx has ended.
func (r *Reader) Bulk(ctx context.Context, selection Selection) (*BulkRows, error) {
	if err := selection.check(); err != nil {
		return nil, err
	}
	return &BulkRows{
		reader: r, ctx: ctx, selection: selection, attempts: attempts{reader: r},
	}, nil
}

// ResumeBulk goes on behind a position of the same selection.
func (r *Reader) ResumeBulk(ctx context.Context, selection Selection, at BulkPosition) (*BulkRows, error) {
	b, err := r.Bulk(ctx, selection)
	if err != nil {
		return nil, err
	}
	if _, err := parseVersion(at.APIVersion); err != nil || at.Job == "" || at.Row < 0 {
		return nil, &ConfigError{Field: "position", Problem: "is none that BulkRows.Position gave", Try: "read the selection from its beginning"}
	}
	b.at = at
	b.job = Job{ID: at.Job, APIVersion: at.APIVersion, Object: selection.Form.object, State: StateInProgress, Processed: -1}
	return b, nil
}

// Position is where a reader that reads on behind the last row begins. It has no
// job before Start.
func (b *BulkRows) Position() BulkPosition { return b.at }

// Start makes the job, unless there is one, and waits for one of the reader's
// MaxJobs places. Next does it too.
func (b *BulkRows) Start() error {
	for b.job.ID == "" || !b.placed {
		err := b.start()
		if err == nil {
			return nil
		}
		if err := b.attempts.failed(b.ctx, err); err != nil {
			return err
		}
	}
	return nil
}

func (b *BulkRows) start() error {
	if err := b.enter(); err != nil || b.job.ID != "" {
		return err
	}
	job, err := b.reader.createJob(b.ctx, b.selection.query())
	if err != nil {
		return err
	}
	b.job = job
	b.at.Job, b.at.APIVersion = job.ID, job.APIVersion
	return nil
}

// enter takes a place among the jobs, once.
func (b *BulkRows) enter() error {
	if b.placed {
		return nil
	}
	select {
	case b.reader.jobs <- struct{}{}:
		b.placed = true
		return nil
	case <-b.ctx.Done():
		return endedError(b.ctx, "waiting for a place among the Bulk jobs")
	}
}

// Next implements Rows.
func (b *BulkRows) Next() (Row, error) {
	for !b.ended {
		row, err := b.step()
		switch {
		case err == nil && row.ID != "":
			b.at.Row++
			b.at.LastID = row.ID
			b.attempts.failures = 0
			return row, nil
		case err == nil:
			continue
		case errors.Is(err, errPageEnd):
			err = b.turn()
		}
		if err == nil {
			continue
		}
		b.drop()
		if err := b.failed(err); err != nil {
			return Row{}, err
		}
	}
	return Row{}, io.EOF
}

// step does one thing: it makes the job, looks at it, opens a page or reads a row.
// A row without an id is none.
func (b *BulkRows) step() (Row, error) {
	switch {
	case b.job.ID == "" || !b.placed:
		return Row{}, b.start()
	case b.job.State.running():
		return Row{}, b.poll()
	case b.job.State != StateJobComplete:
		return Row{}, &JobError{Job: b.job.ID, Object: b.selection.Form.object, State: b.job.State, Message: clean(b.job.Message)}
	case b.page == nil:
		return Row{}, b.open()
	}
	return b.page.row()
}

// poll looks at the job, and waits if it is not ready.
func (b *BulkRows) poll() error {
	var job Job
	err := b.reader.json(b.ctx, call{method: http.MethodGet, path: jobPath(b.job.ID, b.job.APIVersion), accept: acceptJSON}, &job)
	if err != nil {
		return err
	}
	b.job.State, b.job.Message, b.job.Processed = job.State, job.Message, job.Processed
	switch job.State {
	case StateUploadComplete, StateInProgress:
		b.attempts.failures = 0
		b.polls++
		return b.reader.config.Wait(b.ctx, min(firstPause<<min(b.polls-1, 10), longestPollPause))
	case StateJobComplete, StateFailed, StateAborted:
		return nil
	}
	b.job.State = StateInProgress // so that it is asked again, and aborted by Close
	return &ReplyError{Path: jobPath(b.job.ID, b.job.APIVersion), Status: http.StatusOK, Problem: "the job has the unknown state " + quote(string(job.State))}
}

// failed decides about an error: nil says that it is worth another try.
func (b *BulkRows) failed(err error) error {
	var (
		refused *APIError
		lost    *JobError
	)
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound && b.job.ID != "" {
		lost = &JobError{Job: b.job.ID, Object: b.selection.Form.object, State: StateGone, Message: refused.Message}
		err = lost
	}
	if !errors.As(err, &lost) {
		if isNotReady(refused) {
			// The job is complete, and what serves its result does not know yet.
			err = &ReplyError{Path: refused.Path, Status: refused.Status, Problem: "the result is not ready: " + refused.Message, Temporary: true}
		}
		return b.attempts.failed(b.ctx, err)
	}
	// Another job may have its rows in another order: it can stand in for this one
	// only as long as no row was handed out.
	if b.at.begun() || !lost.retryable() {
		return bulkRefusal(lost.Object, err)
	}
	err = b.attempts.failed(b.ctx, &ReplyError{Path: jobsPath, Status: http.StatusOK, Problem: err.Error(), Temporary: true})
	if err != nil {
		return errors.Join(lost, err)
	}
	dead := b.job
	dead.State = lost.State
	b.job, b.polls = Job{}, 0
	b.at.Job, b.at.APIVersion = "", ""
	return b.bury(dead)
}

// bury deletes a failed job. What it leaves behind costs nothing but its seven
// days, so that only the end of ctx counts.
func (b *BulkRows) bury(job Job) error {
	if err := b.reader.EndJob(b.ctx, job); err != nil && b.ctx.Err() != nil {
		return err
	}
	return nil
}

func isNotReady(e *APIError) bool {
	return e != nil && (e.Code == "INVALIDJOBSTATE" || e.Code == "JOB_NOT_COMPLETE")
}

func (b *BulkRows) drop() {
	if b.page != nil {
		b.page.s.close()
		b.page = nil
	}
}

// Close aborts the job if it runs, and deletes it with its results, within ten
// seconds and also if the reader's ctx has ended. The error says that the job may
// still be there; the rows that were handed out are right nevertheless.
func (b *BulkRows) Close() error {
	defer b.Leave() // the place is free when the job is gone
	b.ended = true
	b.drop()
	if b.job.ID == "" {
		return nil
	}
	job := b.job
	b.job = Job{}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), endWithin)
	defer cancel()
	return b.reader.EndJob(ctx, job)
}

// Leave lets go of the rows and keeps the job at Salesforce, for ResumeBulk.
func (b *BulkRows) Leave() {
	b.ended = true
	b.drop()
	if b.placed {
		b.placed = false
		<-b.reader.jobs
	}
}
