package orgsim

import "net/http"

// locked makes a response under the org's lock, so that it is of one moment, and
// sends it without: who reads slowly holds nobody up.
func (c *restCall) locked(f func() error) error {
	w := c.w
	ready := &readyResponse{header: w.Header(), status: http.StatusOK}
	c.w = ready
	c.o.mu.Lock()
	err := f()
	c.o.mu.Unlock()
	c.w = w
	if err != nil {
		return err
	}
	w.WriteHeader(ready.status)
	if len(ready.body) > 0 {
		_, _ = w.Write(ready.body)
	}
	return nil
}

// readyResponse takes a response that is sent later.
type readyResponse struct {
	header http.Header
	status int
	body   []byte
}

func (r *readyResponse) Header() http.Header    { return r.header }
func (r *readyResponse) WriteHeader(status int) { r.status = status }

func (r *readyResponse) Write(p []byte) (int, error) {
	if r.body == nil {
		r.body = p[:len(p):len(p)] // most are written at once
		return len(p), nil
	}
	r.body = append(r.body, p...)
	return len(p), nil
}

// json answers with a body that is ready.
func (c *restCall) json(body []byte) {
	c.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = c.w.Write(body)
}
