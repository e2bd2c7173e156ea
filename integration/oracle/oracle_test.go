package oracle_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

const channel = "/data/AccountChangeEvent"

func rec(replay int64, index int, key string) oracle.Record {
	return oracle.Record{Topic: "t", Channel: channel, ReplayID: replay, Index: index, Key: key, Operation: "UPDATE"}
}

func TestExpectedFansOutAndChoosesChannels(t *testing.T) {
	ledger := []orgsim.Entry{
		{ReplayID: 1, ChangeType: "UPDATE", RecordIDs: []string{"a", "b"}, Channels: []string{channel, "/data/ChangeEvents"}},
		{ReplayID: 2, ChangeType: "UPDATE", RecordIDs: []string{"c"}, Channels: []string{"/data/ContactChangeEvent"}},
		{ReplayID: 3, UUID: "u", Channels: []string{"/event/Order__e"}},
	}
	got := oracle.Expected(slices.Values(ledger), []string{channel, "/event/Order__e"})
	want := []oracle.Record{
		{Channel: channel, ReplayID: 1, Index: 0, Key: "a", Operation: "UPDATE"},
		{Channel: channel, ReplayID: 1, Index: 1, Key: "b", Operation: "UPDATE"},
		{Channel: "/event/Order__e", ReplayID: 3, Key: "u", Operation: oracle.PlatformEvent},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestCompareFindsEveryKindOfDifference(t *testing.T) {
	want := []oracle.Record{rec(1, 0, "a"), rec(2, 0, "a"), rec(3, 0, "b")}
	for name, c := range map[string]struct {
		got  []oracle.Record
		says string
	}{
		"exactly":      {[]oracle.Record{rec(3, 0, "b"), rec(1, 0, "a"), rec(2, 0, "a")}, ""},
		"missing":      {[]oracle.Record{rec(1, 0, "a"), rec(3, 0, "b")}, "not seen: /data/AccountChangeEvent UPDATE a at replay id 2, record 0"},
		"twice":        {[]oracle.Record{rec(1, 0, "a"), rec(2, 0, "a"), rec(2, 0, "a"), rec(3, 0, "b")}, "never published, or seen again"},
		"invented":     {[]oracle.Record{rec(1, 0, "a"), rec(2, 0, "a"), rec(3, 0, "b"), rec(9, 0, "b")}, "never published, or seen again"},
		"out of order": {[]oracle.Record{rec(2, 0, "a"), rec(1, 0, "a"), rec(3, 0, "b")}, "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			diff := oracle.Compare(want, c.got)
			if (c.says == "") != (len(diff) == 0) || len(diff) > 1 || !strings.Contains(strings.Join(diff, ""), c.says) {
				t.Errorf("got %q, want %q", diff, c.says)
			}
		})
	}
}

func TestRead(t *testing.T) {
	headers := []kgo.RecordHeader{
		{Key: "sf-channel", Value: []byte(channel)}, {Key: "sf-change-type", Value: []byte("UPDATE")},
		{Key: "sf-replay-id", Value: []byte("7")}, {Key: "sf-record-index", Value: []byte("1")},
	}
	got, err := oracle.Read(&kgo.Record{Topic: "t", Key: []byte("a"), Value: []byte("v"), Headers: headers})
	if err != nil || got != rec(7, 1, "a") {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := oracle.Read(&kgo.Record{Key: []byte("a"), Headers: headers}); err != nil || got.Operation != oracle.Tombstone {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := oracle.Read(&kgo.Record{Key: []byte("a"), Headers: headers[:2]}); err == nil {
		t.Error("a record without its headers was taken")
	}
	headers[2].Value = []byte("seven")
	if _, err := oracle.Read(&kgo.Record{Key: []byte("a"), Headers: headers}); err == nil {
		t.Error("a replay id that is no number was taken")
	}
}
