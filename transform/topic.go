package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxTopic is Kafka's bound for the length of a topic's name.
const maxTopic = 249

// topicPart is a piece of a template: a literal or one of the placeholders.
type topicPart struct {
	literal string
	name    string // of the placeholder, "" for a literal
	group   int    // of {{.Match…}}: which group of the route's expression
}

// topicTemplate is a template of topic names, compiled. Its setting tells it
// from all others of a configuration.
type topicTemplate struct {
	setting string
	text    string
	parts   []topicPart
	one     bool // it is for one object, whatever its text says
}

// topicNames is what the placeholders of a template stand for.
type topicNames struct {
	prefix, object, channel, change string
	groups                          []string // what a route's expression matched
}

// compileTopic reads a template. setting names it in errors; match is the
// expression of a route, nil for other templates.
func compileTopic(setting, text string, match *regexp.Regexp) (*topicTemplate, error) {
	t := &topicTemplate{setting: setting, text: text}
	rest := text
	for rest != "" {
		literal, after, found := strings.Cut(rest, "{{")
		if literal != "" {
			t.parts = append(t.parts, topicPart{literal: literal})
		}
		if !found {
			break
		}
		inside, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, &ConfigError{Setting: setting, Reason: fmt.Sprintf("%q has {{ without }}", text)}
		}
		part, ok := placeholder(strings.TrimSpace(inside), match)
		if !ok {
			return nil, &ConfigError{Setting: setting, Reason: fmt.Sprintf(
				"%q: unknown placeholder {{%s}}; known are {{.Prefix}}, {{.Object}}, {{.Channel}}, {{.ChangeType}}, "+
					"and {{.Match1}} or {{.Match.name}} for the groups of a route", text, inside)}
		}
		t.parts = append(t.parts, part)
		rest = tail
	}
	for _, p := range t.parts {
		if i := strings.IndexFunc(p.literal, illegalInTopic); i >= 0 {
			return nil, &ConfigError{Setting: setting, Reason: fmt.Sprintf(
				"%q: %q cannot be part of a topic's name; letters, digits, '.', '_' and '-' can", text, p.literal[i:i+1])}
		}
	}
	if len(t.parts) == 0 {
		return nil, &ConfigError{Setting: setting, Reason: "is empty"}
	}
	return t, nil
}

const matchPlaceholder = ".Match"

// placeholder knows what may stand between {{ and }}.
func placeholder(name string, match *regexp.Regexp) (topicPart, bool) {
	switch name {
	case ".Prefix", ".Object", ".Channel", ".ChangeType":
		return topicPart{name: name}, true
	}
	group, ok := strings.CutPrefix(name, matchPlaceholder)
	if !ok || match == nil {
		return topicPart{}, false
	}
	n := -1
	if named, ok := strings.CutPrefix(group, "."); ok {
		n = match.SubexpIndex(named)
	} else if number, err := strconv.Atoi(group); err == nil && strconv.Itoa(number) == group && number <= match.NumSubexp() {
		n = number
	}
	return topicPart{name: matchPlaceholder, group: n}, n > 0
}

// has reports whether the template has a placeholder.
func (t *topicTemplate) has(name string) bool {
	return slices.ContainsFunc(t.parts, func(p topicPart) bool { return p.name == name })
}

// fixed reports whether the template gives one name whatever comes, apart from
// the type of change.
func (t *topicTemplate) fixed() bool {
	return !t.has(".Object") && !t.has(".Channel") && !t.has(matchPlaceholder)
}

// isAPIName reports whether a name can be one that Salesforce gives to objects
// and events: letters, digits and underscores, and much shorter than this.
func isAPIName(name string) bool {
	const most = 120
	for i := range len(name) {
		if c := name[i]; c == '.' || c == '-' || illegalInTopic(rune(c)) {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// badObject is the error of an event whose object has no possible name.
func badObject(ch *channel, object string) error {
	found, expected := quoted("the text", []byte(object)), "an API name of letters, digits and underscores"
	if ch.change {
		return headerError("entityName", found, expected)
	}
	return &EventError{Offset: -1, Reason: "EventApiName: found " + found + ", expected " + expected}
}

func illegalInTopic(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

// topic fills the template in.
func (t *topicTemplate) topic(n *topicNames) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.name {
		case ".Prefix":
			b.WriteString(n.prefix)
		case ".Object":
			b.WriteString(n.object)
		case ".Channel":
			b.WriteString(n.channel)
		case ".ChangeType":
			b.WriteString(n.change)
		case matchPlaceholder:
			b.WriteString(n.groups[p.group])
		default:
			b.WriteString(p.literal)
		}
	}
	name := b.String()
	reason := ""
	switch {
	case name == "":
		reason = "empty"
	case name == ".", name == "..":
		reason = "reserved"
	case len(name) > maxTopic:
		reason = fmt.Sprintf("longer than %d characters", maxTopic)
	case strings.IndexFunc(name, illegalInTopic) >= 0:
		reason = "illegal; letters, digits, '.', '_' and '-' are allowed"
	}
	if reason != "" {
		return "", &ConfigError{Setting: t.setting, Reason: fmt.Sprintf("%q gives the topic %q, which is %s", t.text, name, reason)}
	}
	return name, nil
}

// family is what a channel carries.
type family uint8

const (
	platformEvents family = iota
	changeEvents
	pushTopics
	genericChannels
	polledRows // by query: rows in the shape of change events
)

// newChannel tells what the name of a channel says. A PushTopic's filter is no
// part of its name. Names in topics have dots for slashes, and underscores for
// what Kafka allows in none; what a generic channel has for an object begins with
// "u.", so that it is never taken for the name of another family's.
func newChannel(name string) (ch *channel, ok bool) {
	ch = &channel{name: name, text: []byte(name)}
	kind, short, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	switch kind {
	case "data":
		ch.family, ch.change = changeEvents, true
	case "event":
		ch.family = platformEvents
	case "topic":
		ch.family = pushTopics
		short, _, _ = strings.Cut(short, "?")
		ch.pushTopic = short
	case "u":
		ch.family = genericChannels
	case "query":
		ch.family, ch.change = polledRows, true
	default:
		return nil, false
	}
	ch.short = strings.ReplaceAll(short, "/", ".")
	switch ch.family {
	case pushTopics:
		ch.short = legalInTopic(ch.short)
		ch.object = ch.short
	case genericChannels:
		ch.short = legalInTopic(ch.short)
		ch.object = "u." + ch.short
	case polledRows:
		ch.object = ch.short
	}
	return ch, ok && short != "" && strings.HasPrefix(name, "/")
}

func legalInTopic(name string) string {
	return strings.Map(func(r rune) rune {
		if illegalInTopic(r) {
			return '_'
		}
		return r
	}, name)
}
