package orgsim

import (
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func signed(t *testing.T, key *rsa.PrivateKey, change func(jwt.MapClaims)) url.Values {
	t.Helper()
	claims := jwt.MapClaims{"iss": DefaultApp(nil).ClientID, "sub": DefaultUser().Username, "aud": "https://login.salesforce.com", "exp": time.Now().Add(2 * time.Minute).Unix()}
	if change != nil {
		change(claims)
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	check(t, err)
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {s}}
}

func TestJWTBearer(t *testing.T) {
	key, pem, err := NewKey()
	check(t, err)
	if !strings.HasPrefix(string(pem), "-----BEGIN PRIVATE KEY-----") {
		t.Error("the key is not PKCS #8 PEM")
	}
	other, _, err := NewKey()
	check(t, err)
	app := DefaultApp(&key.PublicKey)
	app.Approved = []string{DefaultUser().Username, "idle@b"}
	o := newOrg(t, Config{Apps: []App{app}, Users: []User{DefaultUser(), {Username: "stranger@b"}, {Username: "idle@b", Inactive: true}}})
	base := serve(t, o)
	status, got := tokenRequest(t, base, signed(t, key, nil))
	if status != http.StatusOK || !strings.HasPrefix(got["access_token"], o.ID()[:15]+"!") || got["instance_url"] != base || got["token_type"] != "Bearer" ||
		got["id"] != base+"/id/"+o.ID()+"/"+o.users[0].id {
		t.Fatalf("HTTP %d %v", status, got)
	}
	var info map[string]any
	restRequest(t, base, got["access_token"], "GET", "/services/oauth2/userinfo", "", &info)
	if info["organization_id"] != o.ID() || info["preferred_username"] != DefaultUser().Username {
		t.Errorf("userinfo: %v", info)
	}
	set := func(name string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = v } }
	hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": app.ClientID}).SignedString([]byte("x"))
	check(t, err)
	once := signed(t, key, set("jti", "1"))
	if status, got := tokenRequest(t, base, once); status != http.StatusOK {
		t.Errorf("with a jti: %v", got)
	}
	for what, tc := range map[string]struct {
		form       url.Values
		code, text string
	}{
		"other key":    {signed(t, other, nil), "invalid_grant", "invalid assertion"},
		"HS256":        {url.Values{"grant_type": once["grant_type"], "assertion": {hs}}, "invalid_grant", "invalid assertion"},
		"not a JWT":    {url.Values{"grant_type": once["grant_type"], "assertion": {"x"}}, "invalid_grant", "invalid assertion"},
		"nothing":      {url.Values{"grant_type": once["grant_type"]}, "invalid_request", "missing required parameter: assertion"},
		"other app":    {signed(t, key, set("iss", "nobody")), "invalid_client_id", "client identifier invalid"},
		"own audience": {signed(t, key, set("aud", base)), "invalid_grant", "audience is invalid"},
		"no audience":  {signed(t, key, func(c jwt.MapClaims) { delete(c, "aud") }), "invalid_grant", "audience is invalid"},
		"expired":      {signed(t, key, set("exp", time.Now().Add(-time.Minute).Unix())), "invalid_grant", "assertion expired or invalid"},
		"no expiry":    {signed(t, key, func(c jwt.MapClaims) { delete(c, "exp") }), "invalid_grant", "assertion expired or invalid"},
		"too far":      {signed(t, key, set("exp", time.Now().Add(6*time.Minute).Unix())), "invalid_grant", "invalid assertion"},
		"unapproved":   {signed(t, key, set("sub", "stranger@b")), "invalid_grant", "user hasn't approved this consumer"},
		"unknown user": {signed(t, key, set("sub", "nobody@b")), "invalid_grant", "user hasn't approved this consumer"},
		"inactive":     {signed(t, key, set("sub", "idle@b")), "invalid_grant", "inactive user"},
		"jti again":    {once, "invalid_grant", "invalid assertion"},
		"other grant":  {url.Values{"grant_type": {"magic"}}, "unsupported_grant_type", "grant type not supported"},
	} {
		if status, got := tokenRequest(t, base, tc.form); status != http.StatusBadRequest || got["error"] != tc.code || got["error_description"] != tc.text {
			t.Errorf("%s: HTTP %d %v, want %s %s", what, status, got, tc.code, tc.text)
		}
	}
}

func TestOtherGrants(t *testing.T) {
	o := newOrg(t, Config{TokenLifetime: time.Hour})
	base := serve(t, o)
	app, u := DefaultApp(nil), DefaultUser()
	creds := func(kv ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {app.ClientSecret}}
		for i := 0; i < len(kv); i += 2 {
			v.Set(kv[i], kv[i+1])
		}
		return v
	}
	pass := []string{"grant_type", "password", "username", u.Username, "password"}
	for what, tc := range map[string]struct {
		form url.Values
		want string
	}{
		"client credentials": {creds(), ""},
		"wrong secret":       {creds("client_secret", "x"), "invalid client credentials"},
		"password":           {creds(append(pass, u.Password+u.SecurityToken)...), ""},
		"no security token":  {creds(append(pass, u.Password)...), "authentication failure"},
	} {
		if _, got := tokenRequest(t, base, tc.form); got["error_description"] != tc.want || (got["access_token"] == "") != (tc.want != "") {
			t.Errorf("%s: %v", what, got)
		}
	}
	_, got := tokenRequest(t, base, creds())
	token := got["access_token"]
	get := func() int {
		return restRequest(t, base, token, "GET", "/services/data/v66.0/limits", "", nil).StatusCode
	}
	for range 3 {
		o.AdvanceClock(50 * time.Minute)
		if get() != http.StatusOK {
			t.Error("a token in use ended")
		}
	}
	o.AdvanceClock(61 * time.Minute)
	if get() != http.StatusUnauthorized {
		t.Error("an idle token lives for ever")
	}
	check(t, o.Refuse(Refusal{On: "oauth", Times: 2}))
	for range 2 {
		res, err := http.PostForm(base+"/services/oauth2/token", creds())
		if err != nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("scripted: %v %v", res, err)
		}
		_ = res.Body.Close()
	}
	if _, got := tokenRequest(t, base, creds()); got["access_token"] == "" {
		t.Errorf("after the scripted refusals: %v", got)
	}
}
