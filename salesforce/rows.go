package salesforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	defaultAttempts  = 8
	defaultPageRows  = 2000 // what Salesforce puts into one reply
	defaultBulkPage  = 50_000
	defaultBulkFrom  = 50_000
	firstPause       = time.Second
	longestPause     = time.Minute
	longestPollPause = 30 * time.Second
)

// Rows are rows on their way. Next returns io.EOF after the last one.
//
// Each row is handed out once. An error of Next loses nothing: if it is Retryable,
// or once its cause is gone, Next can be called again and goes on behind the last
// row that it handed out.
type Rows interface {
	Next() (Row, error)
	// Close lets go of what is held here and at Salesforce. It must be called.
	Close() error
}

// Selection says which rows of an object are read, and in which form.
type Selection struct {
	Form  *Form // required
	Where Condition
	Range Range
	// All reads deleted and archived rows as well.
	All bool
}

// Range is a part of an object: ids behind After, up to UpTo and with it. Empty: no
// bound. Salesforce alone compares ids; here they are opaque.
type Range struct{ After, UpTo string }

// query is the statement for the selection.
func (s Selection) query() Query {
	conditions := []Condition{s.Where}
	if s.Range.After != "" {
		conditions = append(conditions, Where(fieldID, ">", IDLiteral(s.Range.After)))
	}
	if s.Range.UpTo != "" {
		conditions = append(conditions, Where(fieldID, "<=", IDLiteral(s.Range.UpTo)))
	}
	return Query{Object: s.Form.object, Fields: s.Form.Columns(), Where: AllOf(conditions...), All: s.All}
}

func (s Selection) check() error {
	if s.Form == nil {
		return &ConfigError{Field: "Selection.Form", Problem: "is missing", Try: "give a form made by NewForm"}
	}
	_, err := s.query().SOQL()
	return err
}

// ReaderConfig configures a Reader.
type ReaderConfig struct {
	Client *Client // required
	// Spend is called before each request with the number of calls that it costs of
	// the org's allowance. Its error keeps the request from being sent and is
	// returned. Nil: nobody counts.
	Spend func(ctx context.Context, calls int) error
	// Wait waits between two attempts, and between two looks at a job. Nil: it does,
	// and up to half as long again, so that readers do not come back together.
	Wait func(ctx context.Context, d time.Duration) error
	// Attempts is how many requests may fail with nothing in between before Next
	// returns the error. 0: 8, which takes about two minutes.
	Attempts int
	// PageRows is how many rows a REST query asks for. 0: 2,000.
	PageRows int
	// BulkPageRows is how many rows a page of a Bulk job's result may have. 0: 50,000.
	BulkPageRows int
	// MaxJobs is how many Bulk jobs this Reader holds at the same time; a further
	// one waits until another is closed. 0: 1.
	MaxJobs int
	// BulkFrom is from how many rows on Open takes a Bulk job. 0: 50,000.
	BulkFrom int
}

// Reader reads rows, by REST queries and by jobs of Bulk API 2.0.
type Reader struct {
	client *Client
	config ReaderConfig
	jobs   chan struct{}
}

// NewReader checks the configuration; it sends nothing. Its error is a *ConfigError.
func NewReader(config ReaderConfig) (*Reader, error) {
	if config.Client == nil {
		return nil, &ConfigError{Field: "ReaderConfig.Client", Problem: "is missing", Try: "give a client made by NewClient"}
	}
	for _, number := range []struct {
		name    string
		value   *int
		instead int
	}{
		{"Attempts", &config.Attempts, defaultAttempts},
		{"PageRows", &config.PageRows, defaultPageRows},
		{"BulkPageRows", &config.BulkPageRows, defaultBulkPage},
		{"MaxJobs", &config.MaxJobs, 1},
		{"BulkFrom", &config.BulkFrom, defaultBulkFrom},
	} {
		if *number.value < 0 {
			return nil, &ConfigError{Field: "ReaderConfig." + number.name, Problem: fmt.Sprintf("is %d", *number.value), Try: "a positive number, or 0 for the default"}
		}
		if *number.value == 0 {
			*number.value = number.instead
		}
	}
	if config.Spend == nil {
		config.Spend = func(context.Context, int) error { return nil }
	}
	if config.Wait == nil {
		config.Wait = waitWithJitter
	}
	return &Reader{client: config.Client, config: config, jobs: make(chan struct{}, config.MaxJobs)}, nil
}

// Open reads a selection the cheaper way: it counts the rows, and takes a Bulk job
// for many and a query for few. An object that Bulk API refuses is read by query.
// Close the rows.
func (r *Reader) Open(ctx context.Context, selection Selection) (Rows, error) {
	many, err := r.many(ctx, selection)
	if err != nil {
		return nil, err
	}
	if !many {
		return r.Query(ctx, selection)
	}
	bulk, err := r.Bulk(ctx, selection)
	if err != nil {
		return nil, err
	}
	err = bulk.Start()
	if err == nil {
		return bulk, nil
	}
	err = errors.Join(err, bulk.Close())
	var refused *BulkRefusedError
	if errors.As(err, &refused) {
		return r.Query(ctx, selection)
	}
	return nil, err
}

// many says whether there are rows enough for a job. An object that takes too long to
// be counted has many rows.
func (r *Reader) many(ctx context.Context, selection Selection) (bool, error) {
	n, err := r.Count(ctx, selection)
	return n < 0 || n >= r.config.BulkFrom, err
}

// Count asks how many rows a selection has. It is -1 where Salesforce takes too long to
// count, or the question is too long.
func (r *Reader) Count(ctx context.Context, selection Selection) (int, error) {
	if err := selection.check(); err != nil {
		return 0, err
	}
	count := selection.query()
	count.Fields = []string{fieldID}
	soql, err := count.SOQL()
	if err != nil {
		return 0, err
	}
	soql = "SELECT COUNT() " + soql[len("SELECT Id "):]
	ask := r.queryCall(count, soql)
	if len(ask.path) > maxURI {
		return -1, nil // a job's statement goes in the body
	}
	attempt := attempts{reader: r}
	for {
		var reply countReply
		err := r.json(ctx, ask, &reply)
		var refused *APIError
		switch {
		case err == nil:
			return reply.n, nil
		case errors.As(err, &refused) && refused.Code == codeQueryTimeout:
			return -1, nil
		}
		if err := attempt.failed(ctx, err); err != nil {
			return 0, err
		}
	}
}

// attempts counts failures that nothing good stood between.
type attempts struct {
	reader   *Reader
	failures int
}

// failed waits and returns nil if what failed is to be tried again, else why not.
func (a *attempts) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || !Retryable(err) {
		return err
	}
	a.failures++
	if a.failures >= a.reader.config.Attempts {
		a.failures = 0 // the caller may try once more, with as much patience
		return err
	}
	pause := min(firstPause<<(a.failures-1), longestPause)
	if waited := a.reader.config.Wait(ctx, pause); waited != nil {
		return errors.Join(waited, err)
	}
	return nil
}

func waitWithJitter(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d + rand.N(d/2+1)) //nolint:gosec // spreads retries; nothing is kept secret by it
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return endedError(ctx, "waiting")
	}
}

// errPageEnd says that a page has no further row.
var errPageEnd = fmt.Errorf("the page ends: %w", io.EOF)
