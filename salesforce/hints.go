package salesforce

import (
	"net/http"
	"strings"
)

// class says what kind of cause an OAuth error has.
type class int

const (
	classConfig    class = iota // somebody must change something
	classLater                  // the same login can succeed later
	classExpired                // the assertion came too late: sign another
	classAssertion              // the assertion was not taken
	classUnknown                // Salesforce names no cause
)

// maybeClock says whether a wrong clock can be the cause.
func (c class) maybeClock() bool {
	return c == classExpired || c == classAssertion || c == classUnknown
}

// oauthAnswer is one row of the table of login errors. Empty and zero conditions
// match everything.
type oauthAnswer struct {
	grant grantKind
	code  string // equal to the error, in lower case
	text  string // part of error or description, in lower case
	class class
	hint  string
}

func (a oauthAnswer) matches(grant grantKind, code, all string) bool {
	return (a.grant == 0 || a.grant == grant) && (a.code == "" || a.code == code) && strings.Contains(all, a.text)
}

// oauthHint finds the first row that matches an error of the token endpoint.
// Salesforce has many texts for one cause, and adds details to some: hence the
// comparison by parts of the text, here and nowhere else.
func oauthHint(grant grantKind, code, description string) oauthAnswer {
	code, all := strings.ToLower(code), strings.ToLower(code+": "+description)
	for _, table := range [][]oauthAnswer{passingAnswers(), approvalAnswers(), grantAnswers(), userAnswers(), appAnswers()} {
		for _, answer := range table {
			if answer.matches(grant, code, all) {
				return answer
			}
		}
	}
	const lookUp = "look at Setup > Login History in the org: it names the reason that the reply withholds"
	return oauthAnswer{class: classUnknown, hint: lookUp}
}

// passingAnswers are the refusals that end by themselves.
func passingAnswers() []oauthAnswer {
	const (
		tooMany = "wait; Salesforce takes 3,600 logins an hour per user, so look for another program that logs in as this user in a loop"
		busy    = "wait; Salesforce is busy or in maintenance (https://status.salesforce.com)"
		address = "add this machine's address to the login IP ranges of the user's profile, or relax the IP restrictions of the app; " +
			"if addresses change by themselves, wait"
		hours = "wait for the login hours of the user's profile, or extend them"
	)
	return []oauthAnswer{
		{code: "rate_limit_exceeded", class: classLater, hint: tooMany},
		{text: "rate exceeded", class: classLater, hint: tooMany},
		{code: "server_error", class: classLater, hint: busy},
		{code: "temporarily_unavailable", class: classLater, hint: busy},
		{text: "retry your request", class: classLater, hint: busy},
		{text: "ip restricted", class: classLater, hint: address},
		{text: "login hours", class: classLater, hint: hours},
	}
}

// approvalAnswers are the refusals of a user, an org or an approval.
func approvalAnswers() []oauthAnswer {
	const (
		approve = `approve the user for the app: set "Permitted Users" of the app's policies to "Admin approved users are ` +
			`pre-authorized" and assign the app to the user's profile or a permission set; if that is done, check that ` +
			`username and login URL are of the same org (sandboxes log in at https://test.salesforce.com or their My Domain)`
		inactiveUser = "activate and unfreeze the user in Setup > Users, or log in as another one"
		inactiveOrg  = "ask the org's administrator: the org is locked, expired or deleted"
		runAs        = `choose a run-as user in the app's policies ("Enable Client Credentials Flow" > "Run As")`
	)
	return []oauthAnswer{
		{text: "no client credentials user", hint: runAs},
		{text: "approved this consumer", hint: approve},
		{text: "not admin approved", hint: approve},
		{text: "not approved for access", hint: approve},
		{code: "invalid_app_access", hint: approve},
		{text: "inactive_user", hint: inactiveUser},
		{text: "inactive user", hint: inactiveUser},
		{text: "inactive_org", hint: inactiveOrg},
		{text: "inactive org", hint: inactiveOrg},
		{text: "organization is inactive", hint: inactiveOrg},
	}
}

// grantAnswers are the refusals whose meaning depends on the grant.
func grantAnswers() []oauthAnswer {
	const (
		audience = "set the audience to https://login.salesforce.com, for a sandbox or scratch org to https://test.salesforce.com, " +
			"for an Experience Cloud site to its URL; government and other separate clouds have login hosts of their own " +
			"(such as https://login.salesforce.mil), and some external client apps take only the org's My Domain URL"
		myDomain = "set the login URL to the org's My Domain (https://<name>.my.salesforce.com): " +
			"the client credentials flow is not served at login.salesforce.com and test.salesforce.com"
		expired   = "wait for the next attempt, which signs a new assertion; if it repeats, compare this machine's clock with Salesforce's"
		assertion = "check that the app holds the certificate of this private key, that the client id is the consumer key of that app, " +
			"and that the user exists in the org of the login URL"
		password = `check user name and password, append the security token unless this machine's address is trusted, and see ` +
			`Setup > Login History: "Username-Password Flow Disabled" means that "Allow OAuth Username-Password Flows" is off ` +
			`(as in orgs made since Summer '23; external client apps do not have the flow): use JWT bearer or client credentials`
		noPassword = `use JWT bearer or client credentials: the username-password flow is off in this org or app ` +
			`(Setup > OAuth and OpenID Connect Settings > "Allow OAuth Username-Password Flows")`
		noCredentials = `switch on "Enable Client Credentials Flow" in the app and its policies, and use the org's My Domain as login URL`
		noJWT         = `switch on the JWT bearer flow ("Use digital signatures") in the app and store its certificate there`
	)
	return []oauthAnswer{
		{text: "audience", hint: audience},
		{grant: grantClientCredentials, text: "not supported on this domain", hint: myDomain},
		{text: "not supported on this domain", hint: "set the login URL to the org's My Domain (https://<name>.my.salesforce.com)"},
		{grant: grantJWT, code: "invalid_grant", text: "expired", class: classExpired, hint: expired},
		{grant: grantJWT, code: "invalid_grant", text: "assertion", class: classAssertion, hint: assertion},
		{grant: grantJWT, code: "invalid_grant", text: "authentication failure", class: classAssertion, hint: assertion},
		{grant: grantPassword, code: "invalid_grant", text: "authentication failure", hint: password},
		{grant: grantPassword, code: "unsupported_grant_type", hint: noPassword},
		{grant: grantClientCredentials, code: "unsupported_grant_type", hint: noCredentials},
		{grant: grantJWT, code: "unsupported_grant_type", hint: noJWT},
	}
}

// userAnswers are the refusals of the flows in which a user logs in by a browser,
// once or by the refresh token that this left.
func userAnswers() []oauthAnswer {
	const (
		again = `run "bridge login" again: the refresh token has expired, was revoked in the org, was pushed out by newer ` +
			"authorizations (an app keeps five for each user), or was rotated and then used by a second program, " +
			"which revokes all of them"
		code     = "begin the login again: an authorization code is good once, and for 15 minutes"
		verifier = "begin the login again, and let no other login run at the same time"
		callback = "add the redirect URL of this login to the app's callback URLs, letter by letter: host, port and path count"
		denied   = "log in again and choose Allow; if nobody was asked, approve the user for the app in its policies"
		noFlow   = `switch on the authorization code flow ("Web Server Flow") and the refresh token flow in the app`
		scope    = `give the app the scopes "Manage user data via APIs (api)" and "Perform requests at any time (refresh_token, offline_access)"`
		pkce     = `log in with PKCE (S256), which the app demands`
	)
	return []oauthAnswer{
		{grant: grantRefresh, code: "invalid_grant", text: "expired", hint: again},
		{grant: grantRefresh, code: "invalid_grant", text: "token", hint: again},
		{grant: grantRefresh, code: "unsupported_grant_type", hint: noFlow},
		{grant: grantCode, code: "invalid_grant", text: "verifier", hint: verifier},
		{grant: grantCode, code: "invalid_grant", text: "code", hint: code},
		{grant: grantCode, code: "invalid_request", text: "challenge", hint: pkce},
		{grant: grantCode, code: "redirect_uri_mismatch", hint: callback},
		{grant: grantCode, text: "redirect_uri must match", hint: callback},
		{grant: grantCode, code: "access_denied", hint: denied},
		{grant: grantCode, code: "invalid_scope", hint: scope},
		{grant: grantCode, code: "unsupported_response_type", hint: noFlow},
		{grant: grantCode, code: "unsupported_grant_type", hint: noFlow},
	}
}

// appAnswers are the refusals of the app or the request.
func appAnswers() []oauthAnswer {
	const (
		clientID = "compare the client id with the app's consumer key; a new app needs up to 10 minutes to be known, " +
			"and an app of one org is known to its sandboxes only after they are refreshed"
		secret   = "compare client id and client secret with the app's consumer key and secret; a rotated secret must be replaced here"
		notFound = "install or create the external client app in the org of the login URL, compare the client id, and set the " +
			"audience to the org's My Domain URL"
		blocked = "unblock the app in Setup > Connected Apps OAuth Usage"
		scope   = `give the app the scope "Manage user data via APIs (api)"`
		https   = "use an https login URL, and no proxy that turns POST into GET"
	)
	return []oauthAnswer{
		{code: "invalid_client_id", hint: clientID},
		{text: "client identifier invalid", hint: clientID},
		{code: "invalid_client", hint: secret},
		{code: "invalid_client_credentials", hint: secret},
		{text: "invalid client credentials", hint: secret},
		{code: "app_not_found", hint: notFound},
		{text: "app_blocked", hint: blocked},
		{code: "invalid_scope", hint: scope},
		{code: "invalid_request", hint: https},
		{code: "access_denied", hint: "allow the app's access in its policies"},
		{code: "redirect_uri_mismatch", hint: "choose a server-to-server flow in the app: this login has no redirect"},
		{code: "unsupported_response_type", hint: "choose a server-to-server flow in the app: this login has no authorize step"},
		{code: "immediate_unsuccessful", hint: "choose a server-to-server flow in the app: this login has no authorize step"},
	}
}

// pageHint is for a login that something else than the token endpoint refused.
func pageHint(got *reply) string {
	switch {
	case isRedirect(got.status):
		return "set the login URL to the host that serves the login itself: this one points to " + got.redirectHost()
	case retryableStatus(got.status):
		return "wait; Salesforce or a proxy is busy or in maintenance (https://status.salesforce.com)"
	case got.status == http.StatusProxyAuthRequired:
		return "give the proxy its credentials (HTTPS_PROXY)"
	case got.status == http.StatusForbidden:
		return "check for a proxy or firewall that blocks the login URL"
	}
	return "check the login URL: https://login.salesforce.com, https://test.salesforce.com or https://<name>.my.salesforce.com " +
		"(not the lightning.force.com address of the browser)"
}

// apiHint is for a refusal by the REST API.
func apiHint(got *reply, e *APIError) string {
	switch {
	case strings.Contains(e.Message, textNotForREST):
		return "relax the session policy of the user or the app: it demands a high-assurance session or locks sessions to an address, " +
			"and a new token does not cure that"
	case strings.Contains(e.Message, textNoAgent):
		return "attach the connected app to the agent in Setup: a new token does not cure that"
	case e.Status == http.StatusUnauthorized:
		return `check that the user is active and that the scope "api" is given to the app; a new token was refused as well, ` +
			`as when "Lock sessions to the IP address from which they originated" is on and the address changes`
	case e.Code == "REQUEST_LIMIT_EXCEEDED":
		return "wait: the org has used up its API requests (Setup > Company Information shows the limit)"
	case e.Code == "API_DISABLED_FOR_ORG", e.Code == "API_CURRENTLY_DISABLED":
		return `give the user the permission "API Enabled", in an edition that has the API`
	case e.Code == "QUERY_TIMEOUT":
		return "wait, or ask about a shorter time: the query ran longer than Salesforce allows"
	case e.Code == "INVALID_TYPE":
		return "check the object's API name, and that the user may read the object"
	case e.Status == http.StatusForbidden && strings.HasSuffix(e.Path, "/limits"):
		return `give the user the permission "View Setup and Configuration" by a permission set`
	case e.Status == http.StatusForbidden:
		return "give the user access to the object and its fields by a permission set"
	case e.Status == http.StatusNotFound:
		return "check the name, which is case-sensitive, and that the user may see it"
	case e.Status == http.StatusGone:
		return "choose a newer API version, or none to use the newest"
	case isRedirect(e.Status):
		return "check the instance URL: it points to " + got.redirectHost() + ", where the access token must not go"
	case retryableStatus(e.Status):
		return "wait; Salesforce is busy or in maintenance (https://status.salesforce.com)"
	}
	return ""
}
