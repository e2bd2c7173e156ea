package orgsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeLifetime is how long an authorization code is good.
const codeLifetime = 15 * time.Minute

// OAuth says how the org treats the flows in which a user logs in by a browser.
// The zero value: the org's first user allows every app at once, every http URL on
// loopback is a callback, refresh tokens stay the same, and no reply tells when a
// token ends.
type OAuth struct {
	Callbacks      []string `json:"callbacks"`      // redirect URLs that are taken, letter by letter
	Deny           bool     `json:"deny"`           // the user refuses
	NeedSecret     bool     `json:"needSecret"`     // apps must send their secret for codes and refresh tokens
	NoRefresh      bool     `json:"noRefresh"`      // no refresh token is given
	Rotate         bool     `json:"rotate"`         // each refresh gives another token and ends the old one
	TellExpiry     bool     `json:"tellExpiry"`     // replies have expires_in; tokens end then, used or not
	Authorizations int      `json:"authorizations"` // refresh tokens of one user and app, of which the oldest ends; default 5
}

// webLogins are the codes and refresh tokens. The maps are made when needed.
type webLogins struct {
	conf     OAuth
	codes    map[string]*code
	families map[string]*family // by refresh token, spent ones too
}

// code is an authorization code that waits for its exchange.
type code struct {
	app       *app
	user      *user
	redirect  string
	challenge string // base64url of SHA-256; "": none
	refresh   bool   // a refresh token is asked for
	ends      time.Time
	spent     *family // not nil: it has been exchanged
}

// family is what grew out of one authorization: a refresh token, those that it
// replaced, and all access tokens.
type family struct {
	app     *app
	user    *user
	current string // refresh token; "": revoked, or none was given
	since   int    // order of authorizations
}

// SetOAuth changes how the org treats logins by a browser, from now on.
func (o *Org) SetOAuth(conf OAuth) {
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	o.auth.web.conf = conf
}

// oauthRoutes adds the resources of the flows by a browser.
func (o *Org) oauthRoutes(handle func(string, http.HandlerFunc), control *http.ServeMux) {
	handle("/services/oauth2/authorize", o.serveAuthorize)
	control.HandleFunc("POST /orgsim/oauth", func(w http.ResponseWriter, r *http.Request) {
		var conf OAuth
		if decodeControl(w, r, &conf) {
			o.SetOAuth(conf)
			answerControl(w, countAnswer{1}, nil)
		}
	})
}

// serveAuthorize is /services/oauth2/authorize (Salesforce help, OAuth 2.0 Web
// Server Flow). The user's consent is not asked for: Deny tells it. An app or a
// callback that is not known gets a page, since nobody may be sent there.
func (o *Org) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	ask := r.URL.Query()
	page := func(err, description string) {
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("<html><head><title>error=" + err + "&amp;error_description=" + description + "</title></head></html>"))
	}
	a := o.apps[ask.Get("client_id")]
	redirect, err := url.Parse(ask.Get("redirect_uri"))
	switch {
	case r.Method != http.MethodGet:
		page("invalid_request", "must use HTTP GET")
		return
	case a == nil:
		page("invalid_client_id", "client identifier invalid")
		return
	case err != nil || !o.auth.web.conf.knows(ask.Get("redirect_uri"), redirect):
		page("redirect_uri_mismatch", "redirect_uri must match configuration")
		return
	}
	query := redirect.Query()
	query.Set("state", ask.Get("state"))
	if refused := o.auth.web.conf.refuse(ask); refused != nil {
		query.Set("error", refused.Code)
		query.Set("error_description", refused.Description)
	} else {
		query.Set("code", o.newCode(a, ask))
	}
	redirect.RawQuery = query.Encode()
	w.Header().Set("Location", redirect.String())
	w.WriteHeader(http.StatusFound)
}

// knows says whether a redirect URL is a callback.
func (c *OAuth) knows(raw string, u *url.URL) bool {
	if len(c.Callbacks) > 0 {
		return slices.Contains(c.Callbacks, raw)
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func (c *OAuth) refuse(ask url.Values) *oauthError {
	method := ask.Get("code_challenge_method")
	switch {
	case ask.Get("response_type") != "code":
		return &oauthError{Code: "unsupported_response_type", Description: "response type not supported"}
	case method != "" && method != "S256", ask.Get("code_challenge") == "" && !c.NeedSecret:
		return &oauthError{Code: "invalid_request", Description: "missing required code challenge"}
	case c.Deny:
		return &oauthError{Code: "access_denied", Description: "end-user denied authorization"}
	}
	return nil
}

// newCode makes an authorization code for the org's first user. The caller holds
// the lock.
func (o *Org) newCode(a *app, ask url.Values) string {
	web := &o.auth.web
	if web.codes == nil {
		web.codes = map[string]*code{}
	}
	name := "aPrx" + randomText(o.auth.rnd, base62+"._", 60) + "==" // is percent-encoded on its way
	web.codes[name] = &code{
		app: a, user: o.users[0], redirect: ask.Get("redirect_uri"), challenge: ask.Get("code_challenge"),
		refresh: slices.ContainsFunc(strings.Fields(ask.Get("scope")), func(s string) bool {
			return s == "refresh_token" || s == "offline_access" || s == "full"
		}),
		ends: o.now().Add(codeLifetime),
	}
	return name
}

// webClient checks the app of a code or refresh token, whose secret may be left
// out.
func (o *Org) webClient(form url.Values) (*app, error) {
	if form.Get("client_secret") != "" || o.auth.web.conf.NeedSecret {
		return o.client(form)
	}
	a := o.apps[form.Get("client_id")]
	if a == nil {
		return nil, &oauthError{http.StatusBadRequest, "invalid_client_id", "client identifier invalid"}
	}
	return a, nil
}

// grantCode exchanges an authorization code. One that comes a second time ends
// all that the first exchange gave (RFC 6749, 4.1.2).
func (o *Org) grantCode(form url.Values) (*granted, error) {
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	a, err := o.webClient(form)
	if err != nil {
		return nil, err
	}
	c := o.auth.web.codes[form.Get("code")]
	if c == nil || c.app != a {
		return nil, refuseGrant("invalid authorization code")
	}
	if c.spent != nil {
		o.endFamily(c.spent)
		return nil, refuseGrant("expired authorization code")
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case !c.ends.After(o.now()):
		return nil, refuseGrant("expired authorization code")
	case form.Get("redirect_uri") != c.redirect:
		return nil, &oauthError{http.StatusBadRequest, "redirect_uri_mismatch", "redirect_uri must match configuration"}
	case c.challenge != "" && subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.challenge)) == 0:
		return nil, refuseGrant("invalid code verifier")
	case c.user.Inactive:
		return nil, refuseGrant("inactive user")
	}
	c.spent = &family{app: a, user: c.user}
	got := &granted{user: c.user, app: a, family: c.spent}
	if c.refresh && !o.auth.web.conf.NoRefresh {
		got.refresh = o.newRefresh(c.spent)
		o.endOldest(c.spent)
	}
	return got, nil
}

// newRefresh gives a family a new refresh token; the old one stays known, as a
// spent one. The caller holds the lock.
func (o *Org) newRefresh(f *family) string {
	web := &o.auth.web
	if web.families == nil {
		web.families = map[string]*family{}
	}
	if f.since == 0 {
		f.since = len(web.families) + 1
	}
	f.current = "5Aep861" + randomText(o.auth.rnd, base62+"._", 80)
	web.families[f.current] = f
	return f.current
}

// endOldest keeps the number of authorizations of a user and app.
func (o *Org) endOldest(newest *family) {
	limit := o.auth.web.conf.Authorizations
	if limit <= 0 {
		limit = 5
	}
	for {
		var oldest *family
		n := 0
		for token, f := range o.auth.web.families {
			if f.current != token || f.app != newest.app || f.user != newest.user {
				continue
			}
			n++
			if oldest == nil || f.since < oldest.since {
				oldest = f
			}
		}
		if n <= limit {
			return
		}
		o.endFamily(oldest)
	}
}

// endFamily revokes a refresh token and the access tokens that came by it. The
// caller holds the lock.
func (o *Org) endFamily(f *family) {
	f.current = ""
	for access, t := range o.auth.tokens {
		if t.family == f {
			delete(o.auth.tokens, access)
		}
	}
}

// grantRefresh exchanges a refresh token. A rotated one that comes again ends the
// one that took its place, too.
func (o *Org) grantRefresh(form url.Values) (*granted, error) {
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	a, err := o.webClient(form)
	if err != nil {
		return nil, err
	}
	refresh := form.Get("refresh_token")
	f := o.auth.web.families[refresh]
	if f == nil || f.app != a {
		return nil, refuseGrant("expired access/refresh token")
	}
	if f.current != refresh {
		o.endFamily(f)
		return nil, refuseGrant("expired access/refresh token")
	}
	if f.user.Inactive {
		return nil, refuseGrant("inactive user")
	}
	got := &granted{user: f.user, app: a, family: f}
	if o.auth.web.conf.Rotate {
		got.refresh = o.newRefresh(f)
	}
	return got, nil
}
