package orgsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// auth keeps the access tokens.
type auth struct {
	mu     sync.Mutex
	tokens map[string]*token
	used   map[string]time.Time // jti of assertions, until they expire
	web    webLogins
	rnd    *rand.Rand
}

type token struct {
	user   *user
	app    *app
	family *family   // the login by a browser that it came from, or nil
	ends   time.Time // moves with use, unless fixed
	fixed  bool
}

// granted is what a token request is worth.
type granted struct {
	user    *user
	app     *app
	family  *family // nil: the grant was no login by a browser
	refresh string  // to be given with the access token
}

// oauthError is a refusal of the token endpoint (OAuth 2.0 error codes of the
// Salesforce help pages).
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refuseGrant(description string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_grant", description}
}

// serveToken is POST /services/oauth2/token.
func (o *Org) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	if _, done := o.refused(w, "oauth"); done {
		return
	}
	got, err := o.grant(r)
	if err != nil {
		var oe *oauthError
		if !errors.As(err, &oe) {
			oe = &oauthError{http.StatusBadRequest, "invalid_request", err.Error()}
		}
		writeJSON(w, oe.Status, oe)
		return
	}
	access, expires := o.issue(got)
	base := o.baseURL(r)
	id := base + "/id/" + o.ID() + "/" + got.user.id
	issued := strconv.FormatInt(o.now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(got.app.ClientSecret))
	mac.Write([]byte(id + issued))
	answer := map[string]any{
		"access_token": access, "instance_url": base, "id": id, "token_type": "Bearer", "issued_at": issued,
		"signature": base64.StdEncoding.EncodeToString(mac.Sum(nil)), "scope": "api",
	}
	if got.refresh != "" {
		answer["refresh_token"], answer["scope"] = got.refresh, "api refresh_token"
	}
	if expires > 0 {
		answer["expires_in"] = int(expires.Seconds())
	}
	writeJSON(w, http.StatusOK, answer)
}

// grant finds out for whom and for which app a token is asked.
func (o *Org) grant(r *http.Request) (*granted, error) {
	if r.Method != http.MethodPost {
		return nil, &oauthError{http.StatusBadRequest, "invalid_request", "must use HTTP POST"}
	}
	if ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); ct != "application/x-www-form-urlencoded" {
		return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", "grant type not supported"}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{http.StatusBadRequest, "invalid_request", "unreadable form"}
	}
	form := r.PostForm
	if id, secret, ok := r.BasicAuth(); ok {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	got := &granted{}
	var err error
	switch form.Get("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		got.user, got.app, err = o.grantAssertion(form.Get("assertion"), o.baseURL(r))
	case "client_credentials":
		got.user, got.app, err = o.grantClient(form)
	case "password":
		got.user, got.app, err = o.grantPassword(form)
	case "authorization_code":
		return o.grantCode(form)
	case "refresh_token":
		return o.grantRefresh(form)
	case "":
		err = &oauthError{http.StatusBadRequest, "invalid_request", "missing required parameter: grant_type"}
	default:
		err = &oauthError{http.StatusBadRequest, "unsupported_grant_type", "grant type not supported"}
	}
	return got, err
}

// grantAssertion is the JWT bearer flow (RFC 7523; Salesforce help, OAuth 2.0
// JWT Bearer Flow): RS256 only, iss is the consumer key, sub the username.
func (o *Org) grantAssertion(assertion, own string) (*user, *app, error) {
	if assertion == "" {
		return nil, nil, &oauthError{http.StatusBadRequest, "invalid_request", "missing required parameter: assertion"}
	}
	claims := jwt.MapClaims{}
	var a *app
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) {
		iss, _ := claims.GetIssuer()
		if a = o.apps[iss]; a == nil {
			return nil, &oauthError{http.StatusBadRequest, "invalid_client_id", "client identifier invalid"}
		}
		if a.PublicKey == nil {
			return nil, refuseGrant("invalid assertion")
		}
		return a.PublicKey, nil
	})
	if err != nil {
		var oe *oauthError
		if errors.As(err, &oe) {
			return nil, nil, oe
		}
		return nil, nil, refuseGrant("invalid assertion")
	}
	if err := o.checkClaims(claims, own); err != nil {
		return nil, nil, err
	}
	subject, _ := claims.GetSubject()
	if subject == "" {
		subject, _ = claims["prn"].(string)
	}
	u, err := o.userNamed(subject)
	if err != nil || subject == "" || !a.approved["*"] && !a.approved[subject] {
		return nil, nil, refuseGrant("user hasn't approved this consumer")
	}
	if u.Inactive {
		return nil, nil, refuseGrant("inactive user")
	}
	return u, a, nil
}

// checkClaims looks at audience, expiry and, if there is one, the unique id.
func (o *Org) checkClaims(claims jwt.MapClaims, own string) error {
	audience, err := claims.GetAudience()
	if err != nil || len(audience) == 0 {
		return refuseGrant("audience is invalid")
	}
	accepted := append([]string{"https://login.salesforce.com", "https://test.salesforce.com"}, o.cfg.Audiences...)
	if o.cfg.AcceptOwnAddress {
		accepted = append(accepted, own)
	}
	ok := false
	for _, a := range accepted {
		ok = ok || strings.TrimSuffix(audience[0], "/") == a
	}
	if !ok {
		return refuseGrant("audience is invalid")
	}
	now := o.now()
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil || !exp.After(now) {
		return refuseGrant("assertion expired or invalid")
	}
	if exp.Sub(now) > o.cfg.MaxAssertion {
		return refuseGrant("invalid assertion")
	}
	jti, _ := claims["jti"].(string)
	if jti == "" {
		return nil
	}
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	for id, ends := range o.auth.used {
		if !ends.After(now) {
			delete(o.auth.used, id)
		}
	}
	if _, again := o.auth.used[jti]; again {
		return refuseGrant("invalid assertion")
	}
	o.auth.used[jti] = exp.Time
	return nil
}

func (o *Org) client(form url.Values) (*app, error) {
	a := o.apps[form.Get("client_id")]
	if a == nil {
		return nil, &oauthError{http.StatusBadRequest, "invalid_client_id", "client identifier invalid"}
	}
	if form.Get("client_secret") != a.ClientSecret {
		return nil, &oauthError{http.StatusBadRequest, "invalid_client", "invalid client credentials"}
	}
	return a, nil
}

func (o *Org) grantClient(form url.Values) (*user, *app, error) {
	a, err := o.client(form)
	if err != nil {
		return nil, nil, err
	}
	if a.RunAs == "" {
		return nil, nil, refuseGrant("no client credentials user enabled")
	}
	u, err := o.userNamed(a.RunAs)
	if err != nil || u.Inactive {
		return nil, nil, refuseGrant("inactive user")
	}
	return u, a, nil
}

func (o *Org) grantPassword(form url.Values) (*user, *app, error) {
	a, err := o.client(form)
	if err != nil {
		return nil, nil, err
	}
	u, err := o.userNamed(form.Get("username"))
	if err != nil || form.Get("username") == "" || u.Password == "" || form.Get("password") != u.Password+u.SecurityToken {
		return nil, nil, refuseGrant("authentication failure")
	}
	if u.Inactive {
		return nil, nil, refuseGrant("inactive user")
	}
	return u, a, nil
}

// issue makes an access token: the 15-character org id, "!", and an opaque part.
// How long it is good is told if the org tells it.
func (o *Org) issue(got *granted) (access string, expires time.Duration) {
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	access = o.ID()[:15] + "!AQ" + randomText(o.auth.rnd, base62+"._", 94)
	fixed := o.auth.web.conf.TellExpiry
	o.auth.tokens[access] = &token{
		user: got.user, app: got.app, family: got.family, ends: o.now().Add(o.cfg.TokenLifetime), fixed: fixed,
	}
	o.stats.tokens.Add(1)
	if !fixed {
		return access, 0
	}
	return access, o.cfg.TokenLifetime
}

// Issue makes an access token without the token endpoint, for tools and tests.
func (o *Org) Issue(username string) (string, error) {
	u, err := o.userNamed(username)
	if err != nil {
		return "", err
	}
	access, _ := o.issue(&granted{user: u, app: &app{}})
	return access, nil
}

// caller is the user of a valid token, or nil; using a token prolongs it.
func (o *Org) caller(access string) *user {
	o.auth.mu.Lock()
	defer o.auth.mu.Unlock()
	t := o.auth.tokens[access]
	if t == nil {
		return nil
	}
	now := o.now()
	if !t.ends.After(now) {
		delete(o.auth.tokens, access)
		return nil
	}
	if !t.fixed {
		t.ends = now.Add(o.cfg.TokenLifetime)
	}
	return t.user
}

// bearer takes the token out of the header; clients send it after Bearer,
// after OAuth, or bare.
func bearer(r *http.Request) string {
	h := r.Header.Get("Authorization")
	if scheme, rest, ok := strings.Cut(h, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth")) {
		return strings.TrimSpace(rest)
	}
	return h
}

// serveRevoke is /services/oauth2/revoke: an access token ends alone, a refresh
// token with all that came by it.
func (o *Org) serveRevoke(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	name := r.FormValue("token")
	o.auth.mu.Lock()
	_, ok := o.auth.tokens[name]
	delete(o.auth.tokens, name)
	if f := o.auth.web.families[name]; f != nil && f.current == name {
		ok = true
		o.endFamily(f)
	}
	o.auth.mu.Unlock()
	if !ok {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("error=unsupported_token_type&error_description=this+token+type+is+not+supported"))
		return
	}
	o.bus.wake()
}

// serveUser is /services/oauth2/userinfo and /id/<org>/<user>.
func (o *Org) serveUser(w http.ResponseWriter, r *http.Request) {
	u := o.caller(bearer(r))
	if u == nil {
		http.Error(w, "Bad_OAuth_Token", http.StatusForbidden)
		return
	}
	base := o.baseURL(r)
	writeJSON(w, http.StatusOK, map[string]any{
		"sub": base + "/id/" + o.ID() + "/" + u.id, "id": base + "/id/" + o.ID() + "/" + u.id,
		"user_id": u.id, "organization_id": o.ID(), "preferred_username": u.Username, "username": u.Username,
		"name": u.Name, "display_name": u.Name, "email": u.Email, "active": true, "user_type": "STANDARD", "language": "en_US",
		"urls": map[string]string{"rest": base + "/services/data/v{version}/", "sobjects": base + "/services/data/v{version}/sobjects/", "query": base + "/services/data/v{version}/query/"},
	})
}
