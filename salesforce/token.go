package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// exchangeTimeout bounds one token exchange however long its callers would wait.
const exchangeTimeout = time.Minute

// maxAhead bounds how long before its known end a token is renewed.
const maxAhead = 5 * time.Minute

// Secret is text that must not be seen: package fmt, encoding/json and everything
// that asks for its text get "[redacted]" ("" stays ""). Reveal gives the text.
//
// Package fmt cannot call methods on the unexported fields of a struct: a type
// that keeps a Secret in one should have a Format method of its own.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or "" for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// Format writes String for every verb and flag, so that no verb reaches the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON writes String as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText writes String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Token is an access token and what came with it.
type Token struct {
	// Access goes into the header "Authorization: Bearer ...".
	Access Secret
	// InstanceURL is the base of all data calls: scheme and host, no slash at the
	// end, such as https://acme.my.salesforce.com.
	InstanceURL string
	// OrgID and UserID are 18-character ids, empty if the reply named none.
	OrgID  string
	UserID string
	// IssuedAt is Salesforce's issued_at, or the time of the reply where that is
	// missing or unreadable (JWT bearer replies may come without).
	IssuedAt time.Time
	// Expires is when the token ends, by this machine's clock, if the reply told
	// it; zero is unknown. Salesforce tells it for few tokens: most live as long as
	// their session is used.
	Expires time.Time
}

// Grant is one way to get an access token.
type Grant interface {
	// Exchange asks Salesforce for a token. It must return soon after ctx ends and
	// must not retry. It is called by one goroutine at a time, except that a call
	// whose ctx has ended may still be returning when the next one begins.
	Exchange(ctx context.Context) (Token, error)
}

var (
	_ Grant         = JWTBearer{}
	_ Grant         = ClientCredentials{}
	_ Grant         = Password{}
	_ Grant         = (*RefreshToken)(nil)
	_ fmt.Formatter = Secret("")
	_ fmt.Formatter = (*TokenSource)(nil)
)

// TokenSource shares the token of one grant. Make it with NewTokenSource.
//
// Package fmt reaches through one pointer when a verb does not fit, even within
// the structs of other packages. Hence the grant is kept as a func and the token
// behind a second pointer.
type TokenSource struct {
	ask func(context.Context) (Token, error)

	mu     sync.Mutex
	token  *Token    // nil: there is none
	org    string    // the first org seen
	flight *exchange // the exchange that new callers join, or nil
	due    time.Time // when token is to be renewed ahead of its end; zero: never
}

// exchange is one call of Grant.Exchange and those who wait for it.
type exchange struct {
	cancel  context.CancelFunc
	waiters int           // guarded by TokenSource.mu
	done    chan struct{} // closed when token and err are final
	token   Token
	err     error
}

// NewTokenSource returns a source that asks the grant when a token is first
// needed. The grant must not be nil.
func NewTokenSource(grant Grant) *TokenSource { return &TokenSource{ask: grant.Exchange} }

// Format writes the type's name only: the fields hold a token.
func (s *TokenSource) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "salesforce.TokenSource") }

// Token returns the token at hand, or gets one. A token whose end is known is
// renewed ahead of it by the first caller who asks late enough: within the last
// tenth of its life, five minutes at most. Meanwhile, and as long as that fails
// for reasons that pass, all others get the token that is still good.
func (s *TokenSource) Token(ctx context.Context) (Token, error) { return s.Renew(ctx, "") }

// Renew returns a token in place of the one that Salesforce refused. If another
// caller has renewed it already, that token is returned at once; else one
// exchange serves all callers, who all get its token or its error. An error is
// not kept: the next call begins a new exchange.
//
// The new token can have the same text as the refused one: Salesforce hands out
// the token of a session that it takes to be alive.
//
// A caller whose ctx ends leaves with an error that wraps ctx.Err(), and the
// exchange goes on for the others. It runs in its own goroutine, under a context
// that has the values of the caller who began it but not its end: it ends after
// a minute, or when the last caller has left. That last caller cancels it and
// waits for the goroutine, so that none outlives the calls it works for.
func (s *TokenSource) Renew(ctx context.Context, rejected Secret) (Token, error) {
	if ctx.Err() != nil {
		return Token{}, endedError(ctx, "asking for an access token")
	}
	s.mu.Lock()
	token, renew := s.atHand(rejected, time.Now())
	if !renew {
		s.mu.Unlock()
		return token, nil
	}
	if s.flight == nil {
		s.flight = s.begin(ctx)
	}
	flight := s.flight
	flight.waiters++
	s.mu.Unlock()

	select {
	case <-flight.done:
	case <-ctx.Done():
		s.leave(flight)
		return Token{}, endedError(ctx, "waiting for an access token")
	}
	if flight.err != nil && Retryable(flight.err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.usable(token.Access, time.Now()) {
			return token, nil
		}
	}
	return flight.token, flight.err
}

// atHand returns the token that there is, and whether the caller must see to a
// new one. Then that token, if it is not zero, will do should this fail. The
// caller holds mu.
func (s *TokenSource) atHand(rejected Secret, now time.Time) (token Token, renew bool) {
	if s.token != nil && (s.token.Access == rejected || !s.usable(s.token.Access, now)) {
		// Refused or over: it is of no use to anyone, whatever an exchange brings.
		s.token = nil
	}
	switch {
	case s.token == nil:
		return Token{}, true
	case s.due.IsZero(), now.Before(s.due), s.flight != nil:
		return *s.token, false
	}
	s.due = now.Add(max(ahead(s.token.Expires.Sub(now)), time.Second)) // of the next attempt, should this fail
	return *s.token, true
}

// usable says whether a token is the one at hand and has not ended. The caller
// holds mu.
func (s *TokenSource) usable(access Secret, now time.Time) bool {
	return s.token != nil && s.token.Access == access && access != "" &&
		(s.token.Expires.IsZero() || now.Before(s.token.Expires))
}

// ahead is how long before its end a token is renewed that has so long to live.
// It is a part of what is left, so that a token that Salesforce hands out again
// and again is not renewed at every call.
func ahead(left time.Duration) time.Duration { return min(left/10, maxAhead) }

// begin starts an exchange. The caller holds mu.
func (s *TokenSource) begin(ctx context.Context) *exchange {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTimeout)
	flight := &exchange{
		cancel: cancel,
		done:   make(chan struct{}),
		err:    errors.New("salesforce grant ended without a result"),
	}
	go s.run(ctx, flight)
	return flight
}

// run is the goroutine of one exchange. Its end is deferred so that a grant that
// leaves by runtime.Goexit does not leave its callers waiting.
func (s *TokenSource) run(ctx context.Context, flight *exchange) {
	defer func() {
		flight.cancel()
		s.mu.Lock()
		s.finish(flight)
		s.mu.Unlock()
		close(flight.done) // last: whoever sees it finds the source at rest
	}()
	flight.token, flight.err = s.ask(ctx)
}

// finish checks and keeps the result of an exchange. The caller holds mu.
func (s *TokenSource) finish(flight *exchange) {
	if s.flight != flight {
		// Everybody left. A newer exchange may be under way, whose token counts.
		return
	}
	s.flight = nil
	if flight.err == nil {
		flight.err = s.accept(flight.token)
	}
	if flight.err != nil {
		flight.token = Token{}
		if !Retryable(flight.err) {
			s.token = nil // a login that is refused now is not hidden until the old token ends
		}
		return
	}
	token := flight.token
	s.token, s.due = &token, time.Time{}
	if !token.Expires.IsZero() {
		s.due = token.Expires.Add(-ahead(time.Until(token.Expires)))
	}
}

// accept refuses a token that would be useless or dangerous. The caller holds mu.
func (s *TokenSource) accept(token Token) error {
	if token.Access == "" {
		return errors.New("salesforce grant returned an empty access token")
	}
	if token.OrgID == "" {
		return nil
	}
	if s.org == "" {
		s.org = token.OrgID
	}
	if s.org != token.OrgID {
		return &OrgChangedError{From: s.org, To: token.OrgID}
	}
	return nil
}

// leave takes one caller off an exchange; the last one ends it and waits.
func (s *TokenSource) leave(flight *exchange) {
	s.mu.Lock()
	flight.waiters--
	last := flight.waiters == 0
	if last && s.flight == flight {
		s.flight = nil
	}
	s.mu.Unlock()
	if last {
		flight.cancel()
		<-flight.done
	}
}
