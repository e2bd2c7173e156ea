package config

import (
	"testing"
	"time"
)

// TestClassify holds the names of the Streaming API's channel kinds; the wrong
// ones and their hints are in testdata/invalid.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		channel string
		kind    ChannelKind
		multi   bool
	}{
		{"/data/AccountChangeEvent", ChangeData, false},
		{"/data/Employee__ChangeEvent", ChangeData, false},
		{"/data/ns__Employee__ChangeEvent", ChangeData, false},
		{"/data/ChangeEvents", ChangeData, true},
		{"/data/SalesEvents__chn", ChangeData, true},
		{"/event/Low_Ink__e", PlatformEvent, false},
		{"/event/ns__Low_Ink__e", PlatformEvent, false},
		{"/event/LoginEventStream", PlatformEvent, false},
		{"/event/BatchApexErrorEvent", PlatformEvent, false},
		{"/event/Order_Channel__chn", PlatformEvent, true},
		{"/topic/InvoiceUpdates", PushTopic, false},
		{"/topic/New-Cases~2", PushTopic, false},
		{"/topic/InvoiceUpdates?Status__c='On hold'&Amount__c=5", PushTopic, false},
		{"/topic/InvoiceUpdates?Status__c='a*b/'", PushTopic, false},
		{"/u/notifications/orders", Generic, false},
		{"/u/x", Generic, false},
	} {
		kind, multi, wrong := classify(tt.channel)
		if wrong != nil {
			t.Errorf("%s: %s", tt.channel, wrong.message)
		} else if kind != tt.kind || multi != tt.multi {
			t.Errorf("%s: kind %v, multi %v, want %v, %v", tt.channel, kind, multi, tt.kind, tt.multi)
		}
	}
}

// TestObject holds whose rows a channel tells of: of one object, or of none.
func TestObject(t *testing.T) {
	for channel, want := range map[string]string{
		"/data/AccountChangeEvent":                "Account",
		"/data/EventChangeEvent":                  "Event",
		"/data/Invoice__ChangeEvent":              "Invoice__c",
		"/data/ns__Invoice__ChangeEvent":          "ns__Invoice__c",
		"/data/ChangeEvent__ChangeEvent":          "ChangeEvent__c",
		"/data/ChangeEventsLogChangeEvent":        "ChangeEventsLog",
		"/data/ChangeEvents":                      "",
		"/data/SalesEvents__chn":                  "",
		"/event/Low_Ink__e":                       "",
		"/event/Order_Channel__chn":               "",
		"/event/LoginEventStream":                 "",
		"/data/Invoice_Line__ChangeEvent":         "Invoice_Line__c",
		"/data/OpportunityContactRoleChangeEvent": "OpportunityContactRole",
	} {
		c := parse(t, change(t, "/data/AccountChangeEvent", channel))
		if got := c.Streams[0].Object(); got != want {
			t.Errorf("%s: got %q, want %q", channel, got, want)
		}
		if want != "" && "/data/"+changeEventOf(want) != channel {
			t.Errorf("%s: its object %s has the channel /data/%s", channel, want, changeEventOf(want))
		}
	}
	if got := (Stream{Channel: "/data/AccountChangeEvent"}).Object(); got != "" {
		t.Errorf("a stream without a kind has the object %q", got)
	}
}

// TestClassifyHints checks that what is suggested is itself accepted.
func TestClassifyHints(t *testing.T) {
	for channel, want := range map[string]string{
		"/data/Account":                   "/data/AccountChangeEvent",
		"/data/Invoice__c":                "/data/Invoice__ChangeEvent",
		"/data/ns__Invoice__c":            "/data/ns__Invoice__ChangeEvent",
		"/data/Invoice__c__ChangeEvent":   "/data/Invoice__ChangeEvent",
		"/data/Invoice__changeevent":      "/data/Invoice__ChangeEvent",
		"/data/ChangeEvent":               "/data/AccountChangeEvent",
		"/data/__chn":                     "/data/AccountChangeEvent",
		"/data/":                          "/data/AccountChangeEvent",
		"/data":                           "/data/AccountChangeEvent",
		"/data/AccountChangeEvent?Name=a": "/data/AccountChangeEvent",
		"/event/__e":                      "/event/Order__e",
		"/event/ChangeEvents":             "/data/ChangeEvents",
		"event/Order__e":                  "/event/Order__e",
		"AccountChangeEvent/":             "/data/AccountChangeEvent",
	} {
		_, _, wrong := classify(channel)
		if wrong == nil {
			t.Errorf("%s: accepted", channel)
			continue
		}
		if wrong.hint != want {
			t.Errorf("%s: hint %q, want %q", channel, wrong.hint, want)
		}
		if _, _, again := classify(wrong.hint); again != nil {
			t.Errorf("%s: its hint %q is itself wrong: %s", channel, wrong.hint, again.message)
		}
	}
}

// TestDerivedFromKind holds what a stream has by its kind: how long Salesforce
// keeps its events, and whether it is watched.
func TestDerivedFromKind(t *testing.T) {
	for channel, want := range map[string]struct {
		retention  time.Duration
		starvation OnStarvation
	}{
		"/data/AccountChangeEvent":            {72 * time.Hour, StarvationSession},
		"/event/Order__e":                     {72 * time.Hour, StarvationIgnore},
		"/topic/InvoiceUpdates":               {24 * time.Hour, StarvationIgnore},
		"/topic/InvoiceUpdates?Status__c='O'": {24 * time.Hour, StarvationIgnore},
		"/u/notifications/orders":             {24 * time.Hour, StarvationIgnore},
	} {
		s := parse(t, change(t, "/data/AccountChangeEvent", channel)).Streams[0]
		if s.Retention != want.retention || s.OnStarvation != want.starvation || s.Object() != "" && s.Kind != ChangeData {
			t.Errorf("%s: retention %s, on_starvation %s, object %q", channel, s.Retention, s.OnStarvation, s.Object())
		}
	}
	s := parse(t, change(t, "/data/AccountChangeEvent", "/topic/InvoiceUpdates\n    retention: 12h")).Streams[0]
	if s.Retention != 12*time.Hour {
		t.Errorf("a retention of its own: %s", s.Retention)
	}
}
