package cometd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Credentials say where the server is and as whom to talk to it.
type Credentials struct {
	Endpoint      string // "https://acme.my.salesforce.com/cometd/66.0"
	Authorization string // the whole header value: "Bearer 00D…"; empty sends none
}

// String hides the authorization, as every other way of printing does.
func (c Credentials) String() string {
	if c == (Credentials{}) {
		return "no credentials"
	}
	return c.Endpoint + " [authorization hidden]"
}

// GoString hides the authorization from %#v.
func (c Credentials) GoString() string { return "cometd.Credentials{" + c.String() + "}" }

// Format hides the authorization from every verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalText hides the authorization from encoders.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

var (
	_ fmt.Formatter  = Credentials{}
	_ fmt.GoStringer = Credentials{}
)

// Config is what a client needs. Only Authorize is required; other zero values
// stand for the defaults named beside them.
type Config struct {
	// Authorize returns credentials. Rejected is zero the first time; later it
	// holds those that the server refused, and others are to be returned, or an
	// error. It is called by Next, and may block; ctx is that of Next.
	Authorize func(ctx context.Context, rejected Credentials) (Credentials, error)

	// Transport sends the requests. It must stream bodies and honour the
	// request's context. Nil: an http.Transport of the client's own.
	Transport http.RoundTripper

	MaxMessageBytes int // limit of one Bayeux message: 16 MiB
	ReadBufferBytes int // size of the chunks that bodies are read into: 256 KiB
	MaxRequestBytes int // limit of one request's body: 30,000; Salesforce refuses more than 32,768

	// RequestTimeout is what the network is allowed: for the whole wait for a
	// reply's header, on top of the time for which a connect is held, and for
	// each read of a body: 15 s. Time in which the consumer is not in Next does not count.
	RequestTimeout time.Duration

	BackoffInitial, BackoffMax           time.Duration // after failures: 1 s, 60 s
	LimitBackoffInitial, LimitBackoffMax time.Duration // after limits of the org: 1 min, 15 min

	// Resubscribe is asked where to begin when a subscription is made again, in a
	// new session or after a refusal, and no event of it has come yet; from is
	// where it began. "Latest" would then mean a later moment, and what came in
	// between would be missed silently: answer with Earliest, or with an id known
	// to be older, and leave out what is too old. The answer becomes the start. It
	// is called by Next and must not call the client. Nil, or an invalid answer:
	// from again.
	Resubscribe func(channel string, from From) From

	Rand  func() float64 // jitter in [0,1): math/rand/v2
	Trace Trace
}

func (c *Config) setDefaults() error {
	if c.Authorize == nil {
		return errors.New("cometd: Config.Authorize is required")
	}
	for _, n := range []struct {
		name     string
		value    *int
		standard int
	}{
		{"MaxMessageBytes", &c.MaxMessageBytes, 16 << 20},
		{"ReadBufferBytes", &c.ReadBufferBytes, 256 << 10},
		{"MaxRequestBytes", &c.MaxRequestBytes, 30_000},
	} {
		if *n.value < 0 {
			return fmt.Errorf("cometd: Config.%s is %d, it must not be negative", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.standard
		}
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"RequestTimeout", &c.RequestTimeout, 15 * time.Second},
		{"BackoffInitial", &c.BackoffInitial, time.Second},
		{"BackoffMax", &c.BackoffMax, time.Minute},
		{"LimitBackoffInitial", &c.LimitBackoffInitial, time.Minute},
		{"LimitBackoffMax", &c.LimitBackoffMax, 15 * time.Minute},
	} {
		if *d.value < 0 {
			return fmt.Errorf("cometd: Config.%s is %v, it must not be negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return nil
}

// newTransport is net/http's default transport with what long polling needs:
// no limit on the wait for a header (the client has its own), and buffers for
// replies of many megabytes.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ReadBufferSize:        64 << 10,
	}
}
