package config

import (
	"fmt"
	"testing"
)

// What a stream says of rows, what it is by default, and whose rows are read when it
// begins.
func TestSnapshotDefaults(t *testing.T) {
	for text, want := range map[string]string{
		"channel: /data/AccountChangeEvent":                                                "initial auto [Account]",
		"channel: /data/Invoice__ChangeEvent":                                              "initial auto [Invoice__c]",
		"channel: /data/AccountChangeEvent\n    snapshot: never":                           "never off []",
		"channel: /data/AccountChangeEvent\n    snapshot: never\n    repair: manual":       "never manual []",
		"channel: /data/AccountChangeEvent\n    snapshot: when_needed":                     "when_needed auto []",
		"channel: /data/AccountChangeEvent\n    repair: off":                               "initial off [Account]",
		"channel: /data/ChangeEvents":                                                      "initial auto []",
		"channel: /data/ChangeEvents\n    entities: {Lead: {}, Account: {}}":               "initial auto [Account Lead]",
		"channel: /data/ChangeEvents\n    entities: {Lead: {}}\n    snapshot: when_needed": "when_needed auto []",
		"channel: /event/Order__e":                                                         "never off []",
		"channel: /topic/InvoiceUpdates":                                                   "never off []",
	} {
		c, problems := Parse([]byte(change(t, "channel: /data/AccountChangeEvent", text)), "b.yaml", testEnv())
		if HasErrors(problems) {
			t.Fatalf("%s: %s", text, render(problems))
		}
		s := &c.Streams[0]
		if got := fmt.Sprint(s.Snapshot, " ", s.Repair, " ", s.SnapshotObjects()); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestCarries(t *testing.T) {
	one, several := Stream{Channel: "/data/AccountChangeEvent", Kind: ChangeData}, Stream{Channel: "/data/ChangeEvents", Kind: ChangeData, Multi: true}
	for object, want := range map[string]string{"Account": "true true", "Lead": "false true", "Order__e": "false false", "no name": "false false"} {
		if got := fmt.Sprint(one.Carries(object), " ", several.Carries(object)); got != want {
			t.Errorf("%s: got %s, want %s", object, got, want)
		}
	}
	for object, want := range map[string]string{"Account": "/data/AccountChangeEvent", "Invoice__c": "/data/Invoice__ChangeEvent"} {
		if got := ChannelOf(object); got != want {
			t.Errorf("%s: got %s, want %s", object, got, want)
		}
	}
}
