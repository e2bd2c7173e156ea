package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/schemas"
)

// demoOptions are the flags of `demo`.
type demoOptions struct {
	events int
	rate   float64
	seed   uint64
	json   bool
}

func newDemo(stop *stopper) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way on this machine: no account, no broker",
		Long: `Show the whole way on this machine: no account, no broker.

A simulated Salesforce org, an in-process Kafka and a schema registry are
started on loopback, and the same pipeline as in 'bridge run' joins them. What
is printed is what an independent read_committed consumer sees. At the end it is
compared with what the org published: exit code 0 means that the consumer saw
exactly that, each event once and in order.`,
		Example: `  bridge demo
  bridge demo --events 1000 --rate 0
  bridge demo --events 20 --json | jq .`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.events < 0 || opts.rate < 0 {
				return exit(pipeline.ExitUsage, errors.New("--events and --rate must not be negative"))
			}
			opts.json = opts.json || !isTerminal(cmd.OutOrStdout())
			return runDemo(stop.intake, opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.events, "events", 0, "stop after this many records; 0 runs until Ctrl-C")
	f.Float64Var(&opts.rate, "rate", 5, "changes a second in the org; 0 is as fast as possible")
	f.Uint64Var(&opts.seed, "seed", 1, "seed of the simulated org: the same seed makes the same records")
	f.BoolVar(&opts.json, "json", false, "print JSON, one object a line (the default when not on a terminal)")
	return cmd
}

// demoChannels are the streams of the demo's bridge.
var demoChannels = []string{
	"/data/AccountChangeEvent", "/data/ContactChangeEvent", "/data/Invoice__ChangeEvent", "/event/Order__e",
}

// catchUp is how long the demo waits for the last records.
const catchUp = 30 * time.Second

// demo is one run of it.
type demo struct {
	opts demoOptions
	show presenter
	*embedded
	bridge *bridge
	tail   *tail
}

func runDemo(intake context.Context, opts demoOptions, stdout, stderr io.Writer) (err error) {
	d := &demo{opts: opts, show: newPresenter(opts.json, stdout)}
	if d.embedded, err = startEmbedded(intake, opts.seed); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.embedded.close()) }()
	cfg, err := d.config()
	if err != nil {
		return err
	}
	d.bridge = &bridge{cfg: cfg, log: logger(cfg.Log, stderr), stats: &pipeline.Stats{}, alone: true}
	ctx, cancel := context.WithCancel(context.Background()) // it ends in its own order, not with the intake
	defer cancel()
	o, err := startOps(ctx, d.bridge)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.shutdown()) }()
	if err := d.show.addresses(addresses{
		Org: d.orgAt.url, Kafka: cfg.Kafka.Brokers[0], Registry: d.registry.url, Ops: "http://" + o.addr(),
	}); err != nil {
		return err
	}
	defer d.bridge.close()
	if err := d.bridge.open(ctx); err != nil {
		return err
	}
	o.opened()
	return d.run(ctx, intake)
}

// run starts reader, bridge and load, and ends them in the order in which the
// events flow: load, bridge, reader.
func (d *demo) run(ctx, intake context.Context) error {
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{d.registry.url}})
	if err != nil {
		return err
	}
	if d.tail, err = newTail(d.bridge.cfg.Kafka.Brokers, `^salesforce\..*`, registry.Decoder(), d.show.record); err != nil {
		return err
	}
	defer d.tail.client.Close()
	alive, ended := context.WithCancel(ctx) // until the reader or the bridge has ended
	defer ended()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	reader := spawn(ended, func() error { return d.tail.run(reading) })
	carrying, drain := context.WithCancel(ctx)
	defer drain()
	carrier := spawn(ended, func() error { return d.bridge.run(ctx, carrying) })

	err = d.live(alive, intake)
	if err == nil {
		waiting, cancel := context.WithTimeout(alive, catchUp)
		d.tail.wait(waiting, len(d.expected()))
		cancel()
	}
	drain()
	err = errors.Join(err, <-carrier)
	stopReading()
	if err = errors.Join(err, <-reader); err != nil {
		return err
	}
	return d.judge()
}

// spawn runs f in a goroutine, whose owner receives what it returned.
func spawn(ended func(), f func() error) <-chan error {
	result := make(chan error, 1)
	go func() {
		defer ended()
		result <- f()
	}()
	return result
}

// live changes records in the org until enough are published, we are asked to
// stop, or reader or bridge end by themselves, which they should not.
func (d *demo) live(alive, intake context.Context) error {
	publish, err := newPublisher(d.org, d.opts)
	if err != nil {
		return err
	}
	for {
		more, err := publish.step()
		if err != nil || !more {
			return err
		}
		select {
		case <-intake.Done():
			return nil
		case <-alive.Done():
			return errors.New("the bridge or its reader ended by itself")
		case <-publish.pace():
		}
	}
}

func (d *demo) expected() []oracle.Record {
	return oracle.Expected(d.org.LedgerFrom(0), demoChannels)
}

// judge compares what the consumer saw with what the org published.
func (d *demo) judge() error {
	want, seen := d.expected(), d.tail.records()
	diff := oracle.Compare(want, seen)
	s := summary{Published: d.org.LedgerLen(), Expected: len(want), Seen: len(seen), Topics: make(map[string]int), Differences: append([]string{}, diff...)}
	for _, r := range seen {
		s.Topics[r.Topic]++
	}
	for _, state := range d.bridge.stats.Snapshot() {
		s.Received += state.Received
		s.Produced += state.Produced
		s.Positions = append(s.Positions, position{Channel: state.Channel, Position: state.Position})
	}
	slices.SortFunc(s.Positions, func(a, b position) int { return strings.Compare(a.Channel, b.Channel) })
	if err := d.show.summary(s); err != nil {
		return err
	}
	if len(diff) > 0 {
		return exit(pipeline.ExitRuntime, fmt.Errorf("the consumer did not see exactly what the org published: %d differences", len(diff)))
	}
	return nil
}

// config is the configuration that a user of the demo's org would write.
func (d *demo) config() (*config.Config, error) {
	var b strings.Builder
	fmt.Fprintf(&b, demoConfig, d.orgAt.url, demoClientID(), demoUser(), d.kafka.ListenAddrs()[0], d.registry.url)
	for _, channel := range demoChannels {
		fmt.Fprintf(&b, "  - channel: %s\n    start: earliest\n", channel)
		if strings.HasPrefix(channel, "/data/") {
			b.WriteString("    snapshot: never\n")
		}
	}
	cfg, problems := config.Parse([]byte(b.String()), "demo", config.Env{
		ReadFile: func(string) ([]byte, error) { return d.key, nil },
	})
	if config.HasErrors(problems) {
		return nil, fmt.Errorf("the demo's own configuration: %v", problems)
	}
	return cfg, nil
}

const demoConfig = `
name: demo
org:
  login_url: %s
  auth:
    type: jwt_bearer
    client_id: %s
    username: %s
    audience: https://login.salesforce.com
    private_key: ${file:demo.key}
kafka:
  brokers: [%q]
registry:
  url: %s
topics:
  partitions: 3
lanes: 2
ops:
  listen: 127.0.0.1:0
log:
  level: warn
  format: console
streams:
`
