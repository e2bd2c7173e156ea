package transform

import (
	"errors"
	"strings"
	"testing"
)

// TestRouting: which of the settings names the topic of an object, by precedence.
func TestRouting(t *testing.T) {
	cfg := Config{
		Prefix: "crm", TopicTemplate: "{{.Prefix}}.{{.Object}}",
		TopicMap: map[string]string{"Account": "accounts", "Order__e": "{{.Prefix}}.orders", "Refund__e": "refunds", "u.a": "notes"},
		TopicRoutes: []TopicRoute{
			{Match: "Contact|Lead", Topic: "people"},
			{Match: `(?P<ns>[a-z]+)__(\w+)__c`, Topic: "{{.Prefix}}.{{.Match.ns}}.{{ .Match2 }}"},
			{Match: `(\w+)__[ce]`, Topic: "custom.{{.Match1}}"},
			{Match: "Contact", Topic: "never"},
		},
		Streams: map[string]StreamOptions{
			"/event/Refund__e":   {Topic: "own.{{.Object}}"},
			"/data/Sales__chn":   {Topic: "sales", Entities: map[string]EntityOptions{"Account": {Topic: "sales.{{.Object}}"}}},
			"/event/Orders__chn": {Entities: map[string]EntityOptions{"Order__e": {KeyField: "Number__c"}, "Return__e": {Topic: "returns"}}},
		},
	}
	for _, c := range []struct{ channel, object, change, want string }{
		{"/data/ChangeEvents", "Account", "UPDATE", "accounts"},
		{"/data/AccountChangeEvent", "Account", "UPDATE", "accounts"},
		{"/data/ChangeEvents", "AccountContactRole", "UPDATE", "crm.AccountContactRole"},
		{"/data/ChangeEvents", "Contact", "UPDATE", "people"},
		{"/data/ChangeEvents", "Leads", "UPDATE", "crm.Leads"},
		{"/data/ChangeEvents", "acme__Invoice__c", "UPDATE", "crm.acme.Invoice"},
		{"/data/ChangeEvents", "Invoice__c", "UPDATE", "custom.Invoice"},
		{"/event/Order__e", "Order__e", "", "crm.orders"},
		{"/event/Refund__e", "Refund__e", "", "own.Refund__e"},
		{"/event/Orders__chn", "Refund__e", "", "refunds"},
		{"/event/Orders__chn", "Order__e", "", "crm.orders"},
		{"/event/Orders__chn", "Return__e", "", "returns"},
		{"/event/Orders__chn", "Other__e", "", "custom.Other"},
		{"/data/Sales__chn", "Account", "UPDATE", "sales.Account"},
		{"/data/Sales__chn", "Contact", "UPDATE", "sales"},
		{"/u/a", "", "", "notes"},
		{"/topic/Contact", "", "created", "people"},
	} {
		if got, err := TopicOf(cfg, c.channel, c.object, c.change); err != nil || got != c.want {
			t.Errorf("%s on %s goes to %q, %v, want %q", c.object, c.channel, got, err, c.want)
		}
	}
}

func TestRoutingErrors(t *testing.T) {
	route := func(match, topic string) Config { return Config{TopicRoutes: []TopicRoute{{match, topic}}} }
	for want, cfg := range map[string]Config{
		"topic of Account: \"a b\"":                               {TopicMap: map[string]string{"Account": "a b"}},
		"topic of Account: \"{{.Match1}}\": unknown":              {TopicMap: map[string]string{"Account": "{{.Match1}}"}},
		"topic route (a: error parsing regexp: missing clos":      route("(a", "x"),
		"topic route a)|(b: error parsing regexp: unexpected ): ": route("a)|(b", "x"),
		"{{.Match2}}; known are":                                  route("(a)", "{{.Match2}}"),
		"{{.Match0}}; known are":                                  route("(a)", "{{.Match0}}"),
		"{{.Match01}}; known are":                                 route("(a)", "{{.Match01}}"),
		"{{.Match.b}}; known are":                                 route("(?P<a>a)", "{{.Match.b}}"),
		"{{.Match}}; known are":                                   route("(a)", "{{.Match}}"),
		"topic route (a): is empty":                               route("(a)", ""),
		"topic route ()O: \"{{.Match1}}\" gives the topic \"\"":   route("()O", "{{.Match1}}"),
		"topic of O on /data/X: \"a/b\"":                          {Streams: map[string]StreamOptions{"/data/X": {Entities: map[string]EntityOptions{"O": {Topic: "a/b"}}}}},
		"which is the bridge's own; try: another name":            {OwnTopics: []string{"salesforce.O"}},
		"as it does from \"salesforce_O\", which is the brid":     {OwnTopics: []string{"salesforce_O"}},
	} {
		_, err := TopicOf(cfg, "/data/X", "O", "UPDATE")
		if err == nil || !strings.Contains(err.Error(), want) || !SchemaRefused(err) || BadEvent(err) || Retryable(err) {
			t.Errorf("%v, want one that says %s and halts the stream", err, want)
		}
	}
}

// TestMeetings: which kinds of records may be in one topic, and what is said of
// those that may not.
func TestMeetings(t *testing.T) {
	type at struct{ channel, object string }
	account, contact := at{"/data/ChangeEvents", "Account"}, at{"/data/ChangeEvents", "Contact"}
	push := at{"/topic/Account", "Account"}
	for name, c := range map[string]struct {
		cfg  Config
		a, b at
		want string
	}{
		"one object twice":           {Config{}, account, account, ""},
		"one object, two channels":   {Config{}, account, at{"/data/AccountChangeEvent", "Account"}, ""},
		"two objects":                {Config{}, account, contact, ""},
		"a template for all":         {Config{TopicTemplate: "all"}, account, push, ""},
		"a template for a channel":   {Config{TopicTemplate: "x.{{.Channel}}"}, account, contact, ""},
		"two channels of one name":   {Config{TopicTemplate: "x.{{.Channel}}"}, at{"/data/A__chn", "Account"}, at{"/event/A__chn", "A__e"}, "by topic template, where the change events of Account go by topic template"},
		"an object and a PushTopic":  {Config{}, account, push, `the events of /topic/Account would go to the topic "salesforce.Account"`},
		"the same by one map entry":  {Config{TopicMap: map[string]string{"Account": "a"}}, account, push, "by topic of Account, where"},
		"names that are made legal":  {Config{}, at{"/u/a!b", "u.a_b"}, at{"/u/a_b", "u.a_b"}, "where the events of /u/a!b go"},
		"two full names":             {Config{TopicMap: map[string]string{"Account": "a", "Contact": "a"}}, account, contact, ""},
		"a full name and a template": {Config{TopicMap: map[string]string{"Account": "salesforce.Contact"}}, account, contact, "by topic template, where the change events of Account go by topic of Account"},
		"a route that merges":        {Config{TopicRoutes: []TopicRoute{{"(A|C).*", "x"}}}, account, contact, ""},
		"a route of a part":          {Config{TopicRoutes: []TopicRoute{{"(.).*(t)", "x.{{.Match2}}"}}}, account, contact, ""},
		"two routes of a part":       {Config{TopicRoutes: []TopicRoute{{"A.*(t)", "x.{{.Match1}}"}, {"C.*(t)", "x.{{.Match1}}"}}}, account, contact, "by topic route C.*(t), where the change events of Account go by topic route A.*(t)"},
		"only the type of change":    {Config{TopicTemplate: "x.{{.ChangeType}}"}, account, contact, ""},
		"one name for Kafka":         {Config{TopicMap: map[string]string{"Account": "a.b", "Contact": "a_b"}}, account, contact, `whose name differs from that of another only by '.' and '_', as it does from "a.b"`},
		"one name by a template":     {Config{}, at{"/u/a/b", "u.a.b"}, at{"/u/a_b", "u.a_b"}, "only by '.' and '_'"},
		"another case is another":    {Config{TopicMap: map[string]string{"Account": "a", "Contact": "A"}}, account, contact, ""},
		"an entity of its own":       {Config{TopicTemplate: "x", Streams: map[string]StreamOptions{"/data/ChangeEvents": {Entities: map[string]EntityOptions{"Account": {Topic: "x"}}}}}, account, contact, ""},
	} {
		t.Run(name, func(t *testing.T) {
			router, err := newRouter(&c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			topics := new(Topics)
			for turn := range 4 { // the same again changes nothing, nor does the order
				var last error
				for i := range 2 {
					of := c.a
					if (i == 1) == (turn < 2) {
						of = c.b
					}
					opts := c.cfg.Streams[of.channel]
					ch, err := router.channel(of.channel, &opts)
					if err != nil {
						t.Fatal(err)
					}
					topic, template, err := router.topic(ch, of.object, "UPDATE")
					if err == nil {
						err = topics.use(topic, topicUser{kind: ch.kind(of.object), channel: ch.name, template: template})
					}
					last = errors.Join(last, err)
				}
				switch {
				case c.want == "" && last != nil:
					t.Errorf("turn %d: %v", turn, last)
				case c.want != "" && (last == nil || !strings.Contains(last.Error(), c.want)):
					t.Errorf("turn %d: %v, want %s", turn, last, c.want)
				}
			}
		})
	}
}
