package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/transform"
)

// alive returns what tells which records of an object the topics have; nil if the
// records of one object lie in several topics, whose order nobody can tell.
func (b *bridge) alive() func(ctx context.Context, channel, object string) iter.Seq2[string, error] {
	for _, s := range b.cfg.Streams {
		objects := s.KnownObjects()
		if s.Multi {
			objects = append(objects, "Account") // for what goes by the templates
		}
		for _, object := range objects {
			if _, err := b.foldedTopic(s.Channel, object); s.Kind == config.ChangeData && err != nil {
				b.log.Info().Err(err).Str("channel", s.Channel).Msg("records that the org does not have any more cannot be looked for: there is no sweep")
				return nil
			}
		}
	}
	return b.foldIDs
}

// foldedTopic is where all records of an object go.
func (b *bridge) foldedTopic(channel, object string) (topic string, err error) {
	for _, change := range []string{"SNAPSHOT", "CREATE", "UPDATE", "DELETE", "UNDELETE"} {
		one, err := transform.TopicOf(b.encoding(), channel, object, change)
		switch {
		case err != nil:
			return "", err
		case topic != "" && one != topic:
			return "", fmt.Errorf("the records of %s go to several topics, %s and %s among them", object, topic, one)
		}
		topic = one
	}
	return topic, nil
}

// foldIDs reads the topic of an object, and yields the ids of the records that it says
// to be there.
func (b *bridge) foldIDs(ctx context.Context, channel, object string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := b.fold(ctx, channel, object)
		if err != nil {
			yield("", err)
			return
		}
		for id := range f.IDs() {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (b *bridge) fold(ctx context.Context, channel, object string) (*fold.Fold, error) {
	topic, err := b.foldedTopic(channel, object)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(slices.Concat(b.kafka, fold.ClientOptions())...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	f, err := fold.New(fold.Config{Client: cl, Topics: []string{topic}, Object: object, Org: b.org.id, Format: b.encoding().Format})
	if err != nil {
		return nil, err
	}
	return f, f.Read(ctx)
}
