package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// change replaces a part of the minimal document.
func change(t *testing.T, pairs ...string) string {
	t.Helper()
	document := minimal
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(document, pair[0]) {
			t.Fatalf("the minimal document has no %q", pair[0])
		}
		document = strings.ReplaceAll(document, pair[0], pair[1])
	}
	return document
}

func TestDefaults(t *testing.T) {
	got := parse(t, minimal)
	want := &Config{
		Name: "acme",
		Org: Org{
			LoginURL: "https://acme.my.salesforce.com",
			Auth:     Auth{Type: AuthClientCredentials, ClientID: "3MVG9", ClientSecret: NewSecret(secretValue)}, OnOtherOrg: OtherOrgHalt, MaxAPICalls: 10_000,
		},
		Streams: []Stream{{
			Channel: "/data/AccountChangeEvent", Kind: ChangeData, Source: SourceCometD, Start: Start{At: StartLatest},
			Envelope: EnvelopeEvent, OnExpired: ExpiredEarliest, OnBadEvent: BadEventDeadLetter, OnUnknownField: UnknownFieldDeadLetter, OnStarvation: StarvationSession, Retention: 72 * time.Hour,
			Snapshot: SnapshotInitial, Repair: RepairAuto,
		}},
		Kafka: Kafka{
			Brokers: []string{"localhost:9092"}, ClientID: "bridge-acme", TLS: TLS{KeyPEM: NewSecret("")},
			TransactionTimeout: time.Minute, SessionTimeout: 6 * time.Second, Compression: CompressionLZ4,
		},
		Registry:        Registry{URL: "http://localhost:8081", SubjectStrategy: SubjectTopic, AutoRegister: true, OnIncompatible: IncompatibleHalt, Docs: DocsNone, TLS: TLS{KeyPEM: NewSecret("")}},
		Format:          FormatAvro,
		Envelope:        EnvelopeEvent,
		Delivery:        ExactlyOnce,
		Lanes:           4,
		Topics:          Topics{Template: "{{.Prefix}}.{{.Object}}", Prefix: "salesforce", KeyFormat: KeyString, Create: true, Partitions: 6, ReplicationFactor: -1},
		InternalTopics:  InternalTopics{Create: true, ReplicationFactor: -1},
		DeadLetter:      DeadLetter{Topic: "acme.dead-letter"},
		Batch:           Batch{MaxEvents: 1000, MaxBytes: 2 << 20},
		Watchdog:        Watchdog{Every: 15 * time.Minute, Delay: 10 * time.Minute, DailyCalls: 2000, ReservePercent: 10},
		Snapshot:        Snapshot{Reader: ReaderAuto, Parallel: 2, PageRows: 2000, BulkFrom: 50_000, MaxJobs: 1},
		Ops:             Ops{Listen: ":8080"},
		ShutdownTimeout: 25 * time.Second,
		Log:             Log{Level: LogInfo, Format: LogJSON},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestEveryFieldIsReachable parses documents that between them set every key
// to something else than its default, and looks for fields that none has set.
func TestEveryFieldIsReachable(t *testing.T) {
	paths, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain := parse(t, minimal)
	// Never without a warning, so not in the files.
	reached := map[string]bool{"Config.Kafka.TLS.InsecureSkipVerify": true, "Config.Registry.TLS.InsecureSkipVerify": true}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := parse(t, string(data))
		compare(reached, "Config", reflect.ValueOf(*plain), reflect.ValueOf(*c))
	}
	for name, ok := range reached {
		if !ok {
			t.Errorf("%s has its default in all of testdata/valid: no key sets it, or no file shows it", name)
		}
	}
	if len(reached) < 60 {
		t.Errorf("%d fields compared: the comparison is broken", len(reached))
	}
}

// compare notes for each field under a whether b's differs from it.
func compare(reached map[string]bool, name string, a, b reflect.Value) {
	if a.Kind() == reflect.Slice && a.Type().Elem().Kind() == reflect.Struct {
		first := reflect.Zero(a.Type().Elem())
		if a.Len() > 0 {
			first = a.Index(0)
		}
		for i := range b.Len() {
			compare(reached, name, first, b.Index(i))
		}
		return
	}
	if a.Kind() != reflect.Struct || a.Type() == reflect.TypeFor[Secret]() {
		reached[name] = reached[name] || !reflect.DeepEqual(a.Interface(), b.Interface())
		return
	}
	for i := range a.NumField() {
		compare(reached, name+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
	}
}

func TestReferences(t *testing.T) {
	c := parse(t, change(t,
		"client_id: 3MVG9", `client_id: "a${env:SF_CLIENT_ID}b${env:SF_CLIENT_ID}$${env:X}$"`,
		"${env:SF_SECRET}", "${file:/etc/password}",
		"[localhost:9092]", `["${env:BROKERS}"]`,
		"registry:", "lanes: ${env:LANES}\ntopics:\n  create: ${env:TRUE}\n  settings: {a: '${env:LANES}', b: 1e3}\nregistry:"))
	for what, got := range map[string][2]any{
		"text":                  {c.Org.Auth.ClientID, "a3MVG9b3MVG9${env:X}$"},
		"line break of a file":  {c.Org.Auth.ClientSecret.Reveal(), secretValue},
		"integer":               {c.Lanes, 7},
		"boolean":               {c.Topics.Create, true},
		"list with commas":      {c.Kafka.Brokers, []string{"a:9092", "b:9093"}},
		"table, and plain text": {c.Topics.Settings, map[string]string{"a": "7", "b": "1e3"}},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: got %v, want %v", what, got[0], got[1])
		}
	}
}

// TestReferencesAreData shows that what a reference holds is neither YAML nor
// looked at again, and that one line break is cut, not all.
func TestReferencesAreData(t *testing.T) {
	c := parse(t, change(t, "3MVG9", "${env:INJECT}", "${env:SF_SECRET}", "${file:/etc/two-lines}"))
	if want := "x\nlanes: 9 ${env:SF_SECRET}"; c.Org.Auth.ClientID != want || c.Lanes != 4 {
		t.Errorf("client id %q, lanes %d, want %q, 4", c.Org.Auth.ClientID, c.Lanes, want)
	}
	if got := c.Org.Auth.ClientSecret.Reveal(); got != "a\n" {
		t.Errorf("secret %q, want one line break left", got)
	}
}

func TestRelativePathsBeginAtTheFile(t *testing.T) {
	refresh := parse(t, change(t, "client_credentials", "refresh_token", "client_secret: ${env:SF_SECRET}", "token_file: token"))
	if got := refresh.Org.Auth.TokenFile; got != filepath.Join("conf", "token") {
		t.Errorf("token file %q", got)
	}
	c := parse(t, change(t, "${env:SF_SECRET}", "${file:relative}"))
	if got := c.Org.Auth.ClientSecret.Reveal(); got != secretValue {
		t.Errorf("secret %q, want the content of conf/relative", got)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	c := parse(t, change(t, "streams:\n  - channel: /data/AccountChangeEvent", `x-policies:
  - &careful {on_bad_event: halt, on_expired: halt, start: earliest}
  - &late {start: latest, topic: never}
streams:
  - &first
    <<: *careful
    channel: &account /data/AccountChangeEvent
    topic: crm
  - <<: [*careful, *late]
    channel: /event/Order__e
    topic: orders
  - <<: *first
    channel: /data/ContactChangeEvent
    on_expired: latest
    on_unknown_field: keep
    topic: contacts
x-more: *account`))
	want := []Stream{
		{Channel: "/data/AccountChangeEvent", Kind: ChangeData, Source: SourceCometD, Topic: "crm", Start: Start{At: StartEarliest}, Envelope: EnvelopeEvent, OnExpired: ExpiredHalt, OnBadEvent: BadEventHalt, OnUnknownField: UnknownFieldHalt, OnStarvation: StarvationSession, Retention: 72 * time.Hour, Snapshot: SnapshotInitial, Repair: RepairAuto},
		{Channel: "/event/Order__e", Kind: PlatformEvent, Source: SourceCometD, Topic: "orders", Start: Start{At: StartEarliest}, Envelope: EnvelopeEvent, OnExpired: ExpiredHalt, OnBadEvent: BadEventHalt, OnUnknownField: UnknownFieldHalt, OnStarvation: StarvationIgnore, Retention: 72 * time.Hour, Snapshot: SnapshotNever, Repair: RepairOff},
		{Channel: "/data/ContactChangeEvent", Kind: ChangeData, Source: SourceCometD, Topic: "contacts", Start: Start{At: StartEarliest}, Envelope: EnvelopeEvent, OnExpired: ExpiredLatest, OnBadEvent: BadEventHalt, OnUnknownField: UnknownFieldKeep, OnStarvation: StarvationSession, Retention: 72 * time.Hour, Snapshot: SnapshotInitial, Repair: RepairAuto},
	}
	if !reflect.DeepEqual(c.Streams, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c.Streams, want)
	}
}

// TestMergesAreBounded has lists of aliases inside lists of aliases, which lay
// out to 9^9 sections.
func TestMergesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("x-0: &a0 {lanes: 1}\n")
	for _, level := range []string{"01", "12", "23", "34", "45", "56", "67", "78", "89"} {
		nine := strings.TrimSuffix(strings.Repeat("*a"+level[:1]+", ", 9), ", ")
		b.WriteString("x-" + level[1:] + ": &a" + level[1:] + " {<<: [" + nine + "]}\n")
	}
	b.WriteString("<<: *a9\n" + minimal)
	_, problems := Parse([]byte(b.String()), "bridge.yaml", testEnv())
	bounded := func(p Problem) bool { return strings.Contains(p.Message, "merges too much") }
	if !slices.ContainsFunc(problems, bounded) || len(problems) > 10 {
		t.Errorf("%d problems, want few, and one about merges:\n%s", len(problems), render(problems))
	}
}

func TestStart(t *testing.T) {
	for written, want := range map[string]Start{
		"latest": {At: StartLatest}, "earliest": {At: StartEarliest}, "0": {At: StartAfter},
		"9223372036854775807": {At: StartAfter, ReplayID: 9223372036854775807}, `"41"`: {At: StartAfter, ReplayID: 41},
	} {
		c := parse(t, change(t, "/data/AccountChangeEvent", "/data/AccountChangeEvent\n    start: "+written))
		if got := c.Streams[0].Start; got != want {
			t.Errorf("%s: got %+v, want %+v", written, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for written, want := range map[string]int64{
		"0": 0, "65536": 65536, "8MiB": 8 << 20, "8 MiB": 8 << 20, "512KiB": 512 << 10, "1GiB": 1 << 30,
		"1kB": 1000, "2KB": 2000, "10MB": 10_000_000, "1GB": 1_000_000_000, "7B": 7,
		"": -1, "MiB": -1, "-1": -1, "1.5MiB": -1, "8Mb": -1, "8m": -1, "8  MiB": -1, "9223372036854775807KiB": -1, "+ 1": -1,
	} {
		got, ok := parseSize(written)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", written, got, want)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	for address, allowed := range map[string]bool{
		"http://localhost:1": true, "http://127.0.0.1:1": true, "http://127.9.9.9": true, "http://[::1]:1": true, "http://org.localhost": true,
		"http://10.0.0.1": false, "http://localhost.evil.example": false, "http://registry": false, "http://127.0.0.1.evil.example": false,
	} {
		for key, old := range map[string]string{"login_url": "https://acme.my.salesforce.com", "url": "http://localhost:8081"} {
			document := change(t, old, address)
			c, problems := Parse([]byte(document), "b.yaml", testEnv())
			if (c != nil) != allowed {
				t.Errorf("%s: %s: allowed %v, want %v\n%s", key, address, c != nil, allowed, render(problems))
			}
			parse(t, strings.Replace(document, key+": "+address, "allow_plain_http: true\n  "+key+": "+address, 1))
		}
	}
}

func TestWithoutRegistry(t *testing.T) {
	for _, document := range []string{
		change(t, "http://localhost:8081", "none"),
		change(t, "registry:\n  url: http://localhost:8081\n", "format: json\n"),
	} {
		if c := parse(t, document); c.Registry.URL != "" {
			t.Errorf("registry %q, want none", c.Registry.URL)
		}
	}
}

func TestTLSClient(t *testing.T) {
	c := parse(t, change(t,
		"kafka:", "kafka:\n  tls: {enabled: true, ca_file: /etc/ca.pem, cert_file: /etc/client.pem, key_file: /etc/client.key, server_name: k}",
		"http://localhost:8081", "https://registry.example/"))
	kafka, err := c.Kafka.TLS.Client()
	if err != nil {
		t.Fatal(err)
	}
	if kafka.RootCAs == nil || len(kafka.Certificates) != 1 || kafka.ServerName != "k" || kafka.InsecureSkipVerify {
		t.Errorf("kafka: %+v", kafka)
	}
	registry, err := c.Registry.TLS.Client()
	if err != nil {
		t.Fatal(err)
	}
	if registry == nil || registry.RootCAs != nil || c.Registry.URL != "https://registry.example" {
		t.Errorf("registry %q: %+v", c.Registry.URL, registry)
	}
	if off, err := (TLS{}).Client(); off != nil || err != nil {
		t.Errorf("disabled: %v, %v", off, err)
	}
	if _, err := (TLS{Enabled: true, CAPEM: []byte("x")}).Client(); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("error %v, want ErrNoCertificate", err)
	}
}

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "bridge.yaml")
	document := change(t, "${env:SF_SECRET}", "${file:secret}")
	for name, content := range map[string]string{"bridge.yaml": document, "secret": secretValue + "\n", "large": strings.Repeat("#", maxFile+1)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems, err := Load(path, OSEnv())
	if err != nil || len(problems) > 0 {
		t.Fatalf("error %v, problems:\n%s", err, render(problems))
	}
	if got := c.Org.Auth.ClientSecret.Reveal(); got != secretValue {
		t.Errorf("secret %q", got)
	}
	if _, _, err := Load(path+"x", OSEnv()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "bridge.yamlx") {
		t.Errorf("error %v, want one that names the file", err)
	}
	if _, _, err := Load(filepath.Join(folder, "large"), OSEnv()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v, want one about the size", err)
	}
	if _, _, err := Load(path, Env{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v from an empty Env, want not exist", err)
	}
}

// TestLinesAndOrder checks that problems name the line of their key, and come
// in the order of lines.
func TestLinesAndOrder(t *testing.T) {
	document := change(t, "name: acme", "# one\n\nname: Acme", "[localhost:9092]", "\n    - ok:9092\n    - bad")
	_, problems := Parse([]byte(document), "b.yaml", testEnv())
	var got []int
	for _, p := range problems {
		got = append(got, p.Line)
		if p.File != "b.yaml" || p.Severity != Error {
			t.Errorf("%+v", p)
		}
	}
	if want := []int{3, 15}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v:\n%s", got, want, render(problems))
	}
}

func TestLongOrSecretValuesAreNotRepeated(t *testing.T) {
	for _, value := range []string{strings.Repeat("x", 300) + " ", "amqp://u:" + secretValue + "@h", "-----BEGIN PRIVATE KEY----- " + secretValue} {
		_, problems := Parse([]byte(change(t, "localhost:9092", `"`+value+`"`)), "b.yaml", testEnv())
		if got := render(problems); len(problems) != 1 || strings.Contains(got, secretValue) || len(got) > 250 {
			t.Errorf("%q gives %s", value, got)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"brokers", "client_id", "tls", "sasl", "compression", "jwt_bearer"}
	for word, want := range map[string]string{
		"broker": "brokers", "Brokers": "brokers", "borkers": "brokers", "clientid": "client_id", "client_ID": "client_id",
		"tsl": "tls", "compresion": "compression", "zookeeper": "", "x": "", "": "", strings.Repeat("tls", 40): "", "jwt": "jwt_bearer", "jw": "",
	} {
		if got, _ := nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
