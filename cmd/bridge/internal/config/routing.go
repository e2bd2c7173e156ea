package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// topicRule is one of the settings that can name the topic of a stream's records.
type topicRule struct {
	path     string // of the setting
	template string
	stream   int
	object   string // whose records it is for; "" for whatever comes
	mapped   bool   // by topics.map, which any stream may use
	match    string // the expression of a route
}

// rules are the settings that can name the topics of a stream's records. What the
// stream itself tells of its object leaves one.
func (c *Config) rules(stream int) []topicRule {
	s := &c.Streams[stream]
	var out []topicRule
	for _, e := range s.Entities {
		if e.Topic != "" {
			out = append(out, topicRule{path: entityPath(stream, e.Name) + ".topic", template: e.Topic, stream: stream, object: e.Name})
		} else if s.Topic == "" {
			out = append(out, c.ruleOf(stream, e.Name))
		}
	}
	object := s.objectName()
	switch {
	case s.Topic != "":
		return append(out, topicRule{path: index("streams", stream) + ".topic", template: s.Topic, stream: stream, object: object})
	case object != "":
		return append(out, c.ruleOf(stream, object))
	}
	entity := func(name string) bool {
		return slices.ContainsFunc(s.Entities, func(e Entity) bool { return e.Name == name })
	}
	for _, name := range sortedKeys(c.Topics.Map) {
		if s.carries(name) && !entity(name) {
			out = append(out, c.ruleOf(stream, name))
		}
	}
	for i, r := range c.Topics.Routes {
		if r.Match == "" || r.Topic == "" {
			continue // it has a mistake, which is told
		}
		rule := topicRule{path: index("topics.routes", i) + ".topic", template: r.Topic, stream: stream, match: r.Match}
		if re, err := regexp.Compile(r.Match); err == nil {
			name, whole := re.LiteralPrefix()
			switch {
			case whole && !s.mayCarry(name):
				continue
			case whole && s.carries(name):
				rule.object = name
			}
		}
		out = append(out, rule)
	}
	return append(out, topicRule{path: "topics.template", template: c.Topics.Template, stream: stream})
}

// ruleOf is what topics says of an object by its name.
func (c *Config) ruleOf(stream int, object string) topicRule {
	if template, ok := c.Topics.Map[object]; ok {
		return topicRule{path: join("topics.map", object), template: template, stream: stream, object: object, mapped: true}
	}
	for i, r := range c.Topics.Routes {
		if re, err := wholeName(r.Match); err == nil && r.Match != "" && re.MatchString(object) {
			return topicRule{path: index("topics.routes", i) + ".topic", template: r.Topic, stream: stream, object: object, match: r.Match}
		}
	}
	return topicRule{path: "topics.template", template: c.Topics.Template, stream: stream, object: object}
}

// fixed says whether a rule gives one name, apart from the type of change.
func (r *topicRule) fixed() bool {
	return !usesPlaceholder(r.template, "Object") && !usesPlaceholder(r.template, "Channel") && !usesMatch(r.template)
}

// mayMeet says whether records of two streams, which have these rules, may go to
// one topic.
func (c *Config) mayMeet(of, others []topicRule) bool {
	for _, a := range of {
		for _, b := range others {
			same := c.Streams[a.stream].Kind == c.Streams[b.stream].Kind && (a.object == b.object || a.object == "" || b.object == "")
			if a.template == b.template && !usesPlaceholder(a.template, "Channel") && (same || a.fixed() && (a.path != b.path || !a.mapped)) {
				return true
			}
		}
	}
	return false
}

// objectName is what {{.Object}} is for all events of a stream; "" if it carries
// several kinds.
func (s *Stream) objectName() string {
	_, name, _ := strings.Cut(strings.TrimPrefix(withoutFilter(s.Channel), "/"), "/")
	switch {
	case s.Multi:
		return ""
	case s.Kind == ChangeData:
		return s.Object()
	case s.Kind == PushTopic:
		return legalInTopic(name)
	case s.Kind == Generic:
		return "u." + legalInTopic(strings.ReplaceAll(name, "/", "."))
	}
	return name
}

// channelName is what {{.Channel}} is for a stream.
func (s *Stream) channelName() string {
	_, name, _ := strings.Cut(strings.TrimPrefix(withoutFilter(s.Channel), "/"), "/")
	return legalInTopic(strings.ReplaceAll(name, "/", "."))
}

func legalInTopic(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isTopicByte(byte(r)) {
			return r
		}
		return '_'
	}, name)
}

// mayCarry says whether a stream of several kinds can have an object of a name.
func (s *Stream) mayCarry(object string) bool {
	if s.Kind == ChangeData {
		return isName(object) && !strings.HasSuffix(object, suffixPlatformEvent)
	}
	return isName(object) && !strings.HasSuffix(object, suffixCustomObject)
}

// carries says whether an object of a name is one that a stream of several kinds
// has: Lead may be an object, and the name of a standard event, which it is not.
func (s *Stream) carries(object string) bool {
	return s.mayCarry(object) && (s.Kind == ChangeData || strings.HasSuffix(object, suffixPlatformEvent))
}

func entityPath(stream int, name string) string {
	return join(index("streams", stream)+".entities", name)
}

// checkEntity wants the name of an entity or event.
func checkEntity(s string) *valueError {
	if !isName(s) {
		return &valueError{message: quote(s) + " is not the API name of an entity", hint: "Account, Invoice__c, Order__e"}
	}
	return notChangeEvent(s)
}

// checkObject wants what {{.Object}} can be.
func checkObject(s string) *valueError {
	if s == "" || checkTopic(s) != nil {
		return &valueError{message: quote(s) + " is not what {{.Object}} can be", hint: "Account, Invoice__c, Order__e; u.a.b for /u/a/b"}
	}
	return notChangeEvent(s)
}

func notChangeEvent(s string) *valueError {
	if entity, custom := strings.CutSuffix(s, suffixCustomChange); custom {
		return &valueError{message: quote(s) + " is the name of a change event, not of its entity", hint: entity + suffixCustomObject}
	}
	if entity, standard := strings.CutSuffix(s, suffixChangeEvent); standard && entity != "" {
		return &valueError{message: quote(s) + " is the name of a change event, not of its entity", hint: entity}
	}
	return nil
}

// checkEntities holds where entities may be named, and which have a key.
func (w *walker) checkEntities(c *Config) {
	for i := range c.Streams {
		s := &c.Streams[i]
		for _, e := range s.Entities {
			path := entityPath(i, e.Name)
			switch {
			case w.bad[path]:
			case !s.Multi && s.Kind != 0:
				w.fail(w.line(path), path, "is for channels that carry several entities; "+quote(s.Channel)+" carries one", "topic and key of the stream itself")
			case s.Multi && !s.mayCarry(e.Name):
				w.fail(w.line(path), path, "cannot come on "+quote(s.Channel), "a change event's entity (Account, Invoice__c) on /data/…, a platform event (Order__e) on /event/…")
			case e.Key != "" && s.Kind == ChangeData:
				w.fail(w.line(path+".key"), path+".key", "is for platform events; records of "+keyedBy(s.Kind), "its removal")
			}
		}
	}
}

// checkRoutes holds that a route's topic names groups that its expression has, and
// that something can come that a map's entry or a route is for.
func (w *walker) checkRoutes(c *Config) {
	for i, r := range c.Topics.Routes {
		path := index("topics.routes", i)
		re, err := wholeName(r.Match)
		if err != nil || r.Match == "" || w.bad[path+".match"] || w.bad[path+".topic"] {
			continue
		}
		for _, field := range matchFields(r.Topic) {
			if groupOf(field, re.SubexpNames()) == len(re.SubexpNames()) {
				w.fail(w.line(path+".topic"), path+".topic", fmt.Sprintf("{{%s}} is no group of match, which has %d", field, re.NumSubexp()), "a group in ( ) for each")
			}
		}
	}
	used := map[string]bool{}
	for i, s := range c.Streams {
		if s.Kind == 0 {
			return // of a channel with a mistake nothing is known
		}
		for _, r := range c.rules(i) {
			used[r.path] = true
		}
	}
	for _, name := range sortedKeys(c.Topics.Map) {
		may := slices.ContainsFunc(c.Streams, func(s Stream) bool { return s.Multi && s.Topic == "" && s.mayCarry(name) })
		if path := join("topics.map", name); !may && !used[path] && !w.bad[path] {
			w.warn(path, "no stream has records of this object that go by topics.map", "its removal, or a stream")
		}
	}
	for i, r := range c.Topics.Routes {
		if r.Match == "" || r.Topic == "" {
			continue
		}
		if path := index("topics.routes", i) + ".topic"; !used[path] && !w.bad[path] {
			w.warn(index("topics.routes", i), "no stream has records that match and go by topics.routes", "its removal, or a stream")
		}
	}
}

// checkKeyFormat holds that there is a registry for the schema of keys.
func (w *walker) checkKeyFormat(c *Config) {
	const path = "topics.key_format"
	if c.Topics.KeyFormat == KeyAvro && c.Registry.URL == "" && !w.bad[path] && !w.bad["registry.url"] {
		w.fail(w.line(path), path, "avro needs a registry", "registry.url, or key_format: string")
	}
}
