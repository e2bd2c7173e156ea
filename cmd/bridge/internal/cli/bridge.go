package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/polling"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/streaming"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// bridge is the program that `run` and `demo` share: everything that the
// configuration names, opened and joined.
type bridge struct {
	cfg   *config.Config
	log   zerolog.Logger
	stats *pipeline.Stats
	// metrics is where each lane's producer hangs its own; nil for nowhere.
	metrics *prometheus.Registry
	tokens  tokenCounter
	// alone is a bridge whose Kafka nobody else can reach: it has all lanes.
	alone bool
	fail  failpoints // of a build for tests

	org      *org
	kafka    []kgo.Opt
	store    *replay.Store
	catalog  *schemas.Catalog
	registry *schemas.Registry // of the values; nil if they have no schema there
	keys     *schemas.Registry // of the keys; nil likewise
	topics   transform.Topics  // of all lanes
	history  *pipeline.SchemaHistory
	budget   atomic.Pointer[callBudget]
	gaps     openGaps
	signals  signalFeed
	worker   atomic.Pointer[snapshot.Worker] // nil before the bridge runs
}

// open reaches everything that the configuration names, in the order in which
// a mistake is cheapest to tell.
func (b *bridge) open(ctx context.Context) (err error) {
	if b.kafka, err = kafkaOptions(b.cfg.Kafka); err != nil {
		return exit(pipeline.ExitUsage, err)
	}
	if b.org, err = login(ctx, b.cfg.Org, &b.tokens); err != nil {
		return err
	}
	b.log.Info().Str("org", b.org.id).Str("api_version", b.org.apiVersion).Msg("logged in to Salesforce")
	if err := reachKafka(ctx, b.kafka, b.cfg.Kafka.Brokers); err != nil {
		return err
	}
	b.catalog = schemas.NewCatalog(fetcher{b.org.rest}).WithTopics(fetcher{b.org.rest})
	if err := b.openRegistry(); err != nil {
		return err
	}
	if err := b.openStore(ctx, b.positions()); err != nil {
		return err
	}
	if b.cfg.Format == config.FormatRaw {
		return nil // its records have no schema that could change
	}
	b.history, err = b.schemaHistory(ctx)
	return err
}

// fetcher asks the org what a catalog wants to know, and marks the answers that
// asking again does not change.
type fetcher struct{ rest *salesforce.Client }

func (f fetcher) EventSchema(ctx context.Context, id string) ([]byte, error) {
	text, err := f.rest.EventSchema(ctx, id)
	return text, lasting(ctx, err)
}

func (f fetcher) TopicQuery(ctx context.Context, name string) (string, error) {
	topic, err := f.rest.PushTopic(ctx, name)
	if err != nil {
		return "", lasting(ctx, err)
	}
	return topic.Query, nil
}

func (f fetcher) ObjectFields(ctx context.Context, object string) ([]schemas.ObjectField, error) {
	described, err := f.rest.Describe(ctx, object)
	if err != nil {
		return nil, lasting(ctx, err)
	}
	fields := make([]schemas.ObjectField, len(described.Fields))
	for i, one := range described.Fields {
		fields[i] = schemas.ObjectField{Name: one.Name, Type: one.Type}
	}
	return fields, nil
}

// lasting marks an error that asking again does not change.
func lasting(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && !salesforce.Retryable(err) && !salesforce.Unauthorized(err) {
		return schemas.Permanent(err)
	}
	return err
}

func (b *bridge) close() {
	if b.store != nil {
		b.store.Close()
	}
}

// run carries events until intake ends or the policy says so.
func (b *bridge) run(ctx, intake context.Context) error {
	lanes := b.lanes()
	b.budget.Store(b.newBudget())
	worker, err := b.rowWorker(intake)
	if err != nil {
		return err
	}
	b.worker.Store(worker)
	b.tellUnknownEntities()
	dog := b.watchdog()
	defer b.watching(intake, dog)()
	defer b.followingGaps(intake)()
	defer b.followingSignals(intake)()
	return b.takenOver(b.assignment(lanes).Run(ctx, intake, func(ctx, intake context.Context, lane int32) error {
		l, err := b.lane(lane, lanes[lane], dog)
		if err != nil {
			return err
		}
		return l.Run(ctx, intake)
	}))
}

// lanes sorts the streams into the lanes that their keys hash to.
func (b *bridge) lanes() map[int32][]pipeline.Stream {
	lanes := make(map[int32][]pipeline.Stream)
	for _, s := range b.cfg.Streams {
		stream := b.stream(s)
		lane := b.store.LaneOf(stream.Key)
		lanes[lane] = append(lanes[lane], stream)
	}
	return lanes
}

// stream is a configured stream as a lane wants it.
func (b *bridge) stream(s config.Stream) pipeline.Stream {
	return pipeline.Stream{
		Key: replay.Key{Org: b.org.id, Channel: s.Channel}, Source: sourceKind(s), Start: start(s.Start), OnExpired: onExpired(s.OnExpired),
		HaltOnBadEvent: s.OnBadEvent == config.BadEventHalt, HaltOnUnknownField: s.OnUnknownField == config.UnknownFieldHalt,
		Retention: s.Retention, Watch: watch(s), Begin: b.beginnings(s),
	}
}

func start(s config.Start) pipeline.Start {
	switch s.At {
	case config.StartEarliest:
		return pipeline.Start{Earliest: true}
	case config.StartAfter:
		return pipeline.Start{After: replay.Position(fmt.Sprint(s.ReplayID))}
	default:
		return pipeline.Start{Latest: true}
	}
}

func onExpired(e config.OnExpired) pipeline.Start {
	return pipeline.Start{Earliest: e == config.ExpiredEarliest, Latest: e == config.ExpiredLatest}
}

func (b *bridge) lane(lane int32, streams []pipeline.Stream, dog *pipeline.Watchdog) (*pipeline.Lane, error) {
	encoding := b.encoding()
	encoder, err := transform.NewEncoder(encoding)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	ledger, err := transform.NewLedger(b.gapsTopic(), encoding)
	if err != nil {
		return nil, err
	}
	where := &whereabouts{rest: b.org.rest, log: b.log}
	return pipeline.NewLane(pipeline.LaneConfig{
		Lane: lane, Streams: streams, Positions: b.store, Encoder: encoder, Ledger: ledger, Schemas: b.history,
		Rows: b.worker.Load().Run, Tasks: b.store,
		DeadLetter: pipeline.DeadLetter{Topic: b.cfg.DeadLetter.Topic},
		MaxEvents:  b.cfg.Batch.MaxEvents, MaxBytes: b.cfg.Batch.MaxBytes,
		Owner: b.instance(), Stats: b.stats, Log: b.log, Watchdog: dog, OrgInstance: where.ask,
		OpenWriter: func(ctx context.Context) (pipeline.Writer, error) { return b.producer(ctx, lane) },
		OpenSource: func(_ context.Context, kind string, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
			return b.openSource(kind, where, resume, trace)
		},
	}), nil
}

// openSource opens a session of one kind of source.
func (b *bridge) openSource(kind string, where *whereabouts, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
	switch kind {
	case pipeline.CometD:
	case polling.Kind:
		return b.openPolling(resume, trace)
	default:
		return nil, fmt.Errorf("there is no source of kind %q", kind)
	}
	cfg := b.streaming()
	cfg.Moved = where.moved
	return streaming.Open(cfg, resume, trace)
}

func (b *bridge) producer(ctx context.Context, lane int32) (*sink.Producer, error) {
	return b.ownerOf(ctx, lane, sink.Place{Topic: b.cfg.Name + ".positions", Partition: lane})
}

// ownerOf is the producer of a lane whose positions are at a place; at none, if the
// topic does not have the partition.
func (b *bridge) ownerOf(ctx context.Context, lane int32, positions sink.Place) (*sink.Producer, error) {
	cfg := b.producing(fmt.Sprintf("%s-lane-%d", b.cfg.Name, lane))
	if b.metrics != nil {
		cfg.Client = append(cfg.Client, laneMetrics(b.metrics, lane))
	}
	cfg.Positions = positions
	cfg.Client = b.fail.producer(cfg.Client, b.cfg.Name+".positions")
	return sink.Open(ctx, cfg)
}

// producing is how the producer of a transactional id is opened.
func (b *bridge) producing(transactionalID string) sink.Config {
	delivery := sink.ExactlyOnce
	if b.cfg.Delivery == config.AtLeastOnce {
		delivery = sink.AtLeastOnce
	}
	t, special := b.cfg.Topics, b.tellingTopics()
	special[b.gapsTopic()], special[b.schemaChangesTopic()] = b.ledgerTopic(), b.ledgerTopic()
	return sink.Config{
		Client:             slices.Clone(b.kafka),
		TransactionalID:    transactionalID,
		Delivery:           delivery,
		Compression:        sink.Compression(b.cfg.Kafka.Compression),
		TransactionTimeout: b.cfg.Kafka.TransactionTimeout,
		Topics: sink.TopicConfig{
			Create: t.Create, Partitions: t.Partitions, ReplicationFactor: t.ReplicationFactor, Settings: t.Settings,
		},
		Special: special,
	}
}

// ledgerTopic is how the topics of what is known are made: the last record of a
// key holds.
func (b *bridge) ledgerTopic() sink.TopicConfig {
	return sink.TopicConfig{
		Create: b.cfg.InternalTopics.Create, Partitions: 1, ReplicationFactor: b.cfg.InternalTopics.ReplicationFactor,
		Settings: map[string]string{"cleanup.policy": "compact"},
	}
}

// compacted says whether the record topics that we make are compacted, in
// which case a DELETE is followed by a tombstone.
func (b *bridge) compacted(string) bool {
	return strings.Contains(b.cfg.Topics.Settings["cleanup.policy"], "compact")
}

func (b *bridge) gapsTopic() string { return b.cfg.Name + ".gaps" }

// encoding is the configuration of what makes records.
func (b *bridge) encoding() transform.Config {
	streams := make(map[string]transform.StreamOptions, len(b.cfg.Streams))
	for _, s := range b.cfg.Streams {
		streams[s.Channel] = transform.StreamOptions{
			Topic: s.Topic, KeyField: s.Key, Entities: entities(s.Entities),
			Extras: s.OnUnknownField == config.UnknownFieldKeep, Envelope: envelope(s.Envelope),
		}
	}
	cfg := transform.Config{
		OrgID: b.org.id, Schemas: b.catalog, TopicTemplate: b.cfg.Topics.Template, Prefix: b.cfg.Topics.Prefix,
		TopicMap: b.cfg.Topics.Map, OwnTopics: b.cfg.OwnTopics(), Topics: &b.topics,
		Streams: streams, Tombstone: b.compacted, JSONSchema: b.cfg.Registry.JSONSchema, SourceName: b.cfg.Name, Version: build().Version,
	}
	switch b.cfg.Registry.SubjectStrategy {
	case config.SubjectRecord:
		cfg.Subject = schemas.RecordSubject
	case config.SubjectTopicRecord:
		cfg.Subject = schemas.TopicRecordSubject
	default:
		cfg.Subject = schemas.TopicSubject
	}
	switch b.cfg.Format {
	case config.FormatJSON:
		cfg.Format = transform.JSON
	case config.FormatRaw:
		cfg.Format = transform.Raw
	}
	for _, r := range b.cfg.Topics.Routes {
		cfg.TopicRoutes = append(cfg.TopicRoutes, transform.TopicRoute{Match: r.Match, Topic: r.Topic})
	}
	if b.registry != nil {
		cfg.Registry = b.registry
	}
	if b.keys != nil {
		cfg.Registry, cfg.KeyFormat = b.keys, transform.AvroKeys
	}
	return cfg
}

func entities(named []config.Entity) map[string]transform.EntityOptions {
	out := make(map[string]transform.EntityOptions, len(named))
	for _, e := range named {
		out[e.Name] = transform.EntityOptions{Topic: e.Topic, KeyField: e.Key}
	}
	return out
}

func envelope(e config.Envelope) schemas.Envelope {
	switch e {
	case config.EnvelopeFlat:
		return schemas.FlatEnvelope
	case config.EnvelopeDebezium:
		return schemas.DebeziumEnvelope
	}
	return schemas.EventEnvelope
}
