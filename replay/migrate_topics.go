package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unfinished is an error if there is a migration that has not come to its end.
func (s *Store) unfinished(ctx context.Context) error {
	view := *s
	view.cfg.Topic = copyOf(s.cfg.Topic)
	_, err := view.lookUp(ctx)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return nil
	case err == nil, errors.Is(err, kerr.LeaderNotAvailable):
		return &UnfinishedMigrationError{Topic: s.cfg.Topic, Copy: view.cfg.Topic}
	default:
		return err
	}
}

// await looks at the topic until it is as ok says, with a leader for each
// partition. That there is no such topic is an answer.
func (s *Store) await(ctx context.Context, ok func(kadm.TopicDetail) bool) (kadm.TopicDetail, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		detail, err := s.lookUp(ctx)
		switch {
		case err == nil && ok(detail):
			return detail, nil
		case err == nil:
			err = errors.New("the brokers do not all know of the change yet")
		case errors.Is(err, kerr.UnknownTopicOrPartition), !kerr.IsRetriable(err):
			return detail, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return detail, fmt.Errorf("topic %q is not ready: %w: %w", s.cfg.Topic, err, ctx.Err())
		}
	}
}

// until repeats an admin request until the topic is seen to be as it should be.
// The brokers learn of a change one after the other, and a topic that is being
// deleted can be in the way of a new one for a moment.
func (s *Store) until(parent context.Context, ask, seen func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(parent, s.cfg.OpenTimeout)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		done, err := ask(ctx)
		if err == nil && done {
			done, err = seen(ctx)
		}
		if err != nil || done {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if parent.Err() != nil {
				return context.Cause(parent)
			}
			return fmt.Errorf("topic %q: the brokers have not done it within %s; see whether they do, and try again", s.cfg.Topic, s.cfg.OpenTimeout)
		}
	}
}

// create makes a topic like another one.
func (m *Migration) create(ctx context.Context, topic string, partitions int, like shape) error {
	view := m.view(topic)
	view.cfg.Lanes, view.cfg.ReplicationFactor, view.cfg.Settings = partitions, like.replicas, like.settings
	return view.until(ctx,
		func(ctx context.Context) (bool, error) { return true, view.makeTopic(ctx) },
		func(ctx context.Context) (bool, error) { return view.has(ctx, partitions) })
}

// has says whether the topic is there with so many partitions.
func (s *Store) has(ctx context.Context, partitions int) (bool, error) {
	detail, err := s.lookUp(ctx)
	if err != nil && kerr.IsRetriable(err) {
		return false, nil // not there yet, or without a leader
	}
	return len(detail.Partitions) == partitions, err
}

func (m *Migration) addPartitions(ctx context.Context) error {
	topic, lanes := m.s.cfg.Topic, m.s.cfg.Lanes
	ask := func(ctx context.Context) (bool, error) {
		resps, err := m.s.adm.UpdatePartitions(ctx, lanes, topic)
		if err != nil {
			return false, err
		}
		r := resps[topic]
		if errors.Is(r.Err, kerr.InvalidPartitions) {
			return true, nil // it has them already, or what is looked at next tells
		}
		return answer(r.Err, r.ErrMessage, "Alter", topic)
	}
	return m.s.until(ctx, ask, func(ctx context.Context) (bool, error) { return m.s.has(ctx, lanes) })
}

func (m *Migration) remove(ctx context.Context, topic string) error {
	view := m.view(topic)
	ask := func(ctx context.Context) (bool, error) {
		resps, err := m.s.adm.DeleteTopics(ctx, topic)
		if err != nil {
			return false, err
		}
		r := resps[topic]
		if errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
			return true, nil
		}
		return answer(r.Err, r.ErrMessage, "Delete", topic)
	}
	return view.until(ctx, ask, func(ctx context.Context) (bool, error) {
		_, err := view.lookUp(ctx)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return true, nil
		}
		if err != nil && kerr.IsRetriable(err) {
			err = nil
		}
		return false, err
	})
}

// answer judges a broker's answer about one topic: done, to be asked again, or
// refused.
func answer(err error, message, operation, topic string) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return false, &AuthorizationError{Operation: operation, Topic: topic, Err: err}
	case kerr.IsRetriable(err):
		return false, nil
	case message != "":
		return false, fmt.Errorf("topic %q: %w: %s", topic, err, message)
	default:
		return false, fmt.Errorf("topic %q: %w", topic, err)
	}
}

// shapeOf is what a topic was made like. Settings that it does not have of its own
// are left to the broker, now as then.
func (s *Store) shapeOf(ctx context.Context, detail kadm.TopicDetail) (shape, error) {
	like := shape{settings: make(map[string]string)}
	for _, p := range detail.Partitions {
		like.replicas = max(like.replicas, len(p.Replicas))
	}
	confs, err := s.adm.DescribeTopicConfigs(ctx, s.cfg.Topic)
	if err != nil {
		return shape{}, err
	}
	rc, err := confs.On(s.cfg.Topic, nil)
	if err != nil {
		return shape{}, err
	}
	for _, c := range rc.Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.Value != nil {
			like.settings[c.Key] = *c.Value
		}
	}
	return like, rc.Err
}
