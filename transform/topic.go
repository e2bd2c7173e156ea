package transform

import (
	"fmt"
	"strings"
)

// maxTopic is Kafka's bound for the length of a topic's name.
const maxTopic = 249

// topicPart is a piece of a template: a literal or one of the placeholders.
type topicPart struct {
	literal string
	name    string // of the placeholder, "" for a literal
}

// topicTemplate is a template of topic names, compiled.
type topicTemplate struct {
	setting string
	text    string
	parts   []topicPart
}

// compileTopic reads a template. setting names it in errors.
func compileTopic(setting, text string) (*topicTemplate, error) {
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
		name := strings.TrimSpace(inside)
		switch name {
		case ".Prefix", ".Object", ".Channel", ".ChangeType":
			t.parts = append(t.parts, topicPart{name: name})
		default:
			return nil, &ConfigError{Setting: setting, Reason: fmt.Sprintf(
				"%q: unknown placeholder {{%s}}; known are {{.Prefix}}, {{.Object}}, {{.Channel}}, {{.ChangeType}}", text, inside)}
		}
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

func illegalInTopic(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

// topic fills the template in.
func (t *topicTemplate) topic(prefix, object, channel, change string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.name {
		case ".Prefix":
			b.WriteString(prefix)
		case ".Object":
			b.WriteString(object)
		case ".Channel":
			b.WriteString(channel)
		case ".ChangeType":
			b.WriteString(change)
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
