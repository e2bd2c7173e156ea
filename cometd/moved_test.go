package cometd_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

var errNobody = errors.New("no such host")

// A server that moved says nothing at its old address, or nothing of Bayeux. Only
// a login tells the new one.
func TestServerThatMovedIsFound(t *testing.T) {
	for name, old := range map[string]func() (*http.Response, error){
		"gone":     page(http.StatusNotFound, nil),
		"redirect": page(http.StatusTemporaryRedirect, http.Header{"Location": {"https://new.example/cometd/66.0/handshake"}}),
		"down":     page(http.StatusServiceUnavailable, nil),
		"no host":  func() (*http.Response, error) { return nil, errNobody },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { move(t, old) })
		})
	}
}

func page(status int, header http.Header) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}, nil
	}
}

// move lets a server answer elsewhere while a client is connected. The login
// serves the client's needs again after an hour.
func move(t *testing.T, old func() (*http.Response, error)) {
	server, home, loginDown := &cometdtest.Server{}, "old.example", false
	var logins meter
	client, err := cometd.New(cometd.Config{
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != home {
				return old()
			}
			return server.RoundTrip(r)
		}),
		Authorize: func(_ context.Context, rejected cometd.Credentials) (cometd.Credentials, error) {
			logins.mark()
			if loginDown {
				return cometd.Credentials{}, errNobody
			}
			if (rejected != cometd.Credentials{}) != (len(logins.at) > 1) {
				t.Errorf("login %d was asked for in place of %v", len(logins.at), rejected)
			}
			return cometd.Credentials{Endpoint: "https://" + home + "/cometd/66.0", Authorization: "Bearer x"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Subscribe(orders, cometd.Earliest()); err != nil {
		t.Fatal(err)
	}
	next := func(want int64) {
		t.Helper()
		for {
			events, _ := client.Next(t.Context())
			if len(events) > 0 {
				if events[0].ReplayID != want {
					t.Errorf("got event %d, want %d", events[0].ReplayID, want)
				}
				return
			}
		}
	}
	server.Publish(orders, data(1))
	next(1)
	home = "new.example"
	server.Forget()
	server.Publish(orders, data(2))
	start := time.Now()
	next(2)
	if took := time.Since(start); took > 4*time.Minute || len(logins.at) != 2 {
		t.Errorf("found after %v and %d logins, want the hold, some seconds and one more login", took, len(logins.at))
	}
	// Nothing is there, and no login either: some four tries an hour.
	home, loginDown = "newer.example", true
	server.Forget()
	server.Publish(orders, data(3))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
	defer cancel()
	before := len(logins.at)
	for ctx.Err() == nil {
		_, _ = client.Next(ctx)
	}
	if n := len(logins.at) - before; n < 12 || n > 24 {
		t.Errorf("%d logins in four hours of an outage, want about one each quarter of an hour", n)
	}
	loginDown = false
	next(3)
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
