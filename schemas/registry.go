package schemas

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	defaultRegistryTimeout = 15 * time.Second
	maxRegistryAnswer      = 4 << 20 // bytes; real answers are below 1 kB
)

// RegistryConfig says where the schema registry is and how to be let in. It
// prints without its secrets.
type RegistryConfig struct {
	// URLs of the registry, such as https://registry.example.com:8081. The next
	// one is tried if one cannot be reached.
	URLs []string
	// Username and Password of basic authentication.
	Username, Password string
	// BearerToken for the Authorization header; excludes Username.
	BearerToken string
	// TLS settings; nil for the system's.
	TLS *tls.Config
	// Transport sends the requests; nil for an own clone of
	// http.DefaultTransport with TLS applied. Excludes TLS.
	Transport http.RoundTripper
	// Timeout of one request, default 15 s.
	Timeout time.Duration
	// UserAgent header, default "bridge".
	UserAgent string
}

// Format prints the configuration without its secrets, whatever the verb.
func (c RegistryConfig) Format(f fmt.State, _ rune) {
	auth := "none"
	switch {
	case c.BearerToken != "":
		auth = "bearer"
	case c.Username != "":
		auth = "basic as " + c.Username
	}
	fmt.Fprintf(f, "{URLs:%v Auth:%s TLS:%t Timeout:%v}", c.URLs, auth, c.TLS != nil, c.Timeout)
}

// Registry registers schemas with a Confluent-compatible schema registry
// (Confluent Schema Registry API, POST /subjects/<subject>/versions).
type Registry struct {
	client *sr.Client
	flight flight[registration, int]
}

// registration is what an id is remembered for. The text, not Salesforce's
// schema id: two ids with one text are one schema to the registry.
type registration struct {
	subject     string
	fingerprint string
}

// NewRegistry returns a client of the registry. It does not connect.
func NewRegistry(cfg RegistryConfig) (*Registry, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	transport := cfg.Transport
	if transport == nil {
		transport = cloneTransport(cfg.TLS)
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = defaultRegistryTimeout
	}
	agent := cfg.UserAgent
	if agent == "" {
		agent = "bridge"
	}
	opts := []sr.ClientOpt{
		sr.URLs(slices.Clone(cfg.URLs)...),
		sr.UserAgent(agent),
		sr.HTTPClient(&http.Client{
			Transport: boundedTransport{transport},
			Timeout:   timeout,
			// A redirect is answered as an error that shows the status: a POST
			// may lose its body or its credentials on the way.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	}
	if cfg.Username != "" {
		opts = append(opts, sr.BasicAuth(cfg.Username, cfg.Password))
	}
	if cfg.BearerToken != "" {
		opts = append(opts, sr.BearerToken(cfg.BearerToken))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return &Registry{client: client}, nil
}

// cloneTransport returns a transport of our own with the given TLS settings.
// Somebody may have replaced the process's default by another kind.
func cloneTransport(cfg *tls.Config) http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t = t.Clone()
	if cfg != nil {
		t.TLSClientConfig = cfg.Clone()
	}
	return t
}

func (c *RegistryConfig) validate() error {
	if len(c.URLs) == 0 {
		return errors.New("no url given")
	}
	for _, raw := range c.URLs {
		u, err := url.Parse(raw)
		switch {
		case err != nil:
			return errors.New("a url cannot be parsed; it must look like https://host:port")
		case u.User != nil:
			return fmt.Errorf("the url of %s contains credentials; give them as username and password", u.Host)
		case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
			return fmt.Errorf("url %q must look like https://host:port", raw)
		case u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("the url of %s must have no query and no fragment", u.Host)
		}
	}
	switch {
	case c.Username != "" && c.BearerToken != "":
		return errors.New("both basic authentication and a bearer token given")
	case c.Username == "" && c.Password != "":
		return errors.New("a password without a username given")
	case c.Transport != nil && c.TLS != nil:
		return errors.New("both a transport and tls settings given")
	case c.Timeout < 0:
		return fmt.Errorf("timeout %v is negative", c.Timeout)
	}
	return nil
}

// Register makes sure that s is registered under subject and returns its id in
// the registry, above 0. Ids are remembered: the registry is asked once for
// each subject and schema. Failures are not remembered.
//
// Errors: [*IncompatibleError], [*RegistryError], and ctx's own error for a
// caller that gave up waiting for another's request.
func (r *Registry) Register(ctx context.Context, subject string, s *Schema) (int, error) {
	key := registration{subject, s.Fingerprint}
	never := func(error) bool { return false }
	return r.flight.do(ctx, key, never, func(ctx context.Context) (int, error) {
		schema := sr.Schema{Schema: string(s.JSON), Type: sr.TypeAvro}
		id, err := r.client.RegisterSchema(ctx, subject, schema, -1, -1)
		if err != nil {
			return 0, registryError(subject, s, err)
		}
		if id <= 0 || id > math.MaxInt32 {
			return 0, &RegistryError{
				Subject: subject, Status: http.StatusOK,
				Detail: fmt.Sprintf("the answer has no usable schema id (%d)", id),
				Hint:   "check that the url is that of a schema registry with Confluent's api",
			}
		}
		return id, nil
	})
}

// registryError gives the client library's error our types.
func registryError(subject string, s *Schema, err error) error {
	var resp *sr.ResponseError
	if !errors.As(err, &resp) {
		e := &RegistryError{Subject: subject, Err: err}
		if strings.Contains(err.Error(), "unable to decode ok response body") {
			// The library has no type for it. What came with status 200 was not
			// JSON: a proxy's or a login page, most often.
			e.Status = http.StatusOK
			e.Hint = "check that the url is that of a schema registry with Confluent's api, and no proxy answers in its place"
		}
		return e
	}
	detail := strings.ToValidUTF8(resp.Message, "?")
	if detail == "" {
		detail = snippet(resp.Raw)
	}
	if resp.StatusCode == http.StatusConflict {
		return &IncompatibleError{Subject: subject, Schema: s.FullName, SchemaID: s.ID, Detail: detail}
	}
	return &RegistryError{
		Subject: subject, Status: resp.StatusCode, Code: resp.ErrorCode,
		Detail: detail, Hint: registryHint(resp),
	}
}

func registryHint(resp *sr.ResponseError) string {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return "check the registry's username and password, or its bearer token"
	case http.StatusForbidden:
		return "grant the registry user write access to the subject"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the path of the registry's url (Apicurio serves Confluent's api under /apis/ccompat/v7)"
	case http.StatusUnprocessableEntity:
		if resp.ErrorCode == 42205 {
			return "the subject or the registry is in read-only mode; set its mode to READWRITE"
		}
		return "the registry does not accept the schema's text"
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return "the registry redirects; configure the url that it redirects to"
	}
	return ""
}

// boundedTransport cuts answers off that no registry sends: the client library
// reads a body whole.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxRegistryAnswer}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxRegistryAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
