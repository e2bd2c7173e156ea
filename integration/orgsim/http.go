package orgsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Handler serves the org on whatever host and port it is mounted: OAuth, REST,
// CometD, and the control API under /orgsim/.
func (o *Org) Handler() http.Handler { return o.mux }

func (o *Org) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			o.stats.requests.Add(1)
			o.tick()
			now := o.now()
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			o.count(r, now)
			if now.UnixNano() < o.outage.Load() {
				page(http.StatusServiceUnavailable).write(w, "")
				return
			}
			if strings.HasPrefix(pattern, "/services/oauth2/") || !o.moved(w, r) {
				h(w, r)
			}
		})
	}
	handle("/services/oauth2/token", o.losing(o.serveToken))
	handle("/services/oauth2/revoke", o.serveRevoke)
	handle("/services/oauth2/userinfo", o.serveUser)
	handle("/id/", o.serveUser)
	handle("/services/data", o.losing(o.serveRest))
	handle("/services/data/", o.losing(o.serveRest))
	handle("/cometd", o.serveCometd)
	handle("/cometd/", o.serveCometd)
	handle("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html><body>URL No Longer Exists</body></html>", http.StatusNotFound)
	})
	o.controlRoutes(mux)
	o.oauthRoutes(handle, mux)
	return mux
}

// losing lets a fault lose the response of a request that was carried out.
func (o *Org) losing(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l := &lossy{ResponseWriter: w, r: r}
		h(l, r)
		o.settle(l)
	}
}

// count keeps the org's books of a request.
func (o *Org) count(r *http.Request, now time.Time) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/cometd"):
		o.cometdCalls.add(now, 1)
	case path == "/services/oauth2/token":
		o.tokenCalls.add(now, 1)
	}
	if seen := o.seen.Load(); seen == nil || !strings.HasSuffix(*seen, "//"+r.Host) {
		address := address(r)
		o.seen.Store(&address)
	}
}

func address(r *http.Request) string {
	if secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func secure(r *http.Request) bool { return r.TLS != nil || r.URL.Scheme == "https" }

// baseURL is the address under which the client knows the org.
func (o *Org) baseURL(r *http.Request) string {
	if i := o.instance.Load(); i != nil {
		return i.url
	}
	if o.cfg.InstanceURL != "" {
		return o.cfg.InstanceURL
	}
	return address(r)
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
