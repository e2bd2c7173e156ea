package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

func newSchemas(stop *stopper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schemas",
		Short: "Compare the events' schemas in Salesforce with those in the registry",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSchemasList(stop), newSchemasShow(stop), newSchemasDiff(stop))
	return cmd
}

// desk is what the schema commands work with: the org, the registry and how the
// bridge would join them.
type desk struct {
	*bridge
	encoding transform.Config
}

// openDesk reads the configuration at path, logs in, and registers nothing.
// Problems of the configuration are told to w.
func openDesk(ctx context.Context, path string, w io.Writer) (*desk, error) {
	cfg, err := loadConfig(path, w)
	if err != nil {
		return nil, err
	}
	d := &desk{bridge: &bridge{cfg: cfg, log: zerolog.Nop()}}
	if d.org, err = login(ctx, cfg.Org, &d.tokens); err != nil {
		return nil, err
	}
	if d.kafka, err = kafkaOptions(cfg.Kafka); err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	d.catalog = schemas.NewCatalog(fetcher{d.org.rest}).WithTopics(fetcher{d.org.rest})
	if err := d.openRegistry(); err != nil {
		return nil, err
	}
	d.encoding = d.bridge.encoding()
	return d, nil
}

// target is one kind of event of a stream. Event is empty for a channel of
// several kinds on which none was seen yet.
type target struct {
	channel, event, object string
	kind                   config.ChannelKind
}

// single are the targets that the configuration alone tells.
func (d *desk) single() []target {
	var out []target
	for _, s := range d.cfg.Streams {
		if !s.Multi {
			out = append(out, targetOf(s))
		}
	}
	return out
}

func targetOf(s config.Stream) target {
	t := target{channel: s.Channel, event: s.Channel[strings.LastIndexByte(s.Channel, '/')+1:], object: s.Object(), kind: s.Kind}
	switch s.Kind {
	case config.PushTopic:
		t.event, _, _ = strings.Cut(strings.TrimPrefix(s.Channel, "/topic/"), "?")
	case config.Generic:
		t.event = s.Channel // their events have no names
	}
	if t.object == "" {
		t.object = t.event
	}
	return t
}

// all are the targets of every stream: of a channel of several kinds those that
// came on it, as the topic of schema changes tells.
func (d *desk) all(ctx context.Context) ([]target, error) {
	var seen []recordedSchema
	var out []target
	read := false
	for _, s := range d.cfg.Streams {
		if !s.Multi {
			out = append(out, targetOf(s))
			continue
		}
		if !read {
			if err := reachKafka(ctx, d.kafka, d.cfg.Kafka.Brokers); err != nil {
				return nil, err
			}
			var err error
			if seen, err = readSchemaChanges(ctx, d.kafka, d.schemaChangesTopic()); err != nil {
				return nil, outside("topic of schema changes", err)
			}
			read = true
		}
		out = append(out, cameOn(s.Channel, d.org.id, seen)...)
	}
	return out, nil
}

func cameOn(channel, org string, seen []recordedSchema) []target {
	var out []target
	known := make(map[string]bool)
	for _, one := range seen {
		if one.org == org && one.channel == channel && one.event != "" && !known[one.event] {
			known[one.event] = true
			out = append(out, target{channel: channel, event: one.event, object: one.object})
		}
	}
	if len(out) == 0 {
		out = append(out, target{channel: channel})
	}
	return out
}

// find is the target that a name on the command line means: an event's or an
// entity's.
func (d *desk) find(name string) target {
	for _, t := range d.single() {
		if name == t.event || name == t.object {
			return t
		}
	}
	if strings.HasSuffix(name, "__e") {
		return target{channel: d.carrier("/event/", name), event: name, object: name}
	}
	event := name
	switch base, custom := strings.CutSuffix(name, "__c"); {
	case custom:
		event = base + "__ChangeEvent"
	case !strings.HasSuffix(name, "ChangeEvent"):
		event = name + "ChangeEvent"
	}
	object := (config.Stream{Channel: "/data/" + event, Kind: config.ChangeData}).Object()
	return target{channel: d.carrier("/data/", event), event: event, object: object}
}

// carrier is the channel on which a kind of event comes that no stream has for
// itself: one of several kinds, or the one that it would have.
func (d *desk) carrier(family, event string) string {
	for _, s := range d.cfg.Streams {
		if s.Multi && strings.HasPrefix(s.Channel, family) {
			return s.Channel
		}
	}
	return family + event
}

// current is what Salesforce has now for an event, as the bridge writes it.
func (d *desk) current(ctx context.Context, t target) (*schemas.Schema, error) {
	s, err := d.published(ctx, t)
	if err != nil {
		return nil, err
	}
	return d.written(t, s)
}

// published is what Salesforce has now for an event.
func (d *desk) published(ctx context.Context, t target) (*schemas.Schema, error) {
	switch t.kind {
	case config.PushTopic:
		s, err := d.catalog.PushTopic(ctx, t.event)
		if err != nil {
			return nil, outside("schema of the PushTopic "+t.event, err)
		}
		return s, nil
	case config.Generic:
		return d.catalog.Generic()
	case config.Rows:
		return d.rowSchema(ctx, t.channel)
	}
	text, err := d.org.rest.EventSchemaByName(ctx, t.event)
	if err != nil {
		return nil, outside("schema of "+t.event, err)
	}
	s, err := schemas.ParseCurrent(text)
	if err != nil {
		return nil, outside("schema of "+t.event, err)
	}
	return s, nil
}

// written is the schema of the values that the bridge makes of events of s: what
// it registers, or would.
func (d *desk) written(t target, s *schemas.Schema) (*schemas.Schema, error) {
	out, err := d.encoding.ValueSchema(t.channel, s)
	if err != nil {
		return nil, outside("schema of the values of "+t.event, err)
	}
	return out, nil
}

// subject is where the bridge registers a schema, and the topic of its records.
func (d *desk) subject(t target, s *schemas.Schema) (subject, topic string, err error) {
	change := ""
	if s.ChangeEvent {
		change = "UPDATE" // of the topics of one entity where the template tells them apart
	}
	topic, err = transform.TopicOf(d.encoding, t.channel, t.object, change)
	if err != nil {
		return "", "", exit(pipeline.ExitUsage, err)
	}
	return d.encoding.Subject.Subject(topic, s), topic, nil
}

// needsRegistry says that a command has nothing to ask.
func (d *desk) needsRegistry() error {
	if d.registry != nil {
		return nil
	}
	return exit(pipeline.ExitUsage, errors.New("the configuration names no registry (registry.url is none, or format is json)"))
}

// isSchemaID says whether a text has the form of Salesforce's schema ids today.
func isSchemaID(s string) bool {
	if len(s) != 22 {
		return false
	}
	for _, c := range s {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// byID is the schema of an id. ok is false if Salesforce has none, as of a name
// that has the form of an id.
func (d *desk) byID(ctx context.Context, id string) (s *schemas.Schema, ok bool, err error) {
	text, err := d.org.rest.EventSchema(ctx, id)
	if api, isAPI := errors.AsType[*salesforce.APIError](err); isAPI && api.Status >= 400 && api.Status < 500 && !salesforce.Retryable(err) && !salesforce.Unauthorized(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, outside("schema "+id, err)
	}
	if s, err = schemas.Parse(id, text); err != nil {
		return nil, false, outside("schema "+id, err)
	}
	return s, true, nil
}

// asEnvironment gives errors without an exit code the one for trouble outside:
// where 1 says that two things differ, nothing else may.
func asEnvironment(err error) error {
	if _, has := errors.AsType[*pipeline.ExitError](err); has || err == nil {
		return err
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf("schemas: %w", err))
}
