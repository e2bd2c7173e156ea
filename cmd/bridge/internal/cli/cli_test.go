package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

var update = flag.Bool("update", false, "write golden files anew")

// call runs the command line in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	stop := newStopper(&errs, func(code int) { t.Errorf("exit(%d) was called", code) })
	defer stop.close()
	code = run(stop, args, &out, &errs)
	return code, out.String(), errs.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what the program says; run the test with -update and read the change:\n%s", path, got)
	}
}

// Every command explains itself and shows an example.
func TestHelp(t *testing.T) {
	stop := newStopper(io.Discard, nil)
	defer stop.close()
	var all strings.Builder
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		code, out, _ := call(t, append(path, "--help")...)
		if code != 0 {
			t.Errorf("%s --help: exit code %d", cmd.CommandPath(), code)
		}
		if !cmd.HasSubCommands() && !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help shows no example", cmd.CommandPath())
		}
		all.WriteString("$ " + cmd.CommandPath() + " --help\n" + out + "\n")
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(stop))
	golden(t, "help.golden", all.String())
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"rum"}, "unknown command"},
		{[]string{"run", "extra"}, "unknown command \"extra\""},
		{[]string{"run", "--confg", "x"}, "unknown flag: --confg"},
		{[]string{"run", "-c", "/nonexistent/bridge.yaml"}, "/nonexistent/bridge.yaml"},
		{[]string{"config", "validate", "-c", "/nonexistent/bridge.yaml"}, "/nonexistent/bridge.yaml"},
		{[]string{"demo", "--events", "-1"}, "must not be negative"},
		{[]string{"demo", "--events", "many"}, "invalid argument"},
		{[]string{"simulate", "--rate", "-1"}, "must not be negative"},
	} {
		code, _, stderr := call(t, c.args...)
		if code != 2 || !strings.Contains(stderr, c.says) {
			t.Errorf("bridge %v: exit code %d, %q; want 2 and %q", c.args, code, stderr, c.says)
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := call(t, "version", "--json")
	var b Build
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != 0 || b.Version == "" || b.Go == "" {
		t.Errorf("exit code %d, %s: %v", code, out, err)
	}
	if _, out, _ := call(t, "version"); !strings.HasPrefix(out, "bridge ") {
		t.Errorf("%q", out)
	}
}

func TestConfigCommands(t *testing.T) {
	if code, out, _ := call(t, "config", "reference"); code != 0 || out != config.Reference() {
		t.Errorf("exit code %d", code)
	}
	bad := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(bad, []byte("name: x\nstreems: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := call(t, "config", "validate", "-c", bad)
	if code != 2 || !strings.Contains(out, "streems: unknown key (try: streams)") || strings.Count(out, "\n") < 3 {
		t.Errorf("exit code %d, want all problems:\n%s", code, out)
	}
	code, out, _ = call(t, "config", "validate", "--json", "-c", bad)
	var report struct {
		Valid    bool
		Problems []struct{ Severity, Path string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 2 || report.Valid || len(report.Problems) < 3 {
		t.Errorf("exit code %d, %+v, %v", code, report, err)
	}
}

// The demo is the whole way; its exit code says that the consumer saw exactly
// what the org published.
func TestDemo(t *testing.T) {
	code, out, stderr := call(t, "demo", "--events", "150", "--rate", "0", "--seed", "3")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	kinds := make(map[string]int)
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var line struct {
			Type, Topic, Key, Operation string
			Seen, Expected              int
			Org, Kafka, Registry        string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if kinds[line.Type]++; len(kinds) == 1 && (line.Type != "addresses" || line.Org == "" || line.Kafka == "" || line.Registry == "") {
			t.Errorf("the first line is %s, want the addresses", lines.Text())
		}
		if line.Type == "record" && (line.Topic == "" || line.Key == "" || line.Operation == "") {
			t.Errorf("%s", lines.Text())
		}
		if line.Type == "summary" && (line.Seen != 150 || line.Expected != 150) {
			t.Errorf("%s", lines.Text())
		}
	}
	if kinds["record"] != 150 || kinds["summary"] != 1 || kinds["addresses"] != 1 {
		t.Errorf("lines by type: %v", kinds)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := &table{w: &b, width: 100}
	if err := tab.header(); err != nil {
		t.Fatal(err)
	}
	if err := tab.record(delivered{
		Topic: "salesforce.A_Very_Long_Object_Name__c", Key: "001xx000003DGb2AAG", Operation: "UPDATE",
		Changed: []field{{"Name", "Ada\x1b[31m\nKrol"}, {"Description", strings.Repeat("ü", 100)}},
	}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || strings.ContainsRune(b.String(), 0x1b) {
		t.Errorf("a record's text moves the cursor: %q", b.String())
	}
	if n := len([]rune(lines[1])); n > 100 {
		t.Errorf("a line of %d characters on a terminal of 100", n)
	}
}

func TestChanged(t *testing.T) {
	got, err := changed([]byte(`{"ChangeEventHeader":{"entityName":"A","nulledFields":["Phone"]},"Name":"Acme",` +
		`"Phone":null,"BillingAddress":{"City":"Lyon","State":null},"LastModifiedDate":1,"Count":3,"Open":false}`))
	want := []field{{"Name", "Acme"}, {"BillingAddress.City", "Lyon"}, {"Count", "3"}, {"Open", "false"}, {"Phone", "null"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := changed([]byte(`{"a":`)); err == nil {
		t.Error("half a value was taken")
	}
}

// The first signal drains, the second one ends the process with 128 plus its
// number.
func TestSignals(t *testing.T) {
	exited := make(chan int, 1)
	var stderr syncBuffer
	s := newStopper(&stderr, func(code int) { exited <- code })
	defer s.close()
	s.signals <- syscall.SIGTERM
	<-s.intake.Done()
	s.signals <- syscall.SIGINT
	if code := <-exited; code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

func TestBounded(t *testing.T) {
	intake := t.Context()
	ctx, free := bounded(intake, time.Hour)
	if ctx.Err() != nil {
		t.Error("ended before the intake")
	}
	free()
	if ctx.Err() == nil {
		t.Error("not ended when freed")
	}
}
