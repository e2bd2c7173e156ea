package salesforce_test

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sfbridge/bridge/salesforce"
)

func TestJWTBearer(t *testing.T) {
	key := newKey(t)
	now := time.Date(2026, 3, 4, 9, 15, 22, 900e6, time.UTC)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		form := parseForm(t, r)
		if r.Method != http.MethodPost || r.URL.Path != "/services/oauth2/token" ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
		}
		if len(form) != 2 || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("form has grant type %q and %d values", form.Get("grant_type"), len(form))
		}
		claims := jwt.MapClaims{}
		_, err := jwt.NewParser(
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber(),
		).ParseWithClaims(form.Get("assertion"), claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil })
		if err != nil {
			t.Errorf("assertion: %v", err)
		}
		got := fmt.Sprintf("%v %v %v %v %d", claims["iss"], claims["sub"], claims["aud"], claims["exp"], len(claims))
		want := fmt.Sprintf("3MVG9 bridge@acme.example https://login.salesforce.com %d 4", now.Add(2*time.Minute).Unix())
		if got != want {
			t.Errorf("claims are %s, want %s", got, want)
		}
		answer(200, "application/json;charset=UTF-8", tokenJSON("00Dxx!AQ4", "https://acme.my.salesforce.com/"))(w, r)
	})
	token, err := salesforce.JWTBearer{
		LoginURL: server + "/", ClientID: "3MVG9", Username: "bridge@acme.example", Key: key,
		Now: func() time.Time { return now },
	}.Exchange(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	want := salesforce.Token{
		Access: "00Dxx!AQ4", InstanceURL: "https://acme.my.salesforce.com", OrgID: orgID18, UserID: userID18,
		IssuedAt: time.UnixMilli(1772615722481),
	}
	if token != want {
		t.Errorf("token is %v, want %v", token, want)
	}
}

func TestJWTBearerAudienceAndLifetime(t *testing.T) {
	key := newKey(t)
	now := time.Unix(1_772_615_722, 0)
	for _, tc := range []struct {
		login, audience, want string
		lifetime              time.Duration
	}{
		{login: "", want: "https://login.salesforce.com"},
		{login: "https://login.salesforce.com", want: "https://login.salesforce.com", lifetime: 3 * time.Minute},
		{login: "https://test.salesforce.com", want: "https://test.salesforce.com", lifetime: time.Second},
		{login: "https://acme.my.salesforce.com", want: "https://login.salesforce.com"},
		{login: "https://acme--dev.sandbox.my.salesforce.com/", want: "https://test.salesforce.com"},
		{login: "https://ACME--DEV.SANDBOX.my.salesforce.com", want: "https://test.salesforce.com"},
		{login: "https://acme.my.site.com/partners", audience: "https://acme.my.site.com/partners", want: "https://acme.my.site.com/partners"},
		{login: "https://acme.my.site.com/p%2Fq/", audience: "x", want: "x"},
	} {
		var asked string
		network := transportFunc(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.String()
			assertion := parseForm(t, r).Get("assertion")
			claims := jwt.MapClaims{}
			if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(assertion, claims); err != nil {
				t.Error(err)
			}
			lifetime := tc.lifetime
			if lifetime == 0 {
				lifetime = 2 * time.Minute
			}
			if exp := fmt.Sprint(claims["exp"]); exp != strconv.FormatInt(now.Add(lifetime).Unix(), 10) || claims["aud"] != tc.want {
				t.Errorf("%q: aud %v, exp %v", tc.login, claims["aud"], exp)
			}
			return &http.Response{
				StatusCode: 200, Header: http.Header{}, Request: r,
				Body: io.NopCloser(strings.NewReader(tokenJSON("x", "https://acme.my.salesforce.com"))),
			}, nil
		})
		_, err := salesforce.JWTBearer{
			LoginURL: tc.login, Audience: tc.audience, ClientID: "id", Username: "u", Key: key,
			HTTP: &http.Client{Transport: network}, Now: func() time.Time { return now }, Lifetime: tc.lifetime,
		}.Exchange(t.Context())
		if err != nil {
			t.Errorf("%q: %v", tc.login, err)
		}
		want := strings.TrimRight(tc.login, "/") + "/services/oauth2/token"
		if tc.login == "" {
			want = "https://login.salesforce.com/services/oauth2/token"
		}
		if asked != want {
			t.Errorf("asked %s, want %s", asked, want)
		}
	}
}

func TestClientCredentialsAndPassword(t *testing.T) {
	var form string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		form = parseForm(t, r).Encode()
		answer(200, "application/json", tokenJSON("00Dxx!AQ4", "https://acme.my.salesforce.com"))(w, r)
	})
	for _, tc := range []struct {
		grant salesforce.Grant
		want  string
	}{
		{
			salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s&c"},
			"client_id=id&client_secret=s%26c&grant_type=client_credentials",
		},
		{
			&salesforce.Password{LoginURL: server, ClientID: "id", ClientSecret: "s", Username: "u@x", Password: "p+", SecurityToken: "tok"},
			"client_id=id&client_secret=s&grant_type=password&password=p%2Btok&username=u%40x",
		},
		{
			salesforce.Password{LoginURL: server, ClientID: "id", Username: "u", Password: "p"},
			"client_id=id&grant_type=password&password=p&username=u",
		},
	} {
		token, err := tc.grant.Exchange(wait(t))
		if err != nil || token.Access != "00Dxx!AQ4" {
			t.Errorf("%T: %v, %v", tc.grant, token, err)
		}
		if form != tc.want {
			t.Errorf("%T sent %s, want %s", tc.grant, form, tc.want)
		}
	}
}

func TestGrantsRefuseSettings(t *testing.T) {
	key := newKey(t)
	good := salesforce.JWTBearer{LoginURL: "https://acme.example", ClientID: "id", Username: "u", Key: key}
	with := func(change func(*salesforce.JWTBearer)) salesforce.Grant {
		grant := good
		change(&grant)
		return grant
	}
	type jb = salesforce.JWTBearer
	for _, tc := range []struct {
		grant salesforce.Grant
		part  string
	}{
		{with(func(g *jb) { g.ClientID = "" }), "JWTBearer.ClientID is empty"},
		{with(func(g *jb) { g.Username = "" }), "JWTBearer.Username is empty"},
		{with(func(g *jb) { g.Key = nil }), "JWTBearer.Key is missing"},
		{with(func(g *jb) { g.Lifetime = 181 * time.Second }), "JWTBearer.Lifetime is 3m1s"},
		{with(func(g *jb) { g.Lifetime = -1 }), "JWTBearer.Lifetime is -1ns"},
		{with(func(g *jb) { g.LoginURL = "acme.example" }), "lacks the scheme"},
		{with(func(g *jb) { g.LoginURL = "https://" }), "lacks the scheme or the host"},
		{with(func(g *jb) { g.LoginURL = "http://acme.example" }), "plain http"},
		{with(func(g *jb) { g.LoginURL = "http://127.0.0.1.acme.example" }), "plain http"},
		{with(func(g *jb) { g.LoginURL = "ftp://acme.example" }), "scheme is not https"},
		{with(func(g *jb) { g.LoginURL = "https://acme.example/services/oauth2/token" }), "leave the path away"},
		{with(func(g *jb) { g.LoginURL = "https://acme.example/#x" }), "fragment"},
		{with(func(g *jb) { g.LoginURL = "https://acme.example:x" }), "is no URL"},
		{salesforce.ClientCredentials{}, "ClientCredentials.LoginURL is empty"},
		{salesforce.ClientCredentials{LoginURL: "https://x"}, "ClientCredentials.ClientID is empty"},
		{salesforce.ClientCredentials{LoginURL: "https://x", ClientID: "id"}, "ClientCredentials.ClientSecret is empty"},
		{salesforce.Password{}, "Password.ClientID is empty"},
		{salesforce.Password{ClientID: "id"}, "Password.Username is empty"},
		{salesforce.Password{ClientID: "id", Username: "u"}, "Password.Password is empty"},
		{salesforce.Password{ClientID: "id", Username: "u", Password: "p", LoginURL: "x"}, "Password.LoginURL"},
	} {
		_, err := tc.grant.Exchange(t.Context())
		var config *salesforce.ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), tc.part) || config.Try == "" {
			t.Errorf("%T: %v, want %q", tc.grant, err, tc.part)
		}
		if salesforce.Retryable(err) || salesforce.Unauthorized(err) {
			t.Errorf("%v is a matter of configuration", err)
		}
	}
}

func TestJWTBearerKeyThatCannotSign(t *testing.T) {
	_, err := salesforce.JWTBearer{ClientID: "id", Username: "u", Key: &rsa.PrivateKey{}}.Exchange(t.Context())
	var key *salesforce.KeyError
	if !errors.As(err, &key) || !strings.Contains(err.Error(), "cannot sign") {
		t.Errorf("got %v", err)
	}
}

// TestPlainHTTP: loopback in all its spellings needs no permission, others do.
func TestPlainHTTP(t *testing.T) {
	for _, tc := range []struct {
		host  string
		allow bool
		sent  bool
	}{
		{"localhost", false, true}, {"LOCALHOST:8080", false, true}, {"127.0.0.1:1", false, true}, {"127.9.9.9", false, true},
		{"[::1]:80", false, true}, {"10.0.0.1", false, false}, {"10.0.0.1", true, true}, {"acme.example", true, true},
	} {
		sent := false
		network := transportFunc(func(*http.Request) (*http.Response, error) {
			sent = true
			return nil, io.EOF
		})
		_, err := salesforce.ClientCredentials{
			LoginURL: "http://" + tc.host, ClientID: "id", ClientSecret: "s",
			AllowPlainHTTP: tc.allow, HTTP: &http.Client{Transport: network},
		}.Exchange(t.Context())
		if err == nil || sent != tc.sent {
			t.Errorf("%s, allowed %v: sent %v, %v", tc.host, tc.allow, sent, err)
		}
	}
}

// TestTokenReplies: what a reply of status 200 can look like.
func TestTokenReplies(t *testing.T) {
	identity := func(path string) string {
		return `{"access_token":"x","instance_url":"https://acme.example","id":"https://login.salesforce.com` + path + `"}`
	}
	for name, tc := range map[string]struct {
		body  string
		part  string // of the error
		retry bool
	}{
		"HTML":             {"<HTML><Title>Down for\n maintenance</TITLE></html>", `"Down for maintenance"`, true},
		"text":             {"hello", "not the JSON of a token", true},
		"empty":            {"", "not the JSON of a token", true},
		"cut JSON":         {`{"access_token":"x"`, "not the JSON of a token", true},
		"two values":       {`{"access_token":"x"}{}`, "not the JSON of a token", true},
		"no token":         {`{"instance_url":"https://acme.example"}`, "no access_token", false},
		"no instance":      {`{"access_token":"x"}`, "no instance_url", false},
		"other token type": {`{"access_token":"x","token_type":"MAC"}`, `"MAC"`, false},
		"no scheme":        {`{"access_token":"x","instance_url":"acme.example"}`, "lacks the scheme", false},
		"plain http":       {`{"access_token":"x","instance_url":"http://acme.example"}`, "plain http", false},
		"instance path":    {`{"access_token":"x","instance_url":"https://acme.example/x"}`, "holds a path", false},
		"identity":         {identity("/nonsense"), "does not end in /id/<org>/<user>", false},
		"identity no URL":  {`{"access_token":"x","instance_url":"https://acme.example","id":"%zz"}`, "is no URL", false},
		"not an org":       {identity("/id/" + userID18 + "/" + userID18), "does not begin with 00D", false},
		"bad org":          {identity("/id/00D/" + userID18), "3 characters", false},
		"bad user":         {identity("/id/" + orgID18 + "/005"), "3 characters", false},
		"too large":        {`{"access_token":"` + strings.Repeat("x", 1<<20) + `"}`, "larger than 1 MiB", false},
		"error with 200":   {`{"error":"server_error"}`, "server_error: no description (HTTP 200)", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, answer(200, "text/html", tc.body))
			_, err := salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s3cr3t"}.Exchange(wait(t))
			if err == nil || !strings.Contains(err.Error(), tc.part) {
				t.Fatalf("got %v, want %q", err, tc.part)
			}
			if salesforce.Retryable(err) != tc.retry {
				t.Errorf("Retryable(%v) is %v", err, !tc.retry)
			}
		})
	}
}

func TestTokenReplyVariants(t *testing.T) {
	now := time.Unix(1_772_615_722, 0)
	for name, tc := range map[string]struct {
		body string
		want salesforce.Token
	}{
		"JWT bearer's": {
			`{"access_token":"x","scope":"api","instance_url":"https://acme.example","id":"https://login.salesforce.com/id/` +
				orgID15 + `/005xx000001Svog","token_type":"bearer"}`,
			salesforce.Token{Access: "x", InstanceURL: "https://acme.example", OrgID: orgID18, UserID: userID18, IssuedAt: now},
		},
		"no id, issued_at as number": {
			`{"access_token":"x","instance_url":"https://acme.example","issued_at":1772615722481}`,
			salesforce.Token{Access: "x", InstanceURL: "https://acme.example", IssuedAt: time.UnixMilli(1772615722481)},
		},
		"unreadable issued_at": {
			`{"access_token":"x","instance_url":"http://127.0.0.1:8080/","issued_at":"today"}`,
			salesforce.Token{Access: "x", InstanceURL: "http://127.0.0.1:8080", IssuedAt: now},
		},
	} {
		server := serve(t, answer(200, "application/json", tc.body))
		token, err := salesforce.JWTBearer{
			LoginURL: server, ClientID: "id", Username: "u", Key: newKey(t), Now: func() time.Time { return now },
		}.Exchange(wait(t))
		if err != nil || token != tc.want {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
}

// TestLoginRedirect: the form with its secrets goes nowhere else.
func TestLoginRedirect(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other+"/services/oauth2/token?session=1", status)
		})
		_, err := salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s"}.Exchange(wait(t))
		var refused *salesforce.OAuthError
		if !errors.As(err, &refused) || refused.Status != status || refused.Temporary {
			t.Fatalf("%d: %v", status, err)
		}
		mustContain(t, refused.Hint, "login URL", "points to "+other)
		checkSilent(t, err, "session=1")
	}
}

func TestLoginNetworkErrors(t *testing.T) {
	refusing := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"access_token":`)
	})
	for _, server := range []string{refusing, cut, "http://127.0.0.1:1"} {
		_, err := salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s3cr3t"}.Exchange(wait(t))
		var network *salesforce.NetworkError
		if !errors.As(err, &network) || !salesforce.Retryable(err) || salesforce.Unauthorized(err) {
			t.Fatalf("%s: %v", server, err)
		}
		mustContain(t, err.Error(), "asking 127.0.0.1", "/services/oauth2/token", "try: ")
		if strings.Contains(err.Error(), `Post "http`) {
			t.Errorf("says the URL twice: %v", err)
		}
		checkSilent(t, err, "s3cr3t")
	}
}
