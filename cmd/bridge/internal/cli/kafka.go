package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// dialTimeout bounds one attempt to reach a broker.
const dialTimeout = 10 * time.Second

// kafkaOptions are the options that every Kafka client of the process shares.
func kafkaOptions(k config.Kafka) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(k.Brokers...),
		kgo.ClientID(k.ClientID),
		kgo.DialTimeout(dialTimeout),
		// A broker that restarts behind a proxy answers a new connection by closing it.
		kgo.AlwaysRetryEOF(),
	}
	tls, err := k.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	if tls != nil {
		opts = append(opts, kgo.DialTLSConfig(tls))
	}
	if m := mechanism(k.SASL); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func mechanism(s config.SASL) sasl.Mechanism {
	switch s.Mechanism {
	case config.SASLPlain:
		return plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism()
	case config.SASLScramSHA256:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	case config.SASLScramSHA512:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha512Mechanism()
	default:
		return nil
	}
}

// laneMetrics hangs franz-go's own metrics of one lane's producer on the
// registry, until that producer is closed.
func laneMetrics(registry *prometheus.Registry, lane int32) kgo.Opt {
	return kgo.WithHooks(kprom.NewMetrics("bridge_kafka",
		kprom.Registry(registry), kprom.WithStaticLabel(prometheus.Labels{"lane": strconv.Itoa(int(lane))})))
}

// reachTimeout is how long the start waits for any of the brokers.
const reachTimeout = 15 * time.Second

// reachKafka says at the start, with one clear message, that no broker answers.
func reachKafka(ctx context.Context, opts []kgo.Opt, brokers []string) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		return exit(pipeline.ExitEnvironment, fmt.Errorf(
			"kafka: none of the brokers %s answers: %w; try: the addresses in kafka.brokers, the network, kafka.tls and kafka.sasl",
			strings.Join(brokers, ", "), err))
	}
	return nil
}
