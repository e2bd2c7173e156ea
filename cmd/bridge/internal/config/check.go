package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// check holds the rules that are about more than one key, and fills in the
// defaults that depend on other keys.
func (w *walker) check(c *Config) {
	w.checkAuth(&c.Org)
	w.checkOrgTLS(&c.Org)
	w.checkPlainHTTP("org", "login_url", c.Org.LoginURL, c.Org.AllowPlainHTTP)
	w.checkQueries(c)
	w.checkStreams(c)
	w.checkEnvelopes(c)
	w.checkSnapshots(c)
	w.checkKafka(c)
	w.checkRegistry(c)
	w.checkTopics(c)
	c.Org.LoginURL = strings.TrimRight(c.Org.LoginURL, "/")
}

// needs reports a key that another one makes necessary.
func (w *walker) needs(path string, empty bool, because, hint string) {
	if empty && !w.bad[path] {
		w.fail(w.line(path), path, "is required "+because, hint)
	}
}

func (w *walker) warn(path, message, hint string) {
	w.add(Warning, w.line(path), path, &valueError{message: message, hint: hint})
}

// authKeys are the keys beside client_id that a grant needs, and may have.
func authKeys(t AuthType) (needed, allowed []string) {
	switch t {
	case AuthJWTBearer:
		return []string{"username"}, []string{"audience", "private_key", "private_key_file", "private_key_password"}
	case AuthClientCredentials:
		return []string{"client_secret"}, nil
	case AuthRefreshToken:
		return []string{"token_file"}, []string{"client_secret"}
	case AuthPassword:
		return []string{"client_secret", "username", "password"}, []string{"security_token"}
	}
	return nil, nil
}

func (w *walker) checkAuth(o *Org) {
	const section = "org.auth."
	a := &o.Auth
	if !w.given(section + "type") {
		return
	}
	empty := map[string]bool{
		"client_secret": a.ClientSecret.Empty(), "username": a.Username == "", "password": a.Password.Empty(),
		"security_token": a.SecurityToken.Empty(), "private_key": a.PrivateKey.Empty(), "audience": a.Audience == "",
		"private_key_file": a.PrivateKeyFile == "", "private_key_password": a.PrivateKeyPassword.Empty(), "token_file": a.TokenFile == "",
	}
	needed, allowed := authKeys(a.Type)
	for _, f := range authFields(a) {
		isEmpty, dependent := empty[f.key]
		switch {
		case slices.Contains(needed, f.key):
			w.needs(section+f.key, isEmpty, "by type "+string(a.Type), exampleOf(f))
		case dependent && w.given(section+f.key) && !slices.Contains(allowed, f.key):
			w.warn(section+f.key, "is not used by type "+string(a.Type), "its removal")
		}
	}
	if a.Type == AuthJWTBearer {
		w.checkKey(a)
	}
	if a.Type == AuthRefreshToken {
		w.checkToken(a)
	}
	w.checkLogin(o)
}

// checkKey reads the private key, wherever it is.
func (w *walker) checkKey(a *Auth) {
	const text, file = "org.auth.private_key", "org.auth.private_key_file"
	switch {
	case w.given(text) && w.given(file):
		w.fail(w.line(file), file, "excludes private_key", "only one of the two")
		return
	case a.PrivateKeyFile == "":
		w.needs(text, a.PrivateKey.Empty(), "by type jwt_bearer", "private_key: ${env:SF_PRIVATE_KEY}, or private_key_file: /etc/bridge/org.key")
	}
	path, pem := text, a.PrivateKey.Reveal()
	if a.PrivateKeyFile != "" {
		path = file
		a.PrivateKeyFile = w.resolver.path(a.PrivateKeyFile)
		data, err := w.resolver.env.readFile(a.PrivateKeyFile)
		if err != nil {
			w.fail(w.line(path), path, "file "+quote(a.PrivateKeyFile)+" "+fileTrouble(err), "")
			return
		}
		pem = string(data)
	}
	if pem == "" && path == text || w.bad["org.auth.private_key_password"] {
		return
	}
	if wrong := checkPrivateKey(pem, a.PrivateKeyPassword); wrong != nil && !w.bad[path] {
		w.add(Error, w.line(path), path, wrong)
	}
}

// checkToken looks whether there is a refresh token. It may come later, by the
// command that reads this configuration.
func (w *walker) checkToken(a *Auth) {
	const path = "org.auth.token_file"
	if a.TokenFile == "" || w.bad[path] {
		return
	}
	a.TokenFile = w.resolver.path(a.TokenFile)
	if _, err := w.resolver.env.readFile(a.TokenFile); err != nil {
		w.warn(path, "file "+quote(a.TokenFile)+" "+fileTrouble(err), "bridge login --config "+w.file+", which writes it")
	}
}

func (w *walker) checkOrgTLS(o *Org) {
	t := TLS{CAFile: o.TLS.CAFile}
	w.checkTLS("org.tls", &t)
	o.TLS = OrgTLS{CAFile: t.CAFile, CAPEM: t.CAPEM}
}

// checkLogin holds what the grants demand of the login host (Salesforce help,
// "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration").
func (w *walker) checkLogin(o *Org) {
	u, err := url.Parse(o.LoginURL)
	if err != nil || w.bad["org.login_url"] {
		return
	}
	host := strings.ToLower(u.Hostname())
	if o.Auth.Type == AuthClientCredentials && salesforce.SharedLogin(host) {
		w.fail(w.line("org.login_url"), "org.login_url", host+" does not serve client_credentials; the org's My Domain does", "https://acme.my.salesforce.com")
	}
}

// checkPlainHTTP allows http:// on loopback, and elsewhere when asked for.
func (w *walker) checkPlainHTTP(section, key, raw string, allowed bool) {
	path := section + "." + key
	u, err := url.Parse(raw)
	if err != nil || w.bad[path] || u.Scheme != "http" || allowed || isLoopback(u.Hostname()) {
		return
	}
	w.fail(w.line(path), path, "http:// to another machine sends credentials in the clear", "https://, or "+section+".allow_plain_http: true")
}

func (w *walker) checkStreams(c *Config) {
	all := -1 // the stream that has every change event
	for i, s := range c.Streams {
		path := index("streams", i)
		first := slices.IndexFunc(c.Streams, func(o Stream) bool { return o.Channel == s.Channel })
		if s.Channel != "" && first < i {
			w.fail(w.line(path+".channel"), path+".channel", fmt.Sprintf("%s is read by %s already", quote(s.Channel), index("streams", first)), "one stream for each channel")
		}
		if s.OnUnknownField == "" {
			c.Streams[i].OnUnknownField = OnUnknownField(s.OnBadEvent)
		}
		if trouble := keyedBy(s.Kind); trouble != "" && s.Key != "" {
			w.fail(w.line(path+".key"), path+".key", "is for platform events; records of "+trouble, "its removal")
		}
		if same := slices.IndexFunc(c.Streams, func(o Stream) bool { return withoutFilter(o.Channel) == withoutFilter(s.Channel) }); s.Kind == PushTopic && same < i && first == i {
			w.fail(w.line(path+".channel"), path+".channel", fmt.Sprintf("is the PushTopic of %s with another filter, and its events say nothing of the filter that they passed", index("streams", same)), "one stream for each PushTopic, or two PushTopics")
		}
		if s.Kind == ChangeData && strings.HasSuffix(s.Channel, "/"+allChangeEvents) {
			all = i
		}
	}
	w.checkWatch(c)
	for i, s := range c.Streams {
		if path := index("streams", i) + ".channel"; all >= 0 && s.Kind == ChangeData && !s.Multi {
			w.warn(path, fmt.Sprintf("its events come a second time through %s (%s), and count twice against the org's delivery allocation", c.Streams[all].Channel, index("streams", all)), "only one of the two")
		}
	}
}

// keyedBy says how records of a kind are keyed that have no key to choose.
func keyedBy(k ChannelKind) string {
	switch k {
	case ChangeData:
		return "change events are keyed by record id"
	case PushTopic:
		return "a PushTopic are keyed by record id"
	case Generic:
		return "a generic channel are keyed by channel and replay id"
	case Rows:
		return "queries are keyed by record id"
	}
	return ""
}

// notWatched says why streams of a kind are not watched; "" for one that can be.
func notWatched(k ChannelKind) string {
	switch k {
	case PlatformEvent:
		return "platform events have no rows to compare with"
	case PushTopic:
		return "of a PushTopic's events the rows alone do not tell that there must be one"
	case Generic:
		return "generic events have no rows to compare with"
	case Rows:
		return "rows are asked for, and nothing is delivered"
	}
	return ""
}

// documentedRetention is the longest that Salesforce promises (Platform Events and
// Change Data Capture guides, allocations).
const documentedRetention = 72 * time.Hour

// checkWatch holds what the watchdog asks of the streams. What has no rows is not
// watched.
func (w *walker) checkWatch(c *Config) {
	const calls = "watchdog.daily_calls"
	off := c.Watchdog.DailyCalls == 0 && !w.bad[calls]
	watched := 0
	for i := range c.Streams {
		s, path := &c.Streams[i], index("streams", i)
		policy, retention := path+".on_starvation", path+".retention"
		documented := s.Kind.retention()
		if s.Retention == 0 {
			s.Retention = documented
		}
		if s.Kind != Rows && s.Retention > documented {
			hours := shortDuration(documented)
			w.warn(retention, "is longer than the "+hours+" that Salesforce documents, so losses come sooner than the bridge tells", hours)
		}
		reason := notWatched(s.Kind)
		switch {
		case reason != "" && w.given(policy):
			w.fail(w.line(policy), policy, "is for change data (/data/…); "+reason, "its removal")
		case reason != "":
			s.OnStarvation = StarvationIgnore
		case s.Kind != ChangeData || s.OnStarvation == StarvationIgnore:
		case off && w.given(policy):
			w.warn(policy, "is not used while "+calls+" is 0", "another number of calls, or its removal")
		default:
			watched++
		}
	}
	if !off && !w.bad[calls] && c.Watchdog.DailyCalls < watched {
		w.warn(calls, fmt.Sprintf("%d is less than a call a day for each of the %d streams that are watched", c.Watchdog.DailyCalls, watched), "more calls, or on_starvation: ignore for some streams")
	}
}

func (w *walker) checkKafka(c *Config) {
	k := &c.Kafka
	if k.ClientID == "" {
		k.ClientID = "bridge-" + c.Name
	}
	w.checkTLS("kafka.tls", &k.TLS)
	if !k.TLS.Enabled && !w.bad["kafka.tls.enabled"] {
		for _, f := range tlsFields(&k.TLS) {
			if path := "kafka.tls." + f.key; f.key != "enabled" && w.given(path) && !off(path, k.TLS) {
				w.fail(w.line(path), path, "has no effect while TLS is off", "kafka.tls.enabled: true")
			}
		}
	}
	const sasl = "kafka.sasl."
	if w.bad[sasl+"mechanism"] {
		return
	}
	if k.SASL.Mechanism == "" {
		for _, key := range []string{"username", "password"} {
			if w.given(sasl + key) {
				w.needs(sasl+"mechanism", true, "by "+sasl+key, "mechanism: scram-sha-512")
				break
			}
		}
		return
	}
	w.needs(sasl+"username", k.SASL.Username == "", "by the mechanism", "username: bridge")
	w.needs(sasl+"password", k.SASL.Password.Empty(), "by the mechanism", "password: ${env:KAFKA_PASSWORD}")
	remote := slices.ContainsFunc(k.Brokers, func(b string) bool {
		host, _, err := net.SplitHostPort(b)
		return err == nil && !isLoopback(host)
	})
	if k.SASL.Mechanism == SASLPlain && remote && !k.TLS.Enabled {
		w.warn(sasl+"mechanism", "plain without TLS sends the password in the clear", "kafka.tls.enabled: true")
	}
}

func (w *walker) checkRegistry(c *Config) {
	r := &c.Registry
	const section = "registry."
	without := r.URL == registryNone
	if without {
		r.URL = ""
	}
	if c.Format == FormatAvro && !w.bad["format"] {
		w.needs(section+"url", r.URL == "" && !without, "for format avro", "url: http://localhost:8081, or url: none to work without a registry")
	}
	w.checkJSONSchema(c)
	w.checkPlainHTTP("registry", "url", r.URL, r.AllowPlainHTTP)
	r.TLS.Enabled = strings.HasPrefix(r.URL, "https://")
	w.checkTLS("registry.tls", &r.TLS)
	for _, f := range registryFields(r) {
		for _, inner := range f.section {
			if path := section + f.key + "." + inner.key; !r.TLS.Enabled && w.given(path) && !off(path, r.TLS) && !w.bad[section+"url"] {
				w.fail(w.line(path), path, "has no effect without TLS", "a registry.url with https://")
			}
		}
	}
	switch {
	case !r.BearerToken.Empty() && (r.Username != "" || !r.Password.Empty()):
		w.fail(w.line(section+"bearer_token"), section+"bearer_token", "excludes username and password", "only one of the two")
	case r.Username != "":
		w.needs(section+"password", r.Password.Empty(), "by registry.username", "password: ${env:REGISTRY_PASSWORD}")
	case !r.Password.Empty():
		w.needs(section+"username", true, "by registry.password", "username: bridge")
	}
	r.URL = strings.TrimRight(r.URL, "/")
}

func (w *walker) checkTopics(c *Config) {
	if c.DeadLetter.Topic == "" {
		c.DeadLetter.Topic = c.Name + ".dead-letter"
	}
	templates := []string{c.Topics.Template}
	for _, s := range c.Streams {
		templates = append(templates, s.Topic)
		for _, e := range s.Entities {
			templates = append(templates, e.Topic)
		}
	}
	for _, r := range c.Topics.Routes {
		templates = append(templates, r.Topic)
	}
	templates = slices.AppendSeq(templates, maps.Values(c.Topics.Map))
	usesPrefix := func(template string) bool { return usesPlaceholder(template, "Prefix") }
	if path := "topics.prefix"; w.given(path) && !w.bad["topics.template"] && !slices.ContainsFunc(templates, usesPrefix) {
		w.warn(path, "is not used by topics.template", "{{.Prefix}} in the template")
	}
	if path := "internal_topics.settings.cleanup.policy"; w.given(path) {
		w.fail(w.line(path), path, "cannot be set: the bridge's positions need a compacted topic", "its removal")
	}
	w.checkOwnTopics(c)
	w.checkEntities(c)
	w.checkRoutes(c)
	w.checkKeyFormat(c)
	w.checkMeetings(c)
	if c.Registry.URL != "" && (c.Format == FormatAvro || c.Registry.JSONSchema) && c.Registry.SubjectStrategy == SubjectTopic {
		w.checkSubjects(c)
	}
}

// checkSubjects warns of topics that hold several kinds of event while the
// topic alone names the subject: a registry refuses the second kind as
// incompatible with the first.
func (w *walker) checkSubjects(c *Config) {
	const trouble, hint = "puts several kinds of event into one topic, whose subject in the registry takes one", "registry.subject_strategy: topic_record"
	taken, told := map[string]string{}, map[string]bool{}
	for i := range c.Streams {
		for _, r := range c.rules(i) {
			if usesPlaceholder(r.template, "Object") || usesMatch(r.template) || w.bad[r.path] {
				continue
			}
			whose, again := taken[r.template]
			several := r.object == "" || again && !usesPlaceholder(r.template, "Channel") && whose != c.Streams[i].recordsOf(r.object)
			taken[r.template] = c.Streams[i].recordsOf(r.object)
			if several && !told[r.path] {
				told[r.path] = true
				w.warn(r.path, trouble, hint)
			}
		}
	}
}

// off says whether a key of a TLS section only says what holds without it.
func off(path string, t TLS) bool {
	return strings.HasSuffix(path, ".insecure_skip_verify") && !t.InsecureSkipVerify
}

// checkTLS reads and checks the files that a TLS section names.
func (w *walker) checkTLS(path string, t *TLS) {
	read := func(key string, name *string) []byte {
		p := path + "." + key
		if *name == "" || w.bad[p] {
			return nil
		}
		*name = w.resolver.path(*name)
		data, err := w.resolver.env.readFile(*name)
		if err != nil {
			w.fail(w.line(p), p, "file "+quote(*name)+" "+fileTrouble(err), "")
		}
		return data
	}
	t.CAPEM, t.CertPEM = read("ca_file", &t.CAFile), read("cert_file", &t.CertFile)
	t.KeyPEM = NewSecret(string(read("key_file", &t.KeyFile)))
	if t.CertFile != "" {
		w.needs(path+".key_file", t.KeyFile == "", "by cert_file", "key_file: /etc/bridge/client.key")
	}
	if t.KeyFile != "" {
		w.needs(path+".cert_file", t.CertFile == "", "by key_file", "cert_file: /etc/bridge/client.pem")
	}
	if p := path + ".ca_file"; len(t.CAPEM) > 0 {
		if _, err := (TLS{Enabled: true, CAPEM: t.CAPEM}).Client(); err != nil {
			w.fail(w.line(p), p, "file "+quote(t.CAFile)+" holds no PEM certificate", "")
		}
	}
	if p := path + ".cert_file"; len(t.CertPEM) > 0 && !t.KeyPEM.Empty() {
		if _, err := (TLS{Enabled: true, CertPEM: t.CertPEM, KeyPEM: t.KeyPEM}).Client(); err != nil {
			w.fail(w.line(p), p, "is no pair with key_file: "+err.Error(), "")
		}
	}
	if t.InsecureSkipVerify {
		w.warn(path+".insecure_skip_verify", "anyone on the way can read and change everything", "ca_file with the authority that signed the server's certificate")
	}
}
