package snapshot

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
)

// collect reads at most so many rows. Without an error there are fewer only at the end.
func collect(rows salesforce.Rows, most int) (out []salesforce.Row, _ error) {
	for len(out) < most {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, row)
	}
	return out, nil
}

// rows reads what the part asks for: by ids, or in ranges side by side.
func (r *run) rows(ctx context.Context) error {
	if r.p.ByIDs {
		return r.listed(ctx)
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	return r.ranges(ctx, r.p.Method)
}

// idsAtOnce is how many records are asked for by their ids, and then committed, at once:
// few, for events wait for the commit, and many, for each question is an API call.
const idsAtOnce = 500

// listed reads the records of a list of ids.
func (r *run) listed(ctx context.Context) error {
	for {
		r.t.mu.Lock()
		ids := slices.Clone(r.p.IDs[:min(len(r.p.IDs), idsAtOnce)])
		r.t.mu.Unlock()
		if len(ids) == 0 {
			return nil
		}
		if err := r.list(ctx, ids); err != nil {
			return err
		}
	}
}

func (r *run) list(ctx context.Context, ids []string) error {
	asked, w := time.Now(), r.b.desk.Window() // rule 3
	defer w.Close()
	rows, err := r.byIDs(ctx, ids)
	if err != nil {
		return err
	}
	_, err = r.b.desk.Commit(ctx, r.chunk(w, written{rows: rows, asked: asked, events: r.either, then: func(p *Part, _ []string) {
		p.IDs = p.IDs[len(ids):]
	}}))
	return err
}

// plan chooses how the rows are read, and cuts them into ranges, unless that was done.
func (r *run) plan(ctx context.Context) error {
	if r.p.Ranges != nil {
		return nil
	}
	w := r.b.w
	method, total, n := w.cfg.Method, 0, 1
	selection := r.selection(idRange{})
	if method != REST || w.cfg.Parallel > 1 {
		var err error
		if total, err = w.cfg.Reader.Count(ctx, selection); err != nil {
			return err
		}
	}
	if method == Auto {
		method = REST
		if total < 0 || total >= w.cfg.BulkFrom {
			method = Bulk
		}
	}
	switch {
	case method == Bulk && total > w.cfg.BulkRange:
		n = (total + w.cfg.BulkRange - 1) / w.cfg.BulkRange
	case method == REST && total > w.cfg.Parallel*w.cfg.PageRows:
		n = w.cfg.Parallel
	}
	cut := []salesforce.Range{{}}
	if n > 1 {
		var err error
		if cut, err = w.cfg.Reader.Ranges(ctx, selection, n); err != nil {
			return err
		}
	}
	r.t.mu.Lock()
	r.p.Method, r.p.Total = method, max(total, 0)
	r.p.Ranges = make([]*idRange, 0, len(cut))
	for _, one := range cut {
		r.p.Ranges = append(r.p.Ranges, &idRange{After: one.After, UpTo: one.UpTo})
	}
	r.t.mu.Unlock()
	return nil
}

// ranges reads the ranges that are not done, some of them at the same time.
func (r *run) ranges(ctx context.Context, method Method) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	todo := make(chan *idRange)
	errs := make([]error, r.b.w.cfg.Parallel)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for one := range todo {
				if errs[i] = r.within(ctx, method, one); errs[i] != nil {
					cancel()
					return
				}
			}
		})
	}
	for _, one := range r.p.Ranges {
		if one.Done {
			continue
		}
		select {
		case todo <- one:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(todo)
	wg.Wait()
	// What ended the others is the one that is not only the end of the context.
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

func (r *run) within(ctx context.Context, method Method, one *idRange) error {
	if method != Bulk {
		return r.pages(ctx, one)
	}
	err := r.job(ctx, one)
	if _, refused := errors.AsType[*salesforce.BulkRefusedError](err); refused {
		return r.pages(ctx, one) // as for objects that Bulk API does not have
	}
	return err
}

// pages reads a range by queries, each behind the last row of the one before.
func (r *run) pages(ctx context.Context, one *idRange) error {
	for {
		done, err := r.page(ctx, one)
		if err != nil || done {
			return err
		}
		if err := r.again(ctx, rereadFrom); err != nil {
			return err
		}
	}
}

// page reads the rows of one query, and commits them. Done says that they are the last.
func (r *run) page(ctx context.Context, one *idRange) (done bool, _ error) {
	asked, w := time.Now(), r.b.desk.Window() // rule 3: the query is sent by what follows
	defer w.Close()
	r.t.mu.Lock()
	selection := r.selection(*one)
	r.t.mu.Unlock()
	rows, err := r.b.w.cfg.Reader.Query(ctx, selection)
	if err != nil {
		return false, err
	}
	page, err := collect(rows, r.b.w.cfg.PageRows)
	if err := errors.Join(err, rows.Close()); err != nil {
		return false, err
	}
	done = len(page) < r.b.w.cfg.PageRows
	for first := true; first || len(page) > 0; first = false {
		n := min(len(page), r.b.w.cfg.CommitRows)
		some := page[:n]
		page = page[n:]
		last := done && len(page) == 0
		_, err := r.b.desk.Commit(ctx, r.chunk(w, written{rows: some, asked: asked, events: r.present, then: func(*Part, []string) {
			if len(some) > 0 {
				one.After = some[len(some)-1].ID
			}
			one.Done = last
		}}))
		if err != nil {
			return false, err
		}
	}
	return done, nil
}

// job reads a range by a job of Bulk API. The window is as long as the job.
func (r *run) job(ctx context.Context, one *idRange) error {
	asked, w := time.Now(), r.b.desk.Window() // rule 3
	defer w.Close()
	r.t.mu.Lock()
	selection := r.selection(*one)
	r.t.mu.Unlock()
	if err := r.orphan(ctx, one); err != nil {
		return err
	}
	rows, err := r.b.w.cfg.Reader.Bulk(ctx, selection)
	if err != nil {
		return err
	}
	if err := r.begun(ctx, rows, one); err != nil {
		return errors.Join(err, rows.Close())
	}
	return errors.Join(r.drain(ctx, rows, w, asked, one), rows.Close())
}

// begun makes the job and remembers it, so that somebody ends it if this process cannot.
func (r *run) begun(ctx context.Context, rows *salesforce.BulkRows, one *idRange) error {
	if err := rows.Start(); err != nil {
		return err
	}
	return r.b.keep(ctx, r.t.key.Channel, func() pipeline.Beside {
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		at := rows.Position()
		one.Job, one.Version = at.Job, at.APIVersion
		return pipeline.Beside{Tasks: []replay.Task{r.t.kept()}}
	})
}

// orphan ends the job of a process that did not come to it.
func (r *run) orphan(ctx context.Context, one *idRange) error {
	r.t.mu.Lock()
	job := salesforce.Job{ID: one.Job, APIVersion: one.Version, State: salesforce.StateInProgress}
	r.t.mu.Unlock()
	if job.ID == "" {
		return nil
	}
	return r.b.w.cfg.Reader.EndJob(ctx, job)
}

func (r *run) drain(ctx context.Context, rows salesforce.Rows, w *pipeline.Window, asked time.Time, one *idRange) error {
	read := 0
	for done := false; !done; {
		some, err := collect(rows, r.b.w.cfg.CommitRows)
		if err != nil {
			r.t.mu.Lock()
			r.p.Read -= read // the range is read again
			r.t.mu.Unlock()
			return err
		}
		done = len(some) < r.b.w.cfg.CommitRows
		read += len(some)
		_, err = r.b.desk.Commit(ctx, r.chunk(w, written{rows: some, asked: asked, events: r.present, then: func(*Part, []string) {
			one.Done = done
			if done {
				one.Job, one.Version = "", ""
			}
		}}))
		if err != nil {
			return err
		}
		if err := r.again(ctx, rereadFrom); err != nil {
			return err
		}
	}
	return nil
}
