package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// knownTopic is a topic of which the configuration alone tells that records go
// there, and by which rule.
type knownTopic struct {
	topicRule
	topic string
	whose string // the records; "" for whatever comes
}

// OwnTopics are those that the bridge writes for itself, and no records of events
// may go to.
func (c *Config) OwnTopics() []string {
	return []string{c.Name + ".positions", c.Name + ".gaps", c.Name + ".schema-changes", c.Name + ".signals", c.Name + ".notifications", c.DeadLetter.Topic}
}

// inMetrics is how Kafka names a topic in its metrics. It creates no topic that
// has this name in common with another.
func inMetrics(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// checkOwnTopics holds that the dead-letter topic is no other of the bridge's own.
func (w *walker) checkOwnTopics(c *Config) {
	const path = "dead_letter.topic"
	if !w.given(path) || w.bad["name"] {
		return
	}
	letters := c.DeadLetter.Topic
	owns := c.OwnTopics()
	for _, own := range owns[:len(owns)-1] {
		switch {
		case letters == own:
			w.fail(w.line(path), path, quote(letters)+" is the bridge's own topic", c.Name+".dead-letter")
		case inMetrics(letters) == inMetrics(own):
			w.fail(w.line(path), path, quote(letters)+besides(own), c.Name+".dead-letter")
		}
	}
}

func besides(own string) string {
	return " differs from the bridge's own topic " + quote(own) + " only by . and _, and Kafka creates no two such topics"
}

// checkMeetings finds, among the topics that are known before any event, those that
// records must not go to. What depends on events is found when they come.
func (w *walker) checkMeetings(c *Config) {
	var known []knownTopic
	for i := range c.Streams {
		if c.Streams[i].Kind != 0 {
			known = w.knownTopics(known, c, i)
		}
	}
	told := map[string]bool{}
	near := map[string][]knownTopic{} // by a name that all have in common which may meet
	for _, k := range known {
		if told[k.path] || w.checkName(c, k) {
			told[k.path] = true
			continue
		}
		name := strings.ToLower(inMetrics(k.topic))
		for _, o := range near[name] {
			if w.meets(c, k, o) {
				told[k.path] = true
				break
			}
		}
		near[name] = append(near[name], k)
	}
}

// knownTopics appends what is known of a stream's topics.
func (w *walker) knownTopics(known []knownTopic, c *Config, stream int) []knownTopic {
	s := &c.Streams[stream]
	for _, r := range c.rules(stream) {
		if w.bad[r.path] || r.template == "" || w.bad["topics.prefix"] || r.object == "" && !r.fixed() {
			continue
		}
		k := knownTopic{topicRule: r}
		if r.object != "" {
			k.whose = s.recordsOf(r.object)
		}
		var groups, names []string
		if re, err := wholeName(r.match); r.match != "" && err == nil {
			groups, names = re.FindStringSubmatch(r.object), re.SubexpNames()
		}
		for _, change := range s.changes(r.template) {
			k.topic = fill(r.template, map[string]string{
				".Prefix": c.Topics.Prefix, ".Object": r.object, ".Channel": s.channelName(), ".ChangeType": change,
			}, groups, names)
			known = append(known, k)
		}
	}
	return known
}

// changes are the types of change that a stream's events have, as far as they make
// a difference.
func (s *Stream) changes(template string) []string {
	switch {
	case !usesPlaceholder(template, "ChangeType"):
	case s.Kind == Rows:
		return []string{"SNAPSHOT", "DELETE"}
	case s.Kind == ChangeData:
		return []string{"CREATE", "UPDATE", "DELETE", "UNDELETE"}
	case s.Kind == PushTopic:
		return []string{"created", "updated", "deleted", "undeleted"}
	}
	return []string{""}
}

// recordsOf names the records of an object as no others are called.
func (s *Stream) recordsOf(object string) string {
	switch s.Kind {
	case ChangeData:
		return "the change events of " + object
	case PlatformEvent:
		return "the platform events " + object
	case Rows:
		return "the rows of " + s.Channel
	}
	return "the events of " + withoutFilter(s.Channel)
}

// place is the path where a problem with a known topic is told: the template's own
// line says little.
func (k *knownTopic) place() string {
	if k.path == "topics.template" {
		return index("streams", k.stream) + ".channel"
	}
	return k.path
}

// shown is a topic's name in a message, unless it is made of what must not be shown.
func (w *walker) shown(k *knownTopic) string {
	if w.referred[k.path] || usesPlaceholder(k.template, "Prefix") && w.referred["topics.prefix"] {
		return "(made of a reference)"
	}
	return quote(k.topic)
}

// checkName tells what is wrong with a known topic by itself.
func (w *walker) checkName(c *Config, k knownTopic) bool {
	path := k.place()
	gives := "makes the topic " + w.shown(&k)
	if k.path == "topics.template" {
		gives = "goes by topics.template to the topic " + w.shown(&k)
	}
	if k.topic == "" || checkTopic(k.topic) != nil {
		w.fail(w.line(path), path, gives+", which is no name of a topic", fmt.Sprintf("1 to %d letters, digits and . _ -", maxTopic))
		return true
	}
	if w.bad["name"] || w.bad["dead_letter.topic"] {
		return false
	}
	for _, own := range c.OwnTopics() {
		switch {
		case k.topic == own && k.template == own:
			w.fail(w.line(path), path, w.shown(&k)+" is the bridge's own topic", "another name")
		case k.topic == own:
			w.fail(w.line(path), path, gives+", which is the bridge's own", "another name")
		case inMetrics(k.topic) == inMetrics(own):
			w.fail(w.line(path), path, w.shown(&k)+besides(own), "another name")
		default:
			continue
		}
		return true
	}
	return false
}

// meets tells what is wrong with two known topics, and reports whether it is an
// error. Names that differ only in case are legal, and seldom meant.
func (w *walker) meets(c *Config, k, o knownTopic) bool {
	path := k.place()
	switch {
	case k.topic == o.topic && k.whose != "" && o.whose != "" && !c.mayShare(k, o):
		w.fail(w.line(path), path, fmt.Sprintf("%s would go to the topic %s by %s, where %s go by %s, and nothing says that they shall be in one",
			k.whose, w.shown(&k), k.path, o.whose, o.path), "a topic of their own, or the topic's full name for both")
		return true
	case k.topic != o.topic && inMetrics(k.topic) == inMetrics(o.topic):
		w.fail(w.line(path), path, fmt.Sprintf("makes the topic %s, and %s makes %s: they differ only by . and _, and Kafka creates no two such topics",
			w.shown(&k), o.place(), w.shown(&o)), "one name, or two that differ more")
		return true
	case k.topic != o.topic && strings.EqualFold(k.topic, o.topic):
		w.warn(path, fmt.Sprintf("makes the topic %s, and %s makes %s: they are two topics for Kafka, and differ only in case",
			w.shown(&k), o.place(), w.shown(&o)), "one spelling, if one topic is meant")
	}
	return false
}

// mayShare says whether two kinds of records may be in one topic, by the rule that
// the encoder holds too: they are the same, or one setting sends both there
// without telling them apart, or each of two gives the name in full.
func (c *Config) mayShare(k, o knownTopic) bool {
	if k.whose == o.whose {
		return true
	}
	if k.path != o.path {
		return k.fixed() && o.fixed()
	}
	return !k.mapped && !usesPlaceholder(k.template, "Object") &&
		(!usesPlaceholder(k.template, "Channel") || c.Streams[k.stream].Channel == c.Streams[o.stream].Channel)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
