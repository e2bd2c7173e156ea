package orgsim

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// BulkConfig is how the org runs query jobs of Bulk API 2.0. All of it may be left
// open.
type BulkConfig struct {
	Wait     Delay         // from the creation of a job until its work begins; default none
	Work     Delay         // from there until it is done; default none
	Parallel int           // jobs in progress at once, others wait; default 5
	Chunk    int           // rows that are read at one moment: larger tables come in parts; default 100,000
	PageRows int           // of a page of results; default 50,000
	Keep     time.Duration // how long results are kept; default 7 days
	Jobs     int           // in 24 h; default 10,000
	Megabyte int           // of results in 24 h; default 976,562
	// EarlyStatus answers who asks for results that are not there yet: 400
	// INVALIDJOBSTATE (default), 412 JOB_NOT_COMPLETE, or 204.
	EarlyStatus int
}

func (c *BulkConfig) fill() {
	orDefault(&c.Parallel, 5)
	orDefault(&c.Chunk, 100_000)
	orDefault(&c.PageRows, 50_000)
	orDefault(&c.Keep, 7*24*time.Hour)
	orDefault(&c.Jobs, 10_000)
	orDefault(&c.Megabyte, 976_562)
	orDefault(&c.EarlyStatus, 400)
}

// States of a job.
const (
	jobUploaded = "UploadComplete"
	jobWorking  = "InProgress"
	jobComplete = "JobComplete"
	jobFailed   = "Failed"
	jobAborted  = "Aborted"
)

// jobs are the query jobs of an org. They need no goroutine: what is due happens
// before the next request or transaction. All but next is guarded by Org.mu.
type jobs struct {
	rnd  *rand.Rand
	all  []*job       // by age
	next atomic.Int64 // when something is due, org's clock in ns; 0: never
}

// jobFate is what a fault has for a job.
type jobFate struct {
	failure string        // the errorMessage that it ends with
	longer  time.Duration // on top of its work
}

// job is one query job.
type job struct {
	id        string
	spec      jobSpec
	soql      *soql
	object    string
	user      *user
	version   string
	state     string
	created   time.Time
	changed   time.Time
	began     time.Time
	due       time.Time // the next step
	work      time.Duration
	bounds    []string // ids at which the chunks begin, "" first
	step      int      // chunks that were read
	columns   []jobColumn
	rows      []image
	failure   string
	fate      jobFate
	delimiter byte
	lineEnd   string
}

// image is a row as it was when the job read it: the values themselves are shared
// with the store, which never changes them in place.
type image struct {
	record
	more []any // what came from elsewhere: parents' fields, formulas
}

// jobColumn is a column of results.
type jobColumn struct {
	name string
	col  *soqlColumn
	get  func(r *record) any
	more int // index in image.more; -1: of the row itself
}

func (c *jobColumn) value(m *image) any {
	if c.more >= 0 {
		return m.more[c.more]
	}
	return c.col.get(&m.record)
}

func (j *job) over() bool {
	return j.state == jobComplete || j.state == jobFailed || j.state == jobAborted
}

// tickJobs lets the jobs get on with what is due.
func (o *Org) tickJobs() {
	if next := o.jobs.next.Load(); next == 0 || o.now().UnixNano() < next {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stepJobs()
}

// stepJobs does what is due by now, in order of time; the caller holds o.mu.
func (o *Org) stepJobs() {
	now := o.now()
	for {
		j := o.nextJob()
		if j == nil {
			o.jobs.next.Store(0)
			return
		}
		if j.due.After(now) {
			o.jobs.next.Store(j.due.UnixNano())
			return
		}
		o.advance(j)
	}
}

// nextJob is the one whose next step comes first; those that wait for another to
// end have none.
func (o *Org) nextJob() *job {
	working := 0
	for _, j := range o.jobs.all {
		if j.state == jobWorking {
			working++
		}
	}
	var first *job
	for _, j := range o.jobs.all {
		if j.over() || j.state == jobUploaded && working >= o.cfg.Bulk.Parallel {
			continue
		}
		if first == nil || j.due.Before(first.due) {
			first = j
		}
	}
	return first
}

// advance makes the next step of a job: it begins, reads a chunk, or ends.
func (o *Org) advance(j *job) {
	switch {
	case j.state == jobUploaded:
		j.state, j.began, j.changed = jobWorking, j.due, j.due
		j.work = o.cfg.Bulk.Work.draw(o.jobs.rnd) + j.fate.longer
		o.divide(j)
	case j.step < len(j.bounds):
		if err := o.readChunk(j); err != nil {
			o.endJob(j, jobFailed, "InvalidBatch : Failed to process query: "+err.Error())
			return
		}
		j.step++
	case j.fate.failure != "":
		o.endJob(j, jobFailed, j.fate.failure)
		return
	case !o.store(j):
		o.endJob(j, jobFailed, "InternalServerError : DailyBulkV2QueryFileStorageMB Limit exceeded.")
		return
	default:
		o.endJob(j, jobComplete, "")
		return
	}
	parts := time.Duration(len(j.bounds) + 1)
	j.due = j.began.Add(j.work * time.Duration(j.step+1) / parts)
}

// endJob ends a job, whereupon another may begin.
func (o *Org) endJob(j *job, state, failure string) {
	at := j.due
	j.state, j.failure, j.changed = state, failure, at
	o.jobs.next.Store(at.UnixNano())
	if state != jobComplete {
		j.rows = nil
	}
	for _, other := range o.jobs.all {
		if other.state == jobUploaded && other.due.Before(at) {
			other.due = at
		}
	}
}

// divide cuts the object's ids into chunks, which are read one after another: a job
// sees each at its own moment. An order or a limit needs all rows at one.
func (o *Org) divide(j *job) {
	j.bounds = []string{""}
	ob := o.objects[j.object]
	if ob == nil || len(j.soql.order) > 0 || j.soql.limit >= 0 {
		return
	}
	for i := o.cfg.Bulk.Chunk; i < len(ob.index); i += o.cfg.Bulk.Chunk {
		j.bounds = append(j.bounds, ob.index[i].id)
	}
}

// readChunk reads the rows of the job's next chunk as they are now.
func (o *Org) readChunk(j *job) error {
	cat := o.catalogue(j.user)
	cat.version = j.version
	q, err := cat.bind(j.soql, j.spec.Operation == "queryAll")
	if err != nil {
		return err
	}
	if j.columns, err = bulkColumns(q); err != nil {
		return err
	}
	rows := q.candidates()
	if j.step+1 < len(j.bounds) {
		rows = rows[:placeOf(rows, j.bounds[j.step+1])]
	}
	rows = rows[placeOf(rows, j.bounds[j.step]):]
	found := q.runOn(rows)
	j.rows = slices.Grow(j.rows, len(found))
	for _, r := range found {
		m := image{record: record{id: r.id, vals: r.vals, deleted: r.deleted, modstamp: r.modstamp}}
		for _, c := range j.columns {
			if c.more >= 0 {
				m.more = append(m.more, c.get(r))
			}
		}
		j.rows = append(j.rows, m)
	}
	return nil
}

// store counts the size of the results against the day's allowance, by a sample of
// the rows, and reports whether there is room.
func (o *Org) store(j *job) bool {
	const sample = 1000
	step := max(1, len(j.rows)/sample)
	bytes, n := 0, 0
	var line []byte
	for i := 0; i < len(j.rows); i += step {
		line = j.line(line[:0], &j.rows[i])
		bytes, n = bytes+len(line), n+1
	}
	if n > 0 {
		bytes = bytes * len(j.rows) / n
	}
	now := o.now()
	if o.bulkBytes.total(now)+int64(bytes) > int64(o.cfg.Bulk.Megabyte)<<20 {
		return false
	}
	o.bulkBytes.add(now, int64(bytes))
	return true
}

// dropJobs forgets jobs whose results are no longer kept.
func (o *Org) dropJobs(now time.Time) {
	o.jobs.all = slices.DeleteFunc(o.jobs.all, func(j *job) bool { return j.over() && now.Sub(j.changed) > o.cfg.Bulk.Keep })
}
