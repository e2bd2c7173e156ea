package transform

import "sync"

// Topics knows whose records go to which topic, so that two kinds of records meet
// in one only where the configuration asks for it. All encoders of a process share
// one: its zero value is ready, and it is safe for concurrent use. An encoder asks
// once for each kind of event, not for each event.
type Topics struct {
	mu     sync.Mutex
	byName map[string]*topicUse // by the name in Kafka's metrics
}

// topicUse is one topic and those whose records go there.
type topicUse struct {
	topic string
	users []topicUser
}

// topicUser is one kind of records, and what sends it to its topic.
type topicUser struct {
	kind     string // as [channel.kind] tells it
	channel  string
	template *topicTemplate
}

// use notes that records go to a topic, or tells why they must not.
func (t *Topics) use(topic string, u topicUser) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = make(map[string]*topicUse)
	}
	known, ok := t.byName[inMetrics(topic)]
	if !ok {
		t.byName[inMetrics(topic)] = &topicUse{topic: topic, users: []topicUser{u}}
		return nil
	}
	for i := range known.users {
		other := &known.users[i]
		if known.topic != topic || !u.shares(other) {
			return &CollisionError{
				Topic: topic, Records: u.kind, Setting: u.template.setting,
				With: known.topic, OtherRecords: other.kind, OtherSetting: other.template.setting,
			}
		}
		if other.kind == u.kind && other.channel == u.channel && other.template.setting == u.template.setting {
			return nil
		}
	}
	known.users = append(known.users, u)
	return nil
}

// shares says whether two kinds of records may be in one topic: they are the same,
// or one template sends both there without telling them apart, or each of two
// gives the name in full. A template that has the object's name in it means a
// topic for each object.
func (u *topicUser) shares(o *topicUser) bool {
	if u.kind == o.kind {
		return true
	}
	if u.template.setting != o.template.setting {
		return u.template.fixed() && o.template.fixed()
	}
	t := u.template
	return !t.one && !t.has(".Object") && (!t.has(".Channel") || u.channel == o.channel)
}

// kind names the records of an object so that no others are called the same: two
// families may each have an object of one name, and two channels may differ by
// what no name of a topic can have.
func (ch *channel) kind(object string) string {
	switch ch.family {
	case changeEvents:
		return "the change events of " + object
	case pushTopics:
		return "the events of /topic/" + ch.pushTopic
	case genericChannels:
		return "the events of " + ch.name
	case polledRows:
		return "the rows of " + ch.name
	}
	return "the platform events " + object
}
