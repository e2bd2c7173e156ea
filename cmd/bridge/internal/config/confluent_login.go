package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sfbridge/bridge/salesforce"
)

// authKey is a key that some grants need.
type authKey struct {
	key, path, env string
	secret         bool
	optional       bool
	types          []AuthType
}

func authKeysOfConnectors() []authKey {
	return []authKey{
		// A consumer key is a password to Kafka Connect, and is treated as one.
		{"salesforce.consumer.key", "org.auth.client_id", "SF_CLIENT_ID", true, false, []AuthType{AuthPassword, AuthJWTBearer, AuthClientCredentials}},
		{"salesforce.consumer.secret", "org.auth.client_secret", "SF_CLIENT_SECRET", true, false, []AuthType{AuthPassword, AuthClientCredentials}},
		{"salesforce.username", "org.auth.username", "SF_USERNAME", false, false, []AuthType{AuthPassword, AuthJWTBearer}},
		{"salesforce.password", "org.auth.password", "SF_PASSWORD", true, false, []AuthType{AuthPassword}},
		{"salesforce.password.token", "org.auth.security_token", "SF_SECURITY_TOKEN", true, true, []AuthType{AuthPassword}},
	}
}

// grant is the connector's grant: its default is the password.
func (t *translator) grant() AuthType {
	const key = "salesforce.grant.type"
	types := map[string]AuthType{"PASSWORD": AuthPassword, "JWT_BEARER": AuthJWTBearer, "CLIENT_CREDENTIALS": AuthClientCredentials}
	named := t.in[key]
	grant, known := types[strings.ToUpper(named)]
	switch {
	case known:
		t.note(key, Carried, "", "org.auth.type")
	case named != "":
		t.note(key, Undecided, quote(named)+" is no grant that connectors have: PASSWORD, JWT_BEARER or CLIENT_CREDENTIALS", "org.auth.type")
		grant = AuthPassword
	case t.keystore() != "" && t.in["salesforce.password"] == "":
		grant = AuthJWTBearer // connectors from before the key existed
	default:
		grant = AuthPassword
	}
	t.set["org.auth.type"] = string(grant)
	return grant
}

// login settles the section org.
func (t *translator) login() {
	grant := t.grant()
	for _, k := range authKeysOfConnectors() {
		value := t.in[k.key]
		switch {
		case !slices.Contains(k.types, grant):
			if value != "" {
				t.note(k.key, Meaningless, "org.auth.type "+string(grant)+" does not need it")
			}
		case value == "" && !k.optional:
			t.want(k.path, k.env, "the connector does not say it")
		case value == "":
		case k.secret || isReference(value):
			t.hide(k.key, k.path, k.env)
		default:
			t.carry(k.key, k.path, value)
		}
	}
	t.privateKey(grant)
	t.loginURL(grant)
	t.proxy()
}

func (t *translator) keystore() string {
	for _, key := range []string{"salesforce.jwt.keystore.path", "salesforce.jwt.keystore.file"} {
		if t.in[key] != "" {
			return key
		}
	}
	return ""
}

// privateKey wants as PEM what connectors have in a Java keystore.
func (t *translator) privateKey(grant AuthType) {
	// A value of the keystore's keys is never one that the bridge could take.
	const path, env, password = "org.auth.private_key", "SF_PRIVATE_KEY", "salesforce.jwt.keystore.password"
	const convert = "the key as PEM: keytool -importkeystore -srckeystore KEYSTORE -destkeystore key.p12 -deststoretype PKCS12, then openssl pkcs12 -in key.p12 -nocerts -nodes"
	key := t.keystore()
	if grant != AuthJWTBearer {
		for _, unused := range []string{key, password} {
			if t.in[unused] != "" {
				t.note(unused, Meaningless, "org.auth.type "+string(grant)+" does not need it")
			}
		}
		return
	}
	if key == "" {
		t.want(path, env, convert)
	} else {
		t.set[path] = "${env:" + env + "}"
		t.placeholders[env] = Placeholder{Name: env, For: path, Note: convert}
		t.note(key, Undecided, "the bridge reads no keystore; set "+env, path)
	}
	if t.in[password] != "" {
		t.note(password, Meaningless, "it is the keystore's; a key in PEM may have one of its own, org.auth.private_key_password")
	}
}

func (t *translator) loginURL(grant AuthType) {
	const key, path = "salesforce.instance", "org.login_url"
	if t.set[path] == "" {
		t.set[path] = "https://login.salesforce.com"
	}
	u, err := url.Parse(t.set[path])
	if err == nil && grant == AuthClientCredentials && salesforce.SharedLogin(strings.ToLower(u.Hostname())) {
		delete(t.set, path)
		t.want(path, "SF_LOGIN_URL", "client_credentials needs the org's My Domain: https://acme.my.salesforce.com")
		if t.in[key] != "" {
			t.note(key, Undecided, "client_credentials needs the org's My Domain; set SF_LOGIN_URL", path)
		}
	}
}

func (t *translator) apiVersion(key, value string) {
	const path = "org.api_version"
	switch {
	case strings.EqualFold(value, "latest"):
		t.note(key, Meaningless, "the bridge takes the newest version that the org offers")
	case isReference(value) || checkAPIVersion(value) == nil:
		t.carry(key, path, value)
	default:
		t.note(key, Undecided, quote(value)+" is no version that the bridge speaks; without one it takes the newest", path)
	}
}

// proxy joins what connectors have in several keys. With a password it is a secret as
// a whole.
func (t *translator) proxy() {
	const key, path, env = "http.proxy", "org.proxy_url", "SF_PROXY_URL"
	parts := []string{"http.proxy.user", "http.proxy.password", "http.proxy.auth.scheme"}
	scheme := strings.ToUpper(t.in["http.proxy.auth.scheme"])
	if t.in[key] == "" {
		for _, part := range parts {
			if t.in[part] != "" {
				t.note(part, Meaningless, "there is no http.proxy")
			}
		}
		return
	}
	address := t.in[key]
	if !isReference(address) && !strings.Contains(address, "://") {
		address = "http://" + address
	}
	if scheme == "" || scheme == "NONE" {
		t.carry(key, path, address)
		for _, part := range parts {
			if t.in[part] != "" {
				t.note(part, Meaningless, "http.proxy.auth.scheme is NONE")
			}
		}
		return
	}
	t.set[path] = "${env:" + env + "}"
	t.placeholders[env] = Placeholder{Name: env, For: path, Note: "http://USER:PASSWORD@HOST:PORT, of http.proxy, http.proxy.user and http.proxy.password"}
	for _, part := range append(parts, key) {
		if t.in[part] != "" {
			t.note(part, Carried, "set "+env, path)
		}
	}
	if scheme != "BASIC" {
		t.note("http.proxy.auth.scheme", Undecided, "the bridge speaks to proxies with basic authentication alone", path)
	}
}
