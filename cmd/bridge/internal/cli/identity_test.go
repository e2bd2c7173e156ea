package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// fixedToken is the grant of a server that takes any token.
type fixedToken string

func (url fixedToken) Exchange(context.Context) (salesforce.Token, error) {
	return salesforce.Token{Access: "x", InstanceURL: string(url)}, nil
}

// Without an answer a lane waits for one; without knowing it goes on, when the org
// will not tell.
func TestWhereTheOrgLives(t *testing.T) {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	rest, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: salesforce.NewTokenSource(fixedToken(server.URL)), APIVersion: "66.0"})
	if err != nil {
		t.Fatal(err)
	}
	lives := func(name string) { status, body = 200, `{"records":[{"InstanceName":"`+name+`"}]}` }
	fails := func(code int, text string) { status, body = code, `[{"errorCode":"`+text+`","message":"m"}]` }
	var log strings.Builder
	w := &whereabouts{rest: rest, log: zerolog.New(&log)}

	lives("NA1")
	if name, err := w.ask(t.Context()); name != "NA1" || err != nil || w.moved(t.Context()) != nil {
		t.Errorf("%q, %v, %v", name, err, w.moved(t.Context()))
	}
	for _, c := range []struct {
		code int
		text string
		cond pipeline.Condition // "": it is not known, and that is all
	}{
		{503, "SERVER_UNAVAILABLE", pipeline.Transient}, {401, "INVALID_SESSION_ID", pipeline.Unauthorized},
		{403, "REQUEST_LIMIT_EXCEEDED", ""}, {400, "INVALID_TYPE", ""}, {403, "INSUFFICIENT_ACCESS", ""},
	} {
		fails(c.code, c.text)
		log.Reset()
		name, err := w.ask(t.Context())
		if moved := w.moved(t.Context()); (moved != nil) != (c.cond != "") {
			t.Errorf("%s: moved: %v", c.text, moved)
		}
		if name != "" || (err != nil) != (c.cond != "") || err != nil && pipeline.Classify(err) != c.cond {
			t.Errorf("%s: %q, %v", c.text, name, err)
		}
		if told := strings.Contains(log.String(), "Organization"); told != (c.cond == "") {
			t.Errorf("%s: log %q", c.text, log.String())
		}
	}
	lives("USA412")
	if err := w.moved(t.Context()); err == nil || !strings.Contains(err.Error(), "NA1 to USA412") {
		t.Errorf("moved: %v", err)
	}
}
