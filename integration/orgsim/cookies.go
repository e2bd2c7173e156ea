package orgsim

import (
	"net/http"
	"time"
)

// affinityName is the load balancer's cookie, as seen in the field.
const affinityName = "sfdc-stream"

// Kinds of faults that change cookies.
const (
	cookieLost     = "cookie-lost"
	cookieChanged  = "cookie-changed"
	cookieTwice    = "cookie-twice"
	cookieAffinity = "cookie-affinity"
)

type cookieChange struct {
	kind string
	ends time.Duration
}

// affinity binds a session to a server by a cookie that expires.
type affinity struct {
	value string
	ends  time.Time
}

// knows reports whether the request carries the session's cookie, be it among
// others of the name.
func (s *session) knows(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.CookiesNamed(cookieName) {
		if c.Value == s.cookie {
			return true
		}
	}
	return false
}

// strayed reports whether the load balancer sends the request to a server
// that does not know the session; if so the response gets a new cookie.
func (x *exchange) strayed(s *session) bool {
	s.mu.Lock()
	a := s.affinity
	s.mu.Unlock()
	if a.value == "" {
		return false
	}
	if c, err := x.r.Cookie(affinityName); err == nil && c.Value == a.value && x.o.now().Before(a.ends) {
		return false
	}
	x.fresh = x.affinityCookie(x.o.cookieText(), x.o.now().Add(3*time.Hour))
	return true
}

// bind gives the session an affinity cookie with this response.
func (x *exchange) bind(s *session, d time.Duration) {
	a := affinity{value: x.o.cookieText(), ends: x.o.now().Add(d)}
	s.mu.Lock()
	s.affinity = a
	s.mu.Unlock()
	x.fresh = x.affinityCookie(a.value, a.ends)
}

func (x *exchange) affinityCookie(value string, ends time.Time) *http.Cookie {
	return &http.Cookie{Name: affinityName, Value: value, Path: "/", Expires: ends.UTC(), Secure: secure(x.r), SameSite: http.SameSiteNoneMode}
}

// setCookies writes the response's cookies.
func (x *exchange) setCookies(w http.ResponseWriter) {
	set := func(value, path string, age int) {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: path, MaxAge: age, HttpOnly: true, Secure: secure(x.r)})
	}
	if x.cookie != "" {
		set(x.cookie, "/", 0)
	}
	if x.fx != nil && x.owner != nil {
		for _, c := range x.fx.cookies {
			switch c.kind {
			case cookieLost:
				set("", "/", -1)
			case cookieTwice:
				set(x.o.cookieText(), "/cometd", 0)
			case cookieChanged:
				next := x.o.cookieText()
				x.owner.mu.Lock()
				x.owner.cookie = next
				x.owner.mu.Unlock()
				set(next, "/", 0)
			case cookieAffinity:
				orDefault(&c.ends, 3*time.Hour)
				x.bind(x.owner, c.ends)
			}
		}
	}
	if x.fresh != nil {
		http.SetCookie(w, x.fresh)
	}
}

// cookieText is a cookie's value from the sessions' stream.
func (o *Org) cookieText() string {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	return randomText(o.hub.rnd, base36, 16)
}
