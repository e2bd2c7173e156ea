package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is what a Producer knows about a topic that it writes to.
type Topic struct {
	Name       string
	Partitions int
	// MaxMessageBytes is the topic's max.message.bytes, and CleanupPolicy its
	// cleanup.policy. They are 0 and "" if the principal may not describe
	// the topic's configuration.
	MaxMessageBytes int
	CleanupPolicy   string
}

// Compacted reports whether the topic keeps the last record of each key.
func (t Topic) Compacted() bool {
	for p := range strings.SplitSeq(t.CleanupPolicy, ",") {
		if strings.TrimSpace(p) == "compact" {
			return true
		}
	}
	return false
}

// Topic returns what is known about a topic for records. Like Commit it looks
// the topic up, and creates it if the configuration says so, the first time.
func (p *Producer) Topic(ctx context.Context, name string) (Topic, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.usable(); err != nil {
		return Topic{}, err
	}
	p.began = time.Now()
	p.watch.reset()
	bounded, cancel := context.WithTimeout(ctx, p.cfg.OpenTimeout)
	defer cancel()
	if err := p.lookUp(bounded, map[string]bool{name: p.cfg.topic(name).Create}); err != nil {
		return Topic{}, p.ended(ctx, err)
	}
	return p.topics[name], nil
}

// ensure looks up the topics that this producer has not written to yet.
func (p *Producer) ensure(ctx context.Context, records, positions []*kgo.Record) error {
	missing := make(map[string]bool) // name -> may be created
	note := func(rs []*kgo.Record, create func(topic string) bool) {
		last := ""
		for i, r := range rs {
			if i > 0 && r.Topic == last {
				continue
			}
			last = r.Topic
			if _, ok := p.topics[r.Topic]; !ok {
				missing[r.Topic] = create(r.Topic)
			}
		}
	}
	note(records, func(topic string) bool { return p.cfg.topic(topic).Create })
	// A position topic that is not there is a lost position. Creating it
	// would make that look like a fresh start.
	note(positions, func(string) bool { return false })
	if len(missing) == 0 {
		return nil
	}
	return p.lookUp(ctx, missing)
}

// doubtAbsent is how often a topic is asked for again, within about a second, that
// is not there and may not be created: a broker lists a new topic a moment after
// another one has created it.
const doubtAbsent = 6

// lookUp makes sure that every named topic exists and is known, and remembers
// it.
func (p *Producer) lookUp(ctx context.Context, names map[string]bool) error {
	want := slices.Sorted(maps.Keys(names))
	want = slices.DeleteFunc(want, func(n string) bool { _, ok := p.topics[n]; return ok })
	if len(want) == 0 {
		return nil
	}
	for _, name := range want {
		if !legal(name) {
			return badName(name)
		}
	}
	var created bool
	var waits error // what the brokers last said that there is to wait for
	doubted := 0
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		details, err := p.list(ctx, want)
		if errors.Is(err, kerr.TopicAuthorizationFailed) {
			return p.undescribable(ctx, want, err)
		}
		if err != nil {
			return answered(ctx, waits, p.typed(err, "", "looking up topics"))
		}
		absent, pending, err := sortOut(details, want)
		if err != nil {
			return err
		}
		if len(absent) == 0 && pending == nil {
			return p.remember(ctx, details, want)
		}
		if doubted < doubtAbsent && slices.ContainsFunc(absent, func(n string) bool { return !names[n] }) {
			doubted++ // somebody may have created it a moment ago
		} else if len(absent) > 0 && !created {
			var err error
			if created, err = p.create(ctx, absent, names); err != nil {
				return answered(ctx, waits, err)
			}
		}
		// Created, but not known to every broker yet, or without a leader.
		if waits = pending; waits == nil {
			waits = notListed(absent[0], created)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return waits
		}
	}
}

// answered prefers what the brokers said that there is to wait for over the end of the
// wait.
func answered(ctx context.Context, waits, err error) error {
	if waits != nil && ctx.Err() != nil {
		return waits
	}
	return err
}

// notListed says what a topic that may be created waits for.
func notListed(topic string, created bool) error {
	hint := "it was created, and the brokers do not list it yet"
	if !created {
		hint = "the brokers put off creating it: see their logs, and their quota on such changes"
	}
	return &TopicError{Topic: topic, Hint: hint, Err: kerr.UnknownTopicOrPartition, transient: true}
}

// undescribable asks again, topic by topic, to name the one that may not be
// described: the answer about all of them does not say.
func (p *Producer) undescribable(ctx context.Context, names []string, err error) error {
	name := names[0]
	for _, n := range names {
		if _, e := p.list(ctx, []string{n}); errors.Is(e, kerr.TopicAuthorizationFailed) {
			name = n
			break
		}
	}
	return &AuthorizationError{Operation: "Describe", Resource: resourceTopic, Name: name, Err: err}
}

// legal is Kafka's rule for topic names (org.apache.kafka.common.internals.Topic).
// It is checked here because the name comes from a template and a broker may
// take it for one that is merely missing.
func legal(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

func badName(name string) error {
	return &TopicError{Topic: name, Hint: "a name has letters, digits, '.', '_' and '-', at most 249 of them", Err: kerr.InvalidTopicException}
}

// sortOut splits the answer about topics into those that do not exist and the
// first one that is not ready.
func sortOut(details kadm.TopicDetails, want []string) (absent []string, pending, err error) {
	for _, name := range want {
		d, ok := details[name]
		switch {
		case !ok, errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			absent = append(absent, name)
		case errors.Is(d.Err, kerr.InvalidTopicException):
			return nil, nil, badName(name)
		case d.Err != nil && !kerr.IsRetriable(d.Err):
			return nil, nil, &TopicError{Topic: name, Hint: "see the broker's log", Err: d.Err}
		case d.Err != nil:
			pending = &TopicError{Topic: name, Hint: "its leader is not available yet", Err: d.Err, transient: true}
		default:
			for _, part := range d.Partitions {
				if part.Leader < 0 {
					pending = &TopicError{Topic: name, Hint: "are enough brokers up?", Err: kerr.LeaderNotAvailable, transient: true}
				}
			}
		}
	}
	return absent, pending, nil
}

// create reports whether the brokers took on all of it; if not, it is worth
// another try.
func (p *Producer) create(ctx context.Context, absent []string, may map[string]bool) (bool, error) {
	for _, name := range absent {
		if !may[name] {
			return false, &TopicError{Topic: name, Hint: "create it, or allow creating missing topics", Err: kerr.UnknownTopicOrPartition}
		}
	}
	var alike []string // the topics without a configuration of their own
	all := true
	for _, name := range absent {
		special, ok := p.cfg.Special[name]
		if !ok {
			alike = append(alike, name)
			continue
		}
		done, err := p.createAlike(ctx, special, name)
		if err != nil {
			return false, err
		}
		all = all && done
	}
	if len(alike) == 0 {
		return all, nil
	}
	done, err := p.createAlike(ctx, p.cfg.Topics, alike...)
	return all && done, err
}

// createAlike creates topics that have one configuration.
func (p *Producer) createAlike(ctx context.Context, cfg TopicConfig, names ...string) (all bool, _ error) {
	settings := make(map[string]*string, len(cfg.Settings))
	for k, v := range cfg.Settings {
		settings[k] = &v
	}
	resps, err := within(ctx, p, func(ctx context.Context) (kadm.CreateTopicResponses, error) {
		return p.adm.CreateTopics(ctx, cfg.Partitions, cfg.ReplicationFactor, settings, names...)
	})
	if err != nil {
		return false, p.typed(err, "", "creating topics")
	}
	all = true
	for _, r := range resps.Sorted() {
		switch {
		case r.Err == nil, errors.Is(r.Err, kerr.TopicAlreadyExists):
			// Another instance was faster: as good.
		case errors.Is(r.Err, kerr.TopicAuthorizationFailed), errors.Is(r.Err, kerr.ClusterAuthorizationFailed):
			return false, &AuthorizationError{Operation: "Create", Resource: resourceTopic, Name: r.Topic, Err: r.Err}
		case kerr.IsRetriable(r.Err):
			all = false // timed out, no controller, a quota on creating: the look-up that follows tells
		default:
			err := r.Err
			if r.ErrMessage != "" {
				err = fmt.Errorf("%w: %s", r.Err, r.ErrMessage)
			}
			return false, &TopicError{Topic: r.Topic, Hint: "the broker refused to create it: check name, partitions, replication factor and settings", Err: err}
		}
	}
	return all, nil
}

// remember notes what is known of topics, with the settings that matter to a
// producer. Not being allowed to read them is no error: then the broker says what
// is too large.
func (p *Producer) remember(ctx context.Context, details kadm.TopicDetails, names []string) error {
	topics := make([]Topic, len(names))
	for i, name := range names {
		topics[i] = Topic{Name: name, Partitions: len(details[name].Partitions)}
		p.whole.doubts[name] = true
	}
	return p.describe(ctx, names, topics)
}

func (p *Producer) list(ctx context.Context, names []string) (kadm.TopicDetails, error) {
	return within(ctx, p, func(ctx context.Context) (kadm.TopicDetails, error) { return p.adm.ListTopics(ctx, names...) })
}

func (p *Producer) settings(ctx context.Context, names []string) (kadm.ResourceConfigs, error) {
	return within(ctx, p, func(ctx context.Context) (kadm.ResourceConfigs, error) {
		return p.adm.DescribeTopicConfigs(ctx, names...)
	})
}

// describe completes topics, whose names are names, by their settings.
func (p *Producer) describe(ctx context.Context, names []string, topics []Topic) error {
	confs, err := p.settings(ctx, names)
	if err != nil && !is[*kadm.AuthError](err) {
		return p.typed(err, "", "reading topic settings")
	}
	for _, t := range topics {
		if rc, err := confs.On(t.Name, nil); err == nil && rc.Err == nil {
			for _, c := range rc.Configs {
				switch c.Key {
				case "max.message.bytes":
					t.MaxMessageBytes, _ = strconv.Atoi(c.MaybeValue())
				case "cleanup.policy":
					t.CleanupPolicy = c.MaybeValue()
				}
			}
		}
		p.topics[t.Name] = t
		p.limits.set(t.Name, t.MaxMessageBytes)
	}
	return nil
}
