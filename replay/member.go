package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member is what a member of the group tells the others about itself, and what
// Kafka knows of it.
type Member struct {
	// Instance names the process, for people.
	Instance string
	// Config is a fingerprint of what the members must agree about; "" for one
	// that tells nothing.
	Config string

	// What follows is Kafka's; Join takes no notice of it.

	ID    string // of the membership
	Host  string // as the broker sees it
	Lanes []int32
}

// introduction is the form on the wire: JSON and its length, at the end of the
// user data of the group protocol. Those who read the data from its beginning, as
// the assignors of Kafka and of its clients do, do not see it.
type introduction struct {
	V        int    `json:"v"`
	Instance string `json:"instance"`
	Config   string `json:"config"`
}

// introductionMark stands behind the length.
const introductionMark = "bridge"

func (m Member) append(data []byte) []byte {
	text, err := json.Marshal(introduction{V: version, Instance: m.Instance, Config: m.Config})
	if err != nil {
		panic("replay: " + err.Error()) // strings and a number
	}
	data = append(data, text...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(text))) //nolint:gosec // a name and a hash
	return append(data, introductionMark...)
}

// introduce reads what append wrote. A member that says nothing, or something that
// a newer program says, is known by what Kafka knows.
func (m *Member) introduce(data []byte) {
	rest, ok := bytes.CutSuffix(data, []byte(introductionMark))
	if !ok || len(rest) < 2 {
		return
	}
	length := int(binary.BigEndian.Uint16(rest[len(rest)-2:]))
	rest = rest[:len(rest)-2]
	if length > len(rest) {
		return
	}
	var said introduction
	if json.Unmarshal(rest[len(rest)-length:], &said) == nil && said.V == version {
		m.Instance, m.Config = said.Instance, said.Config
	}
}

// introducing is a balancer whose members tell about themselves.
type introducing struct {
	kgo.GroupBalancer
	self Member
}

// JoinGroupMetadata adds the introduction to that of the balancer.
func (b introducing) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	plain := b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
	meta := kmsg.NewConsumerMemberMetadata()
	if err := meta.ReadFrom(plain); err != nil {
		return plain
	}
	meta.UserData = b.self.append(meta.UserData)
	return meta.AppendTo(nil)
}

// errUnsettled says that the group is in the middle of a rebalance, or its
// coordinator is.
var errUnsettled = errors.New("the group is not at rest")

// Members returns the members of a consumer group, none for a group that does not
// exist. It waits for a rebalance to end as long as ctx lasts.
func Members(ctx context.Context, client []kgo.Opt, group string) ([]Member, error) {
	cl, err := kgo.NewClient(client...)
	if err != nil {
		return nil, &ConfigError{Field: "Client", Err: err}
	}
	defer cl.Close()
	for {
		members, err := membersOf(ctx, cl, group)
		if !errors.Is(err, errUnsettled) {
			return members, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("group %q: %w: %w", group, err, context.Cause(ctx))
		}
	}
}

func membersOf(ctx context.Context, cl *kgo.Client, group string) ([]Member, error) {
	groups, err := kadm.NewClient(cl).DescribeGroups(ctx, group)
	described := groups[group]
	if err == nil {
		err = described.Err
	}
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return nil, &AuthorizationError{Operation: "Describe", Group: group, Err: err}
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil, nil
	case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress), errors.Is(err, kerr.NotCoordinator):
		return nil, fmt.Errorf("%w: %w", errUnsettled, err) // of a cluster that has just begun to have groups
	case err != nil:
		return nil, err
	}
	switch described.State {
	case "Stable", "Empty", "Dead":
	default:
		return nil, errUnsettled
	}
	out := make([]Member, 0, len(described.Members))
	for _, d := range described.Members {
		m := Member{ID: d.MemberID, Host: d.ClientHost, Instance: d.ClientID}
		if join, ok := d.Join.AsConsumer(); ok {
			m.introduce(join.UserData)
		}
		if assigned, ok := d.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				m.Lanes = append(m.Lanes, topic.Partitions...)
			}
		}
		slices.Sort(m.Lanes)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return out, nil
}
