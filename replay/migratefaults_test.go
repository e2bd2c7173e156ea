package replay

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// raw writes a record into a partition of the topic.
func (m *migrated) raw(topic string, partition int32, key, value string) {
	m.t.Helper()
	put(m.t, m.brokers, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)})
}

func (m *migrated) look(lanes int) error {
	m.t.Helper()
	_, err := m.open(lanes).Look(testCtx(m.t))
	return err
}

// What it cannot move as it is, it does not move.
func TestMigrateRefuses(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	k, value := lying(0)
	for name, c := range map[string]struct {
		spoil func(m *migrated)
		check func(t *testing.T, m *migrated, err error)
	}{
		"no topic": {func(m *migrated) { m.cfg.Topic += "x" }, func(t *testing.T, m *migrated, err error) {
			wantError[*TopicMissingError](t, err, false, m.cfg.Topic)
		}},
		"another org": {func(m *migrated) {
			m.raw(m.cfg.Topic, 0, "stream/"+orgB+"/event/E__e", `{"v":1,"position":"1","source":"cometd"}`)
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*OtherOrgError](t, err, false, orgA, orgB)
		}},
		"barrier of another org": {func(m *migrated) {
			m.raw(m.cfg.Topic, 0, "barrier/0", `{"v":1,"org":"`+orgB+`","token":"T"}`)
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*OtherOrgError](t, err, false, orgA, orgB)
		}},
		"a field of the future": {func(m *migrated) {
			m.raw(m.cfg.Topic, LaneOf(k, 4), k.String(), `{"v":1,"position":"1","source":"cometd","hint":"x"}`)
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*UnreadableError](t, err, false, "hint")
		}},
		"a field of the future in the wrong place": {func(m *migrated) {
			m.raw(m.cfg.Topic, (LaneOf(k, 4)+1)%4, k.String(), `{"v":1,"position":"1","source":"cometd","hint":"x"}`)
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*UnreadableError](t, err, false, "hint")
		}},
		"a kind of record of the future": {func(m *migrated) {
			m.raw(m.cfg.Topic, 0, "snapshot/x", `{"v":1}`)
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*UnreadableError](t, err, false, "snapshot/x")
		}},
		"two positions that differ": {func(m *migrated) {
			m.raw(m.cfg.Topic, (LaneOf(k, 4)+1)%4, k.String(), `{"v":1,"position":"77","source":"cometd"}`)
		}, func(t *testing.T, m *migrated, err error) {
			e := wantError[*AmbiguousError](t, err, false, k.String(), m.cfg.Topic)
			if e.Partitions[0] == e.Partitions[1] {
				t.Errorf("%+v", e)
			}
		}},
		"a topic that forgets": {func(m *migrated) {
			if _, err := admin(m.t, brokers).AlterTopicConfigs(testCtx(m.t), alter("cleanup.policy", "delete"), m.cfg.Topic); err != nil {
				m.t.Fatal(err)
			}
		}, func(t *testing.T, m *migrated, err error) {
			wantError[*NotCompactedError](t, err, false, "delete")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMigrated(t, brokers, 4, true)
			c.spoil(m)
			for _, lanes := range []int{2, 4, 6} {
				c.check(t, m, m.look(lanes))
			}
		})
	}
	t.Run("the same position twice", func(t *testing.T) {
		m := newMigrated(t, brokers, 4, true)
		put(t, brokers, &kgo.Record{
			Topic: m.cfg.Topic, Partition: (LaneOf(k, 4) + 1) % 4, Key: []byte(k.String()), Value: value,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0}}},
		})
		m.migrate(4, allSteps)
		m.whole(4)
	})
}

// A copy and a topic that do not fit together are for people to judge.
func TestMigrateCopyUnfit(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	k, _ := lying(0)
	const other = `{"v":1,"position":"77","source":"cometd"}`
	remove := func(m *migrated, topic string) {
		m.t.Helper()
		if _, err := admin(m.t, brokers).DeleteTopic(testCtx(m.t), topic); err != nil {
			m.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		steps int
		spoil func(m *migrated)
	}{
		"the topic is gone before the copy is complete": {1, func(m *migrated) { remove(m, m.cfg.Topic) }},
		"the copy was written to":                       {3, func(m *migrated) { m.raw(copyOf(m.cfg.Topic), 0, k.String(), other) }},
		"the new topic was written to":                  {4, func(m *migrated) { m.raw(m.cfg.Topic, LaneOf(k, 2), k.String(), other) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMigrated(t, brokers, 6, true)
			m.migrate(2, c.steps)
			c.spoil(m)
			for _, lanes := range []int{2, 6} {
				wantError[*CopyError](t, m.look(lanes), false, m.cfg.Topic, copyOf(m.cfg.Topic))
			}
			m.refused(2, 6)
		})
	}
	// The very topic that was copied is right, whatever the copy says.
	t.Run("the old topic was written to", func(t *testing.T) {
		m := newMigrated(t, brokers, 6, true)
		m.migrate(2, 2)
		gone, _ := lying(1)
		put(t, brokers, &kgo.Record{Topic: m.cfg.Topic, Partition: LaneOf(gone, 6), Key: []byte(gone.String())})
		m.raw(m.cfg.Topic, LaneOf(k, 6), k.String(), other)
		m.migrate(2, allSteps)
		s := mustOpen(t, func() Config { c := m.cfg; c.Lanes = 2; return c }())
		all, err := s.All(testCtx(t))
		if err != nil || len(all) != lyingStreams-1 || all[k].Position != "77" {
			t.Errorf("%v, %v", all, err)
		}
	})
	t.Run("a mark of the future", func(t *testing.T) {
		m := newMigrated(t, brokers, 6, true)
		m.migrate(2, 3)
		m.raw(copyOf(m.cfg.Topic), 0, markKey, `{"v":2}`)
		wantError[*UnreadableError](t, m.look(2), false, markKey)
	})
	t.Run("a copy of another org", func(t *testing.T) {
		m := newMigrated(t, brokers, 6, true)
		m.migrate(2, 3)
		m.cfg.Org = orgB
		wantError[*OtherOrgError](t, m.look(2), false, orgA, orgB)
	})
}

// Each right that is missing is named, and the step is done once it is there.
func TestMigrateWithoutRights(t *testing.T) {
	c := newFake(t)
	for _, test := range []struct {
		steps     int
		to        int
		key       kmsg.Key
		operation string
		copied    bool // it is about the copy
	}{
		{0, 6, kmsg.CreatePartitions, "Alter", false},
		{0, 2, kmsg.CreateTopics, "Create", true},
		{2, 2, kmsg.DeleteTopics, "Delete", false},
		{3, 2, kmsg.CreateTopics, "Create", false},
		{5, 2, kmsg.DeleteTopics, "Delete", true},
	} {
		t.Run(test.key.Name(), func(t *testing.T) {
			m := newMigrated(t, c.ListenAddrs(), 4, true)
			m.migrate(test.to, test.steps)
			mig := m.open(test.to)
			p, err := mig.Look(testCtx(t))
			if err != nil {
				t.Fatal(err)
			}
			topic := m.cfg.Topic
			if test.copied {
				topic = copyOf(topic)
			}
			h := c.Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
			e := wantError[*AuthorizationError](t, mig.Do(testCtx(t), p, m.write), false, test.operation, topic)
			if e.Operation != test.operation || e.Topic != topic {
				t.Errorf("%+v", e)
			}
			h.Remove()
			m.migrate(test.to, allSteps)
			m.whole(test.to)
		})
	}
}

// Whether a migration is unfinished has to be seen: without the right to, nothing
// is opened.
func TestOpenWithoutSeeingCopy(t *testing.T) {
	c := newFake(t)
	m := newMigrated(t, c.ListenAddrs(), 4, true)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: copyOf(m.cfg.Topic), Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err := Open(testCtx(t), m.cfg)
	wantError[*AuthorizationError](t, err, false, "Describe", "--topic "+copyOf(m.cfg.Topic))
}

// An answer that is lost or early is no end.
func TestMigratePatience(t *testing.T) {
	c := newFake(t)
	for name, f := range map[string]kfake.Fault{
		"partitions": {Keys: []kmsg.Key{kmsg.CreatePartitions}, Err: kerr.RequestTimedOut, Count: 2},
		"create":     {Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.RequestTimedOut, Count: 2},
		"delete":     {Keys: []kmsg.Key{kmsg.DeleteTopics}, Err: kerr.RequestTimedOut, Count: 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMigrated(t, c.ListenAddrs(), 4, true)
			h := c.Fault(f)
			defer h.Remove()
			to := map[string]int{"partitions": 6, "create": 2, "delete": 2}[name]
			m.migrate(to, allSteps)
			m.whole(to)
			if h.Hits() != 2 {
				t.Errorf("met %d times", h.Hits())
			}
		})
	}
}

// A broker that does not know the topic yet is asked again.
func TestMigrateBrokerBehind(t *testing.T) {
	c := newFake(t)
	m := newMigrated(t, c.ListenAddrs(), 4, true)
	mig := m.open(6)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: m.cfg.Topic, Err: kerr.UnknownTopicOrPartition, Count: 3})
	p, err := mig.Look(testCtx(t))
	if err != nil || p.Have != 4 || h.Hits() != 3 {
		t.Errorf("%+v, %v, asked %d times", p, err, h.Hits())
	}
}

// Topics that somebody else makes, as where the command may not, do as well; one
// of another size is made anew.
func TestMigrateTopicsByHand(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	for name, c := range map[string]struct {
		steps      int
		copied     bool
		partitions int32
	}{
		"the copy":                    {0, true, 1},
		"a copy of several":           {0, true, 3},
		"the topic":                   {3, false, 2},
		"a topic of another size":     {3, false, 8},
		"the topic of its old size":   {3, false, 6},
		"a topic of too small a size": {3, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMigrated(t, brokers, 6, true)
			m.migrate(2, c.steps)
			topic := m.cfg.Topic
			if c.copied {
				topic = copyOf(topic)
			}
			mustTopic(t, brokers, topic, c.partitions, "cleanup.policy", "compact")
			m.refused(2, 6)
			m.migrate(2, allSteps)
			m.whole(2)
		})
	}
}

// A bridge that was opened before the migration does not read a lane whose
// positions have moved.
func TestLoadAfterMigration(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	for _, to := range []int{2, 6} {
		m := newMigrated(t, brokers, 4, true)
		s := mustOpen(t, m.cfg)
		m.migrate(to, allSteps)
		b := s.Barrier(0)
		put(t, brokers, b.Record())
		_, err := s.Load(testCtx(t), 0, b)
		if e := wantError[*LaneCountError](t, err, false, "bridge positions migrate"); e.Have != to || e.Want != 4 {
			t.Errorf("%+v", e)
		}
	}
}

// The copy alone keeps the bridge from starting, and the topic from being made.
func TestOpenBesideCopy(t *testing.T) {
	brokers := newFake(t).ListenAddrs()
	m := newMigrated(t, brokers, 6, true)
	m.migrate(2, 3)
	for _, create := range []bool{true, false} {
		cfg := m.cfg
		cfg.Lanes, cfg.Create = 2, create
		_, err := Open(testCtx(t), cfg)
		wantError[*UnfinishedMigrationError](t, err, false, cfg.Topic, copyOf(cfg.Topic), "bridge positions migrate")
	}
	listed, err := admin(t, brokers).ListTopics(testCtx(t), m.cfg.Topic)
	if err != nil || listed[m.cfg.Topic].Err == nil {
		t.Errorf("%v, %v: the topic was made beside its copy", listed, err)
	}
}
