package internal_test

import (
	"strings"
	"testing"
)

// The rooms of the house. A package that has no row may not exist: a new one
// gets its row here, and ARCHITECTURE.md its line, in the same change.
func importTable() []room {
	return []room{
		{
			path: "cometd", why: "it is protocol only, and usable alone: the standard library is enough",
			testOurs: []string{"cometd/cometdtest"},
		},
		{
			path: "cometd/cometdtest", why: "a fake that needs nothing can be used by every test",
			testOurs: []string{"cometd"},
		},
		{
			path: "salesforce", why: "it knows the org's REST API and OAuth, and nothing of ours",
			third: []string{jwt},
		},
		{
			path: "replay", why: "positions are opaque to it, and so is whoever reads them",
			third:    []string{franz},
			testOurs: []string{"integration/kafkatest"},
		},
		{
			path: "schemas", why: "stages do not know each other; its one neighbour is the REST client",
			ours: []string{"salesforce"}, third: []string{avro, franz + "/pkg/sr"},
		},
		{
			path: "transform", why: "it makes records and speaks to no broker: of Kafka it sees the record type",
			ours: []string{"schemas"}, third: []string{avro, kgo},
			only:      map[string][]string{kgo: recordTypes()},
			testThird: []string{franz},
		},
		{
			path: "sink", why: "it commits records and does not know where they come from",
			third:    []string{franz},
			testOurs: []string{"integration/kafkatest"},
		},
		{
			path: "cmd/bridge", why: "main only calls cli",
			ours: []string{"cmd/bridge/internal/cli"},
		},
		{
			path: "cmd/bridge/internal", why: "it holds this test and nothing else",
		},
		{
			path: "cmd/bridge/internal/pipeline", why: "it is the one joint: types and errors of the stages, no protocol",
			ours: []string{"transform", "replay", "sink"}, third: []string{kgo, backoff, zerolog},
			only:     map[string][]string{kgo: recordTypes()},
			testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/source/streaming", why: "a source knows the pipeline and its own protocol",
			ours:  []string{"cmd/bridge/internal/pipeline", "transform", "replay", "cometd", "salesforce"},
			third: []string{backoff, zerolog}, testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/source/snapshot", why: "rows are another source, and become events here: what transform makes of events holds for them",
			ours:  []string{"cmd/bridge/internal/pipeline", "transform", "replay", "salesforce"},
			third: []string{backoff, zerolog, kgo}, only: map[string][]string{kgo: recordTypes()},
			testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/source/polling", why: "rows that are asked for again and again are a source; their schema is made here, from what the org says of the object",
			ours:     []string{"cmd/bridge/internal/pipeline", "transform", "replay", "salesforce", "schemas"},
			testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/backfill", why: "a run is a lane with bounds; which org and which Kafka is the command's matter",
			ours: []string{"cmd/bridge/internal/pipeline", "transform", "replay"}, third: []string{kgo},
			only:     map[string][]string{kgo: recordTypes()},
			testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/fold", why: "it reads the bridge's topics as a consumer does: values by their schema, headers by their names",
			ours:  []string{"cmd/bridge/internal/pipeline", "transform", "schemas", "salesforce"},
			third: []string{franz}, testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/audit", why: "it compares rows with what a topic folds to; who reads both is the command's matter",
			ours:     []string{"cmd/bridge/internal/pipeline", "cmd/bridge/internal/fold", "cmd/bridge/internal/source/snapshot", "salesforce"},
			testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/config", why: "it is text in, settings out; of the stages it may ask only whether a credential is one",
			ours: []string{"salesforce"}, third: []string{yaml}, testThird: []string{zerolog},
		},
		{
			path: "cmd/bridge/internal/ops", why: "it shows what the pipeline counts and touches nothing",
			ours:  []string{"cmd/bridge/internal/pipeline"},
			third: []string{zerolog, prometheus, franz + "/plugin/kprom"}, testOurs: []string{"..."}, testThird: []string{franz},
		},
		{
			path: "cmd/bridge/internal/cli", why: "it wires everything, but Avro stays behind schemas and transform",
			ours:     []string{"..."},
			third:    []string{cobra, pflag, zerolog, prometheus, franz, yaml},
			testOurs: []string{"..."}, testThird: []string{avro, jwt, backoff},
		},
		{
			path: "integration", why: "it runs the built binary and looks at it from outside",
			ours:      []string{"integration/...", "cometd/cometdtest"},
			third:     []string{testcontainers, moby, franz, avro},
			testThird: []string{yaml, zerolog},
		},
		{
			path: "integration/oracle", why: "it says what a reader must see, from the org's ledger alone",
			ours: []string{"integration/orgsim"}, third: []string{kgo},
			only: map[string][]string{kgo: recordTypes()},
		},
		{
			path: "integration/model", why: "it is the protocol written down a second time: code shared with the first would hide what they differ in",
		},
		{
			path: "integration/orgsim", why: "the oracle of every test must not share code with what it judges",
			ours: []string{"cometd/cometdtest"}, third: []string{jwt},
			testOurs: []string{"cometd", "salesforce"}, testThird: []string{avro, jwt},
		},
		{
			path: "integration/kafkatest", why: "it starts a real Kafka for any test and knows none of them",
			ours:  []string{"integration/kafkatest/maven"},
			third: []string{franz, testcontainers, moby},
		},
		{
			path: "integration/kafkatest/maven", why: "it gets Java programs and knows nothing of what they are",
		},
		{
			path: "integration/foreign", why: "its readers are strangers: they share no code with the writer",
			testOurs:  []string{"integration/foreign/...", "integration/kafkatest"},
			testThird: []string{franz},
		},
		{
			path: "integration/foreign/java", why: "it runs Java programs that are none of ours",
			ours: []string{"integration/foreign", "integration/kafkatest", "integration/kafkatest/maven"},
		},
		{
			path: "integration/foreign/python", why: "it runs a Python program that is none of ours",
			ours: []string{"integration/foreign", "integration/kafkatest", "integration/kafkatest/maven"},
		},
	}
}

// Third-party modules, by what they are to us.
const (
	avro           = "github.com/hamba/avro/v2"
	backoff        = "github.com/cenkalti/backoff/v4"
	cobra          = "github.com/spf13/cobra"
	franz          = "github.com/twmb/franz-go"
	jwt            = "github.com/golang-jwt/jwt/v5"
	kgo            = "github.com/twmb/franz-go/pkg/kgo"
	moby           = "github.com/moby/moby"
	pflag          = "github.com/spf13/pflag"
	prometheus     = "github.com/prometheus"
	rapid          = "pgregory.net/rapid"
	testcontainers = "github.com/testcontainers/testcontainers-go"
	yaml           = "go.yaml.in/yaml/v3"
	zerolog        = "github.com/rs/zerolog"
)

// recordTypes are what a package may know of the Kafka client that makes
// records and sends none.
func recordTypes() []string { return []string{"Record", "RecordHeader"} }

// stages are libraries that are usable alone: silent, without state of their own.
func stages() []string {
	return []string{"cometd", "salesforce", "schemas", "transform", "replay", "sink"}
}

// longFiles are the files that may be longer than maxLines, each with the
// reason why cutting it would not help its reader.
func longFiles() map[string]string {
	return map[string]string{}
}

const maxLines = 500

func TestImports(t *testing.T) {
	for _, breach := range checkImports(importTable(), load(t)) {
		t.Error(breach)
	}
}

func TestPackageState(t *testing.T) {
	for _, breach := range checkState(stages(), load(t)) {
		t.Error(breach)
	}
}

func TestFileLength(t *testing.T) {
	for _, breach := range checkLength(maxLines, longFiles(), texts(t)) {
		t.Error(breach)
	}
}

func TestUnfinished(t *testing.T) {
	for _, breach := range checkUnfinished(texts(t)) {
		t.Error(breach)
	}
}

// The checkers themselves must be able to fail: each case is a small file, and
// the breach that must be found in it; "" is a file that is as it should be.
func TestCheckers(t *testing.T) {
	table := []room{
		{path: "a", why: "reasons", third: []string{kgo}, only: map[string][]string{kgo: {"Record"}}, testOurs: []string{"b"}},
		{path: "b", why: "reasons", ours: []string{"a"}},
		{path: "c", why: "reasons", ours: []string{"..."}},
	}
	for name, c := range map[string]struct{ file, source, want string }{
		"std":                {"a/x.go", `package a; import "net/http"; var _ http.Handler`, ""},
		"ours, allowed":      {"b/x.go", `package b; import _ "` + module + `/a"`, ""},
		"ours, all allowed":  {"c/x.go", `package c; import _ "` + module + `/b"`, ""},
		"ours, forbidden":    {"a/x.go", `package a; import _ "` + module + `/b"`, "a/x.go: package a may not import b"},
		"ours, in a test":    {"a/x_test.go", `package a; import _ "` + module + `/b"`, ""},
		"ours, other test":   {"b/x_test.go", `package b; import _ "` + module + `/c"`, "package b may not import c"},
		"itself, black box":  {"b/x_test.go", `package b_test; import _ "` + module + `/b"`, ""},
		"deeper is another":  {"b/x.go", `package b; import _ "` + module + `/a/deep"`, "package b may not import a/deep"},
		"third, forbidden":   {"b/x.go", `package b; import _ "` + zerolog + `"`, "package b may not import " + zerolog},
		"third, anywhere":    {"b/x_test.go", `package b; import _ "` + rapid + `"`, ""},
		"third, look-alike":  {"a/x.go", `package a; import _ "` + kgo + `fork"`, "package a may not import " + kgo + "fork"},
		"selector, allowed":  {"a/x.go", `package a; import "` + kgo + `"; type r kgo.Record`, ""},
		"selector, not":      {"a/x.go", `package a; import "` + kgo + `"; var _ kgo.Client`, "a/x.go:1: package a may know of kgo only Record, not Client"},
		"selector, renamed":  {"a/x.go", `package a; import k "` + kgo + `"; var _ k.Client`, "only Record, not Client"},
		"no row":             {"d/x.go", `package d`, "package d has no row"},
		"init":               {"b/x.go", `package b; func init() {}`, "b/x.go:1: package b has an init function"},
		"method init":        {"b/x.go", `package b; type t int; func (t) init() {}`, ""},
		"variable":           {"b/x.go", `package b; var cache = map[string]int{}`, "b/x.go:1: package b has the variable cache"},
		"variable, of many":  {"b/x.go", `package b; import "errors"; var ( ErrX = errors.New("x"); n int )`, "the variable n"},
		"variable in a test": {"b/x_test.go", `package b; var update = false`, ""},
		"error":              {"b/x.go", `package b; import "errors"; var ErrX = errors.New("x")`, ""},
		"error in name only": {"b/x.go", `package b; var ErrX = newCache()`, "the variable ErrX"},
		"interface":          {"b/x.go", `package b; var _ I = (*T)(nil)`, ""},
		"embedded":           {"b/x.go", "package b\n//go:embed s.avsc\nvar schema string", ""},
		"embedded, block":    {"b/x.go", "package b\nvar (\n//go:embed s.avsc\nschema string\n)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := parse(t, c.file, c.source)
			got := append(checkImports(table, []file{f}), checkState([]string{"b"}, []file{f})...)
			expect(t, got, c.want)
		})
	}
}

func TestTextCheckers(t *testing.T) {
	short, long := strings.Repeat("x\n", 500), strings.Repeat("x\n", 501)
	waived := map[string]string{"w.go": "a table", "gone.go": "was long"}
	expect(t, checkLength(500, nil, map[string]string{"a.go": short}), "")
	expect(t, checkLength(500, nil, map[string]string{"a.go": long}), "a.go has 501 lines")
	expect(t, checkLength(500, nil, map[string]string{"a.md": long}), "")
	expect(t, checkLength(500, waived, map[string]string{"w.go": long, "gone.go": long}), "")
	expect(t, checkLength(500, waived, map[string]string{"w.go": long}), "gone.go is in the table of long files")
	expect(t, checkLength(500, map[string]string{"w.go": ""}, map[string]string{"w.go": long}), "w.go has 501 lines")
	for _, word := range unfinished() {
		expect(t, checkUnfinished(map[string]string{"a.md": "one\n" + word + ": two"}), "a.md:2 says "+word)
	}
	expect(t, checkUnfinished(map[string]string{"a.go": "mastodon, to do"}), "")
}

// expect wants exactly one breach that holds want, or none if want is empty.
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("breaches where there are none: %q", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("breaches %q, want one that says %q", got, want)
	}
}

// TestMap holds ARCHITECTURE.md to the tree: every path that it names exists,
// and every package has its place in it.
func TestMap(t *testing.T) {
	for _, breach := range checkMap(texts(t)) {
		t.Error(breach)
	}
	fixture := map[string]string{
		"a/x.go": "", "a/b/z.go": "",
		"ARCHITECTURE.md": "see `a/x.go`, `a/`, `host/a`\n```\na/  room\n  b/  inner\n```",
	}
	expect(t, checkMap(fixture), "")
	fixture["a/c/d.go"] = ""
	expect(t, checkMap(fixture), "ARCHITECTURE.md does not name the package a/c")
	fixture["ARCHITECTURE.md"] += "c/ and `a/gone.go`"
	expect(t, checkMap(fixture), "ARCHITECTURE.md names a/gone.go")
}
