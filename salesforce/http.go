package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxShownText is how many characters of a server's text an error shows.
	maxShownText = 300
	// minSecret is how long a text must be to be cut out of a server's text: to cut
	// out all of a letter would spoil the message and tell the letter.
	minSecret = 4
)

// errTooLarge says that a body exceeds the bound of its kind.
var errTooLarge = errors.New("body exceeds the bound")

// reply is a reply whose body has been read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r *reply) contentType() string { return r.header.Get("Content-Type") }

// clientWith returns a copy of the given client, or of the zero one, that follows
// redirects as check says. The copy shares the connections.
func clientWith(given *http.Client, check func(*http.Request, []*http.Request) error) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
	}
	client.CheckRedirect = check
	return client
}

// followNone makes a redirect the reply, so that its target can be named.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// followSameHost follows a few redirects within one origin. Package net/http would
// keep the Authorization header for subdomains and for plain http.
func followSameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) >= 5 || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// roundTrip sends a request and reads the reply up to a bound, within a time. Its
// errors are *NetworkError, errTooLarge, or the end of ctx.
func roundTrip(ctx context.Context, client *http.Client, req *http.Request, limit int64, within time.Duration) (*reply, error) {
	host, path := req.URL.Host, req.URL.Path
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	read, err := sendAndRead(client, req.WithContext(timed), limit)
	switch {
	case err == nil, errors.Is(err, errTooLarge):
		return read, err
	case ctx.Err() != nil:
		return nil, endedError(ctx, "asking "+host+" for "+path)
	case timed.Err() != nil:
		err = fmt.Errorf("no whole answer within %v: %w", within, context.DeadlineExceeded)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // method and URL are told by the NetworkError
	}
	return nil, &NetworkError{Host: host, Path: path, Err: err}
}

func sendAndRead(client *http.Client, req *http.Request, limit int64) (*reply, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read only: nothing is lost by a failed close
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	read := &reply{status: resp.StatusCode, header: resp.Header, body: body}
	if int64(len(body)) > limit {
		return read, errTooLarge
	}
	return read, nil
}

// decode reads a body that is one JSON value. Numbers that land in an interface
// keep all their digits, as json.Number.
func decode(body []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more text after the JSON value")
	}
	return nil
}

// describe says in words what came in place of the API's JSON: the title of an
// HTML page, the beginning of another text.
func (r *reply) describe(secrets ...string) string {
	text := string(bytes.TrimSpace(r.body))
	kind, _, err := mime.ParseMediaType(r.contentType())
	if err != nil {
		kind = ""
	}
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return "an empty body"
	case strings.Contains(kind, "html"), strings.HasPrefix(lower, "<!doctype html"), strings.HasPrefix(lower, "<html"):
		if title := htmlTitle(text); title != "" {
			return "an HTML page titled " + strconv.Quote(clean(title, secrets...)) + " instead of JSON"
		}
		return "an HTML page instead of JSON"
	}
	return "the text " + strconv.Quote(clean(text, secrets...)) + " instead of the API's JSON"
}

func htmlTitle(page string) string {
	const opening, closing = "<title>", "</title>"
	for i := 0; i+len(opening) <= len(page); i++ {
		if !strings.EqualFold(page[i:i+len(opening)], opening) {
			continue
		}
		rest := page[i+len(opening):]
		for j := 0; j+len(closing) <= len(rest); j++ {
			if strings.EqualFold(rest[j:j+len(closing)], closing) {
				return rest[:j]
			}
		}
		return ""
	}
	return ""
}

// redirectHost names where a redirect points, without path and query, which may
// hold session data.
func (r *reply) redirectHost() string {
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || u.Host == "" {
		return "an unnamed place"
	}
	return u.Scheme + "://" + u.Host
}

// clean makes a server's text fit for one line of an error: secrets, should the
// server echo them, are cut out first, then control characters, then the length.
func clean(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) >= minSecret {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	words := strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
	runes := []rune(strings.Join(words, " "))
	if len(runes) > maxShownText {
		return string(runes[:maxShownText]) + "..."
	}
	return string(runes)
}

// quote shows a value from outside.
func quote(text string) string { return strconv.Quote(clean(text)) }
