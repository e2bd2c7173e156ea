package ops

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// streamMetric is a metric that each stream has.
type streamMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(StreamStats) float64
}

// deadlineMetric is the time that a stream has left until a moment, for streams
// that have such a moment.
type deadlineMetric struct {
	desc *prometheus.Desc
	at   func(StreamStats) time.Time
}

// Collector makes metrics of snapshots. It keeps no values of its own.
type Collector struct {
	snapshot func() Snapshot
	version  string
	now      func() time.Time

	streams       []streamMetric
	deadlines     []deadlineMetric
	openGaps      *prometheus.Desc
	build         *prometheus.Desc
	reconnects    *prometheus.Desc
	tokenRequests *prometheus.Desc
	commits       *prometheus.Desc
	commitSeconds *prometheus.Desc
	questions     *prometheus.Desc
	apiCalls      *prometheus.Desc
	apiRemaining  *prometheus.Desc
	lane          *prometheus.Desc
	members       *prometheus.Desc
	differing     *prometheus.Desc
	rows          rowMetrics
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector of what snapshot says, which is called at
// each scrape, from several goroutines if there are several scrapers. What is
// left until a moment is told by the clock now; nil is time.Now.
func NewCollector(version string, snapshot func() Snapshot, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	return &Collector{
		snapshot:      snapshot,
		rows:          newRowMetrics(),
		version:       version,
		now:           now,
		streams:       streamMetrics(),
		deadlines:     deadlineMetrics(),
		openGaps:      prometheus.NewDesc("bridge_gaps_open", "Gaps of the stream that the ledger has as open or being repaired, whoever entered them; absent if not known.", []string{"stream"}, nil),
		build:         prometheus.NewDesc("bridge_build_info", "Always 1; the labels say which build runs.", []string{"version", "goversion"}, nil),
		reconnects:    prometheus.NewDesc("bridge_reconnects_total", "Salesforce sessions that were begun again, by reason.", []string{"reason"}, nil),
		tokenRequests: prometheus.NewDesc("bridge_token_requests_total", "Requests for a Salesforce access token, by result.", []string{"result"}, nil),
		commits:       prometheus.NewDesc("bridge_commits_total", "Commits of records and positions to Kafka, by result.", []string{"result"}, nil),
		commitSeconds: prometheus.NewDesc("bridge_commit_duration_seconds", "Time that a successful commit to Kafka took.", nil, nil),
		questions:     prometheus.NewDesc("bridge_watchdog_questions_total", "Questions to Salesforce whether rows changed while a stream was silent, by result.", []string{"result"}, nil),
		apiCalls:      prometheus.NewDesc("bridge_salesforce_api_calls_total", "Requests sent to Salesforce's REST API, which count against the org's daily API requests.", nil, nil),
		lane:          prometheus.NewDesc("bridge_lane_owned", "1 for each lane that this process owns; absent for the others.", []string{"lane"}, nil),
		members:       prometheus.NewDesc("bridge_group_members", "Instances in the consumer group that shares out the lanes, as last seen.", nil, nil),
		differing:     prometheus.NewDesc("bridge_group_differing_members", "Instances of them whose configuration is not this one's.", nil, nil),
		apiRemaining:  prometheus.NewDesc("bridge_salesforce_api_requests_remaining", "Daily API requests that the org has left, as Salesforce last told; absent until it has.", nil, nil),
	}
}

func streamMetrics() []streamMetric {
	metric := func(kind prometheus.ValueType, name, help string, value func(StreamStats) float64) streamMetric {
		return streamMetric{desc: prometheus.NewDesc(name, help, []string{"stream"}, nil), kind: kind, value: value}
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	return []streamMetric{
		metric(counter, "bridge_events_received_total", "Events taken from Salesforce. Equals produced + dead-lettered + filtered + returned + in flight.",
			func(s StreamStats) float64 { return float64(s.Received) }),
		metric(counter, "bridge_events_produced_total", "Events whose records are committed to Kafka.",
			func(s StreamStats) float64 { return float64(s.Produced) }),
		metric(counter, "bridge_events_dead_lettered_total", "Events committed to the dead-letter topic.",
			func(s StreamStats) float64 { return float64(s.DeadLettered) }),
		metric(counter, "bridge_events_filtered_total", "Events left out: they happened before the stream's start.",
			func(s StreamStats) float64 { return float64(s.Filtered) }),
		metric(counter, "bridge_events_returned_total", "Events given up before they were committed, which come again.",
			func(s StreamStats) float64 { return float64(s.Returned) }),
		metric(gauge, "bridge_events_in_flight", "Events taken from Salesforce and not yet committed.",
			func(s StreamStats) float64 { return float64(s.InFlight) }),
		metric(counter, "bridge_records_produced_total", "Records committed to Kafka; a merged change event makes several.",
			func(s StreamStats) float64 { return float64(s.Records) }),
		metric(counter, "bridge_gap_entries_total", "Entries committed to the gap ledger.",
			func(s StreamStats) float64 { return float64(s.Gaps) }),
		metric(counter, "bridge_unknown_fields_kept_total", "Fields that events had and their schemas lack, kept by on_unknown_field.",
			func(s StreamStats) float64 { return float64(s.Extras) }),
		metric(counter, "bridge_rows_written_total", "Rows of the org committed to Kafka, by snapshots and repairs; deletions that they found count too.",
			func(s StreamStats) float64 { return float64(s.Rows) }),
		metric(counter, "bridge_rows_left_out_total", "Rows that were not written since an event of their record came meanwhile; they are read again.",
			func(s StreamStats) float64 { return float64(s.RowsLeft) }),
		metric(counter, "bridge_rows_dead_lettered_total", "Rows committed to the dead-letter topic; they count as written too.",
			func(s StreamStats) float64 { return float64(s.RowsRefused) }),
		metric(gauge, "bridge_stream_last_event_timestamp_seconds", "When the last committed event happened at Salesforce; 0 before the first.",
			func(s StreamStats) float64 { return unixSeconds(s.LastEventTime) }),
		metric(gauge, "bridge_stream_last_commit_timestamp_seconds", "When the stream's position was last committed; 0 before the first.",
			func(s StreamStats) float64 { return unixSeconds(s.LastCommit) }),
		metric(gauge, "bridge_stream_last_received_timestamp_seconds", "When the last event was taken from Salesforce; 0 before the first.",
			func(s StreamStats) float64 { return unixSeconds(s.LastReceived) }),
		metric(gauge, "bridge_stream_subscribed", "1 while Salesforce delivers the stream to this process, 0 otherwise.",
			func(s StreamStats) float64 { return oneIf(s.Subscribed) }),
		metric(gauge, "bridge_stream_halted", "1 when a policy has halted the stream, 0 otherwise.",
			func(s StreamStats) float64 { return oneIf(s.Halted) }),
		metric(gauge, "bridge_stream_starving", "1 while Salesforce is thought to withhold the stream's events, 0 otherwise.",
			func(s StreamStats) float64 { return oneIf(s.Starving != "") }),
	}
}

func deadlineMetrics() []deadlineMetric {
	metric := func(name, help string, at func(StreamStats) time.Time) deadlineMetric {
		return deadlineMetric{desc: prometheus.NewDesc(name, help, []string{"stream"}, nil), at: at}
	}
	return []deadlineMetric{
		metric("bridge_stream_retention_left_seconds", "Time until Salesforce begins to drop events that the stream has not read; negative once it does, absent if not known.",
			func(s StreamStats) time.Time { return s.LostAfter }),
		metric("bridge_stream_position_left_seconds", "Time until Salesforce forgets the stream's position; negative once it has, absent if not known.",
			func(s StreamStats) time.Time { return s.PositionExpires }),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.streams {
		out <- m.desc
	}
	for _, m := range c.deadlines {
		out <- m.desc
	}
	c.rows.describe(out)
	for _, d := range []*prometheus.Desc{c.openGaps, c.build, c.reconnects, c.tokenRequests, c.commits, c.commitSeconds, c.questions, c.apiCalls, c.apiRemaining, c.lane, c.members, c.differing} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s, now := c.snapshot(), c.now()
	for _, stats := range s.Streams {
		for _, m := range c.streams {
			if m.kind == prometheus.GaugeValue && !stats.Owned {
				continue // another instance tells of it
			}
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(stats), stats.Stream)
		}
		for _, m := range c.deadlines {
			if at := m.at(stats); !at.IsZero() && stats.Owned {
				out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, at.Sub(now).Seconds(), stats.Stream)
			}
		}
		if stats.OpenGaps != nil && stats.Owned {
			out <- prometheus.MustNewConstMetric(c.openGaps, prometheus.GaugeValue, float64(*stats.OpenGaps), stats.Stream)
		}
	}
	c.rows.collect(out, s.Rows)
	out <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, c.version, runtime.Version())
	labelled := map[*prometheus.Desc]map[string]uint64{
		c.reconnects: s.Reconnects, c.tokenRequests: s.TokenRequests, c.commits: s.Commits, c.questions: s.Questions,
	}
	for desc, values := range labelled {
		for label, n := range values {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), label)
		}
	}
	for _, lane := range s.Lanes {
		out <- prometheus.MustNewConstMetric(c.lane, prometheus.GaugeValue, 1, strconv.Itoa(int(lane)))
	}
	out <- prometheus.MustNewConstMetric(c.members, prometheus.GaugeValue, float64(s.Members))
	out <- prometheus.MustNewConstMetric(c.differing, prometheus.GaugeValue, float64(s.Differing))
	out <- prometheus.MustNewConstMetric(c.apiCalls, prometheus.CounterValue, float64(s.APICalls))
	if s.APIRemaining != nil {
		out <- prometheus.MustNewConstMetric(c.apiRemaining, prometheus.GaugeValue, float64(*s.APIRemaining))
	}
	out <- prometheus.MustNewConstHistogram(c.commitSeconds, s.CommitSeconds.Count, s.CommitSeconds.Sum, s.CommitSeconds.Buckets)
}

// NewRegistry returns a registry of its own with the bridge's metrics and those
// of the Go runtime and the process.
func NewRegistry(version string, snapshot func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		NewCollector(version, snapshot, time.Now),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
