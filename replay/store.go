package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is what Open needs.
type Config struct {
	// Client holds the options of the connection: seed brokers, TLS, SASL,
	// client id, hooks.
	Client []kgo.Opt
	Topic  string
	Org    string // the org's 18-character id
	Lanes  int    // partitions of the topic, at least 1

	// Create allows creating the topic if it is missing, with Lanes
	// partitions. ReplicationFactor 0 or -1 leaves that to the broker.
	// Settings win over the defaults that are documented at DefaultSettings,
	// but cleanup.policy must contain compact.
	Create            bool
	ReplicationFactor int
	Settings          map[string]string

	// OpenTimeout bounds Open. Default 30 s.
	OpenTimeout time.Duration
	// Token makes the tokens of barriers. Default: 26 random characters. For
	// tests.
	Token func() string
}

// DefaultSettings returns the topic settings that Open creates the topic with.
// Small segments and an eager cleaner keep a takeover short: what is not
// compacted has to be read. Retention is switched off, though it has no meaning
// while the policy is compact, so that a later change of the policy does not
// delete at once.
func DefaultSettings() map[string]string {
	return map[string]string{
		"cleanup.policy":            "compact",
		"segment.bytes":             strconv.Itoa(16 << 20),
		"segment.ms":                strconv.FormatInt((time.Hour).Milliseconds(), 10),
		"min.cleanable.dirty.ratio": "0.1",
		"retention.ms":              "-1",
		"retention.bytes":           "-1",
	}
}

const defaultOpenTimeout = 30 * time.Second

// Store reads the position topic and makes the records for it.
type Store struct {
	cfg     Config
	cl      *kgo.Client
	adm     *kadm.Client
	brokers []string
	watch   *watch
	id      kadm.TopicID // of the topic that was opened; zero before Kafka 2.8
}

// Open creates the topic or verifies it: that it is compacted, that it has one
// partition a lane, that every record in it can be read and lies where it
// belongs, and that it is this org's. It gives up after Config.OpenTimeout or
// at the end of ctx.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return connect(ctx, cfg, "opening the position topic", (*Store).verify)
}

// connect makes the client and hands it to look, all within Config.OpenTimeout.
func connect(ctx context.Context, cfg Config, doing string, look func(*Store, context.Context) error) (*Store, error) {
	var err error
	s := &Store{cfg: cfg, watch: &watch{}}
	opts := append([]kgo.Opt{}, cfg.Client...)
	opts = append(opts,
		kgo.WithHooks(s.watch),
		// A proxy in front of a restarting broker accepts and closes at once.
		kgo.AlwaysRetryEOF(),
		// How long an answer about topics and leaders is kept at least. The
		// client's 5 s would be a pause of that length whenever the topic was
		// just created or a leader just moved.
		kgo.MetadataMinAge(250*time.Millisecond),
	)
	s.cl, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, &ConfigError{Field: "Client", Err: err}
	}
	s.adm = kadm.NewClient(s.cl)
	seeds, _ := s.cl.OptValue(kgo.SeedBrokers).([]string)
	s.brokers = append([]string{}, seeds...)

	octx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	start := time.Now()
	pinged := make(chan error, 1)
	go func() {
		pinged <- s.cl.Ping(octx)
		close(pinged)
	}()
	if err = answered(octx, pinged); err == nil {
		err = look(s, octx)
	}
	if err != nil {
		s.cl.Close()
		<-pinged // closing ends it
		if ctx.Err() != nil {
			return nil, fmt.Errorf("opening position topic %q: %w", cfg.Topic, context.Cause(ctx))
		}
		return nil, s.typed(err, doing, start)
	}
	return s, nil
}

// answered waits for the result of a ping, which says what is wrong with a
// connection, where other requests retry until their time is up. The ping itself
// does not look at its context while a connection is set up, so the wait for it
// has to.
func answered(ctx context.Context, pinged <-chan error) error {
	select {
	case err := <-pinged:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c Config) withDefaults() (Config, error) {
	if c.Topic == "" {
		return c, &ConfigError{Field: "Topic", Err: errors.New("it is empty")}
	}
	if err := (Key{Org: c.Org, Channel: "/c"}).check(); err != nil {
		return c, &ConfigError{Field: "Org", Err: fmt.Errorf("%q is not an org id", c.Org)}
	}
	if c.Lanes < 1 || c.Lanes > 10_000 {
		return c, &ConfigError{Field: "Lanes", Err: fmt.Errorf("%d is not between 1 and 10000", c.Lanes)}
	}
	settings := DefaultSettings()
	maps.Copy(settings, c.Settings)
	if !compacted(settings["cleanup.policy"]) {
		return c, &ConfigError{Field: "Settings", Err: fmt.Errorf("cleanup.policy=%s would lose positions, it must be compact", settings["cleanup.policy"])}
	}
	c.Settings = settings
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = -1
	}
	if c.ReplicationFactor < -1 || c.ReplicationFactor > 1<<15-1 {
		return c, &ConfigError{Field: "ReplicationFactor", Err: fmt.Errorf("%d is out of range", c.ReplicationFactor)}
	}
	if c.OpenTimeout <= 0 {
		c.OpenTimeout = defaultOpenTimeout
	}
	if c.Token == nil {
		c.Token = rand.Text
	}
	return c, nil
}

// Close closes the connections. Closing twice is fine.
func (s *Store) Close() { s.cl.Close() }

// LaneOf returns the lane that a stream belongs to.
func (s *Store) LaneOf(k Key) int32 { return LaneOf(k, s.cfg.Lanes) }

// Record returns the record that makes e the stream's position, its partition
// set. It is to be committed together with the events before the position (I2).
// It panics if e has no position, a malformed key, or another org than the
// store's: writing it would make the topic unusable.
func (s *Store) Record(e Entry) *kgo.Record {
	if err := e.check(); err != nil {
		panic("replay: " + err.Error())
	}
	if e.Key.Org != s.cfg.Org {
		panic(fmt.Sprintf("replay: entry of org %q for a store of org %q", e.Key.Org, s.cfg.Org))
	}
	return &kgo.Record{
		Topic:     s.cfg.Topic,
		Partition: s.LaneOf(e.Key),
		Key:       []byte(e.Key.String()),
		Value:     encodeEntry(e),
	}
}

// Tombstone returns the record that deletes the stream's position. It panics
// like Record.
func (s *Store) Tombstone(k Key) *kgo.Record {
	r := s.Record(Entry{Key: k, Position: "-"})
	r.Value = nil
	return r
}

// Barrier marks the point up to which Load reads a lane.
type Barrier struct {
	topic string
	org   string
	lane  int32
	token string
}

// Barrier returns a new barrier for a lane. It panics if there is no such lane.
func (s *Store) Barrier(lane int32) Barrier {
	if lane < 0 || int(lane) >= s.cfg.Lanes {
		panic(fmt.Sprintf("replay: lane %d of %d", lane, s.cfg.Lanes))
	}
	return Barrier{topic: s.cfg.Topic, org: s.cfg.Org, lane: lane, token: s.cfg.Token()}
}

// Record returns the record to be committed through the lane's producer, after
// it fenced the older owner. Its partition is set, and is not the one that its
// key hashes to.
func (b Barrier) Record() *kgo.Record {
	return &kgo.Record{
		Topic:     b.topic,
		Partition: b.lane,
		Key:       []byte(barrierKey(b.lane)),
		Value:     encode(wireBarrier{V: version, Org: b.org, Token: b.token}),
	}
}

func compacted(policy string) bool {
	var compact bool
	for p := range strings.SplitSeq(policy, ",") {
		switch strings.TrimSpace(p) {
		case "compact":
			compact = true
		case "delete":
			return false
		}
	}
	return compact
}

// verify is Open's look at the topic.
func (s *Store) verify(ctx context.Context) error {
	if err := s.verifyTopic(ctx); err != nil {
		return err
	}
	_, err := s.All(ctx)
	return err
}

// verifyTopic looks at the topic, and not at what is in it.
func (s *Store) verifyTopic(ctx context.Context) error {
	detail, err := s.ready(ctx)
	if err != nil {
		return err
	}
	// After the topic was there: a copy exists before the topic is deleted, and
	// until it is whole again. So whoever sees the topic halfway sees the copy.
	if err := s.unfinished(ctx); err != nil {
		return err
	}
	s.id = detail.ID
	if n := len(detail.Partitions); n != s.cfg.Lanes {
		return &LaneCountError{Topic: s.cfg.Topic, Have: n, Want: s.cfg.Lanes}
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	if !compacted(policy) {
		return &NotCompactedError{Topic: s.cfg.Topic, Policy: policy}
	}
	return nil
}

// ready waits until the topic exists and all its partitions have a leader. It
// creates the topic if it is missing and the configuration says so.
func (s *Store) ready(ctx context.Context) (kadm.TopicDetail, error) {
	created := false
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		detail, err := s.lookUp(ctx)
		switch {
		case err == nil:
			return detail, nil
		case errors.Is(err, kerr.UnknownTopicOrPartition) && !created:
			// A topic that a migration has deleted is not missing.
			if err := s.unfinished(ctx); err != nil {
				return kadm.TopicDetail{}, err
			}
			if err := s.create(ctx); err != nil {
				return kadm.TopicDetail{}, err
			}
			created = true
			continue
		case !kerr.IsRetriable(err):
			return kadm.TopicDetail{}, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return kadm.TopicDetail{}, fmt.Errorf("position topic %q is not ready: %w: %w", s.cfg.Topic, err, ctx.Err())
		}
	}
}

// lookUp returns what the brokers say about the topic now. A partition without
// a leader is an error.
func (s *Store) lookUp(ctx context.Context) (kadm.TopicDetail, error) {
	// Asking for what we may do is what keeps the client from answering out of
	// its memory, which may be older than the topic.
	details, err := s.adm.ListTopics(kadm.WithAuthorizedOps(ctx), s.cfg.Topic)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return kadm.TopicDetail{}, &AuthorizationError{Operation: "Describe", Topic: s.cfg.Topic, Err: err}
	}
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	d, ok := details[s.cfg.Topic]
	switch {
	case !ok:
		return d, kerr.UnknownTopicOrPartition
	case d.Err != nil:
		return d, d.Err
	}
	for _, p := range d.Partitions {
		if p.Leader < 0 {
			return d, kerr.LeaderNotAvailable
		}
	}
	return d, nil
}

func (s *Store) create(ctx context.Context) error {
	if !s.cfg.Create {
		return &TopicMissingError{Topic: s.cfg.Topic, Lanes: s.cfg.Lanes, Err: kerr.UnknownTopicOrPartition}
	}
	return s.makeTopic(ctx)
}

// makeTopic creates the topic as the configuration says, however often it is asked.
func (s *Store) makeTopic(ctx context.Context) error {
	missing := func(err error) error {
		return &TopicMissingError{Topic: s.cfg.Topic, Lanes: s.cfg.Lanes, Err: err}
	}
	settings := make(map[string]*string, len(s.cfg.Settings))
	for k, v := range s.cfg.Settings {
		settings[k] = &v
	}
	resps, err := s.adm.CreateTopics(ctx, int32(s.cfg.Lanes), int16(s.cfg.ReplicationFactor), settings, s.cfg.Topic)
	if err != nil {
		return err
	}
	r := resps[s.cfg.Topic]
	switch {
	case r.Err == nil, errors.Is(r.Err, kerr.TopicAlreadyExists), kerr.IsRetriable(r.Err):
		// Another instance was faster, or the answer is still open: what
		// follows looks at the topic, whoever made it.
		return nil
	case errors.Is(r.Err, kerr.TopicAuthorizationFailed), errors.Is(r.Err, kerr.ClusterAuthorizationFailed):
		return &AuthorizationError{Operation: "Create", Topic: s.cfg.Topic, Err: r.Err}
	case r.ErrMessage != "":
		return missing(fmt.Errorf("creating it was refused: %w: %s", r.Err, r.ErrMessage))
	default:
		return missing(fmt.Errorf("creating it was refused: %w", r.Err))
	}
}

// policy returns the topic's cleanup.policy. Not being allowed to see it is an
// error: what cannot be verified cannot be relied on.
func (s *Store) policy(ctx context.Context) (string, error) {
	confs, err := s.adm.DescribeTopicConfigs(ctx, s.cfg.Topic)
	if err == nil {
		var rc kadm.ResourceConfig
		rc, err = confs.On(s.cfg.Topic, nil)
		if err == nil {
			err = rc.Err
		}
		for _, c := range rc.Configs {
			if c.Key == "cleanup.policy" {
				return c.MaybeValue(), nil
			}
		}
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "", &AuthorizationError{Operation: "DescribeConfigs", Topic: s.cfg.Topic, Err: err}
	case err != nil:
		return "", err
	default:
		return "", &NotCompactedError{Topic: s.cfg.Topic, Policy: ""}
	}
}
