package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// catchUp is how many events wait for the bridge, of about how many bytes each.
const (
	catchUp      = 100_000
	catchUpBytes = 1200
)

// BenchmarkCatchUp starts the bridge beside 100,000 change events of 1.2 kB
// that wait for it on four channels, and measures until a read_committed
// consumer has them all: events/s, the bridge's own CPU for each event, its
// peak memory, and the time from its start to the first record.
func BenchmarkCatchUp(b *testing.B) {
	b.Run("kfake", func(b *testing.B) {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			b.Fatal(err)
		}
		defer fake.Close()
		benchCatchUp(b, fake.ListenAddrs(), func() string { return fmt.Sprintf("fake-%d", time.Now().UnixNano()) })
	})
	b.Run("kafka", func(b *testing.B) {
		cluster := kafkatest.Shared(b)
		benchCatchUp(b, cluster.Brokers(), func() string { return strings.ToLower(cluster.Topic(b)) })
	})
}

func benchCatchUp(b *testing.B, brokers []string, name func() string) {
	binary(b)
	var took, first, cpu time.Duration
	var rss int
	for b.Loop() {
		b.StopTimer()
		s := newSite(b, name(), brokers, fourChannels...)
		s.settings["lanes"] = "4" // the default
		for _, object := range []string{"Account", "Contact", "Invoice__c", "Order__e"} {
			if err := s.org.Bulk(orgsim.Bulk{Object: object, Count: catchUp / 4, Bytes: catchUpBytes, Batch: 100}); err != nil {
				b.Fatal(err)
			}
		}
		want := len(oracle.Expected(s.org.LedgerFrom(0), s.channels))
		r := s.read(b)
		b.StartTimer()
		began := time.Now()
		p := s.start(b)
		r.wait(b, 1, time.Minute, p.output)
		first += time.Since(began)
		r.wait(b, want, 5*time.Minute, p.output)
		took += time.Since(began)
		b.StopTimer()
		_, peak := p.memory(b)
		rss = max(rss, peak)
		p.drain(b)
		cpu += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
		s.exactly(b, r)
		b.StartTimer()
	}
	n := float64(b.N)
	b.ReportMetric(catchUp*n/took.Seconds(), "events/s")
	b.ReportMetric(float64(cpu.Microseconds())/(catchUp*n), "cpu-µs/event")
	b.ReportMetric(float64(rss)/1024, "peak-MiB")
	b.ReportMetric(float64(first.Milliseconds())/n, "first-record-ms")
	b.ReportMetric(0, "ns/op")
}
