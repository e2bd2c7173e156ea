package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/schemas"
)

// within is how long anything may take in these tests.
const within = 30 * time.Second

// fault answers a request in the registry's place; false lets it through.
type fault func(w http.ResponseWriter, r *http.Request) bool

// schemaSite is an org, a Kafka and a registry that can be broken, and the
// configuration that names them.
type schemaSite struct {
	org      *orgsim.Org
	fake     *srfake.Registry
	kafka    []kgo.Opt
	channels []string
	path     string // of the configuration

	mu    sync.Mutex
	broke fault
}

func newSchemaSite(t *testing.T, registry string, channels ...string) *schemaSite {
	t.Helper()
	s := &schemaSite{fake: srfake.NewRegistry(), channels: channels}
	org, key, err := newOrg(3)
	if err != nil {
		t.Fatal(err)
	}
	s.org = org
	orgAt := httptest.NewServer(org.Handler())
	t.Cleanup(func() {
		orgAt.CloseClientConnections()
		orgAt.Close()
		if err := org.Close(); err != nil {
			t.Error(err)
		}
	})
	registryAt := httptest.NewServer(http.HandlerFunc(s.serveRegistry))
	t.Cleanup(registryAt.Close)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	s.kafka = []kgo.Opt{kgo.SeedBrokers(kafka.ListenAddrs()...)}
	dir := t.TempDir()
	s.path = filepath.Join(dir, "bridge.yaml")
	text := fmt.Sprintf(demoConfig, orgAt.URL, demoClientID(), demoUser(), kafka.ListenAddrs()[0], registryAt.URL+"\n"+registry)
	for _, c := range channels {
		text += fmt.Sprintf("  - channel: %s\n    start: earliest\n", c)
		if strings.HasPrefix(c, "/data/") {
			text += "    snapshot: never\n"
		}
	}
	for name, content := range map[string]string{"demo.key": string(key), "bridge.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *schemaSite) serveRegistry(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	broke := s.broke
	s.mu.Unlock()
	if broke == nil || !broke(w, r) {
		s.fake.Handler().ServeHTTP(w, r)
	}
}

// breaks makes the registry fail as f says; nil repairs it.
func (s *schemaSite) breaks(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broke = f
}

// running is a bridge in this process.
type running struct {
	t    *testing.T
	site *schemaSite
	*bridge
	ops   *operations
	drain func()
}

func (s *schemaSite) run(t *testing.T) *running {
	t.Helper()
	cfg, problems, err := config.Load(s.path, config.OSEnv())
	if err != nil || config.HasErrors(problems) {
		t.Fatal(err, problems)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, site: s, bridge: &bridge{cfg: cfg, log: zerolog.Nop(), stats: &pipeline.Stats{}}}
	if r.ops, err = startOps(ctx, r.bridge); err != nil {
		t.Fatal(err)
	}
	if err := r.open(ctx); err != nil {
		t.Fatal(err)
	}
	r.ops.opened()
	ended := make(chan error, 1)
	go func() { ended <- r.bridge.run(context.Background(), ctx) }()
	r.drain = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			if e, ok := errors.AsType[*pipeline.ExitError](err); !ok || e.Code != pipeline.ExitHalted {
				t.Errorf("the bridge ended with %v", err)
			}
		}
		r.close()
		if err := r.ops.shutdown(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.drain)
	return r
}

// eventually waits until what is asked for is so.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	late := time.After(within)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			t.Fatal(err)
		}
	}
}

// notReady waits until readyz says why not, in words that hold all of these.
func (r *running) notReady(words ...string) {
	r.t.Helper()
	eventually(r.t, func() error {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.ops.addr()+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		client := http.Client{Timeout: within}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for _, word := range words {
			quoted, _ := json.Marshal(word)
			if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), strings.Trim(string(quoted), `"`)) {
				return fmt.Errorf("readyz is %d %s, want it to say %q", resp.StatusCode, body, word)
			}
		}
		return err
	})
}

// records are what is committed in the topics of records.
func (s *schemaSite) records(t *testing.T) []oracle.Record {
	t.Helper()
	var out []oracle.Record
	for _, c := range s.channels {
		object := targetOf(config.Stream{Channel: c, Kind: kindOf(c)}).object
		records, err := readTopic(t.Context(), s.kafka, "salesforce."+object)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			one, err := oracle.Read(rec)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, one)
		}
	}
	return out
}

func kindOf(channel string) config.ChannelKind {
	if strings.HasPrefix(channel, "/data/") {
		return config.ChangeData
	}
	return config.PlatformEvent
}

// exactly waits until a consumer sees all that the org published, and checks
// that it is that, each event once and in order.
func (r *running) exactly(channels ...string) {
	r.t.Helper()
	want := oracle.Expected(r.site.org.LedgerFrom(0), channels)
	only := func(all []oracle.Record) []oracle.Record {
		return slices.DeleteFunc(all, func(one oracle.Record) bool { return !slices.Contains(channels, one.Channel) })
	}
	eventually(r.t, func() error {
		if got := only(r.site.records(r.t)); len(got) < len(want) {
			return fmt.Errorf("%d of %d records; %+v", len(got), len(want), r.stats.Troubles())
		}
		return nil
	})
	for _, d := range oracle.Compare(want, only(r.site.records(r.t))) {
		r.t.Error(d)
	}
}

// changes are the records of schema changes.
func (s *schemaSite) changes(t *testing.T) []changeRecord {
	t.Helper()
	records, err := readTopic(t.Context(), s.kafka, "demo.schema-changes")
	if err != nil {
		t.Fatal(err)
	}
	at := httptest.NewServer(s.fake.Handler())
	defer at.Close()
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{at.URL}})
	if err != nil {
		t.Fatal(err)
	}
	decoder := registry.Decoder()
	out := make([]changeRecord, len(records))
	for i, rec := range records {
		text, err := decoder.JSON(t.Context(), rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			t.Fatal(err)
		}
		out[i].key = string(rec.Key)
	}
	return out
}

// changeRecord is a record of a schema change as a consumer sees it.
type changeRecord struct {
	key                                 string
	Object, Event, Channel, NewSchemaID string
	OldSchemaID, Subject, Position      *string
	Version, RegistryID                 *int
	Compared                            bool
	Changes                             []struct{ Kind, Path, New string }
	Detail                              string
}

// schemaID is the id that the next event of an object has.
func (s *schemaSite) schemaID(t *testing.T, object string) string {
	t.Helper()
	id, err := s.org.SchemaID(object)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// publish creates n accounts, one after the other.
func (s *schemaSite) publish(t *testing.T, n int, fields orgsim.Fields) {
	t.Helper()
	for i := range n {
		all := orgsim.Fields{"Name": fmt.Sprint("Account ", i)}
		maps.Copy(all, fields)
		if _, err := s.org.Create("Account", all); err != nil {
			t.Fatal(err)
		}
	}
}

// addField gives accounts a field, and their events another schema.
func (s *schemaSite) addField(t *testing.T, name string) {
	t.Helper()
	if err := s.org.AddField("Account", orgsim.Field{Name: name, Type: orgsim.Number}); err != nil {
		t.Fatal(err)
	}
}
