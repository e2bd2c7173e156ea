package ops

import (
	"runtime"
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

// Collector makes metrics of snapshots. It keeps no values of its own.
type Collector struct {
	snapshot func() Snapshot
	version  string

	streams       []streamMetric
	build         *prometheus.Desc
	reconnects    *prometheus.Desc
	tokenRequests *prometheus.Desc
	commits       *prometheus.Desc
	commitSeconds *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector of what snapshot says, which is called at
// each scrape, from several goroutines if there are several scrapers.
func NewCollector(version string, snapshot func() Snapshot) *Collector {
	return &Collector{
		snapshot:      snapshot,
		version:       version,
		streams:       streamMetrics(),
		build:         prometheus.NewDesc("bridge_build_info", "Always 1; the labels say which build runs.", []string{"version", "goversion"}, nil),
		reconnects:    prometheus.NewDesc("bridge_reconnects_total", "Salesforce sessions that were begun again, by reason.", []string{"reason"}, nil),
		tokenRequests: prometheus.NewDesc("bridge_token_requests_total", "Requests for a Salesforce access token, by result.", []string{"result"}, nil),
		commits:       prometheus.NewDesc("bridge_commits_total", "Commits of records and positions to Kafka, by result.", []string{"result"}, nil),
		commitSeconds: prometheus.NewDesc("bridge_commit_duration_seconds", "Time that a successful commit to Kafka took.", nil, nil),
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
		metric(gauge, "bridge_stream_last_event_timestamp_seconds", "When the last committed event happened at Salesforce; 0 before the first.",
			func(s StreamStats) float64 { return unixSeconds(s.LastEventTime) }),
		metric(gauge, "bridge_stream_last_commit_timestamp_seconds", "When the stream's position was last committed; 0 before the first.",
			func(s StreamStats) float64 { return unixSeconds(s.LastCommit) }),
		metric(gauge, "bridge_stream_subscribed", "1 while Salesforce delivers the stream to this process, 0 otherwise.",
			func(s StreamStats) float64 { return oneIf(s.Subscribed) }),
		metric(gauge, "bridge_stream_halted", "1 when a policy has halted the stream, 0 otherwise.",
			func(s StreamStats) float64 { return oneIf(s.Halted) }),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.streams {
		out <- m.desc
	}
	for _, d := range []*prometheus.Desc{c.build, c.reconnects, c.tokenRequests, c.commits, c.commitSeconds} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	for _, stats := range s.Streams {
		for _, m := range c.streams {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(stats), stats.Stream)
		}
	}
	out <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, c.version, runtime.Version())
	for desc, values := range map[*prometheus.Desc]map[string]uint64{c.reconnects: s.Reconnects, c.tokenRequests: s.TokenRequests, c.commits: s.Commits} {
		for label, n := range values {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), label)
		}
	}
	out <- prometheus.MustNewConstHistogram(c.commitSeconds, s.CommitSeconds.Count, s.CommitSeconds.Sum, s.CommitSeconds.Buckets)
}

// NewRegistry returns a registry of its own with the bridge's metrics and those
// of the Go runtime and the process.
func NewRegistry(version string, snapshot func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		NewCollector(version, snapshot),
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
