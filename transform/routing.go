package transform

import (
	"regexp"
	"strings"
)

// TopicRoute sends the objects whose whole name matches an expression to a topic.
type TopicRoute struct {
	// Match is a regular expression (RE2) that the whole of {{.Object}} must match.
	Match string
	// Topic is a template that may also have what the groups of Match hold:
	// {{.Match1}} by number, {{.Match.name}} by name.
	Topic string
}

// EntityOptions are the settings of one entity of a channel that carries several.
type EntityOptions struct {
	// Topic template in place of the one that holds otherwise; empty for that.
	Topic string
	// KeyField in place of that of the stream; empty for that.
	KeyField string
}

// router knows the topic of every event, by the configuration alone.
type router struct {
	prefix  string
	own     []string
	objects map[string]*topicTemplate
	routes  []compiledRoute
	other   *topicTemplate
}

type compiledRoute struct {
	match    *regexp.Regexp
	template *topicTemplate
}

func newRouter(cfg *Config) (*router, error) {
	text := cfg.TopicTemplate
	if text == "" {
		text = DefaultTopicTemplate
	}
	other, err := compileTopic("topic template", text, nil)
	if err != nil {
		return nil, err
	}
	r := &router{prefix: cfg.Prefix, own: cfg.OwnTopics, other: other, objects: make(map[string]*topicTemplate, len(cfg.TopicMap))}
	for object, text := range cfg.TopicMap {
		t, err := compileTopic("topic of "+object, text, nil)
		if err != nil {
			return nil, err
		}
		t.one = true
		r.objects[object] = t
	}
	for _, route := range cfg.TopicRoutes {
		setting := "topic route " + route.Match
		match, err := wholeName(route.Match)
		if err != nil {
			return nil, &ConfigError{Setting: setting, Reason: err.Error()}
		}
		t, err := compileTopic(setting, route.Topic, match)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, compiledRoute{match, t})
	}
	return r, nil
}

// wholeName compiles an expression that a name must match from its beginning to
// its end, so that Account does not mean AccountContactRole as well.
func wholeName(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil { // its own text in the message; and no ")(" may escape the group
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

// channel is what the name and the options of a channel say of it.
func (r *router) channel(name string, opts *StreamOptions) (*channel, error) {
	ch, ok := newChannel(name)
	if !ok {
		return nil, &UnsupportedChannelError{Channel: name}
	}
	var err error
	if opts.Topic != "" {
		if ch.template, err = compileTopic("topic of "+name, opts.Topic, nil); err != nil {
			return nil, err
		}
	}
	ch.keyField = opts.KeyField
	for entity, o := range opts.Entities {
		plan := entityPlan{keyField: o.KeyField}
		if o.Topic != "" {
			if plan.template, err = compileTopic("topic of "+entity+" on "+name, o.Topic, nil); err != nil {
				return nil, err
			}
			plan.template.one = true
		}
		if ch.entities == nil {
			ch.entities = make(map[string]entityPlan, len(opts.Entities))
		}
		ch.entities[entity] = plan
	}
	return ch, nil
}

// rule is the template that holds for an object: what is said of it on its
// channel, of the channel, of the object, of names like its own, of all.
func (r *router) rule(ch *channel, object string) (t *topicTemplate, groups []string) {
	if t := ch.entities[object].template; t != nil {
		return t, nil
	}
	if ch.template != nil {
		return ch.template, nil
	}
	if t := r.objects[object]; t != nil {
		return t, nil
	}
	for _, route := range r.routes {
		if groups := route.match.FindStringSubmatch(object); groups != nil {
			return route.template, groups
		}
	}
	return r.other, nil
}

// topic is where the records of an object go, and by which template.
func (r *router) topic(ch *channel, object, change string) (string, *topicTemplate, error) {
	t, groups := r.rule(ch, object)
	name, err := t.topic(&topicNames{prefix: r.prefix, object: object, channel: ch.short, change: change, groups: groups})
	if err != nil {
		return "", nil, err
	}
	for _, own := range r.own {
		if inMetrics(name) == inMetrics(own) {
			return "", nil, &CollisionError{Topic: name, Setting: t.setting, With: own, Own: true}
		}
	}
	return name, t, nil
}

// inMetrics is how Kafka names a topic in its metrics. It creates no topic that
// has this name in common with another.
func inMetrics(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// TopicOf is the topic that cfg gives the records of an object on a channel. The
// change type counts only where the template has it.
func TopicOf(cfg Config, channel, object, changeType string) (string, error) {
	r, err := newRouter(&cfg)
	if err != nil {
		return "", err
	}
	opts := cfg.Streams[channel]
	ch, err := r.channel(channel, &opts)
	if err != nil {
		return "", err
	}
	if ch.object != "" {
		object = ch.object
	}
	topic, _, err := r.topic(ch, object, changeType)
	return topic, err
}
