package config

import (
	"slices"
	"strings"
)

// stream settles the one stream that a connector reads, and its topics.
func (t *translator) stream() {
	channel := t.channel()
	if t.kind.family == "/data/" { // the connector reads no rows: its topic shall not get any because it moves
		t.set["streams[0].snapshot"] = "when_needed"
	}
	t.topic(channel)
}

func (t *translator) channel() string {
	const path, old = "streams[0].channel", "salesforce.cdc.name"
	key := t.kind.channel
	for _, other := range connectorKinds() {
		if other.channel != key && t.in[other.channel] != "" {
			t.note(other.channel, Meaningless, "it is of another connector than "+t.kind.class)
		}
	}
	switch {
	case t.kind.family != "/data/":
		if t.in[old] != "" {
			t.note(old, Meaningless, "it is of another connector than "+t.kind.class)
		}
	case t.in[key] == "" && t.in[old] != "":
		key = old
	case t.in[old] != "" && t.in[old] != t.in[key]:
		t.note(old, Undecided, "it says another channel than "+key+", which has replaced it", path)
	case t.in[old] != "":
		t.note(old, Carried, "", path)
	}
	channel := t.in[key]
	if channel == "" {
		t.want(path, "SF_CHANNEL", "the connector does not say it: "+key)
		return ""
	}
	if isReference(channel) {
		t.carry(key, path, channel)
		return ""
	}
	if !strings.HasPrefix(channel, "/") {
		channel = t.kind.family + channel
	}
	_, _, wrong := classify(channel)
	if wrong == nil {
		t.carry(key, path, channel)
		return channel
	}
	t.want(path, "SF_CHANNEL", key+" names none that Salesforce has")
	t.undecided(key, wrong, path)
	return ""
}

// objectOf is the one object of a channel, as topics are named by it; empty for a
// channel of several, and for one that is not known.
func objectOf(channel string) string {
	kind, multi, wrong := classify(channel)
	switch {
	case channel == "" || wrong != nil || multi:
		return ""
	case kind == ChangeData:
		return (Stream{Channel: channel, Kind: kind}).Object()
	}
	name, _, _ := strings.Cut(channel[strings.LastIndexByte(channel, '/')+1:], "?")
	return name
}

// The variables of a connector's template of topics.
const (
	objectVariable = "${_ObjectType}"
	eventVariable  = "${_EventType}"
)

// topic settles the topic's name. Connectors write it in lower case unless told
// otherwise, with the object's name in it; no template of ours changes letters, so
// the names are spelled out where the objects are known.
func (t *translator) topic(channel string) {
	const key, lowerKey, entitiesKey, path = "kafka.topic", "kafka.topic.lowercase", "salesforce.channel.entities", "streams[0].topic"
	lower := !strings.EqualFold(t.in[lowerKey], "false")
	if t.in[lowerKey] != "" {
		t.note(lowerKey, Carried, "", path)
	}
	entities := t.entities()
	switch {
	case t.in[entitiesKey] == "":
	case objectOf(channel) != "":
		t.note(entitiesKey, Meaningless, "the channel carries one entity")
	default:
		t.note(entitiesKey, Undecided, "the bridge writes every entity that the channel carries; which those are is selected in Salesforce")
	}
	template := t.in[key]
	if template == "" {
		t.out.Missing = append(t.out.Missing, path+": the connector does not say it; without it topics are called salesforce.<object>")
		return
	}
	rest := strings.NewReplacer(objectVariable, "", eventVariable, "").Replace(template)
	if wrong := checkTopic(rest); wrong != nil && rest != "" && !isReference(rest) {
		t.undecided(key, wrong, path)
		return
	}
	object, several := objectOf(channel), strings.Contains(template, objectVariable)
	spell := func(object string) string {
		name := strings.NewReplacer(objectVariable, object, eventVariable, "{{.ChangeType}}").Replace(template)
		if !lower {
			return name
		}
		return strings.ReplaceAll(strings.ToLower(name), "{{.changetype}}", "{{.ChangeType}}")
	}
	switch {
	case isReference(rest):
		t.note(key, Undecided, "it has variables that the bridge's templates lack, which have {{.Object}}, {{.Channel}} and {{.ChangeType}}", path)
		return
	case !several, object != "":
		t.set[path] = spell(object)
		t.note(key, Carried, "", path)
	case lower && len(entities) > 0:
		t.note(key, Carried, "spelled out for each entity that salesforce.channel.entities names", "streams[0].entities")
		for _, e := range entities {
			t.set["streams[0].entities."+e+".topic"] = spell(e)
		}
	case lower:
		t.set[path] = strings.ReplaceAll(spell("{{.Object}}"), "{{.object}}", "{{.Object}}")
		t.note(key, Undecided, "the connector writes the object's name in lower case, the bridge as Salesforce has it; topics.map or entities of the stream can spell topics out", path)
	default:
		t.set[path] = spell("{{.Object}}")
		t.note(key, Carried, "", path)
	}
	if strings.Contains(template, eventVariable) {
		t.note(key, Undecided, "what "+eventVariable+" holds differs between versions of the connector; {{.ChangeType}} is the operation", path)
	}
}

func (t *translator) entities() (out []string) {
	for one := range strings.SplitSeq(t.in["salesforce.channel.entities"], ",") {
		// They may be named as entities or by their events.
		name := strings.TrimSpace(one)
		if object := (Stream{Channel: "/data/" + name, Kind: ChangeData}).Object(); strings.HasSuffix(name, suffixChangeEvent) {
			name = object
		}
		if name != "" && checkEntity(name) == nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
