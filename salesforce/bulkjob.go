package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// JobState is where a job of Bulk API 2.0 stands (Bulk API 2.0 Developer Guide,
// "Get Information About a Query Job").
type JobState string

// The states of a query job. StateGone is of this package: the org does not know
// the job, or not any more. Results are kept for seven days.
const (
	StateUploadComplete JobState = "UploadComplete"
	StateInProgress     JobState = "InProgress"
	StateJobComplete    JobState = "JobComplete"
	StateFailed         JobState = "Failed"
	StateAborted        JobState = "Aborted"
	StateGone           JobState = "Gone"
)

// running says whether the state can still change.
func (s JobState) running() bool { return s == StateUploadComplete || s == StateInProgress }

// Job is a query job of Bulk API 2.0.
type Job struct {
	ID         string
	Object     string
	State      JobState
	CreatedBy  string // id of a user
	Created    time.Time
	APIVersion string // its results must be read with the same
	Message    string // of a failed job
	Processed  int64  // rows so far, -1 if the reply did not say
}

// UnmarshalJSON reads the job of a reply.
func (j *Job) UnmarshalJSON(text []byte) error {
	var reply struct {
		ID         string      `json:"id"`
		Object     string      `json:"object"`
		State      JobState    `json:"state"`
		CreatedBy  string      `json:"createdById"`
		Created    restTime    `json:"createdDate"`
		APIVersion json.Number `json:"apiVersion"`
		Message    string      `json:"errorMessage"`
		Processed  *int64      `json:"numberRecordsProcessed"`
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return err
	}
	version := reply.APIVersion.String()
	if !strings.Contains(version, ".") {
		version += ".0" // a number may lose it: 59 is 59.0
	}
	if _, err := parseVersion(version); err != nil {
		return fmt.Errorf("apiVersion %w", err)
	}
	if reply.ID == "" || reply.State == "" {
		return errors.New("a job without id or state")
	}
	*j = Job{
		ID: reply.ID, Object: reply.Object, State: reply.State, CreatedBy: reply.CreatedBy,
		Created: reply.Created.Time, APIVersion: version, Message: reply.Message, Processed: -1,
	}
	if reply.Processed != nil {
		j.Processed = *reply.Processed
	}
	return nil
}

// JobError says that a job of Bulk API ended without a result.
type JobError struct {
	Job     string // its id
	Object  string
	State   JobState
	Message string // of Salesforce, may be empty
}

func (e *JobError) Error() string {
	text := fmt.Sprintf("reading %s by the Bulk job %s: the job is %s", e.Object, e.Job, e.State)
	if e.Message != "" {
		text += ": " + e.Message
	}
	switch e.State {
	case StateAborted:
		return text + "; try: find out who aborted it (Setup > Bulk Data Load Jobs), and read again"
	case StateGone:
		return text + "; try: read again, with a job that is read within seven days"
	}
	return text + "; try: read again, or by query in place of Bulk API"
}

// retryable says whether another job may succeed: not if the statement is wrong.
func (e *JobError) retryable() bool {
	for _, text := range []string{"INVALID_", "MALFORMED_", "INVALIDENTITY", "InvalidEntity", "FeatureNotEnabled", "not supported"} {
		if strings.Contains(e.Message, text) {
			return false
		}
	}
	return e.State != StateAborted
}

// BulkRefusedError says that Bulk API does not read the object. REST queries may.
type BulkRefusedError struct {
	Object string
	Err    error
}

func (e *BulkRefusedError) Error() string {
	return "reading " + e.Object + " by Bulk API: " + e.Err.Error() + "; try: read it by query"
}

// Unwrap returns what Salesforce said.
func (e *BulkRefusedError) Unwrap() error { return e.Err }

// bulkRefusal finds out whether an error is about the object and not the request.
func bulkRefusal(object string, err error) error {
	var (
		api *APIError
		job *JobError
	)
	text := ""
	switch {
	case errors.As(err, &api) && api.Status == http.StatusBadRequest:
		text = api.Code + " " + api.Message
	case errors.As(err, &job):
		text = job.Message
	}
	text = strings.ToLower(text)
	if strings.Contains(text, "invalidentity") || strings.Contains(text, "not supported by the bulk api") {
		return &BulkRefusedError{Object: object, Err: err}
	}
	return err
}

const jobsPath = "/jobs/query"

// createJob makes a job. It outlives the end of ctx for a while: of a job whose
// creation was given up in the middle nobody would know the id.
func (r *Reader) createJob(ctx context.Context, query Query) (Job, error) {
	soql, err := query.SOQL()
	if err != nil {
		return Job{}, err
	}
	operation := "query"
	if query.All {
		operation = "queryAll"
	}
	body, err := json.Marshal(map[string]string{
		"operation": operation, "query": soql, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF",
	})
	if err != nil {
		return Job{}, fmt.Errorf("writing a job: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Job{}, endedError(ctx, "making a Bulk job")
	}
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(endWithin, cancel)
	})
	defer stop()
	var job Job
	err = r.json(longer, call{method: http.MethodPost, path: jobsPath, accept: acceptJSON, body: body}, &job)
	if err != nil {
		return Job{}, bulkRefusal(query.Object, err)
	}
	return job, nil
}

// jobPath is the path of a job, pinned to the API version that it was made with.
func jobPath(id, version string) string {
	return "/services/data/v" + version + jobsPath + "/" + url.PathEscape(id)
}

// Jobs lists the query jobs of Bulk API 2.0 that the org remembers, of all users.
// It is the way to find jobs that a killed program left behind. Salesforce shows
// neither a label nor the statement of a job: what is one's own must be told by
// user, object and time.
func (r *Reader) Jobs(ctx context.Context) ([]Job, error) {
	var jobs []Job
	path, attempt := jobsPath+"?jobType=V2Query", attempts{reader: r}
	for path != "" {
		var reply struct {
			Done    *bool  `json:"done"`
			Records []Job  `json:"records"`
			Next    string `json:"nextRecordsUrl"`
		}
		err := r.json(ctx, call{method: http.MethodGet, path: path, accept: acceptJSON}, &reply)
		if err == nil && (reply.Done == nil || !*reply.Done && !isOwnPath(reply.Next)) {
			err = &ReplyError{Path: jobsPath, Status: http.StatusOK, Problem: "the list of jobs does not say whether it is whole"}
		}
		if err != nil {
			if err := attempt.failed(ctx, err); err != nil {
				return nil, err
			}
			continue
		}
		jobs = append(jobs, reply.Records...)
		path = reply.Next
		if *reply.Done {
			path = ""
		}
	}
	return jobs, nil
}

// abort asks for the end of a job that runs, which is refused to one that has ended
// meanwhile.
func (r *Reader) abort(ctx context.Context, path string) error {
	attempt := attempts{reader: r}
	for {
		err := r.json(ctx, call{method: http.MethodPatch, path: path, accept: acceptJSON, body: []byte(`{"state":"Aborted"}`)}, nil)
		if err == nil {
			return nil
		}
		if err := attempt.failed(ctx, err); err != nil {
			return err
		}
	}
}

// EndJob aborts a job that runs, and deletes it with its results. A job that the
// org does not know is ended.
func (r *Reader) EndJob(ctx context.Context, job Job) error {
	path := jobPath(job.ID, job.APIVersion)
	var aborted error
	if job.State.running() {
		aborted = r.abort(ctx, path)
	}
	attempt := attempts{reader: r}
	for {
		err := r.json(ctx, call{method: http.MethodDelete, path: path, accept: acceptJSON}, nil)
		var refused *APIError
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			return nil
		}
		if err == nil {
			return nil
		}
		if err := attempt.failed(ctx, err); err != nil {
			return errors.Join(err, aborted)
		}
	}
}
