package ops

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// full is a snapshot in which no value is like another, so that a mix-up shows.
func full() Snapshot {
	return Snapshot{
		Streams: []StreamStats{
			{
				Stream: "/data/AccountChangeEvent", Owned: true, Received: 1, Produced: 2, Records: 3, DeadLettered: 4, Filtered: 5, Returned: 6, InFlight: 7, Gaps: 8, Extras: 26, Rows: 35, RowsLeft: 36, RowsRefused: 37, OpenGaps: new(29),
				LastEventTime: time.UnixMilli(8_500), LastCommit: time.UnixMilli(9_250), Position: "10", Subscribed: true,
				LastReceived: time.UnixMilli(18_125), Starving: "rows were changed", LostAfter: scrape().Add(19 * time.Second), PositionExpires: scrape().Add(20500 * time.Millisecond),
			},
			{Stream: "/event/Order__e", Owned: true, Halted: true, LostAfter: scrape().Add(-21 * time.Second)},
		},
		Lanes: []int32{3}, Members: 27, Differing: 28,
		Questions:     map[string]uint64{"quiet": 22, "starving": 23},
		APICalls:      24,
		APIRemaining:  new(int64(-25)),
		Rows:          &Rows{Tasks: []TaskCount{{"initial", "running", 30}, {"repair", "paused", 31}}, Holds: 32, BudgetUsed: 33, BudgetLeft: 34},
		Reconnects:    map[string]uint64{"unknown_client": 11},
		TokenRequests: map[string]uint64{ResultOK: 12, ResultFailed: 13},
		Commits:       map[string]uint64{ResultOK: 14, ResultFailed: 15},
		CommitSeconds: HistogramData{Count: 16, Sum: 17.5, Buckets: map[float64]uint64{0.1: 10, 1: 15}},
	}
}

// scrape is when the tests' metrics are asked for.
func scrape() time.Time { return time.Date(2026, 3, 4, 9, 15, 22, 0, time.UTC) }

func gather(t *testing.T, snapshot func() Snapshot) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewCollector("v1.2.3", snapshot, scrape)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestMetricNames keeps names, types, labels and help in step with a file: they
// are what dashboards and alerts are made of.
func TestMetricNames(t *testing.T) {
	var b strings.Builder
	for _, family := range gather(t, full) {
		fmt.Fprintf(&b, "%s %s {%s}\n  %s\n", family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels(family), ","), family.GetHelp())
	}
	golden(t, "testdata/metrics.golden", b.String())
}

// TestMetricValues keeps what a full snapshot becomes.
func TestMetricValues(t *testing.T) {
	var b strings.Builder
	for _, family := range gather(t, full) {
		for _, m := range family.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "goversion" {
					pairs = append(pairs, l.GetName()+"="+l.GetValue())
				}
			}
			fmt.Fprintf(&b, "%s{%s} %s\n", family.GetName(), strings.Join(pairs, ","), value(m))
		}
	}
	golden(t, "testdata/values.golden", b.String())
}

func value(m *dto.Metric) string {
	switch {
	case m.GetCounter() != nil:
		return fmt.Sprint(m.GetCounter().GetValue())
	case m.GetGauge() != nil:
		return fmt.Sprint(m.GetGauge().GetValue())
	}
	h := m.GetHistogram()
	text := fmt.Sprintf("count %d sum %v", h.GetSampleCount(), h.GetSampleSum())
	for _, bucket := range h.GetBucket() {
		text += fmt.Sprintf(" le %v: %d", bucket.GetUpperBound(), bucket.GetCumulativeCount())
	}
	return text
}

func labels(family *dto.MetricFamily) []string {
	var names []string
	for _, l := range family.GetMetric()[0].GetLabel() {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// TestMetricNamingRules are Prometheus's, and the house's prefix.
func TestMetricNamingRules(t *testing.T) {
	families := gather(t, full)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "bridge_") {
			t.Errorf("%s does not begin with bridge_", family.GetName())
		}
	}
}

// TestEmptySnapshot: before anything has happened there are still metrics.
func TestEmptySnapshot(t *testing.T) {
	var names []string
	for _, family := range gather(t, func() Snapshot { return Snapshot{} }) {
		names = append(names, family.GetName())
	}
	if want := []string{"bridge_build_info", "bridge_commit_duration_seconds", "bridge_group_differing_members", "bridge_group_members", "bridge_salesforce_api_calls_total"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// TestStreamStatsJSON holds what /status says of a stream: what is not known or
// not so is left out.
func TestStreamStatsJSON(t *testing.T) {
	for name, tt := range map[string]struct {
		stats StreamStats
		want  []string
	}{
		"nothing is known": {StreamStats{}, nil},
		"all is known": {
			StreamStats{LastReceived: scrape(), Starving: "7 rows were changed", LostAfter: scrape().Add(time.Hour), PositionExpires: scrape().Add(2 * time.Hour)},
			[]string{`"last_received":"2026-03-04T09:15:22Z"`, `"starving":"7 rows were changed"`, `"lost_after":"2026-03-04T10:15:22Z"`, `"position_expires":"2026-03-04T11:15:22Z"`},
		},
	} {
		data, err := json.Marshal(tt.stats)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s: no %s in %s", name, want, data)
			}
		}
		for _, key := range []string{"last_received", "starving", "lost_after", "position_expires"} {
			if tt.want == nil && strings.Contains(string(data), key) {
				t.Errorf("%s: %s in %s", name, key, data)
			}
		}
	}
}

// TestForeignStreams: of a stream that another instance carries there are counters
// and no more, since two instances would contradict each other.
func TestForeignStreams(t *testing.T) {
	for _, family := range gather(t, func() Snapshot {
		return Snapshot{Streams: []StreamStats{{Stream: "a", Received: 3, Subscribed: true, LostAfter: scrape()}}}
	}) {
		ofStream := slices.Contains(labels(family), "stream")
		if ofStream && family.GetType() != dto.MetricType_COUNTER {
			t.Errorf("%s is told of a stream that is not ours", family.GetName())
		}
		if family.GetName() == "bridge_events_received_total" && value(family.GetMetric()[0]) != "3" {
			t.Errorf("received: %s, want 3", value(family.GetMetric()[0]))
		}
	}
}

// TestDeadlines: time left is told by the clock of the scrape, goes below zero,
// and is absent where the moment is not known.
func TestDeadlines(t *testing.T) {
	now := scrape()
	stats := Snapshot{Streams: []StreamStats{
		{Stream: "a", Owned: true, LostAfter: now.Add(time.Minute)}, {Stream: "b", Owned: true, PositionExpires: now.Add(time.Hour)}, {Stream: "c", Owned: true},
		{Stream: "another's", LostAfter: now.Add(time.Minute)},
	}}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector("v1.2.3", func() Snapshot { return stats }, func() time.Time { return now }))
	for _, passed := range []time.Duration{0, 90 * time.Second, 89 * time.Minute} {
		now = now.Add(passed)
		want := map[string]string{
			"bridge_stream_retention_left_seconds": fmt.Sprint("a ", time.Minute.Seconds()-now.Sub(scrape()).Seconds()),
			"bridge_stream_position_left_seconds":  fmt.Sprint("b ", time.Hour.Seconds()-now.Sub(scrape()).Seconds()),
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			expected, ok := want[family.GetName()]
			delete(want, family.GetName())
			if m := family.GetMetric(); ok && (len(m) != 1 || m[0].GetLabel()[0].GetValue()+" "+value(m[0]) != expected) {
				t.Errorf("%s after %v: %v, want %s", family.GetName(), now.Sub(scrape()), m, expected)
			}
		}
		if len(want) != 0 {
			t.Errorf("after %v not told: %v", now.Sub(scrape()), want)
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
