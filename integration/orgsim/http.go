package orgsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// Handler serves the org on whatever host and port it is mounted: OAuth, REST,
// CometD, and the control API under /orgsim/.
func (o *Org) Handler() http.Handler { return o.mux }

func (o *Org) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			o.stats.requests.Add(1)
			w.Header().Set("Date", o.now().UTC().Format(http.TimeFormat))
			h(w, r)
		})
	}
	handle("/services/oauth2/token", o.serveToken)
	handle("/services/oauth2/revoke", o.serveRevoke)
	handle("/services/oauth2/userinfo", o.serveUser)
	handle("/id/", o.serveUser)
	handle("/services/data", o.serveRest)
	handle("/services/data/", o.serveRest)
	handle("/cometd", o.serveCometd)
	handle("/cometd/", o.serveCometd)
	handle("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html><body>URL No Longer Exists</body></html>", http.StatusNotFound)
	})
	o.controlRoutes(mux)
	return mux
}

func secure(r *http.Request) bool { return r.TLS != nil || r.URL.Scheme == "https" }

// baseURL is the address under which the client knows the org.
func (o *Org) baseURL(r *http.Request) string {
	if o.cfg.InstanceURL != "" {
		return o.cfg.InstanceURL
	}
	if secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
