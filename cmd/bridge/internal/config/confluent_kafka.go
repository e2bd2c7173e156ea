package config

import (
	"net/url"
	"strconv"
	"strings"
)

// connectorName is what the bridge's own topics are called by.
func (t *translator) connectorName(key, value string) {
	t.note(key, Carried, "", "name")
	if t.set["name"] != value {
		t.note(key, Carried, "as "+t.set["name"]+", which a bridge may be called", "name")
	}
}

const (
	licenceServers  = "confluent.topic.bootstrap.servers"
	licenceProtocol = "confluent.topic.security.protocol"
	licenceSASL     = "confluent.topic.sasl.mechanism"
	licenceJAAS     = "confluent.topic.sasl.jaas.config"
)

// cluster settles the section kafka. A connector writes to the cluster of its worker,
// of which its own configuration says nothing but, for its licence, where that has a
// topic: most often in the same cluster.
func (t *translator) cluster() {
	const path = "kafka.brokers"
	const same = "it is where the licence's topic is; is it the cluster that is to be written?"
	switch {
	case t.in["kafka.endpoint"] != "":
		t.servers("kafka.endpoint", path)
		if t.in[licenceServers] != "" {
			t.note(licenceServers, Meaningless, "kafka.endpoint says it")
		}
	case t.in[licenceServers] != "" && t.servers(licenceServers, path):
		t.note(licenceServers, Undecided, same, path)
	}
	t.want(path, "KAFKA_BROKERS", "the worker knows it: its bootstrap.servers")
	t.security()
	t.apiKey()
}

// servers takes over a list of brokers, which may have schemes, if the bridge can have
// it.
func (t *translator) servers(key, path string) bool {
	if isReference(t.in[key]) {
		t.carry(key, path, t.in[key])
		return true
	}
	all := strings.Split(t.in[key], ",")
	for i, one := range all {
		if _, after, found := strings.Cut(one, "://"); found {
			one = after
		}
		all[i] = strings.TrimSpace(one)
		if wrong := checkBroker(all[i]); wrong != nil {
			t.undecided(key, wrong, path)
			return false
		}
	}
	t.carry(key, path, strings.Join(all, ","))
	return true
}

// security takes over how the licence's topic is reached.
func (t *translator) security() {
	protocol := strings.ToUpper(t.in[licenceProtocol])
	if protocol != "" {
		t.note(licenceProtocol, Carried, "", "kafka.tls.enabled")
		t.set["kafka.tls.enabled"] = strconv.FormatBool(strings.HasSuffix(protocol, "SSL"))
	}
	mechanism := t.in[licenceSASL]
	known := map[string]SASLMechanism{"PLAIN": SASLPlain, "SCRAM-SHA-256": SASLScramSHA256, "SCRAM-SHA-512": SASLScramSHA512}
	ours, ok := known[strings.ToUpper(mechanism)]
	switch {
	case ok:
		t.set["kafka.sasl.mechanism"] = string(ours)
		t.note(licenceSASL, Carried, "", "kafka.sasl.mechanism")
		t.user("the user of "+licenceJAAS, "the password of "+licenceJAAS)
		if t.in[licenceJAAS] != "" {
			t.note(licenceJAAS, Carried, "set KAFKA_USERNAME and KAFKA_PASSWORD", "kafka.sasl.username", "kafka.sasl.password")
		}
	case mechanism != "" || strings.HasPrefix(protocol, "SASL"):
		for _, key := range []string{licenceSASL, licenceJAAS} {
			if t.in[key] != "" {
				t.note(key, Undecided, "kafka.sasl knows plain, scram-sha-256 and scram-sha-512 alone", "kafka.sasl")
			}
		}
	case t.in[licenceJAAS] != "":
		t.note(licenceJAAS, Meaningless, "there is no "+licenceSASL)
	}
}

func (t *translator) user(user, password string) {
	for path, p := range map[string]Placeholder{
		"kafka.sasl.username": {Name: "KAFKA_USERNAME", Note: user}, "kafka.sasl.password": {Name: "KAFKA_PASSWORD", Note: password},
	} {
		p.For = path
		t.set[path] = "${env:" + p.Name + "}"
		t.placeholders[p.Name] = p
	}
}

// apiKey takes over a key of Confluent Cloud.
func (t *translator) apiKey() {
	const id, secret = "kafka.api.key", "kafka.api.secret"
	if t.in[id] == "" && t.in[secret] == "" {
		return
	}
	t.set["kafka.tls.enabled"], t.set["kafka.sasl.mechanism"] = "true", string(SASLPlain)
	t.user(id, secret)
	for key, to := range map[string]string{id: "username", secret: "password"} {
		if t.in[key] != "" {
			t.hide(key, "kafka.sasl."+to, "KAFKA_"+strings.ToUpper(to))
		}
	}
}

// values settles format and registry.
func (t *translator) values() {
	const registry = "value.converter.schema.registry.url"
	registered := t.format()
	users := []string{"value.converter.basic.auth.user.info", "value.converter.schema.registry.basic.auth.user.info"}
	sources := []string{"value.converter.basic.auth.credentials.source", "value.converter.schema.registry.basic.auth.credentials.source", "value.converter.bearer.auth.credentials.source"}
	const token = "value.converter.bearer.auth.token"
	if !registered {
		for _, key := range append(append(users, sources...), token, registry) {
			if t.in[key] != "" {
				t.note(key, Meaningless, "without schemas no registry is asked")
			}
		}
		return
	}
	if url := t.in[registry]; url != "" {
		first, _, several := strings.Cut(url, ",")
		t.carry(registry, "registry.url", strings.TrimSpace(first))
		t.plainRegistry(registry, first)
		if several && !isReference(url) {
			t.note(registry, Undecided, "the bridge asks one registry, here the first", "registry.url")
		}
	}
	t.want("registry.url", "REGISTRY_URL", "the worker knows it: its value.converter.schema.registry.url")
	for _, key := range users {
		if t.in[key] == "" {
			continue
		}
		t.set["registry.username"], t.set["registry.password"] = "${env:REGISTRY_USERNAME}", "${env:REGISTRY_PASSWORD}"
		t.placeholders["REGISTRY_USERNAME"] = Placeholder{"REGISTRY_USERNAME", "registry.username", "what is before the colon of " + key}
		t.placeholders["REGISTRY_PASSWORD"] = Placeholder{"REGISTRY_PASSWORD", "registry.password", "what is behind the colon of " + key}
		t.note(key, Carried, "set REGISTRY_USERNAME and REGISTRY_PASSWORD", "registry.username", "registry.password")
	}
	if t.in[token] != "" {
		t.hide(token, "registry.bearer_token", "REGISTRY_TOKEN")
	}
	for _, key := range sources {
		switch source := strings.ToUpper(t.in[key]); source {
		case "":
		case "USER_INFO", "STATIC_TOKEN":
			t.note(key, Carried, "", "registry")
		default:
			t.note(key, Undecided, "the bridge takes registry.username and registry.password, or registry.bearer_token", "registry")
		}
	}
}

// plainRegistry allows what the connector does without being asked.
func (t *translator) plainRegistry(key, raw string) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme != "http" || isLoopback(u.Hostname()) {
		return
	}
	t.set["registry.allow_plain_http"] = "true"
	t.note(key, Undecided, "without TLS; registry.allow_plain_http allows it", "registry.url", "registry.allow_plain_http")
}

// format says whether values are registered.
func (t *translator) format() bool {
	const cloud, converter, envelope = "output.data.format", "value.converter", "value.converter.schemas.enable"
	key, value := converter, t.in[converter]
	if t.in[cloud] != "" {
		key, value = cloud, t.in[cloud]
		if t.in[converter] != "" {
			t.note(converter, Meaningless, cloud+" says it")
		}
	}
	if t.in[envelope] != "" {
		t.note(envelope, Meaningless, "records have no envelope of schema and payload")
	}
	const set = "format"
	switch name := value[strings.LastIndexByte(value, '.')+1:]; name {
	case "":
		t.out.Missing = append(t.out.Missing, set+": the worker knows it: its value.converter; without one it is avro")
		return true
	case "AvroConverter", "AVRO":
		t.set[set] = string(FormatAvro)
		t.note(key, Carried, "", set)
		return true
	case "JsonSchemaConverter", "JSON_SR":
		t.set[set], t.set["registry.json_schema"] = string(FormatJSON), "true"
		t.note(key, Carried, "", set, "registry.json_schema")
		return true
	case "JsonConverter", "JSON":
		t.set[set] = string(FormatJSON)
		t.note(key, Carried, "", set)
		if name == "JsonConverter" && !strings.EqualFold(t.in[envelope], "false") {
			t.note(key, Undecided, "records are plain JSON, not in an envelope of schema and payload as with schemas.enable; registry.json_schema: true registers their schema", set)
		}
		return false
	case "SF_API", "ByteArrayConverter", "StringConverter":
		t.set[set] = string(FormatRaw)
		t.note(key, Carried, "", set)
		if name != "SF_API" {
			t.note(key, Undecided, "format: raw is the event as Salesforce sent it, which may not be the text that the connector makes", set)
		}
		return false
	default:
		t.note(key, Undecided, quote(name)+" is no format of the bridge, which has avro, json (also with JSON Schema) and raw", set)
		return true
	}
}

// subjects takes over how schemas are called in the registry.
func (t *translator) subjects(key, value string) {
	as("registry.subject_strategy", map[string]string{
		"topicnamestrategy": string(SubjectTopic), "recordnamestrategy": string(SubjectRecord), "topicrecordnamestrategy": string(SubjectTopicRecord),
	})(t, key, value[strings.LastIndexByte(value, '.')+1:])
}
