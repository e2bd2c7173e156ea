package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// auditDesk is what an audit works with.
type auditDesk struct {
	*desk
	flags  *auditFlags
	stream *config.Stream
	topic  string
	client *kgo.Client
	calls  callBound
}

// openAuditDesk reads the configuration, logs in and reaches Kafka.
func openAuditDesk(ctx context.Context, f *auditFlags, w io.Writer) (*auditDesk, error) {
	d, err := openDesk(ctx, f.path, w)
	if err != nil {
		return nil, err
	}
	a := &auditDesk{desk: d, flags: f, calls: callBound{client: d.org.rest, most: f.maxCalls}}
	if a.stream, err = d.cover(f.entity, f.stream); err != nil {
		return nil, err
	}
	if a.topic, err = d.foldedTopic(a.stream.Channel, f.entity); err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%w; try: a topic template without {{.ChangeType}}, since nobody can tell the order of changes in several topics", err))
	}
	if err := reachKafka(ctx, d.kafka, d.cfg.Kafka.Brokers); err != nil {
		return nil, err
	}
	a.client, err = kgo.NewClient(slices.Concat(d.kafka, fold.ClientOptions())...)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	return a, nil
}

func (d *auditDesk) close() {
	d.client.Close()
	d.desk.close()
}

// audit compares.
func (d *auditDesk) audit(ctx context.Context, progress func(audit.Step)) (*audit.Report, error) {
	shape, err := snapshot.NewShape(ctx, snapshot.ShapeConfig{Client: d.org.rest, Org: d.org.id, Channel: d.stream.Channel, Object: d.flags.entity})
	if err != nil {
		return nil, err
	}
	// What rows become is compared with what records decode to: format json is that.
	encoding := d.encoding
	encoding.Format, encoding.JSONSchema, encoding.Registry, encoding.KeyFormat = transform.JSON, false, nil, transform.StringKeys
	encoder, err := transform.NewEncoder(encoding)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	reader, err := d.reader(0)
	if err != nil {
		return nil, err
	}
	sampler, err := d.reader(auditPart)
	if err != nil {
		return nil, err
	}
	cfg := audit.Config{
		Reader: reader, Sampler: sampler, Shape: shape, Encoder: encoder, Sample: d.flags.sample, Settle: d.flags.settle,
		Draw: rand.IntN, Progress: progress,
		Topic: fold.Config{
			Client: d.client, Topics: []string{d.topic}, Object: d.flags.entity, Org: d.org.id,
			Values: d.flags.showValues, Format: d.encoding.Format,
		},
	}
	if d.flags.full {
		cfg.Sample = 0
	}
	if d.registry != nil {
		cfg.Topic.Decoder = d.registry.Decoder()
	}
	return audit.Run(ctx, cfg)
}

// auditPart is how many rows of a sample come with one call.
const auditPart = 50

// reader reads rows in pages, as many as the flags allow; 0 is the usual size.
func (d *auditDesk) reader(pageRows int) (*salesforce.Reader, error) {
	r, err := salesforce.NewReader(salesforce.ReaderConfig{Client: d.org.rest, Spend: d.calls.spend, PageRows: pageRows})
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	return r, nil
}

// callBound bounds all calls that a client sends, by what it has sent.
type callBound struct {
	client *salesforce.Client
	most   int // 0: no bound
}

func (c callBound) spend(_ context.Context, calls int) error {
	if c.most > 0 && c.spent()+calls > c.most {
		return &callsSpentError{most: c.most}
	}
	return nil
}

func (c callBound) spent() int {
	return int(min(c.client.Calls(), math.MaxInt)) //nolint:gosec // bounded
}

// callsSpentError says that a command may send no more calls.
type callsSpentError struct{ most int }

func (e *callsSpentError) Error() string {
	return fmt.Sprintf("%d calls of the org's API do not suffice; try: a larger --max-api-calls, or a smaller --sample", e.most)
}
