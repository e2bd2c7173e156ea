package replay

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	streamPrefix  = "stream/"
	barrierPrefix = "barrier/"
)

// Key names a stream: an org by its 18-character id, and a channel as
// Salesforce writes it ("/data/AccountChangeEvent").
type Key struct{ Org, Channel string }

// String is the key's form on the wire: stream/<org><channel>. A channel begins
// with a slash.
func (k Key) String() string { return streamPrefix + k.Org + k.Channel }

func (k Key) check() error {
	switch {
	case k.Org == "":
		return fmt.Errorf("stream key %q has no org", k.String())
	case strings.Contains(k.Org, "/"):
		return fmt.Errorf("stream key %q: an org id has no slash", k.String())
	case !strings.HasPrefix(k.Channel, "/") || k.Channel == "/":
		return fmt.Errorf("stream key %q has no channel, which begins with a slash", k.String())
	}
	return nil
}

// ParseKey reads the form that String writes.
func ParseKey(s string) (Key, error) {
	rest, ok := strings.CutPrefix(s, streamPrefix)
	if !ok {
		return Key{}, fmt.Errorf("%q is not a stream key: stream/<org>/<channel> is wanted", s)
	}
	org, channel, _ := strings.Cut(rest, "/")
	k := Key{Org: org, Channel: "/" + channel}
	return k, k.check()
}

// LaneOf returns the lane of a stream among n lanes: the partition that
// Kafka's default partitioner (murmur2 of the key) chooses. n is at least 1.
func LaneOf(k Key, n int) int32 {
	r := &kgo.Record{Key: []byte(k.String())}
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(r, n))
}

func barrierKey(lane int32) string { return barrierPrefix + strconv.Itoa(int(lane)) }
