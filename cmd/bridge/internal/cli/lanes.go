package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

// assignment says which lanes are ours: those that Kafka assigns to this member of
// the consumer group that has the bridge's name.
func (b *bridge) assignment(lanes map[int32][]pipeline.Stream) pipeline.Assignment {
	busy := slices.Sorted(maps.Keys(lanes))
	if b.alone {
		return pipeline.StaticLanes(busy)
	}
	return &pipeline.GroupLanes{
		Join: b.join, Busy: busy, Drain: b.cfg.ShutdownTimeout, Self: b.cfg.Fingerprint(), Stats: b.stats, Log: b.log,
		// Until then the broker has missed a member that was away, and the member
		// has asked.
		Patience: 2 * b.cfg.Kafka.SessionTimeout,
	}
}

// releaseMargin is what the farewell of a lane may take beyond its drain: two
// connections are closed.
const releaseMargin = 15 * time.Second

func (b *bridge) join(a pipeline.Assigning) (pipeline.Membership, error) {
	a = b.fail.member(a)
	return replay.Join(replay.GroupConfig{
		Client: b.kafka, Group: b.cfg.Name, Topic: b.cfg.Name + ".positions",
		Self:           replay.Member{Instance: b.instance(), Config: b.cfg.Fingerprint()},
		SessionTimeout: b.cfg.Kafka.SessionTimeout, ReleaseTimeout: b.cfg.ShutdownTimeout + releaseMargin,
		Assigned: a.Assigned, Revoked: a.Revoked, Lost: a.Lost, Looked: a.Looked, Failed: a.Failed,
	})
}

// instance names this process, for people.
func (b *bridge) instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// takenOver explains that something that is no member of the group keeps taking a
// lane of ours.
func (b *bridge) takenOver(err error) error {
	if !errors.Is(err, sink.ErrFenced) {
		return err
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf(
		"%w; something that is not in the consumer group %q uses its transactional ids; look for a bridge of an older version, or of another cluster's configuration, with the same name", err, b.cfg.Name))
}
