package cli

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// sample is an event of a stream of one kind, as format raw takes it.
type sample struct{ channel, api, payload string }

// samples are streams whose topics meet in many ways.
func samples() []sample {
	change := func(channel, entity string) sample {
		return sample{channel: channel, payload: `{"ChangeEventHeader":{"entityName":"` + entity + `","changeType":"CHANGE","recordIds":["001xx000003DGb2AAG"]}}`}
	}
	pushed := func(name string) sample {
		return sample{channel: "/topic/" + name, payload: `{"event":{"type":"CHANGE"},"sobject":{"Id":"001xx000003DGb2AAG"}}`}
	}
	return []sample{
		change("/data/AccountChangeEvent", "Account"), change("/data/Order__ChangeEvent", "Order__c"),
		{"/event/Order__e", "Order__e", `{}`}, {"/event/Refund__e", "Refund__e", `{}`},
		pushed("Account"), pushed("Order__e"), pushed("gaps"), pushed("a_b"),
		{channel: "/u/a_b", payload: `{}`}, {channel: "/u/a!b", payload: `{}`}, {channel: "/u/a/b", payload: `{}`}, {channel: "/u/account", payload: `{}`},
	}
}

// drawTopics draws a configuration of some of the samples.
func drawTopics(r *rand.Rand, streams []sample) *config.Config {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	name := func() string {
		return pick("crm", "crm.a", "crm_a", "acme.gaps", "acme_gaps", "dead", "{{.Prefix}}", "{{.Prefix}}.{{.Object}}", "{{.Prefix}}_{{ .Object }}",
			"{{.Prefix}}.{{.Channel}}", "{{.Object}}", "x.{{.ChangeType}}", "{{.ChangeType}}", "{{.Object}}.{{.ChangeType}}", "crm.{{.Channel}}.a")
	}
	c := &config.Config{Name: "acme", Format: config.FormatRaw, DeadLetter: config.DeadLetter{Topic: "dead"}}
	c.Topics.Prefix, c.Topics.Template = pick("crm", "acme", "crm.a", "crm_a"), pick("{{.Prefix}}.{{.Object}}", name())
	for _, s := range streams {
		stream := config.Stream{Channel: s.channel}
		if r.IntN(4) == 0 {
			stream.Topic = name()
		}
		c.Streams = append(c.Streams, stream)
	}
	c.Topics.Map = map[string]string{}
	for _, object := range []string{"Account", "Order__e", "u.a_b", "gaps", "Never"} {
		if r.IntN(4) == 0 {
			c.Topics.Map[object] = name()
		}
	}
	for range r.IntN(3) {
		c.Topics.Routes = append(c.Topics.Routes, config.TopicRoute{
			Match: pick("(Order)__(.)", "(?P<a>[a-z]+).*", "A.*", "u[.](.*)", ".*", "(x)?.*"),
			Topic: pick(name(), "r.{{.Match1}}", "r.{{.Match.a}}", "{{.Prefix}}.{{.Match1}}"),
		})
	}
	return c
}

// document is how a configuration of topics is written.
func document(c *config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, `name: %s
org: {login_url: "https://acme.my.salesforce.com", auth: {type: client_credentials, client_id: x, client_secret: "${env:SECRET}"}}
kafka: {brokers: ["localhost:9092"]}
format: raw
dead_letter: {topic: %s}
streams:
`, c.Name, c.DeadLetter.Topic)
	for _, s := range c.Streams {
		fmt.Fprintf(&b, "  - channel: %s\n", s.Channel)
		if s.Topic != "" {
			fmt.Fprintf(&b, "    topic: %q\n", s.Topic)
		}
	}
	fmt.Fprintf(&b, "topics:\n  prefix: %s\n  template: %q\n  map:\n", c.Topics.Prefix, c.Topics.Template)
	for object, topic := range c.Topics.Map {
		fmt.Fprintf(&b, "    %s: %q\n", object, topic)
	}
	if len(c.Topics.Routes) > 0 {
		b.WriteString("  routes:\n")
	}
	for _, r := range c.Topics.Routes {
		fmt.Fprintf(&b, "    - {match: '%s', topic: %q}\n", r.Match, r.Topic)
	}
	return b.String()
}

// TestTopicsKnownAtTheStart: of streams of one kind the configuration tells every
// topic, so what is found wrong before the first event is just what the encoder
// would refuse, whatever the settings.
func TestTopicsKnownAtTheStart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all := samples()
	refused := 0
	const rounds = 4000
	for range rounds {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		streams := all[:1+r.IntN(3)]
		drawn := drawTopics(r, streams)
		text := document(drawn)
		cfg, problems := config.Parse([]byte(text), "bridge.yaml", config.Env{Lookup: func(string) (string, bool) { return "x", true }})
		if cfg == nil {
			refused++
		}
		if err := encodeAll(t, drawn, streams); (err == nil) != (cfg != nil) {
			t.Fatalf("the configuration has the problems %v, the encoder says %v:\n%s", problems, err, text)
		}
	}
	if refused < rounds/4 || refused > rounds*3/4 {
		t.Errorf("%d of %d configurations are refused: too few or too many to tell", refused, rounds)
	}
}

// encodeAll encodes an event of each stream and type of change, as the bridge would.
func encodeAll(t *testing.T, cfg *config.Config, streams []sample) error {
	t.Helper()
	b := &bridge{cfg: cfg, org: &org{id: "00Dxx0000001gPLEAY"}, catalog: schemas.NewCatalog(nil)}
	encoder, err := transform.NewEncoder(b.encoding())
	if err != nil {
		return err
	}
	for _, s := range streams {
		changes := []string{""}
		switch {
		case strings.HasPrefix(s.channel, "/data/"):
			changes = []string{"CREATE", "UPDATE", "DELETE", "UNDELETE"}
		case strings.HasPrefix(s.channel, "/topic/"):
			changes = []string{"created", "updated", "deleted", "undeleted"}
		}
		for _, change := range changes {
			ev := &transform.Event{
				Channel: s.channel, Position: "1", APIName: s.api, Payload: []byte(strings.ReplaceAll(s.payload, "CHANGE", change)),
			}
			if _, _, err := encoder.Encode(t.Context(), nil, ev); err != nil {
				return err
			}
		}
	}
	return nil
}
