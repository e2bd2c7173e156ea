package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Fate is what became of a key of a connector's configuration.
type Fate string

// The fates.
const (
	Carried     Fate = "carried"     // it is in the translation
	Meaningless Fate = "meaningless" // there is nothing that it could say to the bridge
	Undecided   Fate = "undecided"   // it could not be carried over as it is: somebody has to decide
	UnknownKey  Fate = "unknown"     // the translation does not know it
)

// CarriedKey is a key of a connector, what became of it and why.
type CarriedKey struct {
	Key  string   `json:"key"`
	Fate Fate     `json:"fate"`
	To   []string `json:"to,omitempty"`   // keys of the bridge's configuration
	Note string   `json:"note,omitempty"` // what there is to know or to decide
}

// Placeholder is an environment variable that stands in the translation for what is
// secret, or was not said.
type Placeholder struct {
	Name string `json:"name"`
	For  string `json:"for"` // key of the bridge's configuration
	Note string `json:"note"`
}

// Translation is a connector's configuration as one of the bridge's.
type Translation struct {
	Connector    string        `json:"connector"`
	YAML         string        `json:"yaml"`
	Keys         []CarriedKey  `json:"keys"`         // of the connector, each once
	Placeholders []Placeholder `json:"placeholders"` // to be set before the bridge starts
	Missing      []string      `json:"missing"`      // what a connector's worker knows and its configuration does not say
}

// Of are the keys that had a fate.
func (t *Translation) Of(f Fate) (out []CarriedKey) {
	for _, k := range t.Keys {
		if k.Fate == f {
			out = append(out, k)
		}
	}
	return out
}

// connectorKind is one of the connectors whose configuration is translated.
type connectorKind struct {
	class   string // last part of connector.class, as self-managed
	cloud   string // connector.class in Confluent Cloud
	channel string // key that names the channel
	family  string // of the channel
}

func connectorKinds() []connectorKind {
	return []connectorKind{
		{"SalesforceCdcSourceConnector", "SalesforceCdcSource", "salesforce.cdc.channel", "/data/"},
		{"SalesforcePlatformEventSourceConnector", "SalesforcePlatformEventSource", "salesforce.platform.event.name", "/event/"},
		{"SalesforcePushTopicSourceConnector", "SalesforcePushTopicSource", "salesforce.push.topic.name", "/topic/"},
	}
}

// FromConfluent translates the configuration of one of Confluent's source connectors
// for Salesforce's streaming API: what GET /connectors/NAME answers, or the config
// alone. No secret of it is in the translation.
func FromConfluent(connector []byte) (*Translation, error) {
	name, config, err := readConnector(connector)
	if err != nil {
		return nil, err
	}
	class := config["connector.class"]
	kinds := connectorKinds()
	i := slices.IndexFunc(kinds, func(k connectorKind) bool {
		return k.cloud == class || k.class == class[strings.LastIndexByte(class, '.')+1:]
	})
	if i < 0 {
		return nil, fmt.Errorf("connector.class %s is not one that can be translated: SalesforceCdcSourceConnector, SalesforcePlatformEventSourceConnector, SalesforcePushTopicSourceConnector, or their names in Confluent Cloud", quote(class))
	}
	t := &translator{
		kind: kinds[i], in: config, set: map[string]string{}, keys: map[string]CarriedKey{},
		placeholders: map[string]Placeholder{}, out: &Translation{Connector: name, Missing: []string{}},
	}
	t.translate()
	return t.out, nil
}

// readConnector takes the settings out of the forms that Kafka Connect has for them.
func readConnector(text []byte) (name string, config map[string]string, err error) {
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return "", nil, fmt.Errorf("is not a connector's configuration in JSON: %w", err)
	}
	name, _ = doc["name"].(string)
	if inner, nested := doc["config"].(map[string]any); nested {
		doc = inner
	}
	config = make(map[string]string, len(doc))
	for key, v := range doc {
		switch v := v.(type) {
		case string:
			config[key] = strings.TrimSpace(v)
		case nil:
		case bool, json.Number:
			config[key] = fmt.Sprint(v)
		default:
			return "", nil, fmt.Errorf("%s is not a value as connectors have them; try: the answer of GET /connectors/NAME", key)
		}
	}
	if name == "" {
		name = config["name"]
	}
	if config["connector.class"] == "" {
		return "", nil, errors.New(`there is no "connector.class"; try: the answer of GET /connectors/NAME`)
	}
	return name, config, nil
}

// translator fills in the bridge's configuration key by key.
type translator struct {
	kind         connectorKind
	in           map[string]string
	set          map[string]string // by path: streams[0].channel
	keys         map[string]CarriedKey
	placeholders map[string]Placeholder // by name
	out          *Translation
}

func (t *translator) translate() {
	t.set["name"] = bridgeName(t.out.Connector)
	rules := confluentRules()
	for _, key := range slices.Sorted(maps.Keys(t.in)) {
		i := slices.IndexFunc(rules, func(r confluentRule) bool { return r.fits(key) })
		switch {
		case i < 0:
			t.note(key, UnknownKey, "the translation does not know it")
		case t.in[key] == "":
			t.note(key, Meaningless, "it is empty")
		default:
			rules[i].apply(t, key, t.in[key])
		}
	}
	t.login()
	t.stream()
	t.cluster()
	t.values()
	for _, key := range slices.Sorted(maps.Keys(t.keys)) {
		t.out.Keys = append(t.out.Keys, t.keys[key])
	}
	t.out.Placeholders = []Placeholder{}
	for _, name := range slices.Sorted(maps.Keys(t.placeholders)) {
		t.out.Placeholders = append(t.out.Placeholders, t.placeholders[name])
	}
	t.out.YAML = t.yaml()
}

// note says what becomes of a key; the last word counts.
func (t *translator) note(key string, fate Fate, note string, to ...string) {
	t.keys[key] = CarriedKey{Key: key, Fate: fate, To: to, Note: note}
}

// undecided says that a value is not what the bridge can have.
func (t *translator) undecided(key string, wrong *valueError, to ...string) {
	note := wrong.message
	if wrong.hint != "" {
		note += "; try: " + wrong.hint
	}
	t.note(key, Undecided, note, to...)
}

// carry sets a key of the bridge to a value that is no secret, but may hold one: in a
// URL. A reference of Kafka Connect's means nothing here, but for one to the
// environment.
func (t *translator) carry(key, path, value string) {
	if isReference(value) || holdsUser(value) {
		t.hide(key, path, variableOf(path))
		return
	}
	t.set[path] = value
	t.note(key, Carried, "", path)
}

// holdsUser says whether a value is a URL with a user in it, and so with a password.
func holdsUser(value string) bool {
	u, err := url.Parse(value)
	return strings.Contains(value, "://") && (err != nil || u.User != nil)
}

// variableOf is what an environment variable for a key of ours is called.
func variableOf(path string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(strings.ReplaceAll(path, "[0]", "")))
}

// hide puts a reference to an environment variable where a secret belongs.
func (t *translator) hide(key, path, name string) {
	note := key
	if own, ok := environmentName(t.in[key]); ok {
		name, note = own, key+", which took it from there"
	}
	t.set[path] = "${env:" + name + "}"
	t.placeholders[name] = Placeholder{Name: name, For: path, Note: note}
	t.note(key, Carried, "set "+name, path)
}

// want puts a reference where the connector says nothing.
func (t *translator) want(path, name, why string) {
	if t.set[path] != "" {
		return
	}
	t.set[path] = "${env:" + name + "}"
	t.placeholders[name] = Placeholder{Name: name, For: path, Note: why}
	t.out.Missing = append(t.out.Missing, path+": "+why)
}

// isReference says whether a value stands for another, which a worker's
// configuration provider has: ${file:/etc/secrets:password}.
func isReference(value string) bool { return strings.Contains(value, "${") }

func environmentName(value string) (string, bool) {
	m := regexp.MustCompile(`^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$`).FindStringSubmatch(value)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// bridgeName is a connector's name as a bridge may have it.
func bridgeName(connector string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, strings.ToLower(connector))
	name = strings.TrimLeft(name, "._-")
	if name == "" {
		name = "salesforce"
	}
	return name[:min(len(name), maxName)]
}
