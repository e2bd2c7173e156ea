package schemas

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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
	// LookUpOnly registers nothing: a schema must be registered already.
	LookUpOnly bool
	// NewSubject is what to do with a schema that a subject refuses as
	// incompatible: false fails, true goes on under <subject>-v2, or -v3 if that
	// refuses it too, and so on. See [Registry.Register].
	NewSubject bool
	// Describer is where the docs of what is registered come from; nil for none.
	// See [Registry.Documented].
	Describer Describer
	// Undescribed, if not nil, is told of each schema that is registered without
	// its docs, and why: an [*UndescribedError].
	Undescribed func(error)
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
	client     *sr.Client
	lookUpOnly bool
	newSubject bool
	docs       docs
	flight     flight[registration, int]
	compared   flight[comparison, Registered]
}

// registration is what an id is remembered for. The text, not Salesforce's
// schema id: two ids with one text are one schema to the registry.
type registration struct {
	subject     string
	fingerprint string
}

// comparison is a schema and a version that may be the same.
type comparison struct {
	registration
	version int
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
	return &Registry{
		client: client, lookUpOnly: cfg.LookUpOnly, newSubject: cfg.NewSubject,
		docs: docs{describer: cfg.Describer, told: cfg.Undescribed},
	}, nil
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
