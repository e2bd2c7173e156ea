package cometd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// What two other clients make of the same rows. Their rules are put down here in
// our words, from their published sources, documentation and issue lists; their
// programs are not run, and may have changed. The table is read with
//
//	go test -run TestOtherClients -v ./cometd
//
// It is here for what it teaches: each rule is plausible by itself, and each of
// the columns is something that its users have reported.

// decision is what a client does about the end of an exchange.
type decision struct {
	what string // one of the words below
	wait string // "", "pause", "minutes"
}

const (
	goesOn     = "goes on in the session"
	newSession = "makes a new session"
	newToken   = "gets a token and makes a new session"
	channelOut = "gives the channel up and says so"
	tryAgain   = "subscribes again later"
	stops      = "stops"
)

// ours reads our decision off a row.
func ours(r row) decision {
	d := decision{what: goesOn}
	switch {
	case r.next == asLogin:
		d.what = newToken
	case strings.Contains(r.next, "handshake") || strings.Contains(r.want, "opened"):
		d.what = newSession
	case strings.Contains(r.want, "refused/a"):
		d.what = channelOut
	case strings.Contains(r.want, "retry/a"):
		d.what = tryAgain
	}
	switch {
	case strings.Contains(r.want, " limit "):
		d.wait = "minutes"
	case strings.Contains(r.want, " failure "), strings.Contains(r.want, " pace "), pausesAtLeast(r.want):
		d.wait = "pause"
	}
	return d
}

func pausesAtLeast(want string) bool {
	return strings.Contains(want, "pause(") && !strings.Contains(want, "pause(0s")
}

// empConnector: Salesforce's Java connector over CometD's client. Any 401 or 403
// on a handshake or connect, in whichever member, is taken for bad credentials:
// a new token at once, a new client, and the positions from memory. A failed
// subscribe fails a future and nothing more. The rest is the CometD client's: a
// connect that broke is sent again in the same session, and advice none ends it.
func empConnector(f finished) decision {
	r := theReply(f)
	if f.outcome == lost || r == nil {
		return empWithoutReply(f)
	}
	d := decision{what: goesOn}
	if r.advice.Interval > 0 {
		d.wait = "pause"
	}
	advice := r.advice.Reconnect
	switch {
	case f.request.kind == kindSubscribe && !r.ok():
		d.what = channelOut
	case f.request.kind != kindSubscribe && !r.ok() && (unauthorized(r.failure) || unauthorized(r.reason)):
		d.what = newToken
	case advice == reconnectNone:
		d.what = stops
	case advice == reconnectHandshake, f.request.kind == kindHandshake && r.ok():
		d.what = newSession
	case f.request.kind == kindHandshake:
		d = decision{newSession, "pause"}
	case !r.ok():
		d.wait = "pause"
	}
	return d
}

func empWithoutReply(f finished) decision {
	var h *HTTPError
	switch {
	case f.request.kind == kindSubscribe:
		return decision{goesOn, "pause"}
	case errors.As(f.err, &h) && (h.Status == 401 || h.Status == 403):
		return decision{what: newToken}
	case f.request.kind == kindHandshake:
		return decision{newSession, "pause"}
	}
	return decision{goesOn, "pause"}
}

func unauthorized(text string) bool {
	code := parseErrorText(text).Code
	return code == 401 || code == 403
}

// elasticBayeux: a Go client of a log shipper. It shakes hands and subscribes
// once, then sends connects without end and without pause. Failed replies,
// advice and HTTP statuses are not looked at.
func elasticBayeux(f finished) decision {
	if f.request.kind == kindHandshake && f.outcome == whole {
		if r := theReply(f); r != nil && r.clientID != "" {
			return decision{what: newSession}
		}
	}
	return decision{what: goesOn}
}

// theReply is that to the first message.
func theReply(f finished) *reply {
	for i := range f.replies {
		if f.match(&f.replies[i]) == 0 {
			return &f.replies[i]
		}
	}
	return nil
}

// harm says what comes of a decision that differs from the one asked for.
func harm(f finished, want, got decision) string {
	rank := map[string]int{"": 0, "pause": 1, "minutes": 2}
	switch {
	case got.what == stops:
		return "stops for good"
	case got.what == newToken && want.what != newToken:
		return "logs in for nothing"
	case got.what == goesOn && want.what == newSession && f.outcome == lost && f.request.kind != kindHandshake:
		return "goes on behind a lost reply"
	case (want.what == newSession || want.what == newToken) && got.what != want.what:
		return "sits in a dead session"
	case (want.what == channelOut || want.what == tryAgain) && got.what != want.what:
		return "sits without a subscription"
	case got.what != want.what:
		return "makes sessions for nothing"
	case rank[got.wait] < rank[want.wait]:
		return "comes back too soon"
	}
	return ""
}

func TestOtherClients(t *testing.T) {
	clients := []struct {
		name   string
		decide func(finished) decision
		// A row for each harm that its users know.
		known map[string]string
	}{
		{"EMP-Connector", empConnector, map[string]string{
			"disguise/sample: busy behind 401 at a connect":        "logs in for nothing",
			"error/403 concurrent user limit: handshake":           "logs in for nothing",
			"library/1 a lost reply is lost data: connect":         "goes on behind a lost reply",
			"disguise/sample: busy behind denied at a subscribe":   "sits without a subscription",
			"freedom/15 unknown session on any message: subscribe": "sits in a dead session",
			"handshake/failure with none":                          "stops for good",
			"freedom/12 connect answered at once with nothing":     "comes back too soon",
			"disguise/sample: token refused at a handshake":        "",
			"error/400 replay id: subscribe":                       "",
		}},
		{"elastic/bayeux", elasticBayeux, map[string]string{
			"decision/unknown client":                      "sits in a dead session",
			"decision/401":                                 "sits in a dead session",
			"error/400 replay id: subscribe":               "sits without a subscription",
			"advice/interval":                              "comes back too soon",
			"library/1 a lost reply is lost data: connect": "goes on behind a lost reply",
			"connect/many events in one reply":             "",
		}},
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, c := range clients {
		harms, examples := map[string]int{}, map[string]string{}
		total, failed := 0, 0
		known := maps.Clone(c.known)
		for _, r := range rows() {
			f, ok := r.input.(finished)
			if !ok || f.request.kind > kindSubscribe || f.outcome != whole && f.outcome != lost {
				continue
			}
			total++
			h := harm(f, ours(r), c.decide(f))
			if want, ok := known[r.name]; ok {
				delete(known, r.name)
				if h != want {
					t.Errorf("%s, %s: %q, want %q", c.name, r.name, h, want)
				}
			}
			if h == "" {
				continue
			}
			failed++
			harms[h]++
			if examples[h] == "" {
				examples[h] = r.name
			}
		}
		for name := range known {
			t.Errorf("%s: there is no row %s", c.name, name)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d of %d rows\t\n", c.name, failed, total) // a builder takes all
		for _, h := range slices.Sorted(maps.Keys(harms)) {
			_, _ = fmt.Fprintf(w, "\t%d\t%s\t%s\n", harms[h], h, examples[h])
		}
	}
	_ = w.Flush() // a builder takes all
	t.Log("\n" + out.String())
}
