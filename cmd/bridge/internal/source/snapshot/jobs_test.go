package snapshot

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// jobs are the jobs of Bulk API that the org has.
func (h *history) jobs(t *testing.T) []salesforce.Job {
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issued{h.org}), APIVersion: "66.0", HTTP: &http.Client{Transport: h.org.RoundTripper()},
	})
	must(t, err)
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: client})
	must(t, err)
	jobs, err := reader.Jobs(t.Context())
	must(t, err)
	return jobs
}

// noted says whether some task has written down a job of its own.
func (h *history) noted() bool {
	h.topics.mu.Lock()
	defer h.topics.mu.Unlock()
	for _, t := range h.topics.tasks {
		if strings.Contains(string(t.Body), `"job":`) {
			return true
		}
	}
	return false
}

// TestJobsAreEnded: a job that a killed process left is ended by the next one, and each
// by its own when it is done.
func TestJobsAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, 1)
		h.method, h.parallel, h.topics.trouble = Bulk, 1, 0
		kill := h.process(t)
		for !h.noted() {
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // virtual time
		}
		kill()
		if len(h.jobs(t)) == 0 {
			t.Error("the kill left no job: there is nothing to see")
		}
		kill = h.process(t)
		if why := h.rest(); why != "" {
			t.Error(why)
		}
		kill()
		if left := h.jobs(t); len(left) > 0 {
			t.Errorf("jobs are left: %+v", left)
		}
		must(t, h.org.Close())
	})
}
