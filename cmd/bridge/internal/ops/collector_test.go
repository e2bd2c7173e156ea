package ops

import (
	"bytes"
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
				Stream: "/data/AccountChangeEvent", Received: 1, Produced: 2, Records: 3, DeadLettered: 4, Filtered: 5, Returned: 6, InFlight: 7, Gaps: 8,
				LastEventTime: time.UnixMilli(8_500), LastCommit: time.UnixMilli(9_250), Position: "10", Subscribed: true,
			},
			{Stream: "/event/Order__e", Halted: true},
		},
		Reconnects:    map[string]uint64{"unknown_client": 11},
		TokenRequests: map[string]uint64{ResultOK: 12, ResultFailed: 13},
		Commits:       map[string]uint64{ResultOK: 14, ResultFailed: 15},
		CommitSeconds: HistogramData{Count: 16, Sum: 17.5, Buckets: map[float64]uint64{0.1: 10, 1: 15}},
	}
}

func gather(t *testing.T, snapshot func() Snapshot) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewCollector("v1.2.3", snapshot)); err != nil {
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
	if want := []string{"bridge_build_info", "bridge_commit_duration_seconds"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
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
